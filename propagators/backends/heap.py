"""What was freed, back to the system.

glibc keeps freed blocks of up to 32 MiB for later: arrays of coefficients that torch made and
dropped would otherwise still count when a sweep takes its own memory.
"""

import ctypes
from functools import cache

LARGE = 64 << 20
"""Bytes; before a block as large as this freed memory is given back. That takes the longer the more
there is, so small calls do without."""


def make_room(size: int) -> None:
    """Give freed memory back before a block of `size` bytes is taken; nothing without glibc."""
    if size >= LARGE and (trim := _trim()) is not None:
        trim(0)


@cache
def _trim() -> "ctypes._NamedFuncPointer | None":
    """malloc_trim(3), called without the GIL."""
    return getattr(ctypes.CDLL(None), "malloc_trim", None)
