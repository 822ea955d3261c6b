r"""Sources and receivers between the nodes of the grid.

A point is spread over the nodes around it with a Kaiser-windowed sinc along each axis (Hicks,
2002): :math:`w(x) = \mathrm{sinc}(x)\, I_0(\beta \sqrt{1 - (x/r)^2}) / I_0(\beta)` for
:math:`|x| < r` cells, with half width r = 4. The weights of an axis are divided by their sum, so
a point source keeps its strength exactly. An axis on which the point lies on a node (to
`ON_GRID` cells) gets that node alone.

`KAISER_BETA` minimises the largest error of a plane wave :math:`e^{ikx}` over all positions between
two nodes and all wavelengths of 5 cells and more (a search in steps of 0.01). That error is 7.1e-4
per axis, and in any direction of 2-D or 3-D below 2.2e-3; at 20 cells it is 3.2e-4 and vanishes for
longer waves, at 4 cells it is 1.2e-2. Components on a staggered grid are read as well as others:
"node" here is the component's own.

A free face is a row of nodes. What its mirror image does to a component is said per face:

- ``"odd"``: the field beyond is the mirror's with the opposite sign (pressure). A weight that falls
  outside is subtracted from the row's image; the face's own row, where the field is zero, gets
  none.
- ``"even"``: the same without the sign (acoustic particle velocity across the face).
- ``"one-sided"``: nothing is known beyond (elastic velocities and stresses). Points whose stencil
  would cross the face are read from the rows inside (`wavepipe.propagators.surface_weights`).
- ``"bare"``: neither free nor with a layer; weights beyond it are cut.
- ``"inside"``: one-sided from the rows after the face's own, which does not take part (sources of
  normal traction: on the face the normal strain follows from the others).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wavepipe.propagators.axes import axis_name, face_names
from wavepipe.propagators.errors import GeometryError
from wavepipe.propagators.stencil.one_sided import one_sided
from wavepipe.propagators.surface_weights import surface_weights

HALF_WIDTH = 4
"""Cells on each side that an off-grid point is spread over."""

KAISER_BETA = 7.64
"""Shape of the window for `HALF_WIDTH`."""

ON_GRID = 1e-4
"""Distance from a node, in cells, below which a point is on it; also the tolerance at the edge."""

_BLOCK = 512

FaceKind = Literal["odd", "even", "one-sided", "inside", "bare"]
_ONE_SIDED = ("one-sided", "inside")


@dataclass(frozen=True)
class PointWeights:
    """Nodes and weights of many points, as the rows of a sparse matrix."""

    rowptr: NDArray[np.int64]
    """(n_points + 1,): the entries of point i are `rowptr[i]` ... `rowptr[i + 1] - 1`."""
    cells: NDArray[np.int32]
    """(nnz, ndim): grid indices; negative in an absorbing layer before the model. Along an axis on
    which the component is staggered, index i lies at i + 1/2."""
    weights: NDArray[np.float64]
    """(nnz,): dimensionless; divide by the cell volume for a delta function."""


def point_weights(
    positions: ArrayLike,
    spacing: Sequence[float],
    shape: Sequence[int],
    *,
    half: Sequence[int] = (),
    faces: Mapping[str, FaceKind] | None = None,
    margin: Sequence[tuple[int, int]] | None = None,
    half_width: int = HALF_WIDTH,
) -> PointWeights:
    """Spread points over a component's nodes around them.

    Parameters
    ----------
    positions : array of float64, (n_points, ndim), m
        From node [0, 0] of the model, in axis order. A row of NaN is an absent point.
    spacing : sequence of float, (ndim,), m
        Distance between nodes, per axis.
    shape : sequence of int, (ndim,)
        Nodes of the model, per axis.
    half : sequence of int
        Axes along which the component's nodes lie half a cell after the grid's.
    faces : mapping of str to str
        Faces without a layer, such as ``"z0"`` (row 0) or ``"z1"`` (the last row), and what they do
        to the component: ``"odd"``, ``"even"``, ``"one-sided"``, ``"inside"`` or ``"bare"``.
    margin : sequence of (int, int), (ndim,), cells
        How far the grid goes on before and after the model; weights beyond it are cut. None: it
        ends with the model. A face of `faces` has no nodes beyond it, whatever its margin.
    half_width : int
        Cells on each side.

    Returns
    -------
    PointWeights
        Absent points, and points on a face where the component is zero, have no entries.
    """
    points = np.atleast_2d(np.asarray(positions, dtype=np.float64))
    n_points, ndim = points.shape
    margin = [(0, 0)] * ndim if margin is None else margin
    first = np.empty((ndim, n_points), dtype=np.int32)
    taps = np.empty((ndim, n_points, 2 * half_width))
    for axis in range(ndim):
        staggered = axis in half
        cells = _places(points[:, axis] / spacing[axis], shape[axis], staggered)
        first[axis], taps[axis] = _axis_taps(cells, half_width)
        kinds = _kinds(faces or {}, axis_name(axis, ndim))
        last = shape[axis] - 1 - staggered
        _one_sided(cells, first[axis], taps[axis], last, kinds, staggered)
        _fold(first[axis], taps[axis], last, kinds, staggered)
        _cut(first[axis], taps[axis], last, kinds, staggered, margin[axis])
    return _outer(first, taps)


def divided_by_norm(
    points: PointWeights,
    shape: Sequence[int],
    order: int,
    *,
    half: Sequence[int] = (),
    faces: Mapping[str, FaceKind] | None = None,
) -> PointWeights:
    """Weights of sources: divided by the norm of their rows at one-sided faces.

    Divided by the cell volume too, they are a delta function to the closed differences, and a
    source and a receiver of the same component are each other's reciprocal.

    Parameters
    ----------
    points : PointWeights
        Of `point_weights` with the same `shape`, `half` and `faces`.
    order : int
        Of the differences, 2, 4, 6 or 8.
    """
    ndim = len(shape)
    closure = one_sided(order)
    weights = points.weights.copy()
    for axis in range(ndim):
        norm = closure.half_norm if axis in half else closure.node_norm
        for end, kind in enumerate(_kinds(faces or {}, axis_name(axis, ndim))):
            if kind in _ONE_SIDED:
                depth = points.cells[:, axis]
                depth = shape[axis] - 1 - (axis in half) - depth if end else depth
                weights /= np.where(depth < len(norm), norm[np.clip(depth, 0, len(norm) - 1)], 1.0)
    return replace(points, weights=weights)


def check_positions(
    positions: ArrayLike,
    spacing: Sequence[float],
    shape: Sequence[int],
    what: str,
    free_surface: Sequence[str] = (),
) -> None:
    """Refuse points that are outside the model, half absent, or sources on a free face.

    Parameters
    ----------
    positions : array of float64, (n_shots, n, ndim), m
        From node [0, 0] of the model, in axis order.
    spacing : sequence of float, (ndim,), m
        Distance between nodes.
    shape : sequence of int, (ndim,)
        Nodes of the model.
    what : {"source", "receiver"}
        What the points are; a source on a free face is refused, and so is an absent one.
    free_surface : sequence of str
        Pressure-free faces, such as ``"z0"``.

    Raises
    ------
    GeometryError
        Naming the first offending shot and point, its position and the model's extent.
    """
    points = np.asarray(positions, dtype=np.float64)
    ndim = len(shape)
    if points.ndim != 3 or points.shape[-1] != ndim:
        raise GeometryError(
            f"{what} positions have shape {points.shape}; they must be (n_shots, n_{what}s, "
            f"{ndim}) in metres for a model of shape {tuple(shape)}."
        )
    step = np.asarray(spacing, dtype=np.float64)
    last = np.asarray(shape) - 1
    cells = points / step
    missing = np.isnan(points)
    absent = missing.all(axis=-1)
    outside = (cells < -ON_GRID) | (cells > last + ON_GRID)
    spans = ", ".join(
        f"{axis_name(axis, ndim)} 0 ... {last[axis] * step[axis]:g} m" for axis in range(ndim)
    )
    checks = [
        (
            missing.any(axis=-1) & ~absent,
            "is partly NaN. Give every coordinate, or NaN for all of them where it is absent.",
        ),
        (
            outside.any(axis=-1),
            f"is outside the model, which spans {spans}. Move it, drop it, or extend the model.",
        ),
    ]
    if what == "source":
        remedy = "Only receivers may be absent: give an unused source zero amplitudes instead."
        checks.append((absent, f"is NaN. {remedy}"))
        for number, face in enumerate(face_names(ndim)):
            axis, end = divmod(number, 2)
            if face in free_surface:
                on_face = np.abs(cells[..., axis] - end * last[axis]) <= ON_GRID
                remedy = f"It would radiate nothing: move it inside, by {step[axis]:g} m or so."
                checks.append((on_face, f"is on the free surface {face}. {remedy}"))
    for bad, reason in checks:
        _refuse(points, np.asarray(bad), what, reason)


def _refuse(points: NDArray[np.float64], bad: NDArray[np.bool_], what: str, reason: str) -> None:
    if not bad.any():
        return
    shot, index = (int(i) for i in np.argwhere(bad)[0])
    letters = ", ".join(axis_name(axis, points.shape[-1]) for axis in range(points.shape[-1]))
    place = ", ".join(f"{x:.10g}" for x in points[shot, index])
    others = int(bad.sum()) - 1
    more = f" ({others} more like it.)" if others else ""
    raise GeometryError(f"Shot {shot}: {what} {index} at ({letters}) = ({place}) m {reason}{more}")


def _kinds(faces: Mapping[str, FaceKind], letter: str) -> tuple[FaceKind | None, FaceKind | None]:
    return faces.get(f"{letter}0"), faces.get(f"{letter}1")


def _places(cells: NDArray[np.float64], n: int, half: bool) -> NDArray[np.float64]:
    """Indices of the component; points just outside the model are on its edge."""
    inside = np.clip(cells, 0, n - 1)
    return np.where(np.abs(cells - inside) <= ON_GRID, inside, cells) - 0.5 * half


def _axis_taps(
    cells: NDArray[np.float64], half_width: int
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """First node and weights along one axis; all weights zero where the coordinate is NaN."""
    absent = np.isnan(cells)
    cells = np.where(absent, 0.0, cells)
    nearest = np.rint(cells)
    on_grid = np.abs(cells - nearest) <= ON_GRID
    base = np.where(on_grid, nearest, np.floor(cells))
    offsets = np.arange(1 - half_width, half_width + 1)
    taps = np.zeros((len(cells), 2 * half_width))
    taps[on_grid & ~absent] = offsets == 0
    between = ~on_grid & ~absent
    if not between.any():
        return (base + offsets[0]).astype(np.int32), taps
    distance = offsets - (cells - base)[between, None]
    inside = np.clip(1.0 - (distance / half_width) ** 2, 0.0, None)
    spread = np.sinc(distance) * np.i0(KAISER_BETA * np.sqrt(inside)) * (inside > 0)
    taps[between] = spread / spread.sum(axis=1, keepdims=True)
    return (base + offsets[0]).astype(np.int32), taps


def _one_sided(
    cells: NDArray[np.float64],
    first: NDArray[np.int32],
    taps: NDArray[np.float64],
    last: int,
    kinds: tuple[FaceKind | None, FaceKind | None],
    half: bool,
) -> None:
    """Take stencils that cross a one-sided face from the rows inside instead, in place."""
    width = taps.shape[1]
    for end, kind in enumerate(kinds):
        if kind not in _ONE_SIDED:
            continue
        top = int(kind == "inside")
        depth = (last - cells if end else cells) - top
        outmost = (last - (first + width - 1) if end else first) - top
        crossing = (outmost < 0) & (np.count_nonzero(taps, axis=1) > 1)
        rows = min(width, last + 1 - top)
        weights = np.zeros((np.count_nonzero(crossing), width))
        weights[:, :rows] = surface_weights(depth[crossing], rows, top + 0.5 * half)
        taps[crossing] = weights[:, ::-1] if end else weights
        first[crossing] = last - top - (width - 1) if end else top
        if kind == "inside" and not half:
            taps[first[:, None] + np.arange(width) == (last if end else 0)] = 0.0


def _fold(
    first: NDArray[np.int32],
    taps: NDArray[np.float64],
    last: int,
    kinds: tuple[FaceKind | None, FaceKind | None],
    half: bool,
) -> None:
    """Mirror weights beyond odd and even faces, in place.

    The mirror of a node that the stencil reaches is nearer to the point than the node, so it is
    one of the stencil's own: folding moves weight between its taps.
    """
    signs = [{"odd": -1.0, "even": 1.0}.get(kind or "") for kind in kinds]
    if signs == [None, None]:
        return
    points, k = np.arange(len(first)), np.arange(taps.shape[1])
    nodes = first[:, None] + k
    sign = np.ones_like(taps)
    for _ in k:  # between two faces close together, images of images
        for end, factor in enumerate(signs):
            if factor is not None:
                beyond = nodes > last if end else nodes < 0
                nodes = np.where(beyond, (2 * last + half if end else -half) - nodes, nodes)
                sign[beyond] *= factor
                if factor < 0 and not half:
                    sign[nodes == (last if end else 0)] = 0.0
    slots = np.clip(nodes - first[:, None], 0, len(k) - 1)
    folded = np.zeros_like(taps)
    np.add.at(folded, (points[:, None], slots), sign * taps)
    taps[...] = folded


def _cut(
    first: NDArray[np.int32],
    taps: NDArray[np.float64],
    last: int,
    kinds: tuple[FaceKind | None, FaceKind | None],
    half: bool,
    margin: tuple[int, int],
) -> None:
    """Drop weights beyond the grid, in place."""
    low = -margin[0] if kinds[0] is None else 0
    high = last + half + margin[1] if kinds[1] is None else last
    nodes = first[:, None] + np.arange(taps.shape[1])
    taps[(nodes < low) | (nodes > high)] = 0.0


def _outer(first: NDArray[np.int32], taps: NDArray[np.float64]) -> PointWeights:
    """Products of the axes' weights, zeros left out; in blocks, to stay in cache."""
    ndim, n_points, _ = taps.shape
    counts = np.prod(np.count_nonzero(taps, axis=2), axis=0, dtype=np.int64)
    rowptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    cells = np.empty((rowptr[-1], ndim), dtype=np.int32)
    weights = np.empty(rowptr[-1])
    reached = [np.flatnonzero(one.any(axis=0)) for one in taps]  # one node only, if all are on it
    used = [np.s_[k[0] : k[-1] + 1] if len(k) else np.s_[:1] for k in reached]
    along = [tuple(-1 if a == axis else 1 for a in range(ndim)) for axis in range(ndim)]
    for start in range(0, n_points, _BLOCK):
        block = slice(start, min(start + _BLOCK, n_points))
        part = slice(rowptr[block.start], rowptr[block.stop])
        product = np.ones((block.stop - start, *(1,) * ndim))
        for axis in range(ndim):
            part_of_axis = taps[axis, block, used[axis]]
            product = product * part_of_axis.reshape(len(part_of_axis), *along[axis])
        # A mask costs more than the products: whole stencils, the usual case, go without.
        whole = part.stop - part.start == product.size
        chosen = np.s_[...] if whole else product != 0.0
        weights[part] = product[chosen].ravel()
        for axis in range(ndim):
            offsets = np.arange(used[axis].start or 0, used[axis].stop, dtype=np.int32)
            nodes = first[axis, block, None] + offsets
            nodes = np.broadcast_to(nodes.reshape(len(nodes), *along[axis]), product.shape)
            cells[part, axis] = nodes[chosen].ravel()
    return PointWeights(rowptr, cells, weights)
