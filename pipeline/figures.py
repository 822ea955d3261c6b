"""Figures of a run as PNG files: geometry, gather, image, earth model, convergence.

Axes are in km, depth and time run down, lengths are to scale, and every colour bar says what it
shows; where amplitudes are clipped, the figure says at what. matplotlib is imported when a figure
is drawn, without a display.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

    from wavepipe.pipeline.earth_model import EarthModel
    from wavepipe.pipeline.shots import Survey

_KM = 1e-3
_DPI = 130
_MODEL_COLOURS = "viridis"
_AMPLITUDE_COLOURS = "gray"
_ENERGY_COLOURS = "magma"
_LOWEST_DECIBELS = -40.0
_CLIP_PERCENTILE = 98.0
_GATHER_PERCENTILE = 97.0
_TITLES = {"image": "RTM image", "illumination": "Source illumination"}
_STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "legend.frameon": False,
}
_NAMES = {"vp": "P-wave velocity (m/s)", "vs": "S-wave velocity (m/s)", "rho": "density (kg/m³)"}


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
    low, high = limits if limits is not None else _range(array)
    if high <= low:
        low, high = _range(np.array([low]))
    colours = {"cmap": _MODEL_COLOURS, "vmin": low, "vmax": high}
    title = title or path.stem.replace("_", " ")
    return _plot_sections(path, array, model, title, _NAMES.get(name, name), colours)


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
    if array.min() >= 0 and array.max() > 0:
        decibels = 10 * np.log10(np.maximum(array / array.max(), 1e-12))
        colours = {"cmap": _ENERGY_COLOURS, "vmin": _LOWEST_DECIBELS, "vmax": 0.0}
        return _plot_sections(path, decibels, model, title, "dB of the largest", colours)
    clip = _clip(array, percentile)
    label = f"amplitude (clip: percentile {percentile:g})"
    colours = {"cmap": _AMPLITUDE_COLOURS, "vmin": -clip, "vmax": clip}
    return _plot_sections(path, array, model, title, label, colours)


def plot_gather(
    path: Path,
    survey: Survey,
    shot: int,
    gather: ArrayLike,
    *,
    title: str | None = None,
    percentile: float = _GATHER_PERCENTILE,
) -> Path:
    """Draw the traces of one shot in grey, with a gain proportional to time.

    The gain makes up for spreading, so that reflections show beside the direct wave. Traces
    stand at their receivers' x; where several share a place they are numbered.

    Parameters
    ----------
    path
        The PNG file.
    survey
        Positions and times.
    shot
        Index of the shot in `survey`.
    gather : (n_receivers, nt)
        The traces.
    title
        Above the figure; the shot's label if None.
    percentile
        Larger amplitudes are clipped.
    """
    found = survey.shot(shot)
    source_x, receiver_x = found.source_position[-1], found.receiver_positions[:, -1]
    dt, title = survey.dt, title or f"Shot {found.label}"
    traces = np.asarray(gather, dtype=np.float64)
    traces = traces * (dt * np.arange(traces.shape[1]))
    clip = _clip(traces, percentile)
    positions, label = _trace_axis(receiver_x)
    order = np.argsort(positions, kind="stable")
    edges = _edges(positions[order])
    times = dt * (np.arange(traces.shape[1] + 1) - 0.5)
    with _figure(path, (6.4, 5.2)) as figure:
        axes = figure.add_subplot()
        colours: dict[str, Any] = {"cmap": _AMPLITUDE_COLOURS, "vmin": -clip, "vmax": clip}
        drawn = axes.pcolormesh(edges, times, traces[order].T, rasterized=True, **colours)
        axes.set(xlabel=label, ylabel="time (s)", title=title)
        axes.set_ylim(times[-1], 0.0)
        source = source_x * _KM
        if label.startswith("receiver x") and edges[0] <= source <= edges[-1]:
            axes.plot(source, 0.0, "*", color="tab:red", markersize=11, clip_on=False)
        label = f"amplitude x time (clip: percentile {percentile:g})"
        figure.colorbar(drawn, ax=axes, label=label, aspect=25)
    return path


def plot_geometry(path: Path, model: EarthModel, survey: Survey, *, title: str = "Survey") -> Path:
    """Draw sources and receivers: over the earth model in 2-D, as a map in 3-D.

    Parameters
    ----------
    path
        The PNG file.
    model
        Drawn behind the positions, and its outline in a map.
    survey
        Positions.
    title
        Above the figure.
    """
    sources = np.asarray(survey.source_positions) * _KM
    receivers = np.unique(np.asarray(survey.receiver_positions), axis=0) * _KM
    receivers = receivers[np.isfinite(receivers).all(axis=1)]
    across = -1
    down = 0 if survey.ndim == 2 else 1
    with _figure(path, (7.2, 3.4 if survey.ndim == 2 else 5.6), "constrained") as figure:
        axes = figure.add_subplot()
        _draw_background(figure, axes, model, flat=survey.ndim == 3)
        size = 3.0 if len(receivers) < 2000 else 1.0
        axes.plot(
            receivers[:, across], receivers[:, down], "v", color="white",
            markeredgecolor="black", markeredgewidth=0.4, markersize=size + 1.5, linestyle="none",
            label=f"{len(receivers)} receiver positions", clip_on=False,
        )  # fmt: skip
        axes.plot(
            sources[:, across], sources[:, down], "*", color="tab:red", markeredgecolor="black",
            markeredgewidth=0.4, markersize=8, linestyle="none", label=f"{len(sources)} sources",
            clip_on=False,
        )  # fmt: skip
        axes.set(xlabel="x (km)", ylabel="depth (km)" if down == 0 else "y (km)", title=title)
        if down == 0 and not axes.yaxis_inverted():
            axes.invert_yaxis()
        figure.legend(loc="outside lower center", ncols=3)
    return path


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
    with _figure(path, (6.4, 3.8)) as figure:
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
        ((low - h / 2) * _KM, (high + h / 2) * _KM)
        for (low, high), h in zip(model.extent, model.spacing, strict=True)
    ]
    if array.ndim == 2:
        (top, bottom), (left, right) = bounds
        ratio = (bottom - top) / (right - left)
        with _figure(path, (7.2, float(np.clip(7.2 * ratio * 0.85 + 0.9, 2.2, 7.0)))) as figure:
            axes = figure.add_subplot()
            drawn = _draw_section(axes, array, bounds, ("z", "x"), colours)
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
    with _figure(path, size) as figure:
        grid = figure.add_gridspec(
            2, 2, width_ratios=[lengths[2], lengths[1]], height_ratios=[lengths[1], depth]
        )
        drawn_on = []
        for place, values, extent, names, where, factor in panels:
            axes = figure.add_subplot(grid[place])
            drawn = _draw_section(axes, values, extent, names, colours, factor)
            axes.set_title(where, fontsize=9)
            drawn_on.append(axes)
        more = f" (depth x {stretch})" if stretch > 1 else ""
        figure.suptitle(title + more, fontsize=10)
        figure.colorbar(drawn, ax=drawn_on, label=label, shrink=0.6, aspect=18)


def _draw_section(
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


def _draw_background(figure: Figure, axes: Axes, model: EarthModel, *, flat: bool) -> None:
    """The earth model behind a survey, or its outline on a map."""
    extent = [(low * _KM, high * _KM) for low, high in model.extent]
    if flat:
        (y0, y1), (x0, x1) = extent[1], extent[2]
        axes.plot([x0, x1, x1, x0, x0], [y0, y0, y1, y1, y0], color="grey", label="earth model")
        axes.set_aspect("equal")
        return
    low, high = _range(np.asarray(model.vp))
    colours = {"cmap": _MODEL_COLOURS, "vmin": low, "vmax": high}
    drawn = _draw_section(axes, np.asarray(model.vp), extent, ("z", "x"), colours)
    figure.colorbar(drawn, ax=axes, label=_NAMES["vp"], shrink=0.7, aspect=15)


def _trace_axis(receiver_x: ArrayLike) -> tuple[NDArray[np.float64], str]:
    """Where to draw each trace, and the axis label."""
    positions = np.asarray(receiver_x, dtype=np.float64) * _KM
    if np.isfinite(positions).all() and np.unique(positions).size == positions.size > 1:
        return positions, "receiver x (km)"
    return np.arange(positions.size, dtype=np.float64), "trace"


def _edges(centres: NDArray[np.float64]) -> NDArray[np.float64]:
    """Borders half-way between increasing `centres`."""
    if centres.size == 1:
        return np.array([centres[0] - 0.5, centres[0] + 0.5])
    middles = (centres[1:] + centres[:-1]) / 2
    first, last = 2 * centres[0] - middles[0], 2 * centres[-1] - middles[-1]
    return np.concatenate([[first], middles, [last]])


def _range(values: NDArray[Any]) -> tuple[float, float]:
    """Range of the colours: that of the values, or a twentieth to either side of a single one."""
    low, high = float(values.min()), float(values.max())
    margin = 0.0 if high > low else 0.05 * abs(low) or 1.0
    return low - margin, high + margin


def _title(path: Path) -> str:
    """What a figure shows, after its file, and the run whose folder it lies in."""
    what = _TITLES.get(path.stem, path.stem.replace("_", " "))
    return f"{what}, run {path.parent.parent.name}" if path.parent.name == "figures" else what


def _clip(values: NDArray[np.float64], percentile: float) -> float:
    """Amplitude that `percentile` of the non-zero samples stay below; 1 if all are zero."""
    amplitudes = np.abs(values[np.isfinite(values) & (values != 0)])
    return float(np.percentile(amplitudes, percentile)) if amplitudes.size else 1.0


@contextmanager
def _figure(
    path: Path,
    size: tuple[float, float],
    layout: Literal["compressed", "constrained"] = "compressed",
) -> Iterator[Figure]:
    """A figure that is saved, all or nothing, when the block ends."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=size, layout=layout)
        FigureCanvasAgg(figure)
        yield figure
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.stem}.partial.png")
        figure.savefig(partial, dpi=_DPI)
        partial.replace(path)
