"""How a slot of a history is laid out where a card archives it."""

from collections.abc import Iterator

from torch import Tensor

from wavepipe.propagators.backends.card import Card
from wavepipe.propagators.backends.sweep import History, Memory, as_tensor
from wavepipe.propagators.storage.card_codecs import on_card, values_in
from wavepipe.propagators.storage.codecs import Codec
from wavepipe.propagators.storage.codecs_library import whole_lines
from wavepipe.propagators.storage.history import HistoryShape


class CardPacking:
    """As `Packing`, on a card: a part of all shots at once, and parts one behind the other."""

    def __init__(self, shape: HistoryShape, codec: Codec, card: Card) -> None:
        self._shape, self._codec = shape, on_card(codec, card, shape.dtype)
        self.size = shape.encoded_bytes(codec)
        """Bytes of a slot."""

    def pack(self, slots: History, index: int, out: Memory) -> None:
        """Write a slot to (size,) bytes."""
        data, start = as_tensor(out), 0
        for part in self._sums(slots, index):
            room = self._room(data, start, self._codec.size(part.shape[1:]))
            self._codec.encode(_whole(part), room)
            start += room.numel()
        for strip in self._strips(slots, index):
            room = self._room(data, start, whole_lines(strip[0].nbytes))
            values_in(room, strip).copy_(strip)
            start += room.numel()

    def unpack(self, data: Memory, into: History, index: int) -> None:
        """Bring a slot back from (size,) bytes."""
        data, start = as_tensor(data), 0
        for part in self._sums(into, index):
            room = self._room(data, start, self._codec.size(part.shape[1:]))
            whole = _whole(part)
            self._codec.decode(room, whole)
            if whole is not part:
                part.copy_(whole)
            start += room.numel()
        for strip in self._strips(into, index):
            room = self._room(data, start, whole_lines(strip[0].nbytes))
            strip.copy_(values_in(room, strip))
            start += room.numel()

    def _room(self, data: Tensor, start: int, size: int) -> Tensor:
        """(n_shots, size) bytes."""
        n_shots = self._shape.n_shots
        return data[start : start + n_shots * size].view(n_shots, size)

    def _sums(self, slots: History, index: int) -> Iterator[Tensor]:
        """Parts of every sum, each (n_shots, *cells)."""
        for tensor in slots.slots.values():
            whole = tensor[:, index]
            if self._shape.boxes is None:
                yield whole
            for box in self._shape.boxes or ():
                yield whole[(slice(None), *(slice(lo, hi) for lo, hi in box))]

    def _strips(self, slots: History, index: int) -> Iterator[Tensor]:
        """Strips of every field at the steps of a slot, each (n_shots, stride, *cells)."""
        steps = slice(index * slots.stride, (index + 1) * slots.stride)
        for tensor in slots.strips.values():
            yield tensor[:, steps]


def _whole(part: Tensor) -> Tensor:
    """A part whose shots are contiguous, a copy if it has to be."""
    return part if part[0].is_contiguous() else part.contiguous()
