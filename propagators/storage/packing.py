"""How a slot of a history is laid out where it is archived."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from wavepipe.propagators.backends.sweep import History, Memory
from wavepipe.propagators.storage.codecs import Codec
from wavepipe.propagators.storage.codecs_library import whole_lines
from wavepipe.propagators.storage.history import HistoryShape


class Packing:
    """The parts of every sum and shot, encoded, then the strips of the slot's steps as they are.

    Waves go on from strips on their way back, so what a codec loses would be in all of them.
    """

    def __init__(self, shape: HistoryShape, codec: Codec) -> None:
        self._shape, self._codec = shape, codec
        self.size = shape.encoded_bytes(codec)
        """Bytes of a slot."""

    def pack(self, slots: History, index: int, out: Memory) -> None:
        """Write a slot to (size,) bytes."""
        out, start = np.asarray(out), 0
        for part in self._sums(slots, index):
            size = self._codec.size(part.shape[1:], part.itemsize)
            self._codec.encode(
                np.ascontiguousarray(part), out[start : start + size], torch.get_num_threads()
            )
            start += size
        for strip in self._strips(slots, index):
            size = whole_lines(strip.nbytes)
            out[start : start + strip.nbytes].view(strip.dtype)[:] = strip.reshape(-1)
            out[start + strip.nbytes : start + size] = 0
            start += size
        out[start:] = 0

    def unpack(self, data: Memory, into: History, index: int) -> None:
        """Bring a slot back from (size,) bytes."""
        data, start = np.asarray(data), 0
        for part in self._sums(into, index):
            size = self._codec.size(part.shape[1:], part.itemsize)
            whole = part if part.flags.c_contiguous else np.empty(part.shape, part.dtype)
            self._codec.decode(data[start : start + size], whole, torch.get_num_threads())
            if whole is not part:
                np.copyto(part, whole)
            start += size
        for strip in self._strips(into, index):
            strip.reshape(-1)[:] = data[start : start + strip.nbytes].view(strip.dtype)
            start += whole_lines(strip.nbytes)

    def _sums(self, slots: History, index: int) -> Iterator[NDArray[np.floating]]:
        """Parts of every sum and shot, each (1, *cells)."""
        for tensor in slots.slots.values():
            for whole in tensor[:, index : index + 1].numpy():
                if self._shape.boxes is None:
                    yield whole
                for box in self._shape.boxes or ():
                    yield whole[(slice(None), *(slice(lo, hi) for lo, hi in box))]

    def _strips(self, slots: History, index: int) -> Iterator[NDArray[np.floating]]:
        """Strips of every field and shot at the steps of a slot, each contiguous."""
        steps = slice(index * slots.stride, (index + 1) * slots.stride)
        for tensor in slots.strips.values():
            yield from tensor[:, steps].numpy()
