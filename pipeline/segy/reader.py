"""Read traces: through segyio where it accepts the file, over the raw bytes otherwise.

IBM floats always go over the raw bytes: segyio 1.9 decodes those whose fraction is not normalised
wrongly, by several times their value.
"""

from functools import lru_cache
from typing import Any

import numpy as np
import segyio
from numpy.typing import NDArray

from wavepipe.pipeline.errors import SegyError
from wavepipe.pipeline.segy.file_format import SegyFile
from wavepipe.pipeline.segy.raw_reader import contiguous_runs, read_traces_raw

_SEGYIO: Any = segyio  # it has no type information
_ENDIAN = {">": "big", "<": "little"}
_IBM = 1


def read_traces(file: SegyFile, numbers: NDArray[np.int64]) -> NDArray[np.float32]:
    """Read traces by number (from 0), in the order given.

    Parameters
    ----------
    file : SegyFile
    numbers : int64 array, (n,)

    Returns
    -------
    float32 array, (n, n_samples)

    Raises
    ------
    SegyError
        The file shrank or vanished since it was opened.
    """
    try:
        if uses_segyio(file):
            return _read_traces_segyio(file, numbers)
        return read_traces_raw(file, numbers)
    except (OSError, ValueError) as error:
        message = (
            f"cannot read traces of {file.path} ({error}). The file had {file.size} bytes and "
            f"{file.n_traces} traces when it was opened: was it moved, cut or replaced?"
        )
        raise SegyError(message) from error


def uses_segyio(file: SegyFile) -> bool:
    """Say whether `read_traces` reads a file through segyio."""
    return file.format.code != _IBM and segyio_reads(file)


@lru_cache(maxsize=256)
def segyio_reads(file: SegyFile) -> bool:
    """Say whether segyio accepts the file and sees the same traces in it."""
    try:
        with _open_segyio(file) as handle:
            return (
                handle.tracecount == file.n_traces
                and len(handle.samples) == file.n_samples
                and int(handle.format) == file.format.code
                and handle.ext_headers == file.n_extended_text
            )
    except (OSError, RuntimeError, ValueError, KeyError, IndexError):
        return False


def _open_segyio(file: SegyFile) -> Any:
    return _SEGYIO.open(
        file.path, mode="r", ignore_geometry=True, strict=False, endian=_ENDIAN[file.byte_order]
    )


def _read_traces_segyio(file: SegyFile, numbers: NDArray[np.int64]) -> NDArray[np.float32]:
    out = np.empty((len(numbers), file.n_samples), dtype=np.float32)
    with _open_segyio(file) as handle:
        for start, stop in contiguous_runs(numbers):
            first = int(numbers[start])
            out[start:stop] = handle.trace.raw[first : first + stop - start]
    return out
