"""Frequency bands of a run: what decides the bits of its propagations.

Everything here depends on the job and its data alone, never on the machine.
"""

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wavepipe.pipeline.clock import contacts, sponge, time_step, velocity_bound
from wavepipe.pipeline.errors import JobError
from wavepipe.pipeline.evaluation import Propagation
from wavepipe.pipeline.filters import BAND_EDGE, default_taper, end_taper, low_pass
from wavepipe.pipeline.inputs import Inputs
from wavepipe.pipeline.job import Job
from wavepipe.pipeline.quantities import wavelet_unit
from wavepipe.pipeline.scales import power_of_two, residual_size, wavefield_size
from wavepipe.propagators.backends.compiler import check_compiler, find_compiler
from wavepipe.propagators.call import SIGNIFICANT
from wavepipe.propagators.errors import BackendError
from wavepipe.propagators.physics.catalogue import known_physics
from wavepipe.propagators.physics.names import PARAMETERS
from wavepipe.propagators.storage.policy import largest_stride
from wavepipe.propagators.time_resampling import bandwidth
from wavepipe.propagators.wavelets import peak_frequency

logger = logging.getLogger(__name__)

TAPERED_ENERGY = 1e-3
"""Part of a wavelet's energy that its taper may take without a word."""

FILTER_BAND = 2.5
"""Where the low-pass filter has taken off all but a thousandth, relative to its corner."""

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

    source_scale: float
    """Power of two that keeps wavefields within the range of float32."""

    result_scale: float
    """Power of two that keeps gradients and images there."""

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
    stages = job.fwi.stages if job.kind == "fwi" and job.fwi is not None else ()
    frequencies: list[float | None] = [stage.max_frequency for stage in stages] or [None]
    highest = max(
        bandwidth(pass_wavelet(inputs, one), inputs.survey.dt, SIGNIFICANT) for one in frequencies
    )
    step = time_step(inputs, bound, highest)
    return tuple(_plan_pass(inputs, one, bound, step) for one in frequencies)


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


def _plan_pass(inputs: Inputs, max_frequency: float | None, bound: float, step: float) -> Pass:
    """What decides the bits in one frequency band."""
    job, survey = inputs.job, inputs.survey
    wavelet = pass_wavelet(inputs, max_frequency)
    _judge_taper(inputs, max_frequency, wavelet)
    band = bandwidth(wavelet, survey.dt, job.storage.max_gradient_error)
    section, lossy = job.propagator, known_physics(job.physics).lossy
    frequency = section.pml_frequency
    propagation = Propagation(
        spacing=inputs.earth.spacing,
        dt=survey.dt,
        nt=survey.nt,
        order=section.order,
        pml_width=section.pml_width,
        pml_frequency=peak_frequency(wavelet, survey.dt) if frequency == "auto" else frequency,
        free_surface=tuple(section.free_surface),
        sponge=sponge(inputs),
        contacts=contacts(inputs),
        velocity_bound=bound,
        time_step=step,
        correct_time_dispersion=section.correct_time_dispersion and not lossy,
        reference_frequency=peak_frequency(inputs.wavelet, survey.dt) if lossy else None,
        stride=_stride(job, step, band),
        max_gradient_error=job.storage.max_gradient_error,
        backend=_backend(section.backend),
    )
    asked = job.survey.taper_end
    taper = default_taper(survey.nt, survey.dt, band) if asked == "auto" else float(asked)
    source, result = _scales(inputs, wavelet)
    return Pass(max_frequency, band, taper, source, result, propagation)


def _scales(inputs: Inputs, wavelet: NDArray[np.float64]) -> tuple[float, float]:
    """Powers of two for wavefields and results."""
    job, earth = inputs.job, inputs.earth
    if job.kind == "model":
        return 1.0, 1.0
    density = earth.parameters["rho"] if "rho" in PARAMETERS[job.physics] else np.ones(1)
    wavefield = wavefield_size(
        wavelet_unit(job.physics, job.survey.source_name, earth.ndim),
        float(np.abs(wavelet).max()),
        float(np.median(earth.vp)),
        float(np.median(density)),
        peak_frequency(wavelet, inputs.survey.dt),
    )
    source = power_of_two(wavefield)
    data = residual_size(inputs.largest, job.survey.component_weights.given)
    return source, source * power_of_two(data * (inputs.survey.dt if job.kind == "fwi" else 1.0))


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
