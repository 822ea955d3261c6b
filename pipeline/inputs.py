"""Everything a run reads before it starts: earth model, survey, wavelet."""

import logging
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from wavepipe.pipeline.earth_model import EarthModel, load_earth_model
from wavepipe.pipeline.errors import JobError, SegyError, SurveyError
from wavepipe.pipeline.inverted_parameters import starting_model
from wavepipe.pipeline.job import Job, make_wavelet
from wavepipe.pipeline.job.checks import check_names
from wavepipe.pipeline.layouts import survey_from_layout
from wavepipe.pipeline.segy.doubts import is_depth_domain
from wavepipe.pipeline.segy.file_format import open_segy
from wavepipe.pipeline.segy.headers import Doubt
from wavepipe.pipeline.shots import Survey
from wavepipe.pipeline.survey import apply_outside_policy, read_survey
from wavepipe.pipeline.survey_components import record
from wavepipe.propagators.physics.names import PARAMETERS, receiver_names
from wavepipe.propagators.wavelets import peak_frequency

logger = logging.getLogger(__name__)

FAR_BELOW = 0.2
"""Part of the wavelet's peak frequency below which a low-pass leaves next to nothing of it."""

SEARCHED_BYTES = 500_000_000
"""Samples read at most in search of one that is not zero."""


@dataclass(frozen=True)
class Inputs:
    """What a run starts from, read and checked."""

    job: Job
    """The job."""

    earth: EarthModel
    """The earth model."""

    survey: Survey
    """The shots that the job selects, inside the model."""

    wavelet: NDArray[np.float64]
    """(nt,), the source time function at the survey's sample interval."""

    mask: NDArray[np.bool_]
    """Where an inversion may change the earth model."""

    largest: dict[str, float] = field(default_factory=dict)
    """Largest sample of each component in one shot of the data."""

    dropped: tuple[str, ...] = ()
    """What lay outside the model and was left out, one line per shot."""


def read_inputs(job: Job) -> Inputs:
    """Read what the job names, and check that it fits together.

    Raises
    ------
    JobError, SurveyError, SegyError, ModelError
        Something is missing or contradicts something else.
    """
    earth = load_earth_model(job)
    _check_dimensions(job, earth)
    survey = _recorded(job, _survey(job, earth).select(job.survey.shots))
    _check_depth_axis(earth, survey)
    survey, dropped = apply_outside_policy(survey, earth.extent, job.survey.outside)
    _check_free_surface(job, earth, survey)
    for sentence in (*earth.assumptions, *survey.assumptions, *dropped):
        logger.log(logging.WARNING if isinstance(sentence, Doubt) else logging.INFO, "%s", sentence)
    wavelet = make_wavelet(job.wavelet, survey.dt, survey.nt, job.folder)
    if not np.any(wavelet):
        raise JobError("the wavelet is zero everywhere within the record; check its delay.")
    _check_stages(job, survey, wavelet)
    mask = _mask(job, earth)
    earth = starting_model(job, earth, mask)
    largest = _largest_samples(survey) if job.kind != "model" else {}
    return Inputs(job, earth, survey, wavelet, mask, largest, tuple(dropped))


def _check_dimensions(job: Job, earth: EarthModel) -> None:
    """Refuse sources and components that the physics has not in so many dimensions."""
    try:
        check_names(job, earth.ndim)
    except ValueError as error:
        raise JobError(f"{job.path.name}: {error}.") from None
    moment = job.survey.moment
    if moment is not None and len(moment) != earth.ndim:
        size = f"{len(moment)} by {len(moment)}"
        raise JobError(
            f"survey.source.moment of {job.path.name} is {size}, and the earth model is "
            f"{earth.ndim}-D; give {earth.ndim} by {earth.ndim} numbers."
        )


def _recorded(job: Job, survey: Survey) -> Survey:
    """Survey of the components that the job models or uses."""
    if job.kind == "model" and job.survey.components is not None:
        return record(survey, job.survey.components)
    known = receiver_names(job.physics, survey.ndim)
    for name in survey.components:
        if name not in known:
            raise SurveyError(
                f"{survey.files[0]} holds {name}, as its trace headers say, but physics "
                f"{job.physics} records {' and '.join(known)}. Choose a physics that has it, or "
                "other data; for kind model, survey.components says what to record."
            )
    for name in job.survey.component_weights.given:
        if name not in survey.components:
            raise JobError(
                f"survey.component_weights of {job.path.name} names {name}, and the data hold "
                f"{' and '.join(survey.components)}. Remove it."
            )
    return survey


