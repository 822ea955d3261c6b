"""Slots of a history that are made on a card and kept in the computer's memory or on disk."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from torch import Tensor

from wavepipe.propagators.backends.card import Card
from wavepipe.propagators.backends.sweep import History
from wavepipe.propagators.storage.card_packing import CardPacking
from wavepipe.propagators.storage.codecs import Codec
from wavepipe.propagators.storage.history import HistoryShape, Window
from wavepipe.propagators.storage.shelves import DiskShelf, MemoryShelf, Shelf
from wavepipe.propagators.storage.shuttle import Shuttle
from wavepipe.propagators.storage.ways import BUFFERS, Choice


class ShuttledArchive:
    """Slots that a shuttle brings to a shelf, several in a piece where they are small, and back.

    Raises
    ------
    StorageError
        See `ScratchFile`.
    """

    def __init__(
        self, shape: HistoryShape, codec: Codec, choice: Choice, folder: Path, card: Card
    ) -> None:
        self._shape, self._group = shape, max(1, choice.record)
        pieces = -(-shape.n_slots // self._group)
        encoded = self._group * shape.encoded_bytes(codec)
        self._shelf: Shelf
        if choice.mode == "disk":
            self._shelf = DiskShelf(folder, pieces, encoded, choice.buffers)
        else:
            self._shelf = MemoryShelf(pieces, encoded)
        self._packing = CardPacking(shape, codec, card)
        self._slot = self._packing.size
        self._shuttle = Shuttle(card, shape.device, self._group * self._slot, BUFFERS)
        self._incoming: Iterator[Tensor] | None = None

    def write(self, window: Window, slots: History) -> None:
        """See `Archive`."""
        for piece, indices in window.records(self._group):
            with self._shuttle.sending(partial(self._shelf.put, piece)) as there:
                for place, index in enumerate(indices):
                    self._packing.pack(slots, index, self._part(there, place))

    def read(self, window: Window, into: History) -> None:
        """See `Archive`; windows are read from the last to the first."""
        if self._incoming is None:
            self._shuttle.settle()
            last = (window.first + window.n_slots - 1) // self._group
            pieces = (partial(self._shelf.get, piece) for piece in range(last, -1, -1))
            self._incoming = self._shuttle.receiving(pieces)
        for _, indices in reversed([*window.records(self._group)]):
            there = next(self._incoming)
            for place, index in enumerate(indices):
                self._packing.unpack(self._part(there, place), into, index)

    def close(self) -> None:
        """See `Archive`."""
        self._shuttle.close()
        self._shelf.close()

    def _part(self, there: Tensor, place: int) -> Tensor:
        return there[place * self._slot : (place + 1) * self._slot]
