"""Records of a wavefield in a file, written behind and read ahead of those who use them."""

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wavepipe.propagators.storage.buffers import Buffers
from wavepipe.propagators.storage.disk import Disk, padded

_SMALL = 8 << 20
"""Bytes of buffers at which small records reach the disk's speed."""


class SpillFile:
    """A file of records of one size.

    The file is reserved as a whole and has no name; it goes when this object is closed, collected
    or its process ends. Its methods may be called from several threads at once.

    Parameters
    ----------
    folder
        Where the file is, see `Scratch`.
    n_records, record_bytes
        How many records there are, and the size of one.
    buffers
        Records held in memory: `put` waits for the disk only when all are waiting to be written,
        and as many are read ahead. `default_buffers` if None.
    disk
        Makes the file from folder and bytes.

    Raises
    ------
    StorageError
        The folder cannot be written or has no room. From `put`, `get` and `close`: the disk failed
        since, or a record came back with other bytes than were written; no later call succeeds.
    """

    def __init__(
        self,
        folder: Path,
        n_records: int,
        record_bytes: int,
        *,
        buffers: int | None = None,
        disk: Callable[[Path, int], Disk] = Disk,
    ) -> None:
        if buffers is None:
            buffers = default_buffers(record_bytes)
        if min(n_records, record_bytes, buffers) < 1:
            raise ValueError(
                f"{n_records} records of {record_bytes} bytes and {buffers} buffers: each is a "
                "number above zero."
            )
        self.n_records, self.record_bytes = n_records, record_bytes
        size = padded(record_bytes)
        file = disk(folder, n_records * size)
        try:
            self._buffers = Buffers(file, n_records, size, buffers)
        except BaseException:
            file.close()
            raise
        self._end = weakref.finalize(self, self._buffers.stop)

    @contextmanager
    def writing(self, record: int) -> Iterator[NDArray[np.uint8]]:
        """Memory to fill with a record, without a copy.

        Notes
        -----
        It is one of the buffers: a thread that holds as many as there are waits for itself.
        """
        with self._buffers.writing(self._index(record)) as memory:
            yield memory[: self.record_bytes]

    @contextmanager
    def reading(self, record: int) -> Iterator[NDArray[np.uint8]]:
        """A record in memory, read-only and without a copy; see `writing`."""
        with self._buffers.reading(self._index(record)) as memory:
            view = memory[: self.record_bytes]
            view.flags.writeable = False
            yield view

    def close(self) -> None:
        """Delete the file; StorageError if the disk failed and no call said so yet."""
        self._end()
        failure = self._buffers.untold()
        if failure is not None:
            raise failure

    def _index(self, record: int) -> int:
        if not 0 <= record < self.n_records:
            raise IndexError(f"record {record} does not exist; there are {self.n_records}.")
        return record


def file_bytes(n_records: int, record_bytes: int) -> int:
    """Size of the file of so many records, which are filled up to whole blocks."""
    return n_records * padded(record_bytes)


def buffer_bytes(record_bytes: int, buffers: int | None = None) -> int:
    """Memory that the buffers of a file take."""
    return (buffers or default_buffers(record_bytes)) * padded(record_bytes)


def default_buffers(record_bytes: int) -> int:
    """Records held in memory: 4, or up to 16 small ones, which are then moved in larger pieces."""
    return min(16, max(4, _SMALL // padded(max(record_bytes, 1))))
