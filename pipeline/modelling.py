"""Modelling: gathers of a survey in an earth model, to SEG-Y and Zarr."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

from wavepipe.pipeline.durable import flush
from wavepipe.pipeline.execution import Outcome, Run, Started, draw, start_run
from wavepipe.pipeline.resume import LAID_OUT, is_laid_out

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from wavepipe.pipeline.clusters.cluster import Cluster
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
    job: Job,
    *,
    cluster: Cluster | None = None,
    started: Started | None = None,
    resume: bool = False,
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
    resume
        Go on with the run that is in the folder, if there is one.

    Returns
    -------
    Outcome
        Which shots are in the result.
    """
    with start_run(job, cluster=cluster, started=started, resume=resume) as run:
        evaluation = _lay_out(run)
        modelled = run.evaluate(evaluation, run.shots, "modelling")
        _publish(run, modelled)
        draw(lambda: _draw(run))
        return run.outcome(modelled.shots, modelled.failures)


def _lay_out(run: Run) -> Evaluation:
    """Where workers write to: empty results, unless a run that goes on has them."""
    job = run.job
    evaluation = run.describe("gathers", run.plan.passes[0])
    evaluation = replace(evaluation, store=str(run.folder.results))
    unfinished = {name: _unfinished(path) for name, path in _segy_files(run).items()}
    if job.output.segy:
        evaluation = replace(evaluation, segy={n: str(path) for n, path in unfinished.items()})
    if not is_laid_out(run.folder):
        if run.folder.ledger.exists():
            shutil.rmtree(run.folder.ledger)  # it would vouch for gathers that are made empty now
        _create_files(run, unfinished if job.output.segy else {})
        run.folder.log_event({"event": LAID_OUT})
        flush(run.folder.events)  # before the ledger vouches for the first gather
    for path in _segy_files(run).values():
        if path.exists():  # published without the shots that failed, which are tried again
            path.replace(_unfinished(path))
    return evaluation


def _create_files(run: Run, segy: Mapping[str, Path]) -> None:
    """Empty gathers, in Zarr and in a SEG-Y file of each component."""
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
    text = f"wavepipe model: modelled gathers, {job.physics}, for a wavelet in {unit}"
    for name, path in segy.items():
        create_gather_file(path, one_component(survey, name), survey.dt, text)
    results = run.folder.results
    for made in (*segy.values(), *results.rglob("*"), results, run.folder.path):
        flush(made)


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
