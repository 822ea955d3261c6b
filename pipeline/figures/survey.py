"""Figures of a survey: where its shots are, and what they recorded."""

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
from wavepipe.pipeline.figures.sections import draw_section
from wavepipe.pipeline.quantities import describe_parameter

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

    from wavepipe.pipeline.earth_model import EarthModel
    from wavepipe.pipeline.shots import Survey

_GATHER_PERCENTILE = 97.0
_SHOWN = 0.005
"""Relative amplitude at which the axis of frequencies ends."""


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
    sources = np.asarray(survey.source_positions) * KM
    receivers = np.unique(np.asarray(survey.receiver_positions), axis=0) * KM
    receivers = receivers[np.isfinite(receivers).all(axis=1)]
    across = -1
    down = 0 if survey.ndim == 2 else 1
    (top, bottom), (left, right) = model.extent[down], model.extent[across]
    height = 7.2 * (bottom - top) / max(right - left, 1e-9) * 0.75 + 1.4
    with canvas(path, (7.2, float(np.clip(height, 2.6, 8.0))), "constrained") as figure:
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
    clip = clip_of(traces, percentile)
    positions, label = _trace_axis(receiver_x)
    order = np.argsort(positions, kind="stable")
    edges = _edges(positions[order])
    times = dt * (np.arange(traces.shape[1] + 1) - 0.5)
    with canvas(path, (6.4, 5.2)) as figure:
        axes = figure.add_subplot()
        colours: dict[str, Any] = {"cmap": AMPLITUDE_COLOURS, "vmin": -clip, "vmax": clip}
        drawn = axes.pcolormesh(edges, times, traces[order].T, rasterized=True, **colours)
        axes.set(xlabel=label, ylabel="time (s)", title=title)
        axes.set_ylim(times[-1], 0.0)
        source = source_x * KM
        if label.startswith("receiver x") and edges[0] <= source <= edges[-1]:
            axes.plot(source, 0.0, "*", color="tab:red", markersize=11, clip_on=False)
        label = f"amplitude x time (clip: percentile {percentile:g})"
        figure.colorbar(drawn, ax=axes, label=label, aspect=25)
    return path


def plot_spectra(
    path: Path,
    dt: float,
    curves: Mapping[str, ArrayLike],
    bands: Mapping[str, float] | None = None,
    *,
    title: str = "Amplitude spectra",
) -> Path:
    """Draw amplitude spectra, each relative to its largest value.

    Parameters
    ----------
    path
        The PNG file.
    dt
        Sample interval, s.
    curves : (..., nt)
        Traces by name; the spectrum is the mean over them.
    bands
        Frequencies (Hz) that are marked, by name.
    title
        Above the figure.
    """
    with canvas(path, (6.4, 3.4)) as figure:
        axes, highest = figure.add_subplot(), 0.0
        for name, values in curves.items():
            traces = np.asarray(values, dtype=np.float64)
            traces = np.nan_to_num(traces.reshape(-1, traces.shape[-1]))
            frequencies = np.fft.rfftfreq(traces.shape[1], dt)
            spectrum = np.abs(np.fft.rfft(traces)).mean(axis=0)
            if not spectrum.any():
                continue
            spectrum /= spectrum.max()
            axes.plot(frequencies, spectrum, linewidth=1.5, label=name)
            highest = max(highest, float(frequencies[spectrum > _SHOWN][-1]))
        for name, frequency in (bands or {}).items():
            axes.axvline(frequency, color="grey", linewidth=0.8, linestyle=":")
            axes.annotate(
                name, (frequency, 1.0), xycoords=("data", "axes fraction"), xytext=(-3, -3),
                textcoords="offset points", rotation=90, ha="right", va="top", fontsize=7,
            )  # fmt: skip
        axes.set(xlabel="frequency (Hz)", ylabel="relative amplitude", title=title)
        axes.set(xlim=(0.0, 1.1 * highest or 0.5 / dt), ylim=(0.0, 1.05))
        axes.grid(alpha=0.3, linewidth=0.6)
        if axes.get_legend_handles_labels()[0]:
            axes.legend()
    return path


def _draw_background(figure: Figure, axes: Axes, model: EarthModel, *, flat: bool) -> None:
    """The earth model behind a survey, or its outline on a map."""
    extent = [(low * KM, high * KM) for low, high in model.extent]
    if flat:
        (y0, y1), (x0, x1) = extent[1], extent[2]
        axes.plot([x0, x1, x1, x0, x0], [y0, y0, y1, y1, y0], color="grey", label="earth model")
        axes.set_aspect("equal")
        return
    if not np.isfinite(model.vp).any():  # only its grid is known
        axes.set(xlim=extent[1], ylim=extent[0][::-1], aspect="equal")
        return
    low, high = range_of(np.asarray(model.vp))
    colours = {"cmap": MODEL_COLOURS, "vmin": low, "vmax": high}
    drawn = draw_section(axes, np.asarray(model.vp), extent, ("z", "x"), colours)
    figure.colorbar(drawn, ax=axes, label=describe_parameter("vp"), shrink=0.7, aspect=15)


def _trace_axis(receiver_x: ArrayLike) -> tuple[NDArray[np.float64], str]:
    """Where to draw each trace, and the axis label."""
    positions = np.asarray(receiver_x, dtype=np.float64) * KM
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
