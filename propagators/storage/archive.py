"""Where encoded slots of a history are, from the forward run to the gradient."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wavepipe.propagators.backends.sweep import History
from wavepipe.propagators.errors import StorageError
from wavepipe.propagators.storage.choice import Choice
from wavepipe.propagators.storage.codecs import Codec, codec_named
from wavepipe.propagators.storage.history import HistoryShape, Window
from wavepipe.propagators.storage.scratch import Scratch
from wavepipe.propagators.storage.spill import SpillFile


class Archive(Protocol):
    """All slots of a history, one window of them in memory at a time."""

    def write(self, window: Window, slots: History) -> None:
        """Keep the slots of a window."""

    def read(self, window: Window, into: History) -> None:
        """Bring the slots of a window back."""

    def close(self) -> None:
        """Free everything; a second call does nothing."""


class MemoryArchive:
    """Encoded slots one behind the other in one piece of memory."""

    def __init__(self, shape: HistoryShape, codec: Codec) -> None:
        self._codec, self._slot = codec, shape.encoded_bytes(codec)
        self._memory = np.empty(self._slot * shape.n_slots, np.uint8)

    def write(self, window: Window, slots: History) -> None:
        """See `Archive`."""
        for index in range(window.n_slots):
            _encode(self._codec, slots, index, self._of(window.first + index))

    def read(self, window: Window, into: History) -> None:
        """See `Archive`."""
        for index in range(window.n_slots):
            _decode(self._codec, self._of(window.first + index), into, index)

    def close(self) -> None:
        """See `Archive`."""
        self._memory = np.empty(0, np.uint8)

    def _of(self, slot: int) -> NDArray[np.uint8]:
        return self._memory[slot * self._slot : (slot + 1) * self._slot]


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
        See `Scratch` and `SpillFile`.
    """

    def __init__(self, shape: HistoryShape, codec: Codec, choice: Choice, folder: Path) -> None:
        self._codec, self._slot, self._group = codec, shape.encoded_bytes(codec), choice.record
        self._scratch = Scratch(folder)
        try:
            self._file = SpillFile(
                self._scratch.path,
                -(-shape.n_slots // self._group),
                self._group * self._slot,
                buffers=choice.buffers,
            )
        except BaseException:
            self._scratch.close()
            raise

    def write(self, window: Window, slots: History) -> None:
        """See `Archive`."""
        for record, indices in self._records(window):
            with self._file.writing(record) as memory:
                for place, index in enumerate(indices):
                    _encode(self._codec, slots, index, self._part(memory, place))
                memory[len(indices) * self._slot :] = 0

    def read(self, window: Window, into: History) -> None:
        """See `Archive`."""
        for record, indices in reversed([*self._records(window)]):
            with self._file.reading(record) as memory:
                for place, index in enumerate(indices):
                    _decode(self._codec, self._part(memory, place), into, index)

    def close(self) -> None:
        """See `Archive`."""
        with suppress(StorageError):  # of a disk that nobody needs any more
            self._file.close()
        self._scratch.close()

    def _records(self, window: Window) -> Iterator[tuple[int, range]]:
        """Records of a window, and which of its slots are in them."""
        for index in range(0, window.n_slots, self._group):
            last = min(index + self._group, window.n_slots)
            yield (window.first + index) // self._group, range(index, last)

    def _part(self, memory: NDArray[np.uint8], place: int) -> NDArray[np.uint8]:
        return memory[place * self._slot : (place + 1) * self._slot]


def archive(shape: HistoryShape, choice: Choice, folder: Path) -> Archive:
    """Room for the slots of a history as it was chosen."""
    codec = codec_named(choice.compression)
    if choice.mode == "disk":
        return DiskArchive(shape, codec, choice, folder)
    return MemoryArchive(shape, codec)


def _encode(codec: Codec, slots: History, index: int, out: NDArray[np.uint8]) -> None:
    """One slot of all sums and shots."""
    parts = _parts(slots, index)
    for part, memory in zip(parts, out.reshape(len(parts), -1), strict=True):
        codec.encode(part, memory)


def _decode(codec: Codec, data: NDArray[np.uint8], into: History, index: int) -> None:
    parts = _parts(into, index)
    for part, memory in zip(parts, data.reshape(len(parts), -1), strict=True):
        codec.decode(memory, part)


def _parts(slots: History, index: int) -> list[NDArray[np.floating]]:
    """Sums of every shot, each (1, *shape)."""
    return [
        tensor[shot, index : index + 1].numpy()
        for tensor in slots.slots.values()
        for shot in range(tensor.shape[0])
    ]
