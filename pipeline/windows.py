"""Aperture windows: the part of the earth model that one shot propagates through."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

AXIS_NAMES = {2: ("z", "x"), 3: ("z", "y", "x")}

# Windows are widened to a multiple of this many cells, so that the shots of a moving spread
# share a shape and can be propagated in one call.
GRANULE = 8

# A position this close to a node (in cells) is on it: rounding must not add a cell.
ON_NODE = 1e-4


@dataclass(frozen=True, slots=True)
class Window:
    """A box of cells of the earth model and which of its faces lie inside the model."""

    start: tuple[int, ...]
    """First cell per axis."""

    stop: tuple[int, ...]
    """One past the last cell per axis."""

    inside: tuple[str, ...] = ()
    """Faces whose absorbing layer is made of the window's own outer cells."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Cells per axis."""
        return tuple(b - a for a, b in zip(self.start, self.stop, strict=True))

    @property
    def slices(self) -> tuple[slice, ...]:
        """Index of the window in an array of the whole model."""
        return tuple(slice(a, b) for a, b in zip(self.start, self.stop, strict=True))

    def within(self, outer: "Window") -> tuple[slice, ...]:
        """Index of this window in an array of the window `outer`, which contains it."""
        return tuple(
            slice(a - o, b - o) for a, b, o in zip(self.start, self.stop, outer.start, strict=True)
        )

    def union(self, other: "Window") -> "Window":
        """Smallest window that contains both."""
        start = tuple(min(a, b) for a, b in zip(self.start, other.start, strict=True))
        stop = tuple(max(a, b) for a, b in zip(self.stop, other.stop, strict=True))
        return Window(start, stop)

    def shift(self, positions: NDArray[np.float64], spacing: tuple[float, ...]) -> NDArray[Any]:
        """Positions from the window's first node.

        Parameters
        ----------
        positions : (..., ndim), m
            From the first node of the whole model.
        spacing : m
            Per axis.

        Returns
        -------
        (..., ndim) array of float64, m
        """
        corner = np.asarray(self.start, dtype=np.float64) * np.asarray(spacing, dtype=np.float64)
        return np.asarray(positions, dtype=np.float64) - corner


def whole_window(shape: tuple[int, ...]) -> Window:
    """Return the window that is the whole model."""
    return Window((0,) * len(shape), tuple(shape))


def face_widths(ndim: int, width: int) -> dict[str, int]:
    """Width of the absorbing layer by face, cells."""
    return {f"{name}{end}": width for name in AXIS_NAMES[ndim] for end in (0, 1)}


def shot_window(
    points: NDArray[np.float64],
    shape: tuple[int, ...],
    spacing: tuple[float, ...],
    aperture: float | None,
    pml_width: Mapping[str, int],
) -> Window:
    """Part of the model around the points of one shot.

    Parameters
    ----------
    points : (n, ndim), m
        Source and receiver positions from the model's first node; rows of NaN are ignored.
    shape : cells
        Of the whole model.
    spacing : m
        Per axis.
    aperture : m
        Added sideways beyond the outermost points; the whole model if None. The depth is
        always whole.
    pml_width : cells
        Width of the absorbing layer per face, ``{"z0": 20, ...}``.

    Returns
    -------
    Window
        With `pml_width` more cells on each face that lies inside the model. Where the model
        ends sooner than that, the window ends with it and the face is the model's own.
    """
    if aperture is None:
        return whole_window(shape)
    names = AXIS_NAMES[len(shape)]
    start, stop, inside = [0], [shape[0]], []
    for axis in range(1, len(shape)):
        cells = points[:, axis] / spacing[axis]
        margin = aperture / spacing[axis]
        first = int(np.floor(np.nanmin(cells) - margin + ON_NODE))
        last = int(np.ceil(np.nanmax(cells) + margin - ON_NODE))
        last += -(last + 1 - first) % GRANULE
        low = first - pml_width[f"{names[axis]}0"]
        high = last + 1 + pml_width[f"{names[axis]}1"]
        if low > 0:
            inside.append(f"{names[axis]}0")
        if high < shape[axis]:
            inside.append(f"{names[axis]}1")
        start.append(max(low, 0))
        stop.append(min(high, shape[axis]))
    return Window(tuple(start), tuple(stop), tuple(inside))
