"""Scan the trace headers of a SEG-Y file, only the fields asked for, in chunks."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from wavepipe.pipeline.segy.file_format import SegyFile
from wavepipe.pipeline.segy.headers import trace_header_dtype
from wavepipe.pipeline.segy.raw_reader import map_traces

_TRACES_PER_CHUNK = 32768

Headers = dict[str, NDArray[np.int32]]
"""Trace header fields by name, each (n_traces,), unscaled."""


def scan_headers(file: SegyFile, names: Sequence[str]) -> Headers:
    """Read header fields of all traces.

    Each chunk maps its own part of the file, so that a scan keeps little of it in memory; chunks
    are read by a few threads, which hides the latency of network file systems.

    Parameters
    ----------
    file : SegyFile
    names : sequence of str
        Keys of `TRACE_FIELDS`.

    Returns
    -------
    dict of str to int32 array, (n_traces,)
    """
    found = {name: np.empty(file.n_traces, dtype=np.int32) for name in names}
    starts = range(0, file.n_traces, _TRACES_PER_CHUNK)

    def scan(start: int) -> None:
        stop = min(start + _TRACES_PER_CHUNK, file.n_traces)
        header = trace_header_dtype(file.byte_order, names, file.trace_bytes)
        traces = map_traces(file)[start:stop].view(header)[:, 0]
        for name in names:
            found[name][start:stop] = traces[name]

    if len(starts) == 1:
        scan(0)
        return found
    with ThreadPoolExecutor(min(8, 2 * (os.cpu_count() or 1))) as pool:
        list(pool.map(scan, starts))
    return found
