"""C of the codecs, built for single or double precision, and the memory that is handed to it."""

import ctypes
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wavepipe.propagators.backends.compiler import load
from wavepipe.propagators.backends.denormals import DENORMALS
from wavepipe.propagators.backends.layout import rounded


@cache
def library(sources: tuple[str, ...], dtype: np.dtype[np.floating], deep: int = 1) -> ctypes.CDLL:
    """C files beside this one, one after the other, as a library.

    Parameters
    ----------
    dtype
        Of the slots.
    deep
        ``DEEP`` of the C source.

    Raises
    ------
    BackendError
        There is no compiler, or it refuses the source.
    """
    kind = {4: "float", 8: "double"}[dtype.itemsize]
    folder = Path(__file__).parent
    texts = ((folder / name).read_text() for name in ("codecs.h", *sources))
    defined = f"#define REAL {kind}", f"#define DEEP {deep}", DENORMALS
    return load("\n".join([*defined, *texts]))


def whole_lines(size: int) -> int:
    """`size` in bytes rounded up to cache lines."""
    return rounded(size, itemsize=1)


def pointer(array: NDArray[np.generic]) -> ctypes.c_void_p:
    """Where an array starts."""
    return ctypes.c_void_p(array.ctypes.data)


def check(slots: NDArray[np.floating], data: NDArray[np.uint8], size: int) -> None:
    """Memory that the C code would overrun is refused.

    Raises
    ------
    ValueError
        Other kinds, sizes or strides than those of a slot and its bytes.
    """
    if slots.dtype not in (np.float32, np.float64) or not slots.flags.c_contiguous:
        raise ValueError(f"slots are C-contiguous float32 or float64, not {slots.dtype}.")
    if slots.shape[0] != 1:
        raise ValueError(f"slots are encoded one by one; these are {slots.shape[0]}.")
    if data.dtype != np.uint8 or data.shape != (size,) or not data.flags.c_contiguous:
        raise ValueError(
            f"encoded slots are {size} contiguous bytes, not {data.dtype} of shape {data.shape}."
        )
    if data.ctypes.data % 8:
        raise ValueError("encoded slots must lie at a multiple of 8 bytes in memory.")
