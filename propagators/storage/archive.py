"""Where encoded slots of a history are, from the forward run to the gradient."""

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from wavepipe.propagators.backends.sweep import History, Memory
from wavepipe.propagators.storage.codecs import Codec, codec_named
from wavepipe.propagators.storage.history import HistoryShape, Window
from wavepipe.propagators.storage.packing import Packing
from wavepipe.propagators.storage.scratch_file import ScratchFile
from wavepipe.propagators.storage.ways import Choice

if TYPE_CHECKING:
    from wavepipe.propagators.storage.card_packing import CardPacking


class Archive(Protocol):
    """All slots of a history, one window of them in memory at a time."""

    def write(self, window: Window, slots: History) -> None:
        """Keep the slots of a window."""

    def read(self, window: Window, into: History) -> None:
        """Bring the slots of a window back."""

    def close(self) -> None:
        """Free everything; a second call does nothing."""


class MemoryArchive:
    """Encoded slots one behind the other in one piece of memory, where they are made."""

    def __init__(self, packing: "Packing | CardPacking", memory: Memory) -> None:
        self._packing, self._memory = packing, memory

    def write(self, window: Window, slots: History) -> None:
        """See `Archive`."""
        for index in range(window.n_slots):
            self._packing.pack(slots, index, self._of(window.first + index))

    def read(self, window: Window, into: History) -> None:
        """See `Archive`."""
        for index in range(window.n_slots):
            self._packing.unpack(self._of(window.first + index), into, index)

    def close(self) -> None:
        """See `Archive`."""
        self._memory = np.empty(0, np.uint8)

    def _of(self, slot: int) -> Memory:
        size = self._packing.size
        return self._memory[slot * size : (slot + 1) * size]


class DiskArchive:
    """Encoded slots in a file, several in a record where they are small.

    Parameters
    ----------
    folder
        In which a scratch folder is made.
    choice
        Whose windows begin with a record.

    Raises
    ------
    StorageError
        See `ScratchFile`.
    """

    def __init__(self, shape: HistoryShape, codec: Codec, choice: Choice, folder: Path) -> None:
        self._packing = Packing(shape, codec)
        self._slot, self._group = self._packing.size, choice.record
        records = -(-shape.n_slots // self._group)
        self._file = ScratchFile(folder, records, self._group * self._slot, choice.buffers)

    def write(self, window: Window, slots: History) -> None:
        """See `Archive`."""
        for record, indices in window.records(self._group):
            with self._file.writing(record) as memory:
                for place, index in enumerate(indices):
                    self._packing.pack(slots, index, self._part(memory, place))
                memory[len(indices) * self._slot :] = 0

    def read(self, window: Window, into: History) -> None:
        """See `Archive`."""
        for record, indices in reversed([*window.records(self._group)]):
            with self._file.reading(record) as memory:
                for place, index in enumerate(indices):
                    self._packing.unpack(self._part(memory, place), into, index)

    def close(self) -> None:
        """See `Archive`."""
        self._file.close()

    def _part(self, memory: NDArray[np.uint8], place: int) -> NDArray[np.uint8]:
        return memory[place * self._slot : (place + 1) * self._slot]


def archive(shape: HistoryShape, choice: Choice, folder: Path) -> Archive:
    """Room for the slots of a history as it was chosen, made on a card if there is one."""
    codec = codec_named(choice.compression)
    if shape.card is not None:
        from wavepipe.propagators.storage.card_archive import ShuttledArchive
        from wavepipe.propagators.storage.card_packing import CardPacking

        if choice.mode != "device":
            return ShuttledArchive(shape, codec, choice, folder, shape.card)
        packing = CardPacking(shape, codec, shape.card)
        size = packing.size * shape.n_slots
        return MemoryArchive(packing, torch.empty(size, dtype=torch.uint8, device=shape.device))
    if choice.mode == "disk":
        return DiskArchive(shape, codec, choice, folder)
    flat = Packing(shape, codec)
    return MemoryArchive(flat, np.empty(flat.size * shape.n_slots, np.uint8))
