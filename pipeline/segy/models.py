"""Earth models read from SEG-Y depth sections and volumes.

A trace is a column of the model, downwards; the interval field holds 1000 times the depth step in
metres, as if millimetres were microseconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wavepipe.pipeline.errors import SegyError
from wavepipe.pipeline.segy.file_format import SegyFile, open_segy
from wavepipe.pipeline.segy.geometry import length_factor
from wavepipe.pipeline.segy.headers import STANDARD_SCALARS, apply_scalar
from wavepipe.pipeline.segy.index import Headers, scan_headers
from wavepipe.pipeline.segy.line import Line, fit_direction
from wavepipe.pipeline.segy.reader import read_traces

_FIELDS = (
    "inline",
    "crossline",
    "cdp",
    "cdp_x",
    "cdp_y",
    "source_x",
    "source_y",
    "coordinate_scalar",
    "delay",
    "time_scalar",
)
# Coordinates on a regular grid are rounded to header integers: a step may be off by this part,
# or by this many metres.
_REGULAR = 0.01
_ROUNDING = 1.5


@dataclass(frozen=True, slots=True, eq=False)
class SegyModel:
    """A depth section or volume, and how its grid was read."""

    values: NDArray[np.float32]
    """(nz, nx) or (nz, ny, nx), as they are in the file."""

    spacing: tuple[float, ...]
    """(dz, [dy,] dx), m."""

    origin: tuple[float, ...]
    """(z, [y,] x) of the first node, m, in the coordinates a survey is read in."""

    assumptions: tuple[str, ...]
    """What had to be assumed."""


def read_model_segy(
    path: str | Path, *, spacing: Sequence[float] | None = None, units: str | None = None
) -> tuple[NDArray[np.float32], tuple[float, ...], tuple[float, ...]]:
    """Read an earth model: its values, spacing and origin; see `read_segy_model`."""
    model = read_segy_model(path, spacing=spacing, units=units)
    return model.values, model.spacing, model.origin


def read_segy_model(
    path: str | Path, *, spacing: Sequence[float] | None = None, units: str | None = None
) -> SegyModel:
    """Read a depth section or volume as an earth model.

    Columns are ordered so that x and y increase as they do in surveys: along the line of a section
    as `choose_line` lays it, along X and Y in a volume that runs along these, and along the
    crosslines (x) and to their left (y) in a rotated one.

    Parameters
    ----------
    path : path
    spacing : (dz, [dy,] dx), m, optional
        Instead of what the headers say; needed where they say nothing.
    units : {None, 'm', 'ft'}
        Unit of lengths in the headers; None believes the file.

    Raises
    ------
    SegyError
        The traces do not fill a regular grid, or the headers do not give its spacing.
    """
    file = open_segy(path)
    notes = list(file.assumptions)
    headers = scan_headers(file, _FIELDS)
    factor = length_factor(file.measurement_system, units, notes)
    volume, points = _fill_grid(file, headers)
    points *= factor
    volume, points, line = _orient(volume, points, notes)
    scalar = np.where(np.isin(np.abs(headers["time_scalar"]), STANDARD_SCALARS), 1, 0)
    top = factor * float(apply_scalar(headers["delay"], scalar * headers["time_scalar"])[0])
    ndim = 2 if volume.shape[0] == 1 else 3
    steps = _spacing(file, points, factor, spacing, ndim)
    corner = points[:1, 0]
    along, across = float(line.along(corner)[0]), float(line.across(corner)[0])
    notes.append(f"depth step {steps[0]:.9g} m: the interval field is 1000 times the step")
    values = volume[0].T if ndim == 2 else np.moveaxis(volume, 2, 0)
    origin = (top, along) if ndim == 2 else (top, across, along)
    return SegyModel(np.ascontiguousarray(values), steps, origin, tuple(notes))


def _fill_grid(file: SegyFile, headers: Headers) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Sort traces and their map points by inline and crossline.

    Returns
    -------
    volume : float32 array, (n_inlines, n_crosslines, nz)
    points : float64 array, (n_inlines, n_crosslines, 2)
    """
    line, place = headers["inline"], _place_numbers(headers, file.n_traces)
    lines, rows = np.unique(line, return_inverse=True)
    places, columns = np.unique(place, return_inverse=True)
    different = len(np.unique(rows * len(places) + columns))
    if len(lines) * len(places) != file.n_traces or different != file.n_traces:
        message = (
            f"{file.path} is no full grid: {file.n_traces} traces, {different} different, for "
            f"{len(lines)} inlines (bytes 189-192) of {len(places)} crosslines (bytes 193-196 or "
            "21-24). Missing or repeated traces must be filled in first."
        )
        raise SegyError(message)
    traces = read_traces(file, np.arange(file.n_traces, dtype=np.int64))
    sound = np.isfinite(traces).all(axis=1)
    if not sound.all():
        number = int(np.flatnonzero(~sound)[0])
        message = f"{file.path}: trace {number} (from 0) holds NaN or infinity."
        raise SegyError(message)
    volume = np.empty((len(lines), len(places), file.n_samples), dtype=np.float32)
    points = np.empty((len(lines), len(places), 2))
    volume[rows, columns] = traces
    points[rows, columns] = _map_points(headers)
    return volume, points


