"""Who computes what when: batches, workers and threads, from memory and a rough price.

Nothing here can change a bit of a result, but for the codec that wavefields are kept with.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from wavepipe.pipeline.calibration import Pace, calibrate
from wavepipe.pipeline.errors import JobError
from wavepipe.pipeline.inputs import Inputs
from wavepipe.pipeline.job import Job
from wavepipe.pipeline.keeping import NOTHING, Keeping
from wavepipe.pipeline.ledger_cost import MOST, LedgerCost, measure_disk, tree_sizes
from wavepipe.pipeline.machine import Machine
from wavepipe.pipeline.passes import Pass
from wavepipe.pipeline.prices import (
    CELLS_PER_SECOND,
    MEMORY_SHARE,
    SLOWEST,
    takes_least,
    too_large,
    wanted_parameters,
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

SUMS = 3
"""Sums of batches that a process holds beside a call: its own, and two that are added."""

LITTLE = 10.0
"""Seconds of an evaluation that its ledger may take without a word."""


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
    """Peak memory of one shot in a call."""

    shot_seconds: float
    """Time of an average shot on one worker, measured where it could be."""

    shot_cpu_seconds: float | None = None
    """Of all threads; None where nothing was measured."""

    start_cpu_seconds: float = 0.0
    """That the first shot of a worker takes beyond that."""

    ledger_share: float = 0.0
    """Part of the run that it takes to make sums safe."""

    patience: float | None = None
    """Seconds after which a batch is held to hang; None: never."""

    held_bytes: int = 0
    """What a worker holds besides: changes of clocks, and sums."""

    @property
    def worker_bytes(self) -> int:
        """Peak memory of a worker's calls and sums."""
        return self.held_bytes + self.call_shots * self.shot_bytes


def plan_schedule(
    inputs: Inputs, passes: Sequence[Pass], windows: Sequence[Window], machine: Machine
) -> tuple[Schedule, Keeping, tuple[Measured, ...]]:
    """Fix batches, workers and threads, and how wavefields are kept, with what was measured.

    Parameters
    ----------
    inputs
        What the run starts from.
    passes
        Its frequency bands.
    windows
        Of its shots.
    machine
        Workers asked for, cores and memory.

    Raises
    ------
    JobError
        One shot does not fit in memory, within the budget or on the disk.
    """
    job, n_shots = inputs.job, inputs.survey.n_shots
    window = max(windows, key=lambda window: int(np.prod(window.shape)))
    room = int(MEMORY_SHARE * machine.memory)
    sums = SUMS * _cell_bytes(job) * tree_sizes(windows)[-1][1]  # the last are as large as any
    if job.kind == "model":
        priced = without_gradient(inputs, passes, window)
    else:
        # One worker may take it all where their number is ours to choose.
        n_workers = 1 if machine.free else min(machine.n_workers, n_shots)
        threads = machine.threads or max(1, machine.cores // n_workers)
        share = max(0, room // n_workers - sums)
        priced = with_gradient(inputs, passes, window, share, threads)
    keeping, held = priced.keeping, priced.clock_bytes + sums
    shot_bytes = priced.bytes - priced.clock_bytes
    if held + shot_bytes > room:
        raise JobError(too_large(held + shot_bytes, machine.memory, gradient=job.kind != "model"))
    on_disk = _shots_on_disk(job, keeping)
    n_workers = machine.n_workers
    if machine.free:
        n_workers = min(n_workers, room // (held + shot_bytes), on_disk)
    n_workers = min(n_workers, n_shots)
    share = room // n_workers - held
    threads = machine.threads or max(1, machine.cores // n_workers)
    rough = priced.updates / (CELLS_PER_SECOND * threads)
    pace = _pace(inputs, passes, keeping, windows, n_workers, threads)
    seconds = rough if pace is None else pace.seconds
    ledger = _ledger(inputs, windows, n_workers, seconds)
    asked = job.cluster.batch_shots
    batch = _batch_shots(n_shots, n_workers, seconds, ledger) if asked == "auto" else asked
    call = max(1, min(share // shot_bytes, on_disk // n_workers, batch))
    if job.storage.limit is not None and keeping.shot_memory:
        call = max(1, min(call, job.storage.limit // keeping.shot_memory))
    rest = call * (shot_bytes - keeping.shot_memory)
    keeping = replace(keeping, budget=_budget(job, keeping, share - rest))
    slowest = batch * priced.updates / (SLOWEST * threads)
    compiled = passes[0].propagation.backend != "reference"
    patience = PATIENCE + SLOWER * slowest if compiled else None
    schedule = Schedule(
        n_workers,
        threads,
        batch,
        call,
        shot_bytes,
        seconds,
        None if pace is None else pace.cpu_seconds,
        0.0 if pace is None else pace.start_cpu_seconds,
        ledger.share(batch),
        patience,
        held,
    )
    return schedule, keeping, priced.measured


def ledger_advice(schedule: Schedule, n_shots: int) -> str:
    """What to say of a ledger that takes long; empty if it does not."""
    share = schedule.ledger_share
    seconds = share * n_shots * schedule.shot_seconds / schedule.n_workers
    if share <= MOST or seconds < LITTLE:
        return ""
    return (
        f"making sums safe will take about {share:.0%} of the run, more than {MOST:.0%}, with "
        f"batches of {schedule.batch_shots} shots. Set output.folder to a faster disk, use fewer "
        "workers or a smaller survey.aperture, or raise cluster.batch_shots."
    )


def _pace(
    inputs: Inputs,
    passes: Sequence[Pass],
    keeping: Keeping,
    windows: Sequence[Window],
    n_workers: int,
    threads: int,
) -> Pace | None:
    """Time of a shot in the band that keeps the most of its wavefield."""
    one = min(passes, key=lambda one: one.propagation.stride)
    bounded = replace(keeping, budget=keeping.shot_memory or None)
    wanted = variables(inputs.job)
    return calibrate(inputs, one, bounded, wanted, windows, n_workers, threads)


def variables(job: Job) -> tuple[str, ...]:
    """Parameters whose gradient is wanted."""
    return () if job.kind == "model" else wanted_parameters(job)


def _cell_bytes(job: Job) -> int:
    """Of a sum: an array for every parameter, and the illumination."""
    return 0 if job.kind == "model" else 4 * (1 + len(variables(job)))


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


def _ledger(
    inputs: Inputs, windows: Sequence[Window], n_workers: int, shot_seconds: float
) -> LedgerCost:
    """What the ledger of an evaluation takes, by the speed of the run's disk."""
    cell_bytes = _cell_bytes(inputs.job)
    sizes = tree_sizes(windows)
    disk = measure_disk(inputs.job.output_folder, cell_bytes * sizes[-1][1])
    return LedgerCost(sizes, cell_bytes, disk, n_workers, shot_seconds * len(windows))


def _batch_shots(n_shots: int, n_workers: int, shot_seconds: float, ledger: LedgerCost) -> int:
    """Shots per batch: long enough for the scheduler and the ledger, short enough to be shared."""
    batch = 1
    while batch < n_shots and batch * shot_seconds < SHORTEST_BATCH:
        batch *= 2
    while batch > 1 and not _shared(n_shots, batch, n_workers):
        batch //= 2
    while ledger.share(batch) > MOST and _shared(n_shots, 2 * batch, n_workers):
        batch *= 2
    return batch


def _shared(n_shots: int, batch: int, n_workers: int) -> bool:
    """Whether there are batches enough for workers not to wait long for each other."""
    return -(-n_shots // batch) >= 2 * n_workers
