"""The compiled back-end: C emitted for a program, one native call for a stretch of its steps."""

import ctypes
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wavepipe.propagators.backends.compiler import load
from wavepipe.propagators.backends.division import divided
from wavepipe.propagators.backends.emit_c import emit
from wavepipe.propagators.backends.heap import make_room
from wavepipe.propagators.backends.layout import (
    layouts,
    rounded,
    vector_length,
)
from wavepipe.propagators.backends.ports import Arrays, port_structs
from wavepipe.propagators.backends.sweep import (
    C_NAMES,
    History,
    Memory,
    Sweep,
    SweepResult,
    numpy_type,
)
from wavepipe.propagators.backends.vectorised import Vectorised
from wavepipe.propagators.stencil.program import lasting, swapped_places


class Compiled(Vectorised):
    """Emitted C; threads over shots where there are enough of them, over the grid otherwise."""

    name = "c"

    def start(self, sweep: Sweep) -> "CompiledExecution":
        """A sweep in front of its first step; its steps are made without the GIL."""
        return CompiledExecution(sweep)


class CompiledExecution:
    """A sweep in compiled code: its arrays, and one native call for each stretch of steps."""

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep
        self._slots = tuple(sweep.history.slots) if sweep.history and sweep.sampled else ()
        self._strips = sweep.program.strips
        self._source = emit(sweep.program, sweep.sampled, self._slots, C_NAMES[sweep.dtype])
        self._library = load(self._source.text)
        self._arrays = _allocate(sweep, self._slots)
        for name, values in sweep.initial.items():
            self._arrays.layout[name].view(self._arrays.memory[name])[...] = values.numpy()
        self._recorded = {
            name: torch.empty(sweep.n_steps, points.count, dtype=sweep.dtype)
            for name, points in sweep.outputs.items()
        }
        self._division = divided(sweep, self._source.lag, self._arrays)
        self._structs, self._alive = port_structs(
            sweep, self._source, self._arrays, self._recorded, self._division.block
        )
        self._step = 0

    def advance(self, begin: int, end: int, history: History | None = None) -> None:
        """See `Execution`; without the GIL."""
        sweep, division = self._sweep, self._division
        if begin != self._step or not begin <= end <= sweep.n_steps:
            raise ValueError(
                f"steps {begin} to {end} of {sweep.n_steps} do not follow step {self._step}."
            )
        history = history or sweep.history
        if history is not None and self._slots:
            history.check(sweep.times(begin, end))
        shape = sweep.program.shape
        lines = shape[1] if len(shape) == 3 else 1
        numbers = [sweep.n_shots, sweep.n_steps, begin, end, division.block]
        numbers += [history.stride if history else 1, sweep.backwards]
        numbers += [division.by_shot, division.threads]
        numbers += [shape[0], lines, division.strip, division.band]
        numbers += [history.first if history else 0]
        self._call(numbers, history)
        self._step = end

    @property
    def state_bytes(self) -> int:
        """Lasting fields with their halos."""
        return sum(self._arrays.memory[name].nbytes for name in lasting(self._sweep.programs))

    def save(self, memory: Memory) -> None:
        """See `Execution`."""
        for array, part in self._parts(memory):
            np.copyto(part, array)

    def restore(self, memory: Memory | None, step: int) -> None:
        """See `Execution`."""
        self._step = step
        if memory is None:
            for array in self._lasting():
                array.fill(0)
            return
        for array, part in self._parts(memory):
            np.copyto(array, part)

    def result(self) -> SweepResult:
        """See `Execution`."""
        return SweepResult(self._recorded, _results(self._sweep, self._arrays, self._step))

    def _parts(self, memory: Memory) -> Iterator[tuple[NDArray[np.generic], NDArray[np.generic]]]:
        """The arrays of lasting fields at this step, and their parts of a saved state."""
        memory, start = np.asarray(memory), 0
        for array in self._lasting():
            part = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
            start += array.nbytes
            yield array, part

    def _lasting(self) -> Iterator[NDArray[np.generic]]:
        """The array of every lasting field at this step."""
        places = swapped_places(self._sweep.program, self._step)
        for name in lasting(self._sweep.programs):
            yield self._arrays.memory[places.get(name, name)]

    def _call(self, numbers: Sequence[int], history: History | None) -> None:
        itemsize, source, n_shots = self._sweep.dtype.itemsize, self._source, self._sweep.n_shots
        pointers, per_shot, per_slot, strides = [], [], [], list[int]()
        for name in source.arrays:
            layout, memory = self._arrays.layout[name], self._arrays.memory.get(name)
            slot = 0
            if history is not None and name in (*self._slots, *self._strips):
                memory = (history.strips if name in self._strips else history.slots)[name].numpy()
                slot = memory.strides[1] // itemsize
            assert memory is not None
            pointers.append(memory.ctypes.data + layout.origin * itemsize)
            shared = memory.shape[0] == 1 and n_shots > 1
            per_shot.append(0 if shared else memory.strides[0] // itemsize)
            per_slot.append(slot)
            strides += layout.strides
        self._library.run(
            _longs(numbers),
            (ctypes.c_void_p * len(pointers))(*pointers),
            _longs(per_shot),
            _longs(per_slot),
            _longs(strides),
            _longs(source.bounds),
            self._structs,
        )


def _allocate(sweep: Sweep, slots: Sequence[str]) -> Arrays:
    """Every array but the history's, in one block: large enough for huge pages also in 2-D."""
    kind = numpy_type(sweep.dtype)
    layout = layouts(sweep.programs, slots, kind.itemsize)
    names = [name for name in layout if name not in slots and name not in sweep.program.strips]
    given = {name: sweep.coefficients[name] for name in names if name in sweep.coefficients}
    owners: dict[int, str] = {}  # coefficients that are one tensor have one memory
    owner = {name: owners.setdefault(one.data_ptr(), name) for name, one in given.items()}
    shapes: dict[str, tuple[int, int]] = {}
    for name in names:
        if owner.get(name, name) == name:
            shots = sweep.n_shots
            if name in given:
                shots = 1 if given[name].ndim == 1 else given[name].shape[0]
            shapes[name] = shots, rounded(layout[name].size, kind.itemsize)
    block = _zeros(sum(shots * size for shots, size in shapes.values()), kind)
    memory: dict[str, NDArray[np.generic]] = {}
    for name, (shots, size) in shapes.items():
        memory[name], block = block[: shots * size].reshape(shots, size), block[shots * size :]
        if name in given:
            target = layout[name].view(memory[name])
            target[...] = given[name].detach().numpy().reshape(target.shape)
    return Arrays(memory | {name: memory[first] for name, first in owner.items()}, layout)


def _zeros(size: int, kind: np.dtype[np.generic]) -> NDArray[np.generic]:
    """(size,) zeros that start at a cache line."""
    make_room(size * kind.itemsize)
    raw = np.zeros(size + vector_length(kind.itemsize), dtype=kind)
    start = -(raw.ctypes.data // kind.itemsize) % vector_length(kind.itemsize)
    return raw[start : start + size]


def _results(sweep: Sweep, arrays: Arrays, step: int) -> dict[str, Tensor]:
    results = {}
    places = swapped_places(sweep.program, step)
    for name in sweep.results:
        box = sweep.box_of(name)
        whole = torch.zeros(sweep.n_shots, *sweep.program.shape, dtype=sweep.dtype)
        inside = (slice(None), *(slice(lo, hi) for lo, hi in box))
        values = arrays.layout[name].view(arrays.memory[places.get(name, name)])
        np.copyto(whole.numpy()[inside], values[inside])
        results[name] = whole
    return results


def _longs(values: Sequence[int]) -> ctypes.Array[ctypes.c_long]:
    return (ctypes.c_long * max(1, len(values)))(*map(int, values))
