"""Who computes what when: batches, workers and threads, from memory and a rough price.

Nothing here can change a bit of a result, but for the codec that wavefields are kept with.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from wavepipe.pipeline.errors import JobError
from wavepipe.pipeline.inputs import Inputs
from wavepipe.pipeline.job import Job
from wavepipe.pipeline.keeping import NOTHING, Keeping
from wavepipe.pipeline.machine import Machine
from wavepipe.pipeline.passes import Pass
from wavepipe.pipeline.prices import (
    CELLS_PER_SECOND,
    MEMORY_SHARE,
    SLOWEST,
    takes_least,
    too_large,
    with_gradient,
    without_gradient,
)
from wavepipe.pipeline.probe import Measured
from wavepipe.pipeline.wavefields import free_disk
from wavepipe.pipeline.windows import Window
from wavepipe.propagators.storage.amounts import size
from wavepipe.propagators.storage.choice import DISK_SHARE

PATIENCE, SLOWER = 600.0, 20.0
"""Seconds, and times what a batch takes at most, that are waited for a batch."""

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

    patience: float | None = None
    """Seconds after which a batch is held to hang; None: never."""


def plan_schedule(
    inputs: Inputs, passes: Sequence[Pass], window: Window, machine: Machine
) -> tuple[Schedule, Keeping, tuple[Measured, ...]]:
    """Fix batches, workers and threads, and how wavefields are kept, with what was measured.

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
        One shot does not fit in memory, within the budget or on the disk.
    """
    job, n_shots = inputs.job, inputs.survey.n_shots
    room = int(MEMORY_SHARE * machine.memory)
    if job.kind == "model":
        priced = without_gradient(inputs, passes, window)
    else:
        # One worker may take it all where their number is ours to choose.
        n_workers = 1 if machine.free else min(machine.n_workers, n_shots)
        threads = machine.threads or max(1, machine.cores // n_workers)
        priced = with_gradient(inputs, passes, window, room // n_workers, threads)
    keeping, shot_bytes = priced.keeping, priced.bytes
    if shot_bytes > room:
        raise JobError(too_large(shot_bytes, machine.memory, gradient=job.kind != "model"))
    most = min(room // shot_bytes, _shots_on_disk(job, keeping))
    n_workers = min(machine.n_workers, most) if machine.free else machine.n_workers
    n_workers = min(n_workers, n_shots)
    threads = machine.threads or max(1, machine.cores // n_workers)
    seconds = priced.updates / (CELLS_PER_SECOND * threads)
    batch = _batch_shots(n_shots, n_workers, seconds)
    asked = job.cluster.batch_shots
    batch = batch if asked == "auto" else asked
    call = max(1, min(most // n_workers, batch))
    if job.storage.limit is not None and keeping.shot_memory:
        call = max(1, min(call, job.storage.limit // keeping.shot_memory))
    rest = call * (shot_bytes - keeping.shot_memory)
    keeping = replace(keeping, budget=_budget(job, keeping, room // n_workers - rest))
    slowest = batch * priced.updates / (SLOWEST * threads)
    compiled = passes[0].propagation.backend != "reference"
    patience = PATIENCE + SLOWER * slowest if compiled else None
    schedule = Schedule(n_workers, threads, batch, call, shot_bytes, seconds, patience)
    return schedule, keeping, priced.measured


def _budget(job: Job, keeping: Keeping, room: int) -> int | None:
    """Bytes of memory that the wavefield of a call may take; None for what it takes."""
    if keeping == NOTHING or keeping.is_direct or takes_least(job):
        return None
    return room if job.storage.limit is None else min(room, job.storage.limit)


def _shots_on_disk(job: Job, keeping: Keeping) -> int:
    """Shots whose wavefields the scratch disk holds at a time; a JobError if there is none."""
    if not keeping.shot_disk or job.cluster.kind != "local":
        return 1 << 30  # none are, or every node has its own
    folder, free = free_disk(job)
    if keeping.shot_disk > free:
        raise JobError(
            f"storage of {job.path.name}: the wavefield of one shot takes "
            f"{size(keeping.shot_disk)} on disk, and {folder} has {size(free)} free. Name another "
            "folder as storage.path, or set storage.compression, a larger storage.stride or "
            "storage.method recompute."
        )
    return max(1, int(DISK_SHARE * free) // keeping.shot_disk)


def _batch_shots(n_shots: int, n_workers: int, shot_seconds: float) -> int:
    """Shots per batch: long enough for the scheduler, short enough for the workers to share."""
    batch = 1
    while batch < n_shots and batch * shot_seconds < SHORTEST_BATCH:
        batch *= 2
    while batch > 1 and -(-n_shots // batch) < 2 * n_workers:
        batch //= 2
    return batch
