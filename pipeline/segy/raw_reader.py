"""Read traces over the raw bytes of a file."""

from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wavepipe.pipeline.segy.file_format import SegyFile


def map_traces(file: SegyFile) -> NDArray[np.uint8]:
    """Map the traces of a file into memory as bytes, (n_traces, trace_bytes)."""
    return np.memmap(
        file.path,
        dtype=np.uint8,
        mode="r",
        offset=file.first_trace,
        shape=(file.n_traces, file.trace_bytes),
    )


def read_traces_raw(file: SegyFile, numbers: NDArray[np.int64]) -> NDArray[np.float32]:
    """Read traces by number (from 0), in the order given.

    Returns
    -------
    float32 array, (len(numbers), n_samples)
    """
    out = np.empty((len(numbers), file.n_samples), dtype=np.float32)
    with Path(file.path).open("rb") as handle:
        for start, stop in contiguous_runs(numbers):
            handle.seek(file.first_trace + int(numbers[start]) * file.trace_bytes)
            raw = np.frombuffer(handle.read((stop - start) * file.trace_bytes), dtype=np.uint8)
            traces = raw.reshape(stop - start, file.trace_bytes)[:, file.header_bytes :]
            out[start:stop] = file.format.decode(np.ascontiguousarray(traces), file.byte_order)
    return out


def contiguous_runs(numbers: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Split an array of trace numbers into [start, stop) runs of consecutive numbers.

    Examples
    --------
    >>> contiguous_runs(np.array([4, 5, 6, 9]))
    [(0, 3), (3, 4)]
    """
    if len(numbers) == 0:
        return []
    cuts = np.flatnonzero(np.diff(numbers) != 1) + 1
    edges = [0, *cuts.tolist(), len(numbers)]
    return list(pairwise(edges))
