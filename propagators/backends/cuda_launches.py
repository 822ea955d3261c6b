"""Launches of a step: arguments and blocks of every kernel.

Arguments are one struct by value, so that a kernel finds pointers, strides and bounds in the bank
of constants. From step to step only the number of the step in a stretch differs, and with the
parity of swaps the pointers; times and slots come from a clock, which lies on the device.
"""

import ctypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from wavepipe.propagators.backends.cuda_points import InputStruct, OutputStruct, PortArrays
from wavepipe.propagators.backends.emit_cuda import GROUP, Kernel, Tile
from wavepipe.propagators.backends.layout import ArrayLayout

COLUMN = 64
"""Planes that a thread marches; a choice that changes no bit."""

_AXES = ("z", "y", "x")


class RegionStruct(ctypes.Structure):
    """Mirror of `region` in the emitted code."""

    _fields_ = [
        *((n, ctypes.c_int) for n in ("first", "step", "shift", "across", "down", "deep", "chunk")),
        *((f"{axis}_{end}", ctypes.c_int) for axis in _AXES for end in ("lo", "hi")),
    ]


@dataclass(frozen=True)
class Launch:
    """A kernel, its blocks and its arguments; `k` of these is the number of the step."""

    kernel: str
    grid: tuple[int, int]
    arguments: ctypes.Structure


@dataclass(frozen=True, slots=True)
class Pointers:
    """Arrays of a sweep on the device."""

    tensors: Mapping[str, Tensor]
    """Name -> (n_shots or 1, size)."""
    layout: Mapping[str, ArrayLayout]
    slots: Mapping[str, Tensor]
    """Name -> (n_shots, n_slots, *shape), for arrays that are slots or strips of a history."""
    clock: Tensor
    """(4,) int32: time of the first step of a stretch, direction, stride, first slot."""

    def pointer(self, name: str) -> tuple[int, int, int]:
        """Address of element (0, 0, ...) of the first shot, elements between shots and slots."""
        slots = self.slots.get(name)
        tensor = self.tensors[name] if slots is None else slots
        address = tensor.data_ptr() + self.layout[name].origin * tensor.element_size()
        between = tensor.stride(0) if tensor.shape[0] > 1 else 0
        return address, between, 0 if slots is None else slots.stride(1)


def launch(
    kernel: Kernel,
    memory: Pointers,
    places: Mapping[str, str],
    points: Callable[[Kernel], Sequence[PortArrays]],
    tile: Tile,
    n_shots: int,
) -> Launch:
    """A kernel with everything it is given.

    Parameters
    ----------
    places
        Field -> array that holds it during the updates of this step.
    points
        Those of a kernel's ports.
    """
    found = {name: memory.pointer(places.get(name, name)) for name in kernel.arrays}
    arguments: ctypes.Structure
    structs: ctypes.Array[Any]
    pieces: list[tuple[str, type, object]] = []
    pieces += [(n, ctypes.c_void_p, found[n][0]) for n in kernel.arrays]
    pieces += [(f"{n}_shot", ctypes.c_longlong, found[n][1]) for n in kernel.arrays]
    pieces += [(f"{n}_slot", ctypes.c_longlong, found[n][2]) for n in kernel.slots]
    pieces += [("clock", ctypes.c_void_p, memory.clock.data_ptr()), ("k", ctypes.c_int, 0)]
    if kernel.ports:
        structs, blocks = _points(points(kernel), kernel.reads, tile)
        pieces.append(("points", type(structs), structs))
        grid = (blocks, 1)
    else:
        for name in kernel.strided:
            strides = memory.layout[name].strides[:-1]
            pieces += [(f"{name}_s{a}", ctypes.c_int, s) for a, s in enumerate(strides)]
        bounds = (ctypes.c_int * len(kernel.bounds))(*kernel.bounds)
        structs, blocks = _regions(kernel, tile)
        pieces += [("bounds", type(bounds), bounds), ("regions", type(structs), structs)]
        grid = (blocks, n_shots)
    fields = [(name, kind) for name, kind, _ in pieces]
    struct = type(f"{kernel.name}_arguments", (ctypes.Structure,), {"_fields_": fields})
    arguments = struct(*(value for _, _, value in pieces))
    return Launch(kernel.name, grid, arguments)


def _regions(kernel: Kernel, tile: Tile) -> tuple[ctypes.Array[RegionStruct], int]:
    """Boxes cut into tiles, and blocks for all of them."""
    structs, first, most = [], 0, 0
    step = len(kernel.boxes) if kernel.beside else 1
    for number, box in enumerate(kernel.boxes):
        z, *y, x = box
        (y_lo, y_hi) = y[0] if y else (0, 1)
        vectors = -(-x[1] // tile.lanes) - x[0] // tile.lanes
        shift = min(tile.across.bit_length() - 1, (vectors - 1).bit_length())
        lines = tile.threads >> shift
        across = -(-vectors // (1 << shift))
        if y:
            down, deep = -(-(y_hi - y_lo) // lines), -(-(z[1] - z[0]) // COLUMN)
        else:
            down, deep = -(-(z[1] - z[0]) // lines), 1
        tiles = across * down * deep
        start = number if kernel.beside else first
        cut = (shift, across, down, deep, COLUMN)
        structs.append(RegionStruct(start, step, *cut, *z, y_lo, y_hi, *x))
        first, most = first + tiles, max(most, tiles)
    return (RegionStruct * len(structs))(*structs), most * step if kernel.beside else first


def _points(
    ports: Sequence[PortArrays], reads: bool, tile: Tile
) -> tuple[ctypes.Array[ctypes.Structure], int]:
    kind: type[ctypes.Structure] = OutputStruct if reads else InputStruct
    structs, first = [], 0
    for port in ports:
        pointers = {name: tensor.data_ptr() for name, tensor in port.arrays.items()}
        more = {} if reads else {"columns": port.columns}
        structs.append(kind(**pointers, count=port.count, first=first, **more))
        threads = port.count * (GROUP if reads else 1)
        first += max(1, -(-threads // tile.threads))
    return (kind * len(structs))(*structs), first
