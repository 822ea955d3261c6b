"""The plan: everything that is fixed before the work starts.

Two parts. What decides bits (`Pass`: band, wavelet, time step, stride, absorbing layers,
back-end) depends on the job and its data alone. What only decides how fast it goes (`Schedule`:
batches, workers, threads) may depend on the machine, and can change nothing in the result.
"""

import logging
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from wavepipe.pipeline.errors import JobError
from wavepipe.pipeline.evaluation import Propagation
from wavepipe.pipeline.filters import BAND_EDGE, default_taper, end_taper, low_pass
from wavepipe.pipeline.inputs import Inputs
from wavepipe.pipeline.machine import Machine
from wavepipe.pipeline.windows import Window, face_widths, shot_window
from wavepipe.propagators import Boundary, Storage
from wavepipe.propagators.backends.compiler import find_compiler
from wavepipe.propagators.errors import BackendError
from wavepipe.propagators.planning import plan_call
from wavepipe.propagators.stability import (
    DispersionWarning,
    check_dispersion,
    check_time_step,
    stable_time_step,
)
from wavepipe.propagators.storage.policy import largest_stride
from wavepipe.propagators.time_resampling import bandwidth
from wavepipe.propagators.wavelets import peak_frequency

logger = logging.getLogger(__name__)

IN_EARNEST = 0.05
"""Relative amplitude above which a frequency counts when the grid is judged."""

FILTER_BAND = 2.5
"""Where the low-pass filter has taken off all but a thousandth, relative to its corner."""

HEADROOM = 1.25
"""Velocity bound of an inversion without bounds, relative to the starting model's fastest."""

CELLS_PER_SECOND = 1e9
"""Cell updates a second and core, assumed where only the order of magnitude matters."""

ADJOINT_BAND = 1.2 * BAND_EDGE
"""Highest frequency of an adjoint source, relative to the wavelet's: the filter's end, and some
room for the taper that follows it."""

GRADIENT_COST = 3.0
"""Price of a gradient, in forward runs."""

MEMORY_SHARE = 0.7
"""Part of the memory that calls may fill; the rest is for sums, files and the system."""

SHORTEST_BATCH = 1.0
"""Seconds below which the scheduler's own work would be felt."""


@dataclass(frozen=True, slots=True)
class Pass:
    """One frequency band: what decides the bits of its propagations."""

    max_frequency: float | None
    """Low-pass on wavelet and data, Hz."""

    band: float
    """Where the wavelet's spectrum ends, Hz."""

    taper_end: float
    """Length of the taper at the end of observed traces, s."""

    propagation: Propagation
    """How waves are computed."""


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


@dataclass(frozen=True, slots=True)
class Plan:
    """What is fixed before the work starts."""

    passes: tuple[Pass, ...]
    """One per frequency band."""

    schedule: Schedule
    """Who computes what when."""

    n_shots: int
    """Shots in the survey."""

    largest_window: tuple[int, ...]
    """Cells per axis of the largest window, without layers beyond the model."""

    verdict: str
    """What the grid does to the highest frequency; empty if nothing worth mention."""

    def as_dict(self) -> dict[str, object]:
        """Plain content for plan.json."""
        return asdict(self)


def make_plan(inputs: Inputs, machine: Machine) -> Plan:
    """Fix everything that a run needs before it starts.

    Parameters
    ----------
    inputs
        What the run starts from.
    machine
        Workers asked for, cores and memory.

    Raises
    ------
    StabilityError, DispersionError
        The time step is too long, or the grid too coarse for the wavelet.
    JobError
        One shot does not fit in memory.
    """
    job = inputs.job
    bound = velocity_bound(inputs)
    time_step = _time_step(inputs, bound)
    stages = job.fwi.stages if job.kind == "fwi" and job.fwi is not None else ()
    frequencies: list[float | None] = [stage.max_frequency for stage in stages] or [None]
    passes = tuple(_plan_pass(inputs, f, bound, time_step) for f in frequencies)
    verdict = _check_grid(inputs, passes)
    windows = shot_windows(inputs)
    largest = max(windows, key=lambda window: int(np.prod(window.shape)))
    schedule = _schedule(inputs, passes, largest, machine)
    return Plan(passes, schedule, inputs.survey.n_shots, largest.shape, verdict)


def pass_wavelet(inputs: Inputs, max_frequency: float | None) -> NDArray[np.float64]:
    """Wavelet (nt,) of a frequency band.

    The low-pass filter rings for some periods. Where the record ends before it has died away, it
    is tapered instead of cut, so that its spectrum stays narrow. What leaves the source that late
    arrives within the taper of the traces.
    """
    nt, dt = inputs.survey.nt, inputs.survey.dt
    if max_frequency is None:
        return inputs.wavelet
    taper = end_taper(nt, dt, default_taper(nt, dt, FILTER_BAND * max_frequency))
    return low_pass(inputs.wavelet, dt, max_frequency) * taper


