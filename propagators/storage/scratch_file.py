"""Records in a file of a scratch folder of its own."""

from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wavepipe.propagators.errors import StorageError
from wavepipe.propagators.storage.scratch import Scratch
from wavepipe.propagators.storage.spill import SpillFile


class ScratchFile:
    """A spill file whose folder goes with it.

    Parameters
    ----------
    folder
        In which a scratch folder is made.
    n_records, record_bytes, buffers
        See `SpillFile`.

    Raises
    ------
    StorageError
        See `Scratch` and `SpillFile`.
    """

    def __init__(self, folder: Path, n_records: int, record_bytes: int, buffers: int) -> None:
        self._scratch = Scratch(folder)
        try:
            self._file = SpillFile(self._scratch.path, n_records, record_bytes, buffers=buffers)
        except BaseException:
            self._scratch.close()
            raise

    def writing(self, record: int) -> AbstractContextManager[NDArray[np.uint8]]:
        """See `SpillFile`."""
        return self._file.writing(record)

    def reading(self, record: int) -> AbstractContextManager[NDArray[Any]]:
        """See `SpillFile`."""
        return self._file.reading(record)

    def close(self) -> None:
        """Delete file and folder; a second call does nothing."""
        with suppress(StorageError):  # of a disk that nobody needs any more
            self._file.close()
        self._scratch.close()
