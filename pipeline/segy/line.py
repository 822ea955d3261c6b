"""The model's x axis on the map: the line of a 2-D survey, or the direction of a 3-D grid."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# A line bent from an axis by less than this part of its length is taken to run along that axis:
# offsets along it are then short by at most 1e-4.
_STRAIGHT = 0.01
# An origin farther from the line than this many of its lengths is worth a warning.
_FAR = 10.0


@dataclass(frozen=True, slots=True)
class Line:
    """The model's x axis on the map: where it starts and which way it runs."""

    origin: tuple[float, float] = (0.0, 0.0)
    """(X, Y) of x = 0, m."""

    direction: tuple[float, float] = (1.0, 0.0)
    """Unit vector of the x axis in (X, Y)."""

    def along(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Coordinates along the line, (n,), of `points` (n, 2), m."""
        if self.direction == (1.0, 0.0):
            return points[:, 0] - self.origin[0]
        return np.asarray((points - np.asarray(self.origin)) @ np.asarray(self.direction))

    def across(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Coordinates across the line (its direction turned left), (n,), of `points`, m."""
        if self.direction == (1.0, 0.0):
            return points[:, 1] - self.origin[1]
        left = np.array([-self.direction[1], self.direction[0]])
        return np.asarray((points - np.asarray(self.origin)) @ left)


def choose_line(
    points: NDArray[np.float64],
    ndim: int,
    origin: Sequence[float] | None,
    azimuth: float | None,
    notes: list[str],
) -> Line:
    """Choose the model's x axis on the map.

    In 3-D it is X unless an azimuth is given. In 2-D it is the straight line that fits the points
    best; X or Y itself where the points lie along it. Unless an origin is given, x is counted from
    the foot of the coordinates' own origin on the line, so x = X for a line along X.

    Parameters
    ----------
    points : float64 array, (n, 2), m
        Sources and receivers.
    ndim : int
        2 or 3.
    origin : (X, Y) of x = 0, m, or None
    azimuth : float or None
        Direction of the x axis, degrees clockwise from north (Y): 90 is along X.
    notes : list of str
        Receives the choice and the largest distance of a point from the line.
    """
    start = (float(origin[0]), float(origin[1])) if origin is not None else (0.0, 0.0)
    if azimuth is not None:
        angle = np.deg2rad(azimuth)
        direction = _clean(np.array([np.sin(angle), np.cos(angle)]))
    elif ndim == 3:
        direction = (1.0, 0.0)
    else:
        direction = fit_direction(points)
    line = Line(start, direction)
    moved = line.along(points)
    if direction != (1.0, 0.0) or origin is not None or azimuth is not None:
        degrees = np.rad2deg(np.arctan2(direction[0], direction[1]))
        notes.append(
            f"model's x axis: azimuth {degrees:.10g} degrees from (X, Y) = ({start[0]:.10g}, "
            f"{start[1]:.10g}); x from {moved.min():.10g} to {moved.max():.10g} m"
        )
    if azimuth is None and direction not in ((1.0, 0.0), (0.0, 1.0)):
        _note_lever(points, start, moved, notes)
    if ndim == 2:
        _note_distance(line, points, notes)
    return line


def fit_direction(points: NDArray[np.float64]) -> tuple[float, float]:
    """Unit vector of the straight line that fits points (n, 2) best, towards larger X.

    It is exactly the X or Y axis where the points are straight along it.
    """
    unique = np.unique(points, axis=0)
    extent = np.ptp(unique, axis=0)
    if extent[1] <= _STRAIGHT * extent[0] or not extent.any():
        return 1.0, 0.0
    if extent[0] <= _STRAIGHT * extent[1]:
        return 0.0, 1.0
    _, _, axes = np.linalg.svd(unique - unique.mean(axis=0), full_matrices=False)
    direction = axes[0]
    return _clean(direction if direction[0] > 0 else -direction)


def _clean(direction: NDArray[np.float64]) -> tuple[float, float]:
    x, y = (
        float(np.rint(part)) if abs(part - np.rint(part)) < 1e-12 else float(part)
        for part in direction
    )
    return x + 0.0, y + 0.0


def _note_lever(
    points: NDArray[np.float64],
    start: tuple[float, float],
    along: NDArray[np.float64],
    notes: list[str],
) -> None:
    """Warn of an origin so far from the line that the fitted azimuth decides where x = 0 is."""
    distance = float(np.hypot(*(points - np.asarray(start)).mean(axis=0)))
    if distance > _FAR * float(np.ptp(along)):
        notes.append(
            f"x = 0 is {distance:.4g} m from the line, so each 0.01 degrees of azimuth move all "
            f"positions by {distance * np.deg2rad(0.01):.3g} m; survey.line_origin and "
            "survey.line_azimuth fix them"
        )


def _note_distance(line: Line, points: NDArray[np.float64], notes: list[str]) -> None:
    across = line.across(points)
    middle = 0.5 * (across.min() + across.max())
    distance = float(np.abs(across - middle).max())
    if distance > 1e-6 * max(1.0, float(np.abs(points).max())):
        notes.append(
            f"2-D: positions are projected onto the line; the farthest is {distance:.4g} m from it"
        )
