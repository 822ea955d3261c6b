"""Everything a run reads before it starts: earth model, survey, wavelet."""

import logging
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from wavepipe.pipeline.earth_model import EarthModel, load_earth_model
from wavepipe.pipeline.errors import JobError, SurveyError
from wavepipe.pipeline.job import Job, make_wavelet
from wavepipe.pipeline.layouts import survey_from_layout
from wavepipe.pipeline.preconditioning import water_mask
from wavepipe.pipeline.shots import Survey
from wavepipe.pipeline.survey import apply_outside_policy, read_survey

logger = logging.getLogger(__name__)


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
    survey = _survey(job, earth).select(job.survey.shots)
    _check_depth_axis(earth, survey)
    survey, dropped = apply_outside_policy(survey, earth.extent, job.survey.outside)
    _check_free_surface(job, earth, survey)
    for sentence in (*earth.assumptions, *survey.assumptions, *dropped):
        logger.info("%s", sentence)
    wavelet = make_wavelet(job.wavelet, survey.dt, survey.nt, job.folder)
    if not np.any(wavelet):
        raise JobError("the wavelet is zero everywhere within the record; check its delay.")
    return Inputs(job, earth, survey, wavelet, _mask(job, earth), tuple(dropped))


def _mask(job: Job, earth: EarthModel) -> NDArray[np.bool_]:
    """Where an inversion may change the earth model."""
    mask = np.ones(earth.shape, dtype=bool)
    if job.kind == "fwi" and job.fwi is not None and job.fwi.mask.water:
        mask = ~water_mask(earth.vp)
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
        job.data_files(),
        ndim=earth.ndim,
        depths=section.depths if isinstance(section.depths, str) else section.depths.model_dump(),
        units=None if section.coordinate_units == "auto" else section.coordinate_units,
        line_origin=section.line_origin,
        line_azimuth=section.line_azimuth,
    )
    try:
        survey = read()
    except SurveyError as error:
        if section.dt is None or "no sample interval" not in str(error):
            raise
        survey = read(dt=section.dt)
    return _check_times(job, survey)


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
    """Refuse sources on a free surface, where the pressure is zero."""
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
                f"({face[0]} = {place:g} m), where the pressure is zero. Give source depths "
                "(survey.depths), or remove the face from propagator.free_surface."
            )
