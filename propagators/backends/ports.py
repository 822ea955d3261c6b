"""Points of a sweep as the compiled code wants them: elements of arrays, row by row."""

import ctypes
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from wavepipe.propagators.backends.layout import ArrayLayout
from wavepipe.propagators.backends.source import Source
from wavepipe.propagators.backends.sweep import Sweep
from wavepipe.propagators.stencil.program import Port


class PointStruct(ctypes.Structure):
    """Mirror of `points` in the emitted code."""

    _fields_ = [
        ("first", ctypes.c_void_p),
        ("rowptr", ctypes.c_void_p),
        ("offset", ctypes.c_void_p),
        ("place", ctypes.c_void_p),
        ("column", ctypes.c_void_p),
        ("weight", ctypes.c_void_p),
        ("data", ctypes.c_void_p),
        ("n_points", ctypes.c_long),
    ]


@dataclass(frozen=True, slots=True)
class Arrays:
    """Memory of a sweep: per array (n_shots or 1, size), and its layout."""

    memory: dict[str, NDArray[np.generic]]
    layout: dict[str, ArrayLayout]


def port_structs(
    sweep: Sweep, source: Source, arrays: Arrays, recorded: dict[str, Tensor]
) -> tuple[ctypes.Array[PointStruct], list[object]]:
    """Points of every port in the order of the emitted code, and what must stay alive."""
    alive: list[object] = []
    structs = [_output(p, sweep, arrays, recorded[p.name], alive) for p in source.outputs]
    structs += [_input(p, sweep, arrays, alive) for p in (*source.inputs, *source.sum_inputs)]
    return (PointStruct * max(1, len(structs)))(*structs), alive


def _output(
    port: Port, sweep: Sweep, arrays: Arrays, data: Tensor, alive: list[object]
) -> PointStruct:
    points = sweep.outputs[port.name]
    offsets = _elements(points.cells, arrays.layout[port.field], port.field, sweep)
    weight = points.weights.astype(str(sweep.dtype).removeprefix("torch."))
    kept = (points.first, points.rowptr, offsets, weight, data)
    alive.append(kept)
    return PointStruct(
        points.first.ctypes.data,
        points.rowptr.ctypes.data,
        offsets.ctypes.data,
        None,
        None,
        weight.ctypes.data,
        data.data_ptr(),
        points.count,
    )


def _input(port: Port, sweep: Sweep, arrays: Arrays, alive: list[object]) -> PointStruct:
    """Points by cell instead: every cell is added to once, in a fixed order, by one thread."""
    injection = sweep.inputs[port.name]
    points, data = injection.points, injection.amplitudes.detach().contiguous()
    owners = np.repeat(np.arange(points.count), np.diff(points.rowptr))
    shots = np.searchsorted(points.first, owners, side="right") - 1
    shape = sweep.program.shape
    inside = _inside(points.cells, box_of(port.field, sweep))
    flat = np.ravel_multi_index(
        tuple(np.clip(points.cells.T, 0, np.array(shape)[:, None] - 1)), shape
    )
    key = shots * int(np.prod(shape)) + flat
    order = np.lexsort((owners, key))
    order = order[inside[order]]
    unique, starts = np.unique(key[order], return_index=True)
    rowptr = np.append(starts, len(order)).astype(np.int64)
    cells = np.stack(np.unravel_index(unique % int(np.prod(shape)), shape), axis=-1)
    first = np.searchsorted(unique, np.arange(sweep.n_shots + 1) * int(np.prod(shape)))
    first = first.astype(np.int64)
    offsets = _dot(cells, arrays.layout[port.field])
    grid = next((n for n, _ in port.factors), None)
    place = _dot(cells, arrays.layout[grid]) if grid else offsets
    column = owners[order].astype(np.int32)
    weight = points.weights[order].astype(str(sweep.dtype).removeprefix("torch."))
    alive.append((first, rowptr, offsets, place, column, weight, data))
    return PointStruct(
        first.ctypes.data,
        rowptr.ctypes.data,
        offsets.ctypes.data,
        place.ctypes.data,
        column.ctypes.data,
        weight.ctypes.data,
        data.data_ptr(),
        points.count,
    )


def box_of(field: str, sweep: Sweep) -> tuple[tuple[int, int], ...]:
    """The box of a field of either program of a sweep."""
    for program in (sweep.program, sweep.sampled):
        if program is not None and field in program.fields:
            return program.fields[field]
    raise KeyError(field)


def _inside(cells: NDArray[np.int32], box: tuple[tuple[int, int], ...]) -> NDArray[np.bool_]:
    low, high = np.array(box).T
    within: NDArray[np.bool_] = np.all((cells >= low) & (cells < high), axis=-1)
    return within


def _elements(
    cells: NDArray[np.int32], layout: ArrayLayout, field: str, sweep: Sweep
) -> NDArray[np.int64]:
    """Elements of an array at cells; those outside the grid read a zero of its halo."""
    inside = _inside(cells, sweep.program.box)
    first = np.array([lo for lo, _ in layout.box])
    halo = int(np.dot(first, layout.strides)) - 1  # the element before the first row
    return np.where(inside, _dot(cells, layout), halo).astype(np.int64)


def _dot(cells: NDArray[np.integer], layout: ArrayLayout) -> NDArray[np.int64]:
    return (cells.astype(np.int64) @ np.array(layout.strides, dtype=np.int64)).astype(np.int64)
