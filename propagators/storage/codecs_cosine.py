"""The codec for smooth wavefields: cosine transforms of blocks, bits where they count most."""

import ctypes
from math import inf, prod

import numpy as np
from numpy.typing import NDArray

from wavepipe.propagators.storage.codecs_library import check, library, pointer, whole_lines

SOURCES = ("codecs_tiles.h", "codecs_transform.h", "codecs_cosine.c")

EDGE = 8
"""Values along an edge of a block."""

LANES = 16
"""Blocks of a tile, which share their scales and bits."""

HEAD = 64
"""Bytes in front of the codes."""

BROKEN = 254
"""Code of a tile with a value that is not finite."""

QUIETEST = -4 * 120
"""Quarter octaves; what is fainter counts as zero."""

STEEPEST = 1.5
"""Of the curve that makes levels finer near zero."""

ROUNDING = 4e-6
"""Relative error of two transforms in single precision."""


class CosineCodec:
    """A fixed number of bits a value, given to blocks and wavenumbers by their amplitude.

    Parameters
    ----------
    bits
        Mean bits of a value, all counted.

    Notes
    -----
    Blocks of 8 x 8 (x 8) values are transformed by an orthonormal cosine transform (Ahmed,
    Natarajan and Rao, 1974). Coefficients of 16 neighbouring blocks whose indices have the same
    sum are a class, which stores its largest amplitude A to a quarter octave and gets
    ``b = log2(A / step)`` bits (reverse water-filling: Cover and Thomas, 2006, section 10.3.3).
    The step of these blocks is proportional to the power 3/8 of their largest amplitude, and as
    fine as the bits of the whole slot allow. The levels of a coefficient x follow
    ``x = A (y + y |y|) / 2`` with equidistant y, so that an error is at most ``1.5 A / (2^b - 1)``,
    or A without bits; that of a value is at most the root of the sum of their squares over a block.

    What surpasses 7e36 counts as not finite: it makes its 16 blocks NaN.
    """

    def __init__(self, bits: int) -> None:
        self.bits = bits

    @property
    def name(self) -> str:
        """``cosine`` and the bits of a value."""
        return f"cosine{self.bits}"

    def size(self, shape: tuple[int, ...], itemsize: int) -> int:
        """`bits` for each value; in small slots `bits` for those of a tile, besides amplitudes."""
        del itemsize
        tile = LANES * prod((EDGE,) * len(shape)) * self.bits // 8
        return max(whole_lines(prod(shape) * self.bits // 8), front_of(shape) + tile)

    def encode(self, slots: NDArray[np.floating], out: NDArray[np.uint8], threads: int = 1) -> None:
        """See `Codec`."""
        shape = slots.shape[1:]
        check(slots, out, self.size(shape, slots.itemsize))
        tiles, classes = tiles_of(shape), classes_of(shape)
        loudness = np.empty(tiles * classes, np.int16)
        starts = np.empty(tiles + 1, np.int64)
        _library(slots).encode(
            pointer(slots),
            _extents(shape),
            pointer(out),
            ctypes.c_long(out.size),
            pointer(loudness),
            pointer(starts),
            threads,
        )

    def decode(self, data: NDArray[np.uint8], out: NDArray[np.floating], threads: int = 1) -> None:
        """See `Codec`."""
        shape = out.shape[1:]
        check(out, data, self.size(shape, out.itemsize))
        starts = np.empty(tiles_of(shape) + 1, np.int64)
        _library(out).decode(pointer(data), _extents(shape), pointer(out), pointer(starts), threads)

    def bound(self, slots: NDArray[np.floating]) -> float:
        """From the bits that these slots' coefficients get."""
        shape = slots.shape[1:]
        data = np.zeros(self.size(shape, slots.itemsize), np.uint8)
        self.encode(slots, data)
        tiles, classes = tiles_of(shape), classes_of(shape)
        bits = np.empty((tiles, classes), np.uint8)
        _library(slots).allotted(pointer(data), _extents(shape), pointer(bits))
        codes = data[HEAD : HEAD + bits.size].reshape(bits.shape)
        if (codes == BROKEN).any():
            return inf
        below = np.minimum(codes, BROKEN).astype(float)  # what is fainter counts as zero
        amplitude = 2.0 ** (np.maximum(data[:4].view(np.int32)[0] - below, QUIETEST) / 4)
        levels = 2.0 ** np.maximum(bits, 1) - 1
        error = np.where(bits > 0, STEEPEST / levels, 1.0) * amplitude
        members = np.bincount(np.indices((EDGE,) * len(shape)).sum(0).ravel())
        worst = np.sqrt((members * error**2).sum(1)) + ROUNDING * np.sqrt(
            (members * amplitude**2).sum(1)
        )
        return float(worst.max())


def classes_of(shape: tuple[int, ...]) -> int:
    """Wavenumbers that are told apart: sums of a coefficient's indices."""
    return len(shape) * (EDGE - 1) + 1


def tiles_of(shape: tuple[int, ...]) -> int:
    """Of `LANES` blocks each, which a slot is cut into."""
    if len(shape) not in (2, 3):
        raise ValueError(f"slots have two or three axes, not the shape {shape}.")
    return -(-prod(-(-n // EDGE) for n in shape) // LANES)


def front_of(shape: tuple[int, ...]) -> int:
    """Bytes in front of the coefficients."""
    return HEAD + whole_lines(tiles_of(shape) * classes_of(shape))


def _extents(shape: tuple[int, ...]) -> ctypes.Array[ctypes.c_long]:
    return (ctypes.c_long * 3)(*(1,) * (3 - len(shape)), *shape)


def _library(slots: NDArray[np.floating]) -> ctypes.CDLL:
    return library(SOURCES, slots.dtype, EDGE if slots.ndim == 4 else 1)
