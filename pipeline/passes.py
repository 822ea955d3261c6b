"""Frequency bands of a run: what decides the bits of its propagations.

Everything here depends on the job and its data alone, never on the machine.
"""

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wavepipe.pipeline.errors import JobError
from wavepipe.pipeline.evaluation import Propagation
from wavepipe.pipeline.filters import BAND_EDGE, default_taper, end_taper, low_pass
from wavepipe.pipeline.inputs import Inputs
from wavepipe.pipeline.job import Job
from wavepipe.propagators.backends.compiler import check_compiler, find_compiler
from wavepipe.propagators.errors import BackendError
from wavepipe.propagators.stability import check_time_step, stable_time_step
from wavepipe.propagators.storage.policy import largest_stride
from wavepipe.propagators.time_resampling import bandwidth
from wavepipe.propagators.wavelets import peak_frequency

logger = logging.getLogger(__name__)

TAPERED_ENERGY = 1e-3
"""Part of a wavelet's energy that its taper may take without a word."""

FILTER_BAND = 2.5
"""Where the low-pass filter has taken off all but a thousandth, relative to its corner."""

HEADROOM = 1.25
"""Velocity bound of an inversion without bounds, relative to the starting model's fastest."""

ADJOINT_BAND = 1.2 * BAND_EDGE
"""Highest frequency of an adjoint source, relative to the wavelet's: the filter's end, and some
room for the taper that follows it."""


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


def plan_passes(inputs: Inputs) -> tuple[Pass, ...]:
    """Fix the bands of a run: one per stage of an inversion, else one without a low-pass.

    Raises
    ------
    StabilityError
        The job's time step is too long.
    JobError
        The job's velocity bound is too low.
    """
    job = inputs.job
    bound = velocity_bound(inputs)
    time_step = _time_step(inputs, bound)
    stages = job.fwi.stages if job.kind == "fwi" and job.fwi is not None else ()
    frequencies: list[float | None] = [stage.max_frequency for stage in stages] or [None]
    return tuple(_plan_pass(inputs, one, bound, time_step) for one in frequencies)


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


def _judge_taper(inputs: Inputs, max_frequency: float | None, tapered: NDArray[np.float64]) -> None:
    """Warn of a wavelet that rings beyond the record: the data keep what its taper takes."""
    filtered = low_pass(inputs.wavelet, inputs.survey.dt, max_frequency)
    lost = 1 - float(np.sum(tapered**2) / np.sum(filtered**2))
    if lost > TAPERED_ENERGY:
        logger.warning(
            "low-passed at %g Hz, the wavelet rings beyond the end of the record: the taper takes "
            "%.2g of its energy, which the data keep. Use longer records, an earlier wavelet or a "
            "higher max_frequency.",
            max_frequency,
            lost,
        )


def velocity_bound(inputs: Inputs) -> float:
    """Velocity the earth model never exceeds, m/s: it fixes the time step of the whole run."""
    job, fastest, what = inputs.job, float(inputs.earth.vp.max()), "vp reaches"
    asked = job.propagator.velocity_bound
    headroom = 1.0
    if job.kind == "fwi" and job.fwi is not None:
        bounds = job.fwi.parameters.vp.bounds
        if bounds is None:
            headroom = HEADROOM
        elif bounds[1] > fastest:
            fastest, what = bounds[1], "fwi.parameters.vp.bounds allow"
    if isinstance(asked, str):
        # Models are float32: the nearest one may lie a little above the bound.
        return max(headroom * fastest, float(np.float32(headroom * fastest)))
    given = max(float(asked), float(np.float32(asked)))  # models are float32
    if given < fastest:
        raise JobError(
            f"propagator.velocity_bound is {asked:g} m/s, but {what} {fastest:g} m/s. "
            "Raise it, or leave it at auto."
        )
    return given


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
    _judge_taper(inputs, max_frequency, wavelet)
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
        stride=_stride(job, time_step, band),
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
    check_compiler()
    return "c"


def _stride(job: Job, time_step: float, band: float) -> int:
    """Steps between two snapshots, for adjoint sources limited to the wavelet's band."""
    most = largest_stride(time_step, band, ADJOINT_BAND * band)
    asked = job.storage.stride
    if asked == "auto":
        return most
    if asked > most and job.kind != "model":
        raise JobError(
            f"storage.stride is {asked}, but wavefields up to {band:.4g} Hz in steps of "
            f"{1e3 * time_step:.3g} ms alias beyond {most}, and the gradient would be wrong. Set "
            f"storage.stride: auto, or a storage.max_gradient_error larger than "
            f"{job.storage.max_gradient_error:g}."
        )
    return int(asked)
