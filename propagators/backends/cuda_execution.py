"""A sweep as launches of emitted kernels, on the device where its coefficients are."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from math import lcm

import torch
from torch import Tensor

from wavepipe.propagators.backends.card import Card
from wavepipe.propagators.backends.cuda_launches import Launch, Pointers, launch
from wavepipe.propagators.backends.cuda_points import PortArrays, input_arrays, output_arrays
from wavepipe.propagators.backends.emit_cuda import Kernel, emit
from wavepipe.propagators.backends.layout import ArrayLayout, layouts, rounded
from wavepipe.propagators.backends.sweep import (
    C_NAMES,
    History,
    Memory,
    Sweep,
    SweepResult,
    as_tensor,
)
from wavepipe.propagators.errors import BackendError, CardMemoryError
from wavepipe.propagators.stencil.program import lasting, swapped_places

BLOCK = 32
"""Steps that are enqueued at once, about."""

MOST_CELLS = 2**31 - 2**24
"""Of an array of one shot: elements are counted in 32 bits, also a little beyond its end."""

MOST_SHOTS = 65535
"""Blocks of a launch along its second axis."""


class CudaExecution:
    """A sweep whose arrays are torch tensors on the device, and its launches step by step."""

    def __init__(self, sweep: Sweep, card: Card) -> None:
        self._sweep = sweep
        self._slots = tuple(sweep.history.slots) if sweep.history and sweep.sampled else ()
        dtype, programs = C_NAMES[sweep.dtype], (sweep.program, sweep.sampled)
        self._module = card.module(
            sweep.program.ndim, dtype, lambda tile: emit(*programs, self._slots, dtype, tile)
        )
        self._layout = layouts(sweep.programs, self._slots, sweep.dtype.itemsize)
        _check_sizes(sweep, self._layout)
        self._device = sweep.device
        self._tensors = _room(sweep, self._layout, self._slots, card)
        for name, values in sweep.initial.items():
            boxed(self._tensors[name], self._layout[name]).copy_(values)
        self._recorded = {
            name: torch.empty(sweep.n_steps, points.count, dtype=sweep.dtype, device=self._device)
            for name, points in sweep.outputs.items()
        }
        self._clock = torch.zeros(4, dtype=torch.int32, device=self._device)
        self._points: dict[str, list[PortArrays]] = {}
        self._kinds: dict[tuple[int, ...], list[list[Launch]]] = {}
        self._met: set[tuple[int, ...]] = set()
        self._blocks: dict[tuple[int, ...], tuple[Callable[[], None], Tensor]] = {}
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
        clock = torch.tensor([start, direction, stride, first], dtype=torch.int32)
        self._clock.copy_(clock, non_blocking=True)  # taken at once, as little as it is
        slots = {**history.slots, **history.strips} if history else {}
        # What decides the launches of the steps to come, but for the clock.
        meets = start % stride if self._slots else 0
        key: tuple[int, ...] = (begin % self._parity, meets)
        key += tuple(n for one in slots.values() for n in (one.data_ptr(), *one.stride()[:2]))
        period = lcm(self._parity, stride if self._slots else 1)
        kinds = self._kinds.setdefault(key, [])
        pointers = Pointers(self._tensors, self._layout, slots, self._clock)
        for k in range(len(kinds), min(period, end - begin)):
            sampled = bool(self._slots) and (start + direction * k) % stride == 0
            kernels = self._module.source.steps[int(sampled)]
            kinds.append(self._launches(kernels, pointers, begin + k))
        self._run(key, kinds, end - begin, direction)
        self._step = end

    def _run(
        self, key: tuple[int, ...], kinds: Sequence[Sequence[Launch]], steps: int, direction: int
    ) -> None:
        """Steps that repeat `kinds`: in blocks that begin alike, so that one is all of them."""

        def enqueue(count: int) -> None:
            for k in range(count):
                for one in kinds[k % len(kinds)]:
                    one.arguments.k = k
                self._module.launch(kinds[k % len(kinds)])

        def block() -> None:
            enqueue(length)
            self._clock.add_(ahead)

        length = min(-(-BLOCK // max(1, len(kinds))), steps // max(1, len(kinds))) * len(kinds)
        blocks = steps // length if length else 0
        name = (*key, length)
        if blocks > 1 or name in self._met:
            steps -= blocks * length
            if name not in self._blocks:
                ahead = torch.tensor([direction * length, 0, 0, 0], dtype=torch.int32)
                ahead = ahead.to(self._device, non_blocking=True)
                self._blocks[name] = self._module.recorded(block), ahead
                blocks -= 1
            for _ in range(blocks):
                self._blocks[name][0]()
        self._met.add(name)
        enqueue(steps)

    @property
    def state_bytes(self) -> int:
        """Lasting fields with their halos."""
        return sum(self._tensors[name].nbytes for name in lasting(self._sweep.programs))

    def save(self, memory: Memory) -> None:
        """See `Execution`."""
        for tensor, part in self._parts(memory):
            part.copy_(tensor)

    def restore(self, memory: Memory | None, step: int) -> None:
        """See `Execution`."""
        self._step = step
        if memory is None:
            for tensor in self._lasting():
                tensor.zero_()
            return
        for tensor, part in self._parts(memory):
            tensor.copy_(part)

    def result(self) -> SweepResult:
        """See `Execution`."""
        sweep, fields = self._sweep, {}
        places = swapped_places(sweep.program, self._step)
        for name in sweep.results:
            box = sweep.box_of(name)
            whole = torch.zeros(
                sweep.n_shots, *sweep.program.shape, dtype=sweep.dtype, device=self._device
            )
            inside = (slice(None), *(slice(lo, hi) for lo, hi in box))
            held = self._tensors[places.get(name, name)]
            whole[inside] = boxed(held, self._layout[name])[inside]
            fields[name] = whole
        return SweepResult(self._recorded, fields)

    @cached_property
    def _parity(self) -> int:
        """Steps after which every field is back in its own array."""
        program, steps = self._sweep.program, 1
        while any(name != place for name, place in swapped_places(program, steps).items()):
            steps += 1
        return steps

    def _launches(self, kernels: Sequence[Kernel], memory: Pointers, step: int) -> list[Launch]:
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

    def _lasting(self) -> Iterator[Tensor]:
        """The array of every lasting field at this step."""
        places = swapped_places(self._sweep.program, self._step)
        for name in lasting(self._sweep.programs):
            yield self._tensors[places.get(name, name)]

    def _parts(self, memory: Memory) -> Iterator[tuple[Tensor, Tensor]]:
        """The arrays of lasting fields at this step, and their parts of a saved state."""
        start = 0
        for tensor in self._lasting():
            part = as_tensor(memory)[start : start + tensor.nbytes]
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


def _room(
    sweep: Sweep, layout: Mapping[str, ArrayLayout], slots: Sequence[str], card: Card
) -> dict[str, Tensor]:
    """Every array but the history's; CardMemoryError says how many shots would fit."""
    shapes, owners = _shapes(sweep, layout, slots)
    with suppress(torch.OutOfMemoryError):
        return _allocated(sweep, layout, shapes, owners)
    # Only here is free what was allocated before: a traceback would hold it.
    raise CardMemoryError(_too_large(sweep, shapes, card.free_memory()))


