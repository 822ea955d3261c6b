"""Who computes what when: batches, workers and threads, from memory and a rough price.

Nothing here can change a bit of a result.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wavepipe.pipeline.errors import JobError
from wavepipe.pipeline.inputs import Inputs
from wavepipe.pipeline.inverted_parameters import changes
from wavepipe.pipeline.job import Job
from wavepipe.pipeline.machine import Machine
from wavepipe.pipeline.passes import ADJOINT_BAND, Pass
from wavepipe.pipeline.windows import Window
from wavepipe.propagators import Boundary, Storage
from wavepipe.propagators.physics.names import PARAMETERS
from wavepipe.propagators.planning import plan_call

CELLS_PER_SECOND = 1e9
"""Cell updates a second and core, assumed where only the order of magnitude matters."""

GRADIENT_COST = 3.0
"""Price of a gradient, in forward runs."""

MEMORY_SHARE = 0.7
"""Part of the memory that calls may fill; the rest is for sums, files and the system."""

SHORTEST_BATCH = 1.0
"""Seconds below which the scheduler's own work would be felt."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Who computes what when; decides no bit of a result."""

    n_workers: int
    """Worker processes."""

    threads: int
    """In each worker."""

    batch_shots: int
    """Shots per task, a power of two."""

    call_shots: int
    """Most shots in one call of a propagator."""

    shot_bytes: int
    """Peak memory of one shot."""

    shot_seconds: float
    """Rough time of one shot on one worker."""


def plan_schedule(
    inputs: Inputs, passes: Sequence[Pass], window: Window, machine: Machine
) -> Schedule:
    """Fix batches, workers and threads.

    Parameters
    ----------
    inputs
        What the run starts from.
    passes
        Its frequency bands.
    window
        The largest of its shots.
    machine
        Workers asked for, cores and memory.

    Raises
    ------
    JobError
        One shot does not fit in memory.
    """
    n_shots = inputs.survey.n_shots
    gradient = inputs.job.kind != "model"
    priced = [_price(inputs, one, window, gradient) for one in passes]
    shot_bytes = max(size for size, _ in priced)
    work = max(cells for _, cells in priced) * (GRADIENT_COST if gradient else 1.0)
    room = int(MEMORY_SHARE * machine.memory)
    if shot_bytes > room:
        raise JobError(
            f"one shot needs about {shot_bytes / 1e9:.2g} GB, and {machine.memory / 1e9:.2g} GB "
            "of memory are free. Set a smaller survey.aperture, a coarser earth_model.spacing, "
            "or run on a larger machine."
        )
    most = max(1, room // shot_bytes)
    n_workers = min(machine.n_workers, most) if machine.free else machine.n_workers
    n_workers = min(n_workers, n_shots)
    threads = machine.threads or max(1, machine.cores // n_workers)
    seconds = work / (CELLS_PER_SECOND * threads)
    batch = _batch_shots(n_shots, n_workers, seconds)
    asked = inputs.job.cluster.batch_shots
    batch = batch if asked == "auto" else asked
    call = int(np.clip(room // (n_workers * shot_bytes), 1, batch))
    return Schedule(n_workers, threads, batch, call, shot_bytes, seconds)


def _batch_shots(n_shots: int, n_workers: int, shot_seconds: float) -> int:
    """Shots per batch: long enough for the scheduler, short enough for the workers to share."""
    batch = 1
    while batch < n_shots and batch * shot_seconds < SHORTEST_BATCH:
        batch *= 2
    while batch > 1 and -(-n_shots // batch) < 2 * n_workers:
        batch //= 2
    return batch


def _price(inputs: Inputs, one: Pass, window: Window, gradient: bool) -> tuple[int, float]:
    """Bytes and cell updates of one shot."""
    p, job = one.propagation, inputs.job
    counts = np.diff(inputs.survey.first_trace)
    call = plan_call(
        window.shape,
        p.spacing,
        p.dt,
        p.nt,
        1,
        int(counts.max()),
        order=p.order,
        boundary=Boundary(p.pml_width, p.pml_frequency, p.free_surface, window.inside, p.sponge),
        velocity_bound=p.velocity_bound,
        physics=job.physics,
        wanted=_wanted(job),
        time_step=p.time_step,
        correct_time_dispersion=p.correct_time_dispersion,
        storage=Storage(p.storage_mode, p.storage_method, stride=p.stride),
        gradient=gradient,
        born=job.kind == "rtm",
        max_frequency=one.band,
        adjoint_frequency=ADJOINT_BAND * one.band,
    )
    return call.bytes, float(call.updates)


def _wanted(job: Job) -> tuple[str, ...]:
    """Parameters whose gradient is wanted."""
    if job.kind == "rtm":
        return ("vp",)
    return tuple(name for name in PARAMETERS[job.physics] if changes(job, name))
