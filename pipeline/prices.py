"""What one shot costs, and how its forward wavefield is kept."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from wavepipe.pipeline.errors import JobError
from wavepipe.pipeline.inputs import Inputs
from wavepipe.pipeline.inverted_parameters import changes
from wavepipe.pipeline.job import Job
from wavepipe.pipeline.keeping import NOTHING, Keeping
from wavepipe.pipeline.passes import ADJOINT_BAND, Pass
from wavepipe.pipeline.probe import PROBE_SECONDS, PROBE_SHARE, Measured, probe
from wavepipe.pipeline.wavefields import asked_storage, has_room, in_memory_storage
from wavepipe.pipeline.windows import Window
from wavepipe.propagators import Boundary, Storage
from wavepipe.propagators.contact_masks import NOWHERE
from wavepipe.propagators.errors import StorageError
from wavepipe.propagators.physics.catalogue import known_physics
from wavepipe.propagators.physics.names import PARAMETERS
from wavepipe.propagators.planning import CallPlan, plan_call
from wavepipe.propagators.storage.choice import AUTO_CODECS

logger = logging.getLogger(__name__)

CELLS_PER_SECOND = 1e9
"""Cell updates a second and core, assumed where only the order of magnitude matters."""

SLOWEST = 1e8
"""The same where it must not be less: of elastic waves in 3-D."""

GRADIENT_COST = 3.0
"""Price of a gradient, in forward runs."""

MEMORY_SHARE = 0.7
"""Part of the memory that calls and sums may fill; the rest is for files and the system."""

AS_FAST = 1.25
"""Times within this factor are alike: a machine is never quite still."""


@dataclass(frozen=True, slots=True)
class Priced:
    """One shot in the band that takes the most."""

    keeping: Keeping
    bytes: int
    """Peak memory."""
    clock_bytes: int
    """Of it, what all shots of a process share."""
    updates: float
    """Cell updates, those of a gradient included."""
    measured: tuple[Measured, ...] = ()
    """Ways of keeping its wavefield, where there was more than one to choose from."""


def without_gradient(inputs: Inputs, passes: Sequence[Pass], window: Window) -> Priced:
    """Price of modelling a shot."""
    calls = [_price(inputs, one, window, Storage(mode="none"), gradient=False) for one in passes]
    most = max(calls, key=lambda call: call.bytes)
    updates = max(float(call.updates) for call in calls)
    return Priced(NOTHING, most.bytes, most.clock_bytes, updates)


def with_gradient(
    inputs: Inputs, passes: Sequence[Pass], window: Window, share: int, threads: int
) -> Priced:
    """Price of a gradient of a shot, and how its wavefield is kept.

    As it is in memory where that fits. Else every way that the job leaves open and that fits is
    measured on a shot, and the fastest within ``storage.max_gradient_error`` is taken; of some that
    are as fast, the one that loses least.

    Parameters
    ----------
    share
        Bytes of memory that a call may take.
    threads
        Of a call, while measuring.

    Raises
    ------
    JobError
        Nothing that the job allows fits.
    """
    # The band of the finest stride keeps the most, and the others do as it does.
    one = min(passes, key=lambda one: one.propagation.stride)
    shot = _Shot(inputs, one, window, share)
    job, stride, asked = inputs.job, one.propagation.stride, inputs.job.storage
    direct = in_memory_storage(job, stride)
    if direct is not None and shot.whole.history_bytes <= shot.limit:
        named = "auto" not in (asked.mode, asked.method, asked.compression)
        if named or shot.whole.bytes <= share:
            return shot.priced(_price(inputs, one, window, direct))
    # What is exact needs no proof, and what is alone no race.
    measured: tuple[Measured, ...] = ()
    ways = list(_ways(shot))
    if len(ways) > 1 or any(not way.keeping.is_exact for way in ways):
        measured = _measured(shot, ways, threads)
        good = [k for k, one in enumerate(measured) if one.satisfies(asked.max_gradient_error)]
        if good:
            fastest = min(measured[k].seconds for k in good)
            taken = next(k for k in good if measured[k].seconds <= AS_FAST * fastest)
            return replace(ways[taken], measured=measured)
    if asked.compression not in ("auto", "none"):
        _warn_of_losses(job, measured)
    try:
        return replace(shot.fitted(_exact(asked_storage(job, stride))), measured=measured)
    except StorageError as error:
        tried = "".join(f" Measured: {found}." for found in measured if found.error >= 0)
        raise JobError(f"storage of {job.path.name}, for one shot: {error}{tried}") from None


def takes_least(job: Job) -> bool:
    """Whether wavefields are made again to save memory, and not because a limit asks for it."""
    return job.storage.method == "recompute" and job.storage.limit is None


class _Shot:
    """The largest shot in a band, and what it may take."""

    def __init__(self, inputs: Inputs, one: Pass, window: Window, share: int) -> None:
        self.inputs, self.one, self.window, self.share = inputs, one, window, share
        self.stride = one.propagation.stride
        self.limit = inputs.job.storage.limit or share
        storage = Storage("device", "snapshots", stride=self.stride)
        self.whole = _price(inputs, one, window, storage)

    def fitted(self, storage: Storage) -> Priced:
        """Price with a storage, within the limits; a StorageError or JobError if there is none."""
        rest = self.whole.bytes - self.whole.history_bytes
        for _ in range(2):
            room = min(self.limit, self.share - rest)
            if room <= 0:
                break
            budget = None if takes_least(self.inputs.job) else room
            call = _price(self.inputs, self.one, self.window, replace(storage, budget=budget))
            if call.bytes <= self.share:
                return self.priced(call)
            # Two wavefields at a time where one is made again.
            rest = call.bytes - call.history_bytes
        raise JobError(too_large(self.whole.bytes, int(self.share / MEMORY_SHARE)))

    def priced(self, call: CallPlan) -> Priced:
        """What a call of one shot takes, and how it keeps its wavefield."""
        kept, job = call.kept, self.inputs.job
        if kept is None:
            raise ValueError("the call has no gradient")
        folder = job.storage.folder if kept.mode == "disk" else None
        keeping = Keeping(
            kept.mode,
            kept.method,
            kept.compression,
            path=None if folder is None else str(job.resolve(folder)),
            shot_memory=kept.memory,
            shot_disk=kept.disk,
            again=kept.again,
            is_direct=kept.is_direct,
        )
        updates = call.updates * (GRADIENT_COST + kept.again)
        return Priced(keeping, call.bytes, call.clock_bytes, updates)


def _ways(shot: _Shot) -> Iterator[Priced]:
    """Every way that a job leaves open and that fits: exact ones, then from little to much loss."""
    asked = asked_storage(shot.inputs.job, shot.stride)
    modes = ("device", "disk") if asked.mode == "auto" else (asked.mode,)
    codecs = ("none", *AUTO_CODECS) if asked.compression == "auto" else (asked.compression,)
    ways = [
        (codec, mode, method)
        for codec in codecs
        for mode in modes
        for method in _methods(shot.inputs.job, codec)
        if method != "recompute" or mode == modes[0]
    ]
    for codec, mode, method in sorted(ways, key=lambda w: (codecs.index(w[0]), w[2] == "boundary")):
        named = replace(
            asked,
            mode=mode,  # type: ignore[arg-type]
            method=method,  # type: ignore[arg-type]
            compression=codec,
            path=asked.path if mode == "disk" else None,
        )
        try:
            way = shot.fitted(named)
        except (StorageError, JobError):
            continue
        if asked.mode != "auto" or has_room(shot.inputs.job, way.keeping.shot_disk):
            yield way


def _methods(job: Job, codec: str) -> tuple[str, ...]:
    """Methods that a job allows with a codec."""
    asked = job.storage.method
    methods = ("snapshots", "recompute") if asked == "auto" else (asked,)
    if codec != "none":
        return tuple(method for method in methods if method != "recompute")
    # Rounding of steps that are taken back is a loss, if a small one, which a job must allow.
    lossy = known_physics(job.physics).lossy
    allowed = asked == "auto" and job.storage.compression == "auto" and not lossy
    return (*methods, "boundary") if allowed else methods


def _measured(shot: _Shot, ways: Sequence[Priced], threads: int) -> tuple[Measured, ...]:
    """Ways measured on a shot, unless that takes long or the workers are other machines."""
    job = shot.inputs.job
    exact = next((way for way in ways if way.keeping.is_exact), None)
    if exact is None:
        try:
            exact = shot.fitted(Storage("device", "recompute", stride=shot.stride))
        except (StorageError, JobError):
            return ()
    seconds = exact.updates / (SLOWEST * threads)
    if job.cluster.kind != "local":
        logger.info("ways of keeping wavefields are not measured: the workers are elsewhere")
        return ()
    gradients = n_evaluations(job) * shot.inputs.survey.n_shots  # if no step is tried twice
    patience = max(PROBE_SECONDS, PROBE_SHARE * seconds * gradients)
    if seconds > patience:
        logger.info(
            "ways of keeping wavefields are not measured: a shot takes up to %.2g s", seconds
        )
        return ()
    bounded = [replace(way.keeping, budget=way.keeping.shot_memory) for way in (exact, *ways)]
    return probe(
        shot.inputs,
        shot.one,
        bounded[0],
        bounded[1:],
        wanted_parameters(job),
        threads,
        job.storage.max_gradient_error,
        patience,
    )


def n_evaluations(job: Job) -> int:
    """Passes over the shots that a run makes at least."""
    if job.kind != "fwi" or job.fwi is None:
        return 1
    return sum(stage.iterations for stage in job.fwi.stages)


def _exact(storage: Storage) -> Storage:
    """The same without a codec that nobody has measured."""
    return replace(storage, compression="none") if storage.compression == "auto" else storage


def _warn_of_losses(job: Job, measured: Sequence[Measured]) -> None:
    """Say that a codec that was asked for loses more than the job allows."""
    for found in measured[:1]:
        if found.error > job.storage.max_gradient_error:
            logger.warning(
                "storage.compression %s changes the gradient of a shot by %.2g, more than "
                "storage.max_gradient_error, %g. Use another codec, or auto.",
                found.compression,
                found.error,
                job.storage.max_gradient_error,
            )


def too_large(shot_bytes: int, memory: int, *, gradient: bool = True) -> str:
    """What to say of a shot that does not fit."""
    storage = "storage.mode auto or disk, " if gradient else ""
    return (
        f"one shot needs about {shot_bytes / 1e9:.2g} GB, and {memory / 1e9:.2g} GB "
        f"of memory are free. Set {storage}a smaller survey.aperture, a coarser "
        "earth_model.spacing, or run on a larger machine."
    )


def _price(
    inputs: Inputs, one: Pass, window: Window, storage: Storage, *, gradient: bool = True
) -> CallPlan:
    """What one shot costs."""
    p, job = one.propagation, inputs.job
    counts = np.diff(inputs.survey.first_trace)
    return plan_call(
        window.shape,
        p.spacing,
        p.dt,
        p.nt,
        1,
        int(counts.max()),
        order=p.order,
        boundary=Boundary(p.pml_width, p.pml_frequency, p.free_surface, window.inside, p.sponge),
        velocity_bound=p.velocity_bound,
        contacts=p.contacts or NOWHERE,
        physics=job.physics,
        wanted=wanted_parameters(job),
        time_step=p.time_step,
        correct_time_dispersion=p.correct_time_dispersion,
        storage=storage,
        gradient=gradient,
        born=job.kind == "rtm",
        sources=(job.survey.source_name,),
        receivers=inputs.survey.components,
        max_frequency=one.band,
        adjoint_frequency=ADJOINT_BAND * one.band,
    )


def wanted_parameters(job: Job) -> tuple[str, ...]:
    """Parameters whose gradient is wanted."""
    if job.kind == "rtm":
        return ("vp",)
    return tuple(name for name in PARAMETERS[job.physics] if changes(job, name))
