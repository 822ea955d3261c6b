"""A sweep as launches of emitted kernels, on the device where its coefficients are."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import lcm
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wavepipe.propagators.backends.c import swapped_places
from wavepipe.propagators.backends.cuda_launches import Launch, Memory, launch
from wavepipe.propagators.backends.cuda_points import PortArrays, input_arrays, output_arrays
from wavepipe.propagators.backends.emit_cuda import CudaSource, Kernel, Tile, emit
from wavepipe.propagators.backends.layout import ArrayLayout, layouts, rounded
from wavepipe.propagators.backends.ports import box_of
from wavepipe.propagators.backends.sweep import History, Sweep, SweepResult
from wavepipe.propagators.errors import BackendError
from wavepipe.propagators.stencil.program import Program, lasting

BLOCK = 32
"""Steps that are enqueued at once, about."""

MOST_CELLS = 2**31 - 2**24
"""Of an array of one shot: elements are counted in 32 bits, also a little beyond its end."""

MOST_SHOTS = 65535
"""Blocks of a launch along its second axis."""

C_NAMES = {torch.float32: "float", torch.float64: "double"}


Emitted = Callable[[Tile], CudaSource]
"""A source, given how its work is cut."""


class Module(Protocol):
    """Emitted source, compiled."""

    @property
    def source(self) -> CudaSource:
        """With the way of cutting the work that was taken."""

    def launch(self, launches: Sequence[Launch]) -> None:
        """Enqueue kernels, in order, on the caller's stream."""

    def repeat(self, block: Callable[[], None], count: int) -> None:
        """Enqueue what `block` enqueues, as many times."""


class Device(Protocol):
    """What compiles and launches kernels."""

    def module(self, ndim: int, dtype: str, emitted: Emitted) -> Module:
        """The compiled source, from a cache where it is there."""


