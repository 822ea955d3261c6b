"""Codecs of single values: nothing lost, 16 bits each, or 8 bits and a scale."""

import ctypes
from math import inf, prod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from wavepipe.propagators.storage.codecs_library import check, library, pointer, whole_lines

SOURCE = ("codecs_points.c",)


class _Values:
    """A codec that writes scales of blocks of values, then the values in `bits` bits each."""

    name: ClassVar[str]
    bits: ClassVar[int]
    block: ClassVar[int] = 1
    """Values with a common scale."""
    scale_bytes: ClassVar[int] = 0
    relative: ClassVar[float]
    """Largest error over the largest value."""

    def size(self, shape: tuple[int, ...], itemsize: int) -> int:
        """Bytes of scales and values, each up to whole cache lines."""
        del itemsize
        return self._front(prod(shape)) + whole_lines(prod(shape) * self.bits // 8)

    def encode(self, slots: NDArray[np.floating], out: NDArray[np.uint8], threads: int = 1) -> None:
        """See `Codec`."""
        check(slots, out, self.size(slots.shape[1:], slots.itemsize))
        front = self._front(slots.size)
        out[-(-slots.size // self.block) * self.scale_bytes : front] = 0
        out[front + slots.size * self.bits // 8 :] = 0
        call = getattr(library(SOURCE, slots.dtype), f"encode_{self.name}")
        call(pointer(slots), ctypes.c_long(slots.size), pointer(out), threads)

    def decode(self, data: NDArray[np.uint8], out: NDArray[np.floating], threads: int = 1) -> None:
        """See `Codec`."""
        check(out, data, self.size(out.shape[1:], out.itemsize))
        call = getattr(library(SOURCE, out.dtype), f"decode_{self.name}")
        call(pointer(data), ctypes.c_long(out.size), pointer(out), threads)

    def bound(self, slots: NDArray[np.floating]) -> float:
        """`relative` times the largest value, and the rounding to single precision."""
        largest = float(np.abs(slots).max())
        return largest * (self.relative + 2.0**-23) if largest < inf else inf

    def _front(self, count: int) -> int:
        return whole_lines(-(-count // self.block) * self.scale_bytes)


class Float16(_Values):
    """IEEE half precision, times a power of two for each 256 values.

    A value of at least 2^-28 of the largest of its block has a relative error of at most 2^-11;
    a smaller one an absolute error of at most 2^-39 of the largest.
    """

    name, bits, block, scale_bytes = "float16", 16, 256, 2
    relative = 2.0**-11


class BFloat16(_Values):
    """The first 16 bits of single precision: a relative error of at most 2^-8."""

    name, bits = "bfloat16", 16
    relative = 2.0**-8


class Block8(_Values):
    """8 bits a value and a scale for each 64 values that follow each other in memory.

    The error is at most 1/254 of the largest value of the block.
    """

    name, bits, block, scale_bytes = "block8", 8, 64, 4
    relative = 1 / 254


class Uncompressed:
    """All bits."""

    name = "none"

    def size(self, shape: tuple[int, ...], itemsize: int) -> int:
        """Bytes of the values, up to whole cache lines."""
        return whole_lines(prod(shape) * itemsize)

    def encode(self, slots: NDArray[np.floating], out: NDArray[np.uint8], threads: int = 1) -> None:
        """See `Codec`."""
        check(slots, out, self.size(slots.shape[1:], slots.itemsize))
        out[slots.nbytes :] = 0
        _copy(slots, out, slots.nbytes, threads)

    def decode(self, data: NDArray[np.uint8], out: NDArray[np.floating], threads: int = 1) -> None:
        """See `Codec`."""
        check(out, data, self.size(out.shape[1:], out.itemsize))
        _copy(data, out, out.nbytes, threads)

    def bound(self, slots: NDArray[np.floating]) -> float:
        """Nothing is lost."""
        del slots
        return 0.0


def _copy(
    source: NDArray[np.generic], target: NDArray[np.generic], size: int, threads: int
) -> None:
    copy = library(SOURCE, np.dtype(np.float32)).copy
    copy(pointer(source), ctypes.c_long(size), pointer(target), threads)