def _check_stages(job: Job, survey: Survey, wavelet: NDArray[np.float64]) -> None:
    """Refuse frequency bands that the data cannot hold; warn of those the wavelet does not."""
    if job.kind != "fwi" or job.fwi is None:
        return
    nyquist, peak = 0.5 / survey.dt, peak_frequency(wavelet, survey.dt)
    for number, stage in enumerate(job.fwi.stages):
        key = f"fwi.stages.{number}.max_frequency of {job.path.name}"
        if stage.max_frequency >= nyquist:
            raise JobError(
                f"{key} is {stage.max_frequency:g} Hz, but data sampled at {survey.dt:g} s end at "
                f"{nyquist:g} Hz. Choose a lower frequency."
            )
        if stage.max_frequency < FAR_BELOW * peak:
            logger.warning(
                "%s is %g Hz, and the wavelet peaks at %.3g Hz: next to nothing of it is left, "
                "so that the stage fits noise and rounding",
                key,
                stage.max_frequency,
                peak,
            )


def _largest_samples(survey: Survey) -> dict[str, float]:
    """Largest sample of each component in the first shot that has any.

    Data without a single sample to use are refused; sound data cost the reading of one shot.
    """
    room = SEARCHED_BYTES
    for i in range(survey.n_shots):
        try:
            gather = survey.read_gather(i)
        except SegyError:
            return {}  # the shot's own affair
        if gather.live.any():
            sizes = np.abs(gather.samples).max(axis=1)
            parts = survey.component_traces(i).items()
            return {name: float(sizes[rows].max(initial=0.0)) for name, rows in parts}
        room -= 4 * survey.nt * survey.n_receivers(i)
        if room < 0:
            return {}
    raise SurveyError(
        f"the samples of all {survey.n_traces} traces of {survey.files[0]} are zero or NaN, or the "
        "traces are marked dead: there is nothing to use. Check survey.data and survey.shots; "
        f"wavepipe inspect {survey.files[0]} shows amplitudes."
    )


def _mask(job: Job, earth: EarthModel) -> NDArray[np.bool_]:
    """Where an inversion may change the earth model."""
    mask = np.ones(earth.shape, dtype=bool)
    if job.kind == "fwi" and job.fwi is not None and job.fwi.mask.water:
        from wavepipe.pipeline.preconditioning import water_mask

        has_vs = "vs" in PARAMETERS[job.physics]
        mask = ~water_mask(earth.vp, earth.parameters["vs"] if has_vs else None)
        logger.info("water mask: %.1f %% of the cells stay as they are", 100 * (~mask).mean())
    if not mask.any():
        raise JobError("fwi.mask leaves no cell to invert for: the whole earth model is water.")
    return mask


def _survey(job: Job, earth: EarthModel) -> Survey:
    """Survey of the job's SEG-Y files or layout."""
    section = job.survey
    if section.layout is not None:
        if section.dt is None or section.nt is None:
            raise JobError("survey.layout needs survey.dt and survey.nt beside it.")
        return survey_from_layout(
            section.layout.model_dump(exclude_none=True),
            ndim=earth.ndim,
            dt=section.dt,
            nt=section.nt,
            folder=job.folder,
        )
    if section.spreading == "3d" and earth.ndim == 3:
        raise JobError(
            "survey.spreading is 3d, which turns point-source data into line-source data for a "
            "2-D run; the earth model is 3-D. Set survey.spreading: 2d, which changes nothing."
        )
    read = partial(
        read_survey,
        job.survey_files(),
        ndim=earth.ndim,
        depths=section.depths if isinstance(section.depths, str) else section.depths.model_dump(),
        units=None if section.coordinate_units == "auto" else section.coordinate_units,
        line_origin=section.line_origin,
        line_azimuth=section.line_azimuth,
    )
    _refuse_depth_domain(job)
    if section.dt is not None and _is_one_of_two(job, section.dt):
        return _check_times(job, read(dt=section.dt))
    try:
        survey = read()
    except SurveyError as error:
        if section.dt is None or "no sample interval" not in str(error):
            raise
        survey = read(dt=section.dt)
    return _check_times(job, survey)


