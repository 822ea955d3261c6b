"""Points of a sweep as the compiled code wants them: elements of arrays, line by line."""

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from wavepipe.propagators.backends.layout import ArrayLayout
from wavepipe.propagators.backends.source import Source
from wavepipe.propagators.backends.sweep import Points, Sweep, numpy_type
from wavepipe.propagators.stencil.program import Box, Port


class PointStruct(ctypes.Structure):
    """Mirror of `points` in the emitted code."""

    _fields_ = [
        *(
            (name, ctypes.c_void_p)
            for name in (
                "plane",
                "line",
                "rowptr",
                "offset",
                "place",
                "column",
                "weight",
                "data",
                "partial",
                "first",
                "rows",
                "row",
            )
        ),
        ("n_points", ctypes.c_long),
        ("n_rows", ctypes.c_long),
    ]


@dataclass(frozen=True, slots=True)
class Arrays:
    """Memory of a sweep: per array (n_shots or 1, size), and its layout."""

    memory: dict[str, NDArray[np.generic]]
    layout: Mapping[str, ArrayLayout]


def port_structs(
    sweep: Sweep, source: Source, arrays: Arrays, recorded: dict[str, Tensor], block: int
) -> tuple[ctypes.Array[PointStruct], list[object]]:
    """Points of every port in the order of the emitted code, and what must stay alive.

    Parameters
    ----------
    block
        Steps after which what has been read is added up.
    """
    alive: list[object] = []
    structs = [_output(p, sweep, arrays, recorded[p.name], block, alive) for p in source.outputs]
    structs += [_input(p, sweep, arrays, alive) for p in (*source.inputs, *source.sum_inputs)]
    return (PointStruct * max(1, len(structs)))(*structs), alive


@dataclass(frozen=True, slots=True)
class _Entries:
    """Weights of points at cells of a field's box, sorted into rows."""

    owners: NDArray[np.int64]
    """(n_entries): the point of each."""
    weights: NDArray[np.float64]
    cells: NDArray[np.int64]
    """(n_entries, ndim)."""
    rowptr: NDArray[np.int64]
    """(n_rows + 1): entries of each row."""
    plane: NDArray[np.int64]
    """(n_shots * planes + 1): rows before each plane of each shot."""
    line: NDArray[np.int64]
    """(n_rows): y; 0 in 2-D."""


def _entries(points: Points, box: Box, shape: tuple[int, ...], *, by_cell: bool) -> _Entries:
    """Rows in the order shot, plane, line; of one cell each, or of one point each.

    Entries outside the box are left out: nothing is read or added there.
    """
    low, high = np.array(box).T
    inside = np.all((points.cells >= low) & (points.cells < high), axis=-1)
    owners = np.repeat(np.arange(points.count), np.diff(points.rowptr))[inside]
    cells = points.cells[inside].astype(np.int64)
    shots = np.searchsorted(points.first, owners, side="right") - 1
    planes, lines = shape[0], shape[1] if len(shape) == 3 else 1
    line = cells[:, 1] if len(shape) == 3 else np.zeros_like(owners)
    place = (shots * planes + cells[:, 0]) * lines + line
    order = np.lexsort((owners, cells[:, -1], place) if by_cell else (owners, place))
    row = np.stack([place, cells[:, -1] if by_cell else owners])[:, order]
    new = np.ones(row.shape[1], dtype=bool)
    new[1:] = np.any(np.diff(row), axis=0)
    starts = np.flatnonzero(new)
    of_plane = row[0, starts] // lines
    return _Entries(
        owners[order],
        points.weights[inside][order],
        cells[order],
        np.append(starts, row.shape[1]).astype(np.int64),
        np.searchsorted(of_plane, np.arange((len(points.first) - 1) * planes + 1)),
        row[0, starts] % lines,
    )


def _output(
    port: Port, sweep: Sweep, arrays: Arrays, data: Tensor, block: int, alive: list[object]
) -> PointStruct:
    """Points by what they have on a line: a row is read at once."""
    points, shape = sweep.outputs[port.name], sweep.program.shape
    entries = _entries(points, sweep.box_of(port.field), shape, by_cell=False)
    offset = _dot(entries.cells, arrays.layout[port.field])
    owner = entries.owners[entries.rowptr[:-1]]
    row = np.argsort(owner, kind="stable")
    rows = np.searchsorted(owner[row], np.arange(points.count + 1))
    partial = np.empty((block, len(row)), dtype=numpy_type(sweep.dtype))
    kept: dict[str, NDArray[Any]] = {
        "plane": entries.plane,
        "line": entries.line,
        "rowptr": entries.rowptr,
        "offset": offset,
        "weight": entries.weights.astype(numpy_type(sweep.dtype)),
        "partial": partial,
        "first": points.first,
        "rows": rows,
        "row": row,
    }
    return _struct(kept, data, points.count, len(row), alive)


def _input(port: Port, sweep: Sweep, arrays: Arrays, alive: list[object]) -> PointStruct:
    """Points by cell: every cell is added to once, in a fixed order, by one thread."""
    injection = sweep.inputs[port.name]
    points, data = injection.points, injection.amplitudes.detach().contiguous()
    entries = _entries(points, sweep.box_of(port.field), sweep.program.shape, by_cell=True)
    cells = entries.cells[entries.rowptr[:-1]]
    offset = _dot(cells, arrays.layout[port.field])
    grid = next((n for n, _ in port.factors), None)
    kept: dict[str, NDArray[Any]] = {
        "plane": entries.plane,
        "line": entries.line,
        "rowptr": entries.rowptr,
        "offset": offset,
        "place": _dot(cells, arrays.layout[grid]) if grid else offset,
        "column": entries.owners.astype(np.int32),
        "weight": entries.weights.astype(numpy_type(sweep.dtype)),
    }
    return _struct(kept, data, points.count, len(cells), alive)


def _struct(
    arrays: dict[str, NDArray[Any]],
    data: Tensor,
    n_points: int,
    n_rows: int,
    alive: list[object],
) -> PointStruct:
    alive.append((arrays, data))
    pointers = {name: array.ctypes.data for name, array in arrays.items()}
    return PointStruct(**pointers, data=data.data_ptr(), n_points=n_points, n_rows=n_rows)


def _dot(cells: NDArray[np.integer], layout: ArrayLayout) -> NDArray[np.int64]:
    return (cells.astype(np.int64) @ np.array(layout.strides, dtype=np.int64)).astype(np.int64)
