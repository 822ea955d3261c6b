"""Modelling: gathers of a survey in an earth model, to SEG-Y and Zarr."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from wavepipe.pipeline.execution import Outcome, Run, Started, draw, start_run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from wavepipe.pipeline.cluster import Cluster
    from wavepipe.pipeline.evaluation import Evaluation
    from wavepipe.pipeline.job import Job
    from wavepipe.pipeline.partial import Partial


def segy_name(component: str, components: Sequence[str]) -> str:
    """Name of a component's gathers in the run folder.

    Examples
    --------
    >>> segy_name("vz", ("vz",)), segy_name("vz", ("vz", "vx"))
    ('shots.sgy', 'shots_vz.sgy')
    """
    return "shots.sgy" if len(components) == 1 else f"shots_{component}.sgy"


def model_survey(
    job: Job, *, cluster: Cluster | None = None, started: Started | None = None
) -> Outcome:
    """Model every shot of a survey.

    Parameters
    ----------
    job
        Of kind ``model``.
    cluster
        Workers that are there already, instead of those of the job.
    started
        Told the run folder when the work begins.

    Returns
    -------
    Outcome
        Which shots are in the result.
    """
    with start_run(job, cluster=cluster, started=started) as run:
        evaluation = _lay_out(run)
        modelled = run.evaluate(evaluation, run.shots, "modelling")
        _publish(run, modelled)
        draw(lambda: _draw(run))
        return run.outcome(modelled.shots, modelled.failures)


def _lay_out(run: Run) -> Evaluation:
    """Make the empty results that workers write into."""
    from wavepipe.pipeline.quantities import wavelet_unit
    from wavepipe.pipeline.results import create_results
    from wavepipe.pipeline.segy.writer import create_gather_file
    from wavepipe.pipeline.survey_components import one_component

    survey, job = run.inputs.survey, run.job
    unit = wavelet_unit(job.physics, job.survey.source_name, survey.ndim)
    create_results(
        run.folder.results,
        "model",
        survey,
        run.inputs.earth,
        attributes=run.attributes(),
        wavelet_unit=unit,
    )
    evaluation = run.describe("gathers", run.plan.passes[0])
    evaluation = replace(evaluation, store=str(run.folder.results))
    if not job.output.segy:
        return evaluation
    text = f"wavepipe model: modelled gathers, {job.physics}, for a wavelet in {unit}"
    unfinished = {name: str(_unfinished(path)) for name, path in _segy_files(run).items()}
    for name, path in unfinished.items():
        create_gather_file(path, one_component(survey, name), survey.dt, text)
    return replace(evaluation, segy=unfinished)


def _segy_files(run: Run) -> dict[str, Path]:
    """SEG-Y file of each component."""
    components = run.inputs.survey.components
    return {name: run.folder.path / segy_name(name, components) for name in components}


def _unfinished(path: Path) -> Path:
    """Name of a file that is not complete yet."""
    return path.with_name(f"{path.name}.partial")


def _publish(run: Run, modelled: Partial) -> None:
    """Give the results their names, and list the shots in them."""
    from wavepipe.pipeline.shot_status import write_shot_status

    if run.job.output.segy:
        for path in _segy_files(run).values():
            _unfinished(path).replace(path)
    write_shot_status(run, modelled.shots, modelled.failures)


def _draw(run: Run) -> None:
    """Figures of the geometry and of a gather in the middle."""
    if not run.job.output.figures:
        return
    import zarr

    from wavepipe.pipeline import figures
    from wavepipe.pipeline.results_gathers import gather_name
    from wavepipe.pipeline.survey_components import one_component

    survey = run.inputs.survey
    middle = survey.n_shots // 2
    figures.plot_geometry(run.folder.figures / "geometry.png", run.inputs.earth, survey)
    for component in survey.components:
        name = gather_name(component, survey.components)
        alone = one_component(survey, component)
        gather = zarr.open_array(run.folder.results / name, mode="r")[alone.traces(middle)]
        figures.plot_gather(run.folder.figures / f"{name}.png", alone, middle, gather)
