"""The compiled back-end: C emitted for a program, one native call for all its steps."""

import ctypes
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wavepipe.propagators.backends.compiler import load
from wavepipe.propagators.backends.division import Division, divided
from wavepipe.propagators.backends.emit_c import emit
from wavepipe.propagators.backends.layout import (
    LINE,
    layouts,
    rounded,
    vector_length,
)
from wavepipe.propagators.backends.ports import Arrays, PointStruct, box_of, port_structs
from wavepipe.propagators.backends.source import Source
from wavepipe.propagators.backends.sweep import Sweep, SweepResult

_C_NAMES = {torch.float32: "float", torch.float64: "double"}


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
            name: torch.empty(sweep.n_steps, points.count, dtype=sweep.dtype)
            for name, points in sweep.outputs.items()
        }
        division = divided(sweep, source.lag, arrays)
        structs, alive = port_structs(sweep, source, arrays, recorded, division.block)
        _call(library, sweep, source, arrays, slots, structs, division)
        del alive
        return SweepResult(recorded, _results(sweep, arrays))


def _call(
    library: ctypes.CDLL,
    sweep: Sweep,
    source: Source,
    arrays: Arrays,
    slots: Sequence[str],
    structs: ctypes.Array[PointStruct],
    division: Division,
) -> None:
    itemsize, shape = sweep.dtype.itemsize, sweep.program.shape
    stride = sweep.history.stride if sweep.history else 1
    lines = shape[1] if len(shape) == 3 else 1
    numbers = [sweep.n_shots, sweep.n_steps, 0, sweep.n_steps, division.block, stride]
    numbers += [sweep.backwards, division.by_shot, division.threads]
    numbers += [shape[0], lines, division.strip, division.band]
    pointers, per_shot, per_slot, strides = [], [], [], list[int]()
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
        _longs(source.bounds),
        structs,
    )


def _allocate(sweep: Sweep, slots: Sequence[str]) -> Arrays:
    programs = [sweep.program] if sweep.sampled is None else [sweep.program, sweep.sampled]
    itemsize = sweep.dtype.itemsize
    layout = layouts(programs, slots, itemsize)
    memory: dict[str, NDArray[np.generic]] = {}
    shared: dict[int, NDArray[np.generic]] = {}  # coefficients that are one tensor
    kind = np.dtype(str(sweep.dtype).removeprefix("torch."))
    for name, place in layout.items():
        if sweep.history is not None and name in slots:
            memory[name] = sweep.history.slots[name].numpy()
            continue
        given = sweep.coefficients.get(name)
        if given is None:
            memory[name] = _zeros(sweep.n_shots, place.size, kind)
        elif given.data_ptr() in shared:
            memory[name] = shared[given.data_ptr()]
        else:
            memory[name] = _zeros(1 if given.ndim == 1 else given.shape[0], place.size, kind)
            shared[given.data_ptr()] = memory[name]
            target = place.view(memory[name])
            target[...] = given.detach().numpy().reshape(target.shape)
    return Arrays(memory, layout)


def _zeros(shots: int, size: int, kind: np.dtype[np.generic]) -> NDArray[np.generic]:
    """(shots, size) zeros, every shot at the start of a cache line."""
    size = rounded(size, kind.itemsize)
    raw = np.zeros(shots * size + vector_length(kind.itemsize), dtype=kind)
    start = -(raw.ctypes.data // kind.itemsize) % (LINE // kind.itemsize)
    return raw[start : start + shots * size].reshape(shots, size)


def _results(sweep: Sweep, arrays: Arrays) -> dict[str, Tensor]:
    results = {}
    for name in sweep.results:
        box = box_of(name, sweep)
        whole = torch.zeros(sweep.n_shots, *sweep.program.shape, dtype=sweep.dtype)
        inside = (slice(None), *(slice(lo, hi) for lo, hi in box))
        values = arrays.layout[name].view(arrays.memory[name])
        whole[inside] = torch.from_numpy(np.ascontiguousarray(values[inside]))
        results[name] = whole
    return results


def _longs(values: Sequence[int]) -> ctypes.Array[ctypes.c_long]:
    return (ctypes.c_long * max(1, len(values)))(*map(int, values))