def velocity_bound(inputs: Inputs) -> float:
    """Velocity the earth model never exceeds, m/s: it fixes the time step of the whole run."""
    job, fastest = inputs.job, float(inputs.earth.vp.max())
    asked = job.propagator.velocity_bound
    if job.kind == "fwi" and job.fwi is not None:
        bounds = job.fwi.parameters.vp.bounds
        fastest = max(fastest, bounds[1]) if bounds else HEADROOM * fastest
    if asked == "auto":
        return fastest
    if asked < float(inputs.earth.vp.max()):
        raise JobError(
            f"propagator.velocity_bound is {asked:g} m/s, but vp reaches "
            f"{inputs.earth.vp.max():g} m/s. Raise it, or leave it at auto."
        )
    return float(asked)


def shot_windows(inputs: Inputs) -> list[Window]:
    """Window of every shot."""
    survey, earth = inputs.survey, inputs.earth
    widths = face_widths(earth.ndim, inputs.job.propagator.pml_width)
    windows = []
    for i in range(survey.n_shots):
        points = np.vstack(
            [survey.source_positions[i][None], survey.receiver_positions[survey.traces(i)]]
        )
        windows.append(
            shot_window(
                points - earth.origin,
                earth.shape,
                earth.spacing,
                inputs.job.survey.aperture,
                widths,
            )
        )
    return windows


def _time_step(inputs: Inputs, bound: float) -> float:
    """Internal step for the whole run, s."""
    section, spacing = inputs.job.propagator, inputs.earth.spacing
    if section.time_step == "auto":
        return min(stable_time_step(spacing, bound, section.order), inputs.survey.dt)
    check_time_step(section.time_step, spacing, bound, section.order)
    return float(section.time_step)


def _plan_pass(inputs: Inputs, max_frequency: float | None, bound: float, time_step: float) -> Pass:
    """What decides the bits in one frequency band."""
    job, survey = inputs.job, inputs.survey
    wavelet = pass_wavelet(inputs, max_frequency)
    band = bandwidth(wavelet, survey.dt, job.storage.max_gradient_error)
    section = job.propagator
    frequency = section.pml_frequency
    propagation = Propagation(
        spacing=inputs.earth.spacing,
        dt=survey.dt,
        nt=survey.nt,
        order=section.order,
        pml_width=section.pml_width,
        pml_frequency=peak_frequency(wavelet, survey.dt) if frequency == "auto" else frequency,
        free_surface=tuple(section.free_surface),
        velocity_bound=bound,
        time_step=time_step,
        correct_time_dispersion=section.correct_time_dispersion,
        stride=_stride(job.storage.stride, time_step, band),
        max_gradient_error=job.storage.max_gradient_error,
        storage_mode="device" if job.storage.mode == "auto" else job.storage.mode,
        storage_method="snapshots" if job.storage.method == "auto" else job.storage.method,
        backend=_backend(section.backend),
    )
    asked = job.survey.taper_end
    taper = default_taper(survey.nt, survey.dt, band) if asked == "auto" else float(asked)
    return Pass(max_frequency, band, taper, propagation)


def _backend(asked: str) -> str:
    """Back-end by name; never a slow one by accident, since workers must agree."""
    if asked == "reference":
        return "reference"
    if find_compiler() is None:
        raise BackendError(
            "no C compiler found (CC, cc, gcc, clang), and the compiled back-end needs one on "
            "every worker. Install one, or set propagator.backend: reference, about a hundred "
            "times slower."
        )
    return "c"


def _stride(asked: str | int, time_step: float, band: float) -> int:
    """Steps between two snapshots, for adjoint sources limited to the wavelet's band."""
    if asked != "auto":
        return int(asked)
    return largest_stride(time_step, band, ADJOINT_BAND * band)


def _check_grid(inputs: Inputs, passes: Sequence[Pass]) -> str:
    """Refuse a grid too coarse for the wavelet; the warning, if one is due."""
    highest = max(
        bandwidth(pass_wavelet(inputs, one.max_frequency), inputs.survey.dt, IN_EARNEST)
        for one in passes
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DispersionWarning)
        check_dispersion(
            float(inputs.earth.vp.min()), inputs.earth.spacing, highest, inputs.job.propagator.order
        )
    verdict = " ".join(str(warning.message) for warning in caught)
    if verdict:
        logger.warning("%s", verdict)
    return verdict


def _schedule(inputs: Inputs, passes: Sequence[Pass], window: Window, machine: Machine) -> Schedule:
    """Batches, workers and threads from memory and a rough price."""
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
    p = one.propagation
    counts = np.diff(inputs.survey.first_trace)
    call = plan_call(
        window.shape,
        p.spacing,
        p.dt,
        p.nt,
        1,
        int(counts.max()),
        order=p.order,
        boundary=Boundary(p.pml_width, p.pml_frequency, p.free_surface, window.inside),
        velocity_bound=p.velocity_bound,
        time_step=p.time_step,
        storage=Storage(p.storage_mode, p.storage_method, stride=p.stride),
        gradient=gradient,
        max_frequency=one.band,
        adjoint_frequency=ADJOINT_BAND * one.band,
    )
    return call.bytes, float(call.updates)
