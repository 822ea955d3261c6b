"""The figure of an inversion's misfit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wavepipe.pipeline.figures.canvas import canvas

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray


def plot_convergence(
    path: Path,
    misfit: ArrayLike,
    stages: ArrayLike | None = None,
    max_frequency: ArrayLike | None = None,
    first_misfit: ArrayLike | None = None,
    *,
    title: str = "Convergence",
) -> Path:
    """Draw the misfit of every iteration, relative to where its stage started.

    Misfits of different frequency bands cannot be compared, so each stage starts at 1, drawn at
    the last iteration of the stage before.

    Parameters
    ----------
    path
        The PNG file.
    misfit : (n_iterations,)
        NaN where an iteration has none.
    stages : (n_iterations,)
        Stage of each iteration; one stage if None.
    max_frequency : (n_iterations,), Hz
        Upper end of the band, for the legend.
    first_misfit : (n_iterations,)
        Misfit of the earth model that each iteration's stage started from, in the stage's band;
        that of the stage's first iteration if None.
    title
        Above the figure.
    """
    values = np.asarray(misfit, dtype=np.float64)
    number = np.arange(values.size)
    starts = np.full(values.size, np.nan)
    if first_misfit is not None:
        starts = np.asarray(first_misfit, dtype=np.float64)
    stage = np.zeros(values.size) if stages is None else np.asarray(stages, dtype=np.float64)
    with canvas(path, (6.4, 3.8)) as figure:
        axes = figure.add_subplot()
        known = np.isfinite(values)
        for this in np.unique(stage[known & np.isfinite(stage)]):
            chosen = known & (stage == this)
            label = f"stage {int(this) + 1}"
            if max_frequency is not None:
                label += f", up to {np.asarray(max_frequency)[chosen][0]:g} Hz"
            places, relative = _from_start(number[chosen], values[chosen], starts[chosen][0])
            axes.plot(places, relative, "o-", markersize=4, linewidth=1.5, label=label)
        axes.set(xlabel="iteration", ylabel="misfit / start of its stage", title=title)
        axes.set_ylim(bottom=0.0)
        axes.locator_params(axis="x", integer=True)
        axes.grid(alpha=0.3, linewidth=0.6)
        if axes.lines:
            axes.legend()
    return path


def _from_start(
    number: NDArray[np.int64], misfit: NDArray[np.float64], start: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Iterations of a stage and their misfits relative to its start, which comes first."""
    if number[0] > 0 and np.isfinite(start):
        number = np.concatenate([[number[0] - 1], number])
        misfit = np.concatenate([[start], misfit])
    return number, misfit / misfit[0] if misfit[0] else misfit
