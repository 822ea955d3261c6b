"""What an inversion writes: every iteration as it comes, the final model at the end."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wavepipe.pipeline.execution import Run, draw
from wavepipe.pipeline.parameter_space import ParameterSpace
from wavepipe.pipeline.partial import Failure
from wavepipe.pipeline.results import create_results, keep_iterations, write_iteration
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

    step_length: float
    """Largest change of the earth model."""

    evaluations: int
    """Passes over the shots."""

    shots: tuple[int, ...]
    """Used, as indices in the survey."""

    @classmethod
    def start(cls, max_frequency: float, misfit: float) -> "IterationRecord":
        """Record of the starting model."""
        return cls(0, 0, max_frequency, misfit, misfit, 0.0, 0, ())


def begin_output(run: Run, space: ParameterSpace) -> None:
    """Make the empty results."""
    stages = run.job.fwi.stages if run.job.fwi is not None else ()
    create_results(
        run.folder.results,
        "fwi",
        run.inputs.survey,
        run.inputs.earth,
        n_iterations=sum(stage.iterations for stage in stages),
        parameters=tuple(space.start),
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
    run.folder.log_event(
        {
            "event": "iteration",
            "iteration": record.iteration,
            "stage": record.stage,
            "misfit": record.misfit,
            "step_length": record.step_length,
            "evaluations": record.evaluations,
            "shots": len(record.shots),
            "drawn": list(record.shots) if len(record.shots) < run.inputs.survey.n_shots else [],
        }
    )
    logger.info(
        "stage %d (%g Hz), iteration %d: misfit %.4g, %.1f %% of the stage's first; "
        "largest change %.3g m/s, %d evaluations",
        record.stage + 1,
        record.max_frequency,
        record.iteration,
        record.misfit,
        100.0 * record.misfit / record.first_misfit if record.first_misfit else 0.0,
        record.step_length,
        record.evaluations,
    )


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
        (folder / f"{name}.npy.partial").replace(folder / f"{name}.npy")
        if run.job.output.segy:
            text = f"wavepipe fwi: inverted {name}, m/s"
            write_image_segy(folder / f"{name}.sgy", values, earth.spacing, earth.origin, text)
    if run.job.output.figures and records:
        draw(lambda: _draw(run, model, records))


def _draw(run: Run, model: Model, records: Sequence[IterationRecord]) -> None:
    """Figures of the geometry, the models and the misfit."""
    from wavepipe.pipeline import figures

    earth, folder = run.inputs.earth, run.folder.figures
    figures.plot_geometry(folder / "geometry.png", earth, run.inputs.survey)
    limits = (float(earth.vp.min()), max(float(earth.vp.max()), float(model["vp"].max())))
    for name, values in (("start", earth.vp), ("inverted", model["vp"])):
        figures.plot_model(
            folder / f"vp_{name}.png", values, earth, title=f"vp, {name}", limits=limits
        )
    figures.plot_convergence(
        folder / "convergence.png",
        [record.misfit for record in records],
        [record.stage for record in records],
        [record.max_frequency for record in records],
        [record.first_misfit for record in records],
    )
