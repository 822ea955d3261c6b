"""Reverse-time migration: the adjoint of Born modelling, applied to the data.

The image is ``J^T d``: minus the gradient of ``1/2 |d|^2`` with respect to a perturbation of the
P-wave velocity that scatters, whatever the physics, with the other parameters held. Where velocity
increases downwards the image is positive.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from wavepipe.pipeline.execution import Outcome, Run, Started, draw, start_run

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from wavepipe.pipeline.clusters.cluster import Cluster
    from wavepipe.pipeline.job import Job
    from wavepipe.pipeline.partial import Partial

logger = logging.getLogger(__name__)

ILLUMINATION_FLOOR = 0.05
"""Added to the illumination before dividing by it, relative to its mean."""


@dataclass(frozen=True)
class Image:
    """An image and how well it is lit."""

    image: NDArray[np.float32]
    """(nz, nx) or (nz, ny, nx)."""

    illumination: NDArray[np.float32]
    """As the image: energy of the source wavefields."""


def migrate_survey(
    job: Job,
    *,
    cluster: Cluster | None = None,
    started: Started | None = None,
    resume: bool = False,
) -> Outcome:
    """Image a survey.

    Parameters
    ----------
    job
        Of kind ``rtm``.
    cluster
        Workers that are there already, instead of those of the job.
    started
        Told the run folder when the work begins.
    resume
        Go on with the run that is in the folder, if there is one.

    Returns
    -------
    Outcome
        Which shots are in the image.
    """
    with start_run(job, cluster=cluster, started=started, resume=resume) as run:
        from wavepipe.pipeline.results import create_results

        create_results(
            run.folder.results,
            "rtm",
            run.inputs.survey,
            run.inputs.earth,
            attributes=run.attributes(),
        )
        evaluation = run.describe("image", run.plan.passes[0])
        evaluation = replace(evaluation, illumination=True)
        migrated = run.evaluate(evaluation, run.shots, "migrating")
        image = _finish(run, migrated)
        _publish(run, image, migrated)
        draw(lambda: _draw(run, image))
        return run.outcome(migrated.shots, migrated.failures)


def _finish(run: Run, migrated: Partial) -> Image:
    """Even out the illumination and take off what is too long for an image."""
    from wavepipe.pipeline.filters import low_cut
    from wavepipe.pipeline.preconditioning import divide_by_illumination

    shape = run.inputs.earth.shape
    image, illumination = (migrated.spread(name, shape) for name in ("image", "illumination"))
    if migrated.shots and not image.any():
        logger.warning(
            "the image is zero everywhere: the traces are zero, or rtm.mute or survey.taper_end "
            "leaves nothing of them."
        )
    if run.job.rtm.illumination:
        image = divide_by_illumination(image, illumination, ILLUMINATION_FLOOR)
    return Image(low_cut(image, run.inputs.earth.spacing, run.job.rtm.low_cut), illumination)


def _publish(run: Run, image: Image, migrated: Partial) -> None:
    """Write the image and the list of shots in it."""
    from wavepipe.pipeline.results import write_grid
    from wavepipe.pipeline.segy.images import write_image_segy
    from wavepipe.pipeline.shot_status import write_shot_status

    write_grid(run.folder.results, "image", image.image)
    write_grid(run.folder.results, "illumination", image.illumination)
    write_shot_status(run, migrated.shots, migrated.failures)
    if not run.job.output.segy:
        return
    earth = run.inputs.earth
    for name, array, text in (
        ("image", image.image, "wavepipe rtm: reverse-time migration image"),
        ("illumination", image.illumination, "wavepipe rtm: source illumination"),
    ):
        path = run.folder.path / f"{name}.sgy"
        write_image_segy(path, array, earth.spacing, earth.origin, text)


def _draw(run: Run, image: Image) -> None:
    """Figures of the geometry, the image and the illumination."""
    if not run.job.output.figures:
        return
    from wavepipe.pipeline import figures

    earth, folder = run.inputs.earth, run.folder.figures
    figures.plot_geometry(folder / "geometry.png", earth, run.inputs.survey)
    figures.plot_image(folder / "image.png", image.image, earth)
    figures.plot_image(folder / "illumination.png", image.illumination, earth)
