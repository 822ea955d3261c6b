"""How slots of a history are made smaller, and what that may cost in accuracy."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wavepipe.propagators.errors import OptionError
from wavepipe.propagators.storage.codecs_cosine import CosineCodec
from wavepipe.propagators.storage.codecs_points import BFloat16, Block8, Float16, Uncompressed


class Codec(Protocol):
    """Slots to bytes and back.

    The size is fixed by the shape, whatever the data. What is written depends on nothing but the
    values: neither on threads nor on what was in memory before. A value that is not finite comes
    back as one that is not, perhaps together with its neighbours.
    """

    @property
    def name(self) -> str:
        """As in `NAMES`."""

    def size(self, shape: tuple[int, ...], itemsize: int) -> int:
        """Bytes of an encoded slot of one shot, a multiple of 64.

        Parameters
        ----------
        shape : (nz, nx) or (nz, ny, nx)
        itemsize
            Bytes of a value: 4 or 8.
        """

    def encode(self, slots: NDArray[np.floating], out: NDArray[np.uint8], threads: int = 1) -> None:
        """Write all bytes of a slot, without the GIL.

        Parameters
        ----------
        slots : (1, *shape), C-contiguous
            In single or double precision. Every value counts, also where rows are padded: what
            was never written must be zero.
        out : (size,), at a multiple of 8 bytes
        """

    def decode(self, data: NDArray[np.uint8], out: NDArray[np.floating], threads: int = 1) -> None:
        """Write all values of a slot, (1, *shape), of the kind that was encoded."""

    def bound(self, slots: NDArray[np.floating]) -> float:
        """The largest absolute error that decoding these slots can show; inf if not finite.

        Values below 1.2e-38, which single precision cannot hold in full, may come back as zero
        besides.
        """


_CODECS: tuple[Codec, ...] = (
    Uncompressed(),
    Float16(),
    BFloat16(),
    Block8(),
    *(CosineCodec(bits) for bits in (6, 4, 3, 2, 1)),
)

NAMES: tuple[str, ...] = tuple(codec.name for codec in _CODECS)
"""From the largest to the smallest."""


def codec_named(name: str) -> Codec:
    """The codec of a name.

    Raises
    ------
    OptionError
        There is none of that name.
    """
    for codec in _CODECS:
        if codec.name == name:
            return codec
    known = ", ".join(repr(n) for n in NAMES)
    raise OptionError(f"storage compression {name!r} does not exist; use {known}.")
