"""Where pieces that come from a card are kept."""

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wavepipe.propagators.storage.scratch_file import ScratchFile


class Shelf(Protocol):
    """Where pieces are kept."""

    def put(self, number: int, data: NDArray[np.uint8]) -> None:
        """Keep a copy of a piece."""

    def get(self, number: int, out: NDArray[np.uint8]) -> None:
        """Copy a piece."""

    def close(self) -> None:
        """Free everything; a second call does nothing."""


class MemoryShelf:
    """Pieces in the computer's memory, one behind the other."""

    def __init__(self, n_pieces: int, size: int) -> None:
        self._memory = np.empty((n_pieces, size), np.uint8)

    def put(self, number: int, data: NDArray[np.uint8]) -> None:
        """See `Shelf`."""
        np.copyto(self._memory[number], data)

    def get(self, number: int, out: NDArray[np.uint8]) -> None:
        """See `Shelf`."""
        np.copyto(out, self._memory[number])

    def close(self) -> None:
        """See `Shelf`."""
        self._memory = np.empty((0, 0), np.uint8)


class DiskShelf:
    """Pieces in a file."""

    def __init__(self, folder: Path, n_pieces: int, size: int, buffers: int) -> None:
        self._file = ScratchFile(folder, n_pieces, size, buffers)

    def put(self, number: int, data: NDArray[np.uint8]) -> None:
        """See `Shelf`."""
        with self._file.writing(number) as memory:
            np.copyto(memory, data)

    def get(self, number: int, out: NDArray[np.uint8]) -> None:
        """See `Shelf`."""
        with self._file.reading(number) as memory:
            np.copyto(out, memory)

    def close(self) -> None:
        """See `Shelf`."""
        self._file.close()
