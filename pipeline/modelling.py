"""Modelling: gathers of a survey in an earth model, to SEG-Y and Zarr."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from wavepipe.pipeline.execution import Outcome, Run, Started, draw, start_run

if TYPE_CHECKING:
    from wavepipe.pipeline.cluster import Cluster
    from wavepipe.pipeline.evaluation import Evaluation
    from wavepipe.pipeline.job import Job
    from wavepipe.pipeline.partial import Partial

SEGY_NAME = "shots.sgy"
"""Gathers in the run folder."""


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
    from wavepipe.pipeline.results import create_results
    from wavepipe.pipeline.segy.writer import create_gather_file

    survey = run.inputs.survey
    create_results(
        run.folder.results, "model", survey, run.inputs.earth, attributes=run.attributes()
    )
    evaluation = run.describe("gathers", run.plan.passes[0], run.inputs.earth.vp)
    evaluation = replace(evaluation, store=str(run.folder.results))
    if not run.job.output.segy:
        return evaluation
    unfinished = run.folder.path / f"{SEGY_NAME}.partial"
    create_gather_file(unfinished, survey, survey.dt, "wavepipe model: modelled gathers")
    return replace(evaluation, segy=str(unfinished))


def _publish(run: Run, modelled: Partial) -> None:
    """Give the results their names, and list the shots in them."""
    from wavepipe.pipeline.shot_status import write_shot_status

    if run.job.output.segy:
        unfinished = run.folder.path / f"{SEGY_NAME}.partial"
        unfinished.replace(run.folder.path / SEGY_NAME)
    write_shot_status(run, modelled.shots, modelled.failures)


def _draw(run: Run) -> None:
    """Figures of the geometry and of a gather in the middle."""
    if not run.job.output.figures:
        return
    import zarr

    from wavepipe.pipeline import figures

    survey = run.inputs.survey
    middle = survey.n_shots // 2
    gather = zarr.open_array(run.folder.results / "gather", mode="r")[survey.traces(middle)]
    figures.plot_geometry(run.folder.figures / "geometry.png", run.inputs.earth, survey)
    figures.plot_gather(run.folder.figures / "gather.png", survey, middle, gather)