class CudaExecution:
    """A sweep whose arrays are torch tensors on the device, and its launches step by step."""

    def __init__(self, sweep: Sweep, device: Device) -> None:
        self._sweep = sweep
        self._slots = tuple(sweep.history.slots) if sweep.history and sweep.sampled else ()
        dtype, programs = C_NAMES[sweep.dtype], (sweep.program, sweep.sampled)
        self._module = device.module(
            sweep.program.ndim, dtype, lambda tile: emit(*programs, self._slots, dtype, tile)
        )
        self._layout = layouts(sweep.programs, self._slots, sweep.dtype.itemsize)
        _check_sizes(sweep, self._layout)
        self._device = next(iter(sweep.coefficients.values())).device
        self._tensors = _allocated(sweep, self._layout, self._slots, self._device)
        for name, values in sweep.initial.items():
            boxed(self._tensors[name], self._layout[name]).copy_(values)
        self._recorded = {
            name: torch.empty(sweep.n_steps, points.count, dtype=sweep.dtype, device=self._device)
            for name, points in sweep.outputs.items()
        }
        self._clock = torch.zeros(4, dtype=torch.int32, device=self._device)
        self._points: dict[str, list[PortArrays]] = {}
        self._step = 0

    def advance(self, begin: int, end: int, history: History | None = None) -> None:
        """See `Execution`."""
        sweep = self._sweep
        if begin != self._step or not begin <= end <= sweep.n_steps:
            raise ValueError(
                f"steps {begin} to {end} of {sweep.n_steps} do not follow step {self._step}."
            )
        history = history or sweep.history
        times = sweep.times(begin, end)
        if history is not None and self._slots:
            history.check(times)
        stride, first = (history.stride, history.first) if history else (1, 0)
        start, direction = (times.stop - 1, -1) if sweep.backwards else (times.start, 1)
        self._clock.copy_(torch.tensor([start, direction, stride, first], dtype=torch.int32))
        slots = {**history.slots, **history.strips} if history else {}
        memory = Memory(self._tensors, self._layout, slots, self._clock)
        period = lcm(self._parity, stride if self._slots else 1)
        kinds = []
        for k in range(min(period, end - begin)):
            meets = bool(self._slots) and (start + direction * k) % stride == 0
            kernels = self._module.source.steps[int(meets)]
            kinds.append(self._launches(kernels, memory, begin + k))
        self._run(kinds, end - begin, direction)
        self._step = end

    def _run(self, kinds: Sequence[Sequence[Launch]], steps: int, direction: int) -> None:
        """Steps that repeat `kinds`: in blocks that begin alike, so that one is all of them."""

        def enqueue(count: int) -> None:
            for k in range(count):
                for one in kinds[k % len(kinds)]:
                    one.arguments.k = k
                self._module.launch(kinds[k % len(kinds)])

        def block() -> None:
            enqueue(length)
            self._clock.add_(ahead)

        length = -(-BLOCK // max(1, len(kinds))) * len(kinds)
        blocks = steps // length if length else 0
        if blocks > 1:
            ahead = torch.tensor([direction * length, 0, 0, 0], dtype=torch.int32)
            ahead = ahead.to(self._device)
            self._module.repeat(block, blocks)
            steps -= blocks * length
        enqueue(steps)

    @property
    def state_bytes(self) -> int:
        """Lasting fields with their halos."""
        return sum(self._tensors[name].nbytes for name in lasting(self._sweep.programs))

    def save(self, memory: NDArray[np.uint8]) -> None:
        """See `Execution`."""
        for tensor, part in self._parts(memory):
            part.copy_(tensor)

    def restore(self, memory: NDArray[np.uint8], step: int) -> None:
        """See `Execution`."""
        self._step = step
        for tensor, part in self._parts(memory):
            tensor.copy_(part)

    def result(self) -> SweepResult:
        """See `Execution`."""
        sweep, fields = self._sweep, {}
        places = swapped_places(sweep.program, self._step)
        for name in sweep.results:
            box = box_of(name, sweep)
            whole = torch.zeros(
                sweep.n_shots, *sweep.program.shape, dtype=sweep.dtype, device=self._device
            )
            inside = (slice(None), *(slice(lo, hi) for lo, hi in box))
            held = self._tensors[places.get(name, name)]
            whole[inside] = boxed(held, self._layout[name])[inside]
            fields[name] = whole
        return SweepResult(self._recorded, fields)

    @property
    def _parity(self) -> int:
        """Steps after which every field is back in its own array."""
        program, steps = self._sweep.program, 1
        while any(name != place for name, place in swapped_places(program, steps).items()):
            steps += 1
        return steps

    def _launches(self, kernels: Sequence[Kernel], memory: Memory, step: int) -> list[Launch]:
        """Of one step, with fields where they are after the steps before it."""
        program = self._sweep.program
        places = swapped_places(program, step)
        for a, b in program.swaps_before:
            places[a], places[b] = places[b], places[a]
        shots = self._sweep.n_shots
        return [
            launch(kernel, memory, places, self._points_of, self._module.source.tile, shots)
            for kernel in kernels
            if not kernel.ports or any(one.count for one in self._points_of(kernel))
        ]

    def _points_of(self, kernel: Kernel) -> list[PortArrays]:
        """Points of a kernel's ports."""
        if kernel.name not in self._points:
            self._points[kernel.name] = [
                output_arrays(port, self._sweep, self._layout[field], self._recorded[port.name])
                if kernel.reads
                else input_arrays(port, field, self._sweep, self._layout)
                for port, field in kernel.ports
            ]
        return self._points[kernel.name]

    def _parts(self, memory: NDArray[np.uint8]) -> Iterator[tuple[Tensor, Tensor]]:
        """The array of every lasting field at this step, and its part of a saved state."""
        places = swapped_places(self._sweep.program, self._step)
        start = 0
        for name in lasting(self._sweep.programs):
            tensor = self._tensors[places.get(name, name)]
            part = torch.from_numpy(memory[start : start + tensor.nbytes])
            start += tensor.nbytes
            yield tensor, part.view(tensor.dtype).reshape(tensor.shape)


def boxed(flat: Tensor, layout: ArrayLayout) -> Tensor:
    """The box of an array as a view of its (n_shots, size) memory."""
    start = layout.origin + sum(
        lo * s for (lo, _), s in zip(layout.box, layout.strides, strict=True)
    )
    shape = (flat.shape[0], *(hi - lo for lo, hi in layout.box))
    return flat.as_strided(shape, (flat.stride(0), *layout.strides), flat.storage_offset() + start)


def _check_sizes(sweep: Sweep, layout: Mapping[str, ArrayLayout]) -> None:
    """BackendError where the numbers in kernels are too short."""
    cells = max(place.size for place in layout.values())
    if cells > MOST_CELLS:
        raise BackendError(
            f"a shot's wavefield has {cells} cells with its layers; a kernel counts up to "
            f"{MOST_CELLS}. Use a smaller aperture or a coarser grid, or backend 'c' on the CPU."
        )
    if sweep.n_shots > MOST_SHOTS:
        raise BackendError(f"a launch takes up to {MOST_SHOTS} shots, not {sweep.n_shots}.")


def state_bytes(programs: Sequence[Program], n_shots: int, itemsize: int) -> int:
    """Fields that live between the steps of some programs that share them, of all shots."""
    layout = layouts(programs, (), itemsize)
    return sum(rounded(layout[n].size, itemsize) for n in lasting(programs)) * n_shots * itemsize


def _allocated(
    sweep: Sweep,
    layout: Mapping[str, ArrayLayout],
    slots: Sequence[str],
    device: torch.device,
) -> dict[str, Tensor]:
    """Every array but the history's, (n_shots or 1, size); zeros, and the coefficients.

    Coefficients that are one tensor have one memory.
    """
    tensors: dict[str, Tensor] = {}
    copies: dict[int, Tensor] = {}
    for name, place in layout.items():
        if name in slots or name in sweep.program.strips:
            continue
        given = sweep.coefficients.get(name)
        if given is not None and given.data_ptr() in copies:
            tensors[name] = copies[given.data_ptr()]
            continue
        shots = sweep.n_shots
        if given is not None:
            shots = 1 if given.ndim == 1 else given.shape[0]
        size = rounded(place.size, sweep.dtype.itemsize)
        tensors[name] = torch.zeros(shots, size, dtype=sweep.dtype, device=device)
        if given is not None:
            target = boxed(tensors[name], place)
            target.copy_(given.detach().reshape(target.shape))
            copies[given.data_ptr()] = tensors[name]
    return tensors