def _place_numbers(headers: Headers, n_traces: int) -> NDArray[np.int32]:
    """Crossline numbers, else CDP numbers, else the order of the traces."""
    for name in ("crossline", "cdp"):
        if len(np.unique(headers[name])) > 1:
            return headers[name]
    return np.arange(n_traces, dtype=np.int32)


def _map_points(headers: Headers) -> NDArray[np.float64]:
    """CDP coordinates (n_traces, 2), or the source's where these are blank."""
    scalar = headers["coordinate_scalar"]
    points = np.zeros((len(scalar), 2))
    for name in ("cdp", "source"):
        pair = [apply_scalar(headers[f"{name}_{axis}"], scalar) for axis in "xy"]
        points = np.stack(pair, axis=-1)
        if np.ptp(points, axis=0).any():
            break
    return points


def _orient(
    volume: NDArray[np.float32], points: NDArray[np.float64], notes: list[str]
) -> tuple[NDArray[np.float32], NDArray[np.float64], Line]:
    """Turn the grid so that its second axis is x and, in 3-D, its first is y."""
    if volume.shape[0] == 1:
        line = Line(direction=fit_direction(points[0]))
    else:
        along = points[0, -1] - points[0, 0]
        between = points[-1, 0] - points[0, 0]
        if abs(along[0]) <= _REGULAR * abs(along[1]) and abs(between[0]) > abs(between[1]):
            volume, points = np.swapaxes(volume, 0, 1), np.swapaxes(points, 0, 1)
            along = between
            notes.append("crosslines run along Y: y and x are exchanged")
        line = Line(direction=fit_direction(np.stack([np.zeros(2), along])))
        if line.direction not in ((1.0, 0.0), (0.0, 1.0)):
            # Crosslines keep their order, towards smaller X too.
            line = Line(direction=tuple(along / np.hypot(*along)))
            azimuth = np.rad2deg(np.arctan2(*line.direction)) % 360
            notes.append(
                f"the grid is rotated: x runs at azimuth {azimuth:.10g} degrees; "
                f"set survey.line_azimuth: {azimuth:.10g} to read shots in its axes"
            )
    for axis, coordinate in ((1, line.along), (0, line.across)):
        last = points[-1, 0] if axis == 0 else points[0, -1]
        ends = coordinate(np.stack([points[0, 0], last]))
        if ends[1] < ends[0]:
            volume, points = np.flip(volume, axis), np.flip(points, axis)
            notes.append(f"{'yx'[axis]} decreases from trace to trace: the model is turned round")
    return volume, points, line


def _spacing(
    file: SegyFile,
    points: NDArray[np.float64],
    factor: float,
    given: Sequence[float] | None,
    ndim: int,
) -> tuple[float, ...]:
    """Spacing (dz, [dy,] dx) from the interval and the coordinates."""
    if given is not None:
        if len(given) != ndim or not all(step > 0 for step in given):
            message = (
                f"{file.path} is {ndim}-D; earth_model.spacing {tuple(given)} must be {ndim} "
                "positive steps in m."
            )
            raise SegyError(message)
        return tuple(float(step) for step in given)
    axes = {"z": float(f"{factor * 1000.0 * file.dt:.9g}")}
    if ndim == 3:
        axes["y"] = _step(file, points[:, 0], "lines along y")
    axes["x"] = _step(file, points[0], "columns along x")
    for name, step in axes.items():
        if not step > 0:
            message = (
                f"{file.path} does not give the spacing along {name} (interval or CDP coordinates "
                "are 0). Give earth_model.spacing in m."
            )
            raise SegyError(message)
    return tuple(axes.values())


def _step(file: SegyFile, points: NDArray[np.float64], what: str) -> float:
    """Distance between neighbours (n, 2), which must be regular."""
    if len(points) < 2:
        return 0.0
    steps = np.hypot(*np.diff(points, axis=0).T)
    mean = float(np.hypot(*(points[-1] - points[0])) / (len(points) - 1))
    if np.abs(steps - mean).max() > max(_REGULAR * mean, _ROUNDING):
        message = (
            f"{file.path}: {what} are {steps.min():.6g} to {steps.max():.6g} m apart; a model "
            "needs regular ones. Give earth_model.spacing to override the coordinates."
        )
        raise SegyError(message)
    return float(f"{mean:.9g}")
