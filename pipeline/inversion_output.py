"""What an inversion writes: every iteration as it comes, the final model at the end."""

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wavepipe.pipeline.durable import flush
from wavepipe.pipeline.execution import Run, draw
from wavepipe.pipeline.parameter_space import ParameterSpace
from wavepipe.pipeline.partial import Failure
from wavepipe.pipeline.quantities import describe_parameter, with_unit
from wavepipe.pipeline.results import create_results, keep_iterations, write_iteration
from wavepipe.pipeline.results_store import flush_store
from wavepipe.pipeline.segy.images import write_image_segy
from wavepipe.pipeline.shot_status import write_shot_status

logger = logging.getLogger(__name__)

Model = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class IterationRecord:
    """One iteration in numbers."""

    iteration: int
    """0 is the starting model."""

    stage: int
    """From 0."""

    max_frequency: float
    """Of the stage, Hz."""

    misfit: float
    """Of the earth model it ends with, in the stage's band; NaN while unknown."""

    first_misfit: float
    """Where the stage started."""

    changes: Mapping[str, float]
    """Largest change of each parameter, SI units."""

    evaluations: int
    """Passes over the shots."""

    shots: tuple[int, ...]
    """Used, as indices in the selection."""

    @classmethod
    def start(cls, max_frequency: float, misfit: float) -> "IterationRecord":
        """Record of the starting model."""
        return cls(0, 0, max_frequency, misfit, misfit, {}, 0, ())


def begin_output(run: Run, space: ParameterSpace, *, goes_on: bool) -> None:
    """Make the empty results; or make those of a run that goes on as long as they were."""
    stages = run.job.fwi.stages if run.job.fwi is not None else ()
    n_iterations = sum(stage.iterations for stage in stages)
    if goes_on:
        keep_iterations(run.folder.results, n_iterations + 1)
        return
    shutil.rmtree(run.folder.results, ignore_errors=True)
    create_results(
        run.folder.results,
        "fwi",
        run.inputs.survey,
        run.inputs.earth,
        n_iterations=n_iterations,
        parameters=space.changing,
        attributes=run.attributes(),
    )


def save_iteration(run: Run, record: IterationRecord, model: Model) -> None:
    """Write one iteration; an empty model leaves the one that is there."""
    write_iteration(
        run.folder.results,
        record.iteration,
        model,
        misfit=record.misfit,
        stage=record.stage,
        max_frequency=record.max_frequency,
        first_misfit=record.first_misfit,
    )
    if not np.isfinite(record.misfit):
        return
    survey = run.inputs.survey
    some = len(record.shots) < survey.n_shots
    run.folder.log_event(
        {
            "event": "iteration",
            "iteration": record.iteration,
            "stage": record.stage,
            "misfit": record.misfit,
            "changes": {name: float(change) for name, change in record.changes.items()},
            "evaluations": record.evaluations,
            "shots": len(record.shots),
            "drawn": [int(survey.original_index[i]) for i in record.shots] if some else [],
        }
    )
    changes = ", ".join(
        f"{name} {with_unit(name, change, 3)}" for name, change in record.changes.items()
    )
    logger.info(
        "stage %d (%g Hz), iteration %d: misfit %.4g, %.1f %% of the stage's first; "
        "largest change %s, %d evaluations",
        record.stage + 1,
        record.max_frequency,
        record.iteration,
        record.misfit,
        100.0 * record.misfit / record.first_misfit if record.first_misfit else 0.0,
        changes or "none",
        record.evaluations,
    )


def flush_results(run: Run) -> None:
    """Make the iterations so far outlive a loss of power."""
    last = run.folder.checkpoint
    flush_store(run.folder.results, last.stat().st_mtime if last.exists() else 0.0)


def publish(
    run: Run,
    model: Model,
    records: Sequence[IterationRecord],
    shots: Sequence[int],
    failures: Sequence[Failure],
) -> None:
    """Write the final model, the list of shots and the figures."""
    if records:
        keep_iterations(run.folder.results, len(records))
    write_shot_status(run, shots, failures)
    earth, folder = run.inputs.earth, run.folder.path
    for name, values in model.items():
        with (folder / f"{name}.npy.partial").open("wb") as file:
            np.save(file, values)
        flush(folder / f"{name}.npy.partial")
        (folder / f"{name}.npy.partial").replace(folder / f"{name}.npy")
        if run.job.output.segy:
            text = f"wavepipe fwi: inverted {name} ({describe_parameter(name)})"
            write_image_segy(folder / f"{name}.sgy", values, earth.spacing, earth.origin, text)
    if run.job.output.figures and records:
        draw(lambda: _draw(run, model, records))


def _draw(run: Run, model: Model, records: Sequence[IterationRecord]) -> None:
    """Figures of the geometry, the models and the misfit."""
    from wavepipe.pipeline import figures

    earth, folder = run.inputs.earth, run.folder.figures
    figures.plot_geometry(folder / "geometry.png", earth, run.inputs.survey)
    for name, inverted in model.items():
        pair = {"start": earth.parameters[name], "inverted": inverted}
        both = [float(f(values)) for f in (np.min, np.max) for values in pair.values()]
        for which, values in pair.items():
            figures.plot_model(
                folder / f"{name}_{which}.png",
                values,
                earth,
                name=name,
                title=f"{name}, {which}",
                limits=(min(both), max(both)),
            )
    figures.plot_convergence(
        folder / "convergence.png",
        [record.misfit for record in records],
        [record.stage for record in records],
        [record.max_frequency for record in records],
        [record.first_misfit for record in records],
    )
