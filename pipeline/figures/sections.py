"""Figures on the grid of the earth model: parameters, their changes, images, illumination."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from wavepipe.pipeline.figures.canvas import (
    AMPLITUDE_COLOURS,
    KM,
    MODEL_COLOURS,
    canvas,
    clip_of,
    range_of,
)
from wavepipe.pipeline.quantities import describe_parameter

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    from wavepipe.pipeline.earth_model import EarthModel

_CHANGE_COLOURS = "RdBu_r"
_ENERGY_COLOURS = "magma"
_LOWEST_DECIBELS = -40.0
_CLIP_PERCENTILE = 98.0
_TITLES = {"image": "RTM image", "illumination": "Source illumination"}


def plot_model(
    path: Path,
    values: ArrayLike,
    model: EarthModel,
    *,
    name: str = "vp",
    title: str | None = None,
    limits: tuple[float, float] | None = None,
) -> Path:
    """Draw a parameter of the earth model.

    Parameters
    ----------
    path
        The PNG file.
    values : (nz, [ny,] nx), SI
        The parameter; of a 3-D one, the three middle sections are drawn.
    model
        Gives the grid.
    name
        vp, vs or rho, for the colour bar.
    title
        Above the figure; the file's name if None.
    limits
        Range of the colours, to compare figures; the values' own if None.
    """
    array = np.asarray(values, dtype=np.float64)
    low, high = limits if limits is not None else range_of(array)
    if high <= low:
        low, high = range_of(np.array([low]))
    colours = {"cmap": MODEL_COLOURS, "vmin": low, "vmax": high}
    title = title or path.stem.replace("_", " ")
    return _plot_sections(path, array, model, title, describe_parameter(name), colours)


def plot_change(
    path: Path, change: ArrayLike, model: EarthModel, *, name: str = "vp", title: str | None = None
) -> Path:
    """Draw how much a parameter of the earth model has changed: red where it has grown.

    Parameters
    ----------
    path
        The PNG file.
    change : (nz, [ny,] nx), SI
        Of a 3-D one, the three middle sections are drawn.
    model
        Gives the grid.
    name
        vp, vs or rho, for the colour bar.
    title
        Above the figure; the file's name if None.
    """
    array = np.asarray(change, dtype=np.float64)
    largest = float(np.abs(array[np.isfinite(array)]).max(initial=0.0)) or 1.0
    colours = {"cmap": _CHANGE_COLOURS, "vmin": -largest, "vmax": largest}
    title = title or path.stem.replace("_", " ")
    label = f"change of {describe_parameter(name)}"
    return _plot_sections(path, array, model, title, label, colours)


def plot_image(
    path: Path,
    image: ArrayLike,
    model: EarthModel,
    *,
    title: str | None = None,
    percentile: float = _CLIP_PERCENTILE,
) -> Path:
    """Draw an image in grey: white where velocity increases downwards.

    An array that is nowhere negative, such as an illumination, is drawn in decibels.

    Parameters
    ----------
    path
        The PNG file.
    image : (nz, [ny,] nx)
        The image; of a 3-D one, the three middle sections are drawn.
    model
        Gives the grid.
    title
        Above the figure; what the file is named after, and its run, if None.
    percentile
        Larger amplitudes are clipped.
    """
    array = np.asarray(image, dtype=np.float64)
    title = title or _title(path)
    low, high = range_of(array)
    if low >= 0 and high > 0 and high > low:
        decibels = 10 * np.log10(np.maximum(array / high, 1e-12))
        colours = {"cmap": _ENERGY_COLOURS, "vmin": _LOWEST_DECIBELS, "vmax": 0.0}
        return _plot_sections(path, decibels, model, title, "dB of the largest", colours)
    clip = clip_of(array, percentile)
    label = f"amplitude (clip: percentile {percentile:g})"
    colours = {"cmap": AMPLITUDE_COLOURS, "vmin": -clip, "vmax": clip}
    return _plot_sections(path, array, model, title, label, colours)


def _plot_sections(
    path: Path,
    array: NDArray[np.float64],
    model: EarthModel,
    title: str,
    label: str,
    colours: dict[str, Any],
) -> Path:
    """A 2-D section, or the three middle sections of a volume."""
    bounds = [
        ((low - h / 2) * KM, (high + h / 2) * KM)
        for (low, high), h in zip(model.extent, model.spacing, strict=True)
    ]
    if array.ndim == 2:
        (top, bottom), (left, right) = bounds
        ratio = (bottom - top) / (right - left)
        with canvas(path, (7.2, float(np.clip(7.2 * ratio * 0.85 + 0.9, 2.2, 7.0)))) as figure:
            axes = figure.add_subplot()
            drawn = draw_section(axes, array, bounds, ("z", "x"), colours)
            axes.set_title(title)
            figure.colorbar(drawn, ax=axes, label=label, shrink=0.85, aspect=18)
        return path
    _plot_volume(path, array, bounds, title, label, colours)
    return path


def _plot_volume(
    path: Path,
    array: NDArray[np.float64],
    bounds: Sequence[tuple[float, float]],
    title: str,
    label: str,
    colours: dict[str, Any],
) -> None:
    """The middle sections of a volume: a map, and the two vertical ones beside and below it."""
    lengths = [high - low for low, high in bounds]
    middle = [low + length / 2 for (low, _), length in zip(bounds, lengths, strict=True)]
    # A thin slab could not be read to scale; the exaggeration is stated.
    stretch = max(1, round(0.4 * max(lengths[1:]) / lengths[0]))
    depth = lengths[0] * stretch
    iz, iy, ix = (n // 2 for n in array.shape)
    panels: Any = (
        ((0, 0), array[iz], (bounds[1], bounds[2]), ("y", "x"), f"depth {middle[0]:.3g} km", 1),
        (
            (1, 0),
            array[:, iy],
            (bounds[0], bounds[2]),
            ("z", "x"),
            f"y = {middle[1]:.3g} km",
            stretch,
        ),
        (
            (1, 1),
            array[:, :, ix],
            (bounds[0], bounds[1]),
            ("z", "y"),
            f"x = {middle[2]:.3g} km",
            stretch,
        ),
    )
    wide, high = lengths[1] + lengths[2], lengths[1] + depth
    size = (8.0, float(np.clip(8.0 * high / wide, 4.0, 10.0)))
    with canvas(path, size) as figure:
        grid = figure.add_gridspec(
            2, 2, width_ratios=[lengths[2], lengths[1]], height_ratios=[lengths[1], depth]
        )
        drawn_on = []
        for place, values, extent, names, where, factor in panels:
            axes = figure.add_subplot(grid[place])
            drawn = draw_section(axes, values, extent, names, colours, factor)
            axes.set_title(where, fontsize=9)
            drawn_on.append(axes)
        more = f" (depth x {stretch})" if stretch > 1 else ""
        figure.suptitle(title + more, fontsize=10)
        figure.colorbar(drawn, ax=drawn_on, label=label, shrink=0.6, aspect=18)


def draw_section(
    axes: Axes,
    values: NDArray[np.float64],
    bounds: Sequence[tuple[float, float]],
    names: tuple[str, str],
    colours: dict[str, Any],
    stretch: float = 1.0,
) -> Any:
    """One section: depth down and drawn `stretch` times too long; a map has y up."""
    (top, bottom), (left, right) = bounds
    is_map = names[0] == "y"
    label = {"z": "depth (km)", "y": "y (km)", "x": "x (km)"}
    drawn = axes.imshow(
        values,
        extent=(left, right, top, bottom) if is_map else (left, right, bottom, top),
        origin="lower" if is_map else "upper",
        aspect=stretch,
        interpolation="nearest",
        **colours,
    )
    axes.set(xlabel=label[names[1]], ylabel=label[names[0]])
    return drawn


def _title(path: Path) -> str:
    """What a figure shows, after its file, and the run whose folder it lies in."""
    what = _TITLES.get(path.stem, path.stem.replace("_", " "))
    return f"{what}, run {path.parent.parent.name}" if path.parent.name == "figures" else what
