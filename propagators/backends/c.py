"""The compiled back-end: C emitted for a program, one native call for all its steps."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wavepipe.propagators.backends.compiler import load
from wavepipe.propagators.backends.emit_c import Source, emit
from wavepipe.propagators.backends.layout import (
    LINE,
    ArrayLayout,
    layouts,
    rounded,
    vector_length,
)
from wavepipe.propagators.backends.sweep import Points, Sweep, SweepResult
from wavepipe.propagators.stencil.program import Monomial, Port, Program, Update

STRIP_BYTES = 400_000
"""Of the planes a stencil reads and writes: about half of a core's second-level cache."""

_C_NAMES = {torch.float32: "float", torch.float64: "double"}


class _PointStruct(ctypes.Structure):
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
class _Arrays:
    """Memory of a sweep: per array (n_shots or 1, size), and its layout."""

    memory: dict[str, NDArray[np.generic]]
    layout: dict[str, ArrayLayout]


class Compiled:
    """Emitted C; threads over shots where there are enough of them, over the grid otherwise."""

    name = "c"

    def __init__(self, itemsize: int) -> None:
        self._itemsize = itemsize

    def padded(self, cells: int) -> int:
        """Rows of a history slot are whole vectors."""
        return rounded(cells, self._itemsize)

    def run(self, sweep: Sweep) -> SweepResult:
        """All steps of a sweep, without the GIL."""
        slots = tuple(sweep.history.slots) if sweep.history and sweep.sampled else ()
        source = emit(sweep.program, sweep.sampled, slots, _C_NAMES[sweep.dtype])
        library = load(source.text)
        arrays = _allocate(sweep, slots)
        recorded = {
            name: torch.zeros(sweep.n_steps, points.count, dtype=sweep.dtype)
            for name, points in sweep.outputs.items()
        }
        structs, alive = _ports(sweep, source, arrays, recorded)
        _call(library, sweep, source, arrays, slots, structs)
        del alive
        return SweepResult(recorded, _results(sweep, arrays))