def _refuse_depth_domain(job: Job) -> None:
    """Refuse images and models where gathers are due."""
    for path in job.data_files():
        if is_depth_domain(open_segy(path)):
            raise SurveyError(
                f"{path} is in depth, as its text header says (an image or an earth model); "
                "survey.data must be gathers in time. Name the recorded or modelled shots there, "
                "and an earth model in earth_model.vp.path."
            )


def _is_one_of_two(job: Job, dt: float) -> bool:
    """Whether binary and trace headers contradict each other and `dt` settles it."""
    opened = [open_segy(path) for path in job.data_files()]
    return any(abs(file.dt - dt) > 1e-6 * dt for file in opened) and all(
        any(abs(said - dt) <= 1e-6 * dt for said in (file.dt_binary, file.dt_trace))
        for file in opened
    )


def _check_times(job: Job, survey: Survey) -> Survey:
    """Refuse times that contradict the job; `survey.nt` may shorten records."""
    section = job.survey
    name = survey.files[0]
    if section.dt is not None and abs(section.dt - survey.dt) > 1e-6 * survey.dt:
        raise JobError(
            f"survey.dt is {section.dt:g} s, but {name} is sampled at {survey.dt:g} s. "
            "Remove survey.dt, or resample the data."
        )
    if section.nt is None:
        return survey
    if section.nt > survey.nt and job.kind != "model":
        raise JobError(
            f"survey.nt is {section.nt}, but {name} has {survey.nt} samples. "
            "Remove survey.nt, or make it smaller."
        )
    return replace(survey, nt=section.nt)


def _check_depth_axis(earth: EarthModel, survey: Survey) -> None:
    """Refuse a survey of another number of dimensions."""
    if survey.ndim != earth.ndim:
        raise SurveyError(
            f"the survey is {survey.ndim}-D and the earth model {earth.ndim}-D "
            f"(axes {', '.join(earth.axes)})."
        )


def _check_free_surface(job: Job, earth: EarthModel, survey: Survey) -> None:
    """Refuse sources on a free surface, and judge receivers of pressure where it is zero there."""
    heard = [name == "pressure" for name in survey.components]
    pressure = survey.receiver_positions[np.array(heard)[survey.component]]
    for face in job.propagator.free_surface:
        if face[0] not in earth.axes:
            raise JobError(
                f"propagator.free_surface names face {face}, and a {earth.ndim}-D model has "
                f"no axis {face[0]}."
            )
        axis = earth.axes.index(face[0])
        place = earth.extent[axis][int(face[1])]
        on = np.abs(survey.source_positions[:, axis] - place) < 1e-4 * earth.spacing[axis]
        if on.any():
            i = int(np.flatnonzero(on)[0])
            raise SurveyError(
                f"shot {survey.label(i)}: its source lies on the free surface {face} "
                f"({face[0]} = {place:g} m), where it cannot be. Give source depths "
                "(survey.depths), or remove the face from propagator.free_surface."
            )
        if _is_solid(job, earth, axis, face):
            continue  # its stress along the face is not zero
        depth = pressure[:, axis]
        silent = int(np.count_nonzero(np.abs(depth - place) < 1e-4 * earth.spacing[axis]))
        if not silent:
            continue
        finding = (
            f"{silent} of {len(depth)} pressure receivers lie on the free surface {face} "
            f"({face[0]} = {place:g} m), where the pressure is zero. Give receiver depths "
            "(survey.depths), or remove the face from propagator.free_surface."
        )
        if silent == survey.n_traces and job.kind != "model":
            raise SurveyError(finding)
        logger.warning("%s", finding)


def _is_solid(job: Job, earth: EarthModel, axis: int, face: str) -> bool:
    """Whether there is rock anywhere on a face."""
    if "vs" not in PARAMETERS[job.physics]:
        return False
    return bool(np.take(earth.parameters["vs"], -int(face[1]), axis=axis).any())