def _too_large(sweep: Sweep, shapes: Mapping[str, tuple[int, int]], free: int) -> str:
    """What does not fit, and what would."""
    item = sweep.dtype.itemsize
    shared = item * sum(
        size for name, (shots, size) in shapes.items() if shots == 1 and name in sweep.coefficients
    )
    total = item * sum(shots * size for shots, size in shapes.values())
    each = (total - shared) // sweep.n_shots
    grid = " x ".join(map(str, sweep.program.shape))
    most = min((free - shared) // each, sweep.n_shots - 1)
    way = "Use a smaller aperture or a coarser grid, or tensors on the CPU."
    if most > 0:
        way = f"Propagate {most} at once at most, or use tensors on the CPU."
    return (
        f"{sweep.n_shots} shots on {grid} cells do not fit on the card: each takes "
        f"{each / 1e9:.3g} GB beside {shared / 1e9:.3g} GB that they share, and {free / 1e9:.3g} "
        f"GB are free. {way}"
    )


def _shapes(
    sweep: Sweep, layout: Mapping[str, ArrayLayout], slots: Sequence[str]
) -> tuple[dict[str, tuple[int, int]], dict[str, str]]:
    """(n_shots or 1, size) of every array, and array -> the one in whose memory it is.

    Coefficients that are one tensor have one memory.
    """
    shapes: dict[str, tuple[int, int]] = {}
    owners: dict[str, str] = {}
    first: dict[int, str] = {}
    for name, place in layout.items():
        if name in slots or name in sweep.program.strips:
            continue
        given, shots = sweep.coefficients.get(name), sweep.n_shots
        if given is not None:
            shots = 1 if given.ndim == 1 else given.shape[0]
            owners[name] = first.setdefault(given.data_ptr(), name)
        if owners.setdefault(name, name) == name:
            shapes[name] = shots, rounded(place.size, sweep.dtype.itemsize)
    return shapes, owners


def _allocated(
    sweep: Sweep,
    layout: Mapping[str, ArrayLayout],
    shapes: Mapping[str, tuple[int, int]],
    owners: Mapping[str, str],
) -> dict[str, Tensor]:
    """Every array: zeros, and the coefficients."""
    tensors: dict[str, Tensor] = {}
    for name, shape in shapes.items():
        tensors[name] = torch.zeros(*shape, dtype=sweep.dtype, device=sweep.device)
        if name in sweep.coefficients:
            target = boxed(tensors[name], layout[name])
            target.copy_(sweep.coefficients[name].detach().reshape(target.shape))
    return {name: tensors[owner] for name, owner in owners.items()}
