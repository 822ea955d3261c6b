"""What the sections of a job file must have of each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wavepipe.pipeline.job.section import listed
from wavepipe.pipeline.job.survey import Components
from wavepipe.propagators.physics.names import receiver_names, source_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wavepipe.pipeline.job import Job


def check_sections(job: Job) -> None:
    """ValueError unless the sections of a job fit together."""
    _check_kind(job)
    _check_data(job)
    job.earth_model.check_physics(job.physics)
    check_names(job, 3)
    if job.fwi is not None:
        job.fwi.parameters.check(job.physics)


def check_names(job: Job, ndim: int) -> None:
    """ValueError where the physics lacks a source or a component that the survey names."""
    sources, recorded = source_names(job.physics, ndim), receiver_names(job.physics, ndim)
    what = f"physics {job.physics}" + ("" if ndim == 3 else " in 2-D")
    if job.survey.source_name not in sources:
        msg = f"survey.source is {job.survey.source_name!r}, and {what} has {_only(sources)}"
        raise ValueError(msg)
    for key, name in _components(job):
        if name not in recorded:
            msg = f"{key} names {name!r}, and {what} records {_only(recorded)}"
            raise ValueError(msg)


def _components(job: Job) -> Iterator[tuple[str, str]]:
    """Every component that the job names, after the key that does."""
    survey = job.survey
    data = survey.data.given if isinstance(survey.data, Components) else {}
    for key, names in (
        ("survey.data", data),
        ("survey.components", survey.components or ()),
        ("survey.component_weights", survey.component_weights.given),
    ):
        for name in names:
            yield key, name


def _check_kind(job: Job) -> None:
    """ValueError unless there is what the kind of job needs."""
    if job.kind == "fwi" and job.fwi is None:
        msg = "kind 'fwi' needs a section fwi with stages; add it"
        raise ValueError(msg)
    if job.kind == "model":
        return
    if job.survey.data is None:
        instead = "" if job.survey.layout is None else " in the place of survey.layout"
        msg = f"kind {job.kind!r} needs observed data: add survey.data (a SEG-Y file){instead}"
        raise ValueError(msg)
    if job.storage.mode == "none":
        msg = (
            f"storage.mode none keeps no wavefield, and {job.kind} needs it for its gradient; "
            "use auto, device, cpu or disk"
        )
        raise ValueError(msg)
    if job.survey.components is not None:
        msg = (
            f"survey.components is for kind model, and {job.kind} uses all components of "
            "survey.data; leave it out"
        )
        raise ValueError(msg)


def _check_data(job: Job) -> None:
    """ValueError unless either data or a layout gives the positions."""
    data, layout = job.survey.data, job.survey.layout
    if data is None and layout is None:
        msg = (
            "no sources and receivers: add survey.layout (fixed_spread, towed, nodes or "
            "table), or survey.data to take them from a SEG-Y file"
        )
        raise ValueError(msg)
    if data is not None and layout is not None:
        remedy = "keep one of them"
        if job.kind != "model":
            remedy = f"kind {job.kind!r} needs the data, so leave out survey.layout"
        msg = f"survey.data and survey.layout both give positions; {remedy}"
        raise ValueError(msg)


def _only(names: tuple[str, ...]) -> str:
    """Names in a sentence; the only one as such."""
    return listed(names) if len(names) > 1 else f"{names[0]} only"