def _call(
    library: ctypes.CDLL,
    sweep: Sweep,
    source: Source,
    arrays: _Arrays,
    slots: Sequence[str],
    structs: ctypes.Array[_PointStruct],
) -> None:
    itemsize = sweep.dtype.itemsize
    by_shot, threads = _division(sweep)
    stride = sweep.history.stride if sweep.history else 1
    numbers = [sweep.n_shots, sweep.n_steps, stride, sweep.backwards, by_shot, threads]
    numbers += _strips(sweep.program, arrays, itemsize)
    pointers, per_shot, per_slot, strides = [], [], [], []
    for name in source.arrays:
        layout, memory = arrays.layout[name], arrays.memory[name]
        pointers.append(memory.ctypes.data + layout.origin * itemsize)
        shared = memory.shape[0] == 1 and sweep.n_shots > 1
        per_shot.append(0 if shared else memory.strides[0] // itemsize)
        per_slot.append(memory.strides[1] // itemsize if name in slots else 0)
        strides += layout.strides
    library.run(
        _longs(numbers),
        (ctypes.c_void_p * len(pointers))(*pointers),
        _longs(per_shot),
        _longs(per_slot),
        _longs(strides),
        _longs(_bounds(source, sweep, itemsize)),
        _longs(_ranges(source)),
        structs,
    )


def _division(sweep: Sweep) -> tuple[bool, int]:
    """Whether threads take shots or share the grid; this changes no bits.

    A 2-D grid sits in a core's cache, so a shot per thread needs no barriers; in 3-D the shots
    would compete for memory bandwidth.
    """
    threads = torch.get_num_threads()
    by_shot = sweep.program.ndim == 2 and sweep.n_shots >= threads
    if by_shot:
        return True, min(threads, sweep.n_shots)
    return False, min(threads, sweep.program.shape[0])


def _strips(program: Program, arrays: _Arrays, itemsize: int) -> tuple[int, int]:
    """Rows of a plane, and how many of them a sweep takes at a time."""
    if program.ndim == 2:
        return 1, 1
    rows = program.shape[1]
    pitch = max(layout.strides[1] for layout in arrays.layout.values()) * itemsize
    return rows, min(rows, max(8, STRIP_BYTES // (pitch * (program.order + 3))))


def _allocate(sweep: Sweep, slots: Sequence[str]) -> _Arrays:
    programs = [sweep.program] if sweep.sampled is None else [sweep.program, sweep.sampled]
    itemsize = sweep.dtype.itemsize
    layout = layouts(programs, slots, itemsize)
    memory: dict[str, NDArray[np.generic]] = {}
    kind = np.dtype(str(sweep.dtype).removeprefix("torch."))
    for name, place in layout.items():
        if name in slots:
            memory[name] = sweep.history.slots[name].numpy()
            continue
        given = sweep.coefficients.get(name)
        shots = sweep.n_shots
        if given is not None:
            shots = 1 if given.ndim == 1 else given.shape[0]
        flat = _zeros(shots, place.size, kind)
        if given is not None:
            target = place.view(flat)
            target[...] = given.detach().numpy().reshape(target.shape)
        memory[name] = flat
    return _Arrays(memory, layout)


def _zeros(shots: int, size: int, kind: np.dtype[np.generic]) -> NDArray[np.generic]:
    """(shots, size) zeros, every shot at the start of a cache line."""
    size = rounded(size, kind.itemsize)
    raw = np.zeros(shots * size + vector_length(kind.itemsize), dtype=kind)
    start = -(raw.ctypes.data // kind.itemsize) % (LINE // kind.itemsize)
    return raw[start : start + shots * size].reshape(shots, size)


def _bounds(source: Source, sweep: Sweep, itemsize: int) -> list[int]:
    """Low and high bound of every box; rows go on to the end of their last vector where they may."""
    program = sweep.sampled or sweep.program  # the one that knows the slots
    bounds: list[int] = []
    for update, axis in source.bounds:
        low, high = update.box[axis]
        last = axis == program.ndim - 1
        if last and high == program.shape[-1] and _may_overrun(update, program):
            high = low + rounded(high - low, itemsize)
        bounds += (low, high)
    return bounds


def _may_overrun(update: Update, program: Program) -> bool:
    """Whether an update leaves zeros, or values nobody reads, beyond the end of a row.

    It does where a coefficient on the grid, zero there, multiplies every term that reads
    sideways. A row that starts inside a slab ends with the slab's vectors.
    """
    low, high = update.box[-1]
    whole = low == 0 and high == program.shape[-1]
    divides = any(power < 0 for t in update.terms for _, power in (*t.left, *t.right))
    return (
        whole
        and not divides
        and all(
            any(len(program.coefficients.get(n, ())) == program.ndim for n, _ in t.left)
            or not any(offset[-1] for offset in t.offsets)
            or update.target in program.local
            for t in update.terms
        )
    )


def _ranges(source: Source) -> list[int]:
    """For every phase up to two ranges of planes that its updates touch."""
    ranges: list[int] = []
    for updates in source.ranges:
        intervals = sorted({u.box[0] for u in updates})
        merged: list[list[int]] = []
        for lo, hi in intervals:
            if merged and lo <= merged[-1][1]:
                merged[-1][1] = max(merged[-1][1], hi)
            else:
                merged.append([lo, hi])
        if len(merged) > 2:
            merged = [merged[0], [merged[1][0], merged[-1][1]]]
        if len(merged) == 1:
            merged.append([0, 0])
        ranges += [bound for interval in merged for bound in interval]
    return ranges


def _ports(
    sweep: Sweep, source: Source, arrays: _Arrays, recorded: dict[str, Tensor]
) -> tuple[ctypes.Array[_PointStruct], list[object]]:
    """Points of every port in the order of the emitted code, and what must stay alive."""
    alive: list[object] = []
    structs = []
    for port in source.outputs:
        structs.append(_output(port, sweep, arrays, recorded[port.name], alive))
    for port in (*source.inputs, *source.sum_inputs):
        structs.append(_input(port, sweep, arrays, alive))
    return (_PointStruct * max(1, len(structs)))(*structs), alive


def _output(
    port: Port, sweep: Sweep, arrays: _Arrays, data: Tensor, alive: list[object]
) -> _PointStruct:
    points = sweep.outputs[port.name]
    offsets = _elements(points.cells, arrays.layout[port.field], port.field, sweep)
    weight = points.weights.astype(str(sweep.dtype).removeprefix("torch."))
    kept = (points.first, points.rowptr, offsets, weight, data)
    alive.append(kept)
    return _PointStruct(
        points.first.ctypes.data,
        points.rowptr.ctypes.data,
        offsets.ctypes.data,
        None,
        None,
        weight.ctypes.data,
        data.data_ptr(),
        points.count,
    )


def _input(port: Port, sweep: Sweep, arrays: _Arrays, alive: list[object]) -> _PointStruct:
    """Points by cell instead: every cell is added to once, in a fixed order, by one thread."""
    injection = sweep.inputs[port.name]
    points, data = injection.points, injection.amplitudes.detach().contiguous()
    owners = np.repeat(np.arange(points.count), np.diff(points.rowptr))
    shots = np.searchsorted(points.first, owners, side="right") - 1
    shape = sweep.program.shape
    inside = _inside(points.cells, _box_of(port.field, sweep))
    flat = np.ravel_multi_index(tuple(np.clip(points.cells.T, 0, np.array(shape)[:, None] - 1)), shape)
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
    return _PointStruct(
        first.ctypes.data,
        rowptr.ctypes.data,
        offsets.ctypes.data,
        place.ctypes.data,
        column.ctypes.data,
        weight.ctypes.data,
        data.data_ptr(),
        points.count,
    )


def _box_of(field: str, sweep: Sweep) -> tuple[tuple[int, int], ...]:
    for program in (sweep.program, sweep.sampled):
        if program is not None and field in program.fields:
            return program.fields[field]
    raise KeyError(field)


def _inside(cells: NDArray[np.int32], box: tuple[tuple[int, int], ...]) -> NDArray[np.bool_]:
    low, high = np.array(box).T
    return np.all((cells >= low) & (cells < high), axis=-1)


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


def _results(sweep: Sweep, arrays: _Arrays) -> dict[str, Tensor]:
    results = {}
    for name in sweep.results:
        box = _box_of(name, sweep)
        whole = torch.zeros(sweep.n_shots, *sweep.program.shape, dtype=sweep.dtype)
        inside = (slice(None), *(slice(lo, hi) for lo, hi in box))
        values = arrays.layout[name].view(arrays.memory[name])
        whole[inside] = torch.from_numpy(np.ascontiguousarray(values[inside]))
        results[name] = whole
    return results


def _longs(values: Sequence[int]) -> ctypes.Array[ctypes.c_long]:
    return (ctypes.c_long * max(1, len(values)))(*map(int, values))


__all__ = ["Compiled", "Monomial"]
