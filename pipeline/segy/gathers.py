"""Read the traces of one shot and place their samples at their times after the shot."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wavepipe.pipeline.errors import SegyError
from wavepipe.pipeline.segy.file_format import open_segy
from wavepipe.pipeline.segy.reader import read_traces

# Parts of a sample below which a delay counts as a whole number of samples.
_WHOLE = 1e-6


def read_gather(
    files: Sequence[str],
    trace_file: NDArray[np.int32],
    trace_number: NDArray[np.int64],
    delay: NDArray[np.float64],
    *,
    dt: float,
    nt: int,
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
    """Read traces from several files into one gather.

    Parameters
    ----------
    files : sequence of str
    trace_file : int32 array, (n,)
        Index into `files`, per trace.
    trace_number : int64 array, (n,)
        Number of the trace in its file.
    delay : float64 array, (n,), s
        Time of the first sample after the shot.
    dt : float, s
    nt : int

    Returns
    -------
    samples : float32 array, (n, nt)
    sound : bool array, (n,)
        False for traces that hold NaN or infinities, or only zeros.
    finite : bool array, (n,)
        False for traces that hold NaN or infinities.
    """
    samples = np.zeros((len(trace_number), nt), dtype=np.float32)
    sound = np.zeros(len(trace_number), dtype=bool)
    finite = np.zeros(len(trace_number), dtype=bool)
    for index in np.unique(trace_file):
        rows = np.flatnonzero(trace_file == index)
        file = open_segy(files[index])
        if trace_number[rows].max() >= file.n_traces:
            message = (
                f"{file.path} has {file.n_traces} traces now, but the survey needs trace "
                f"{trace_number[rows].max()} (from 0). The file changed since its headers were "
                "read."
            )
            raise SegyError(message)
        traces = read_traces(file, trace_number[rows])
        # Zeroed first: signalling NaNs make numpy warn in the reduction.
        finite[rows] = np.isfinite(traces).all(axis=1)
        traces[~finite[rows]] = 0.0
        sound[rows] = traces.any(axis=1)
        samples[rows] = place_samples(traces, delay[rows] / dt, nt)
    return samples, sound, finite


def place_samples(
    traces: NDArray[np.float32], shift: NDArray[np.float64], nt: int
) -> NDArray[np.float32]:
    """Move each trace later by `shift` samples and cut or pad it to `nt`.

    Parameters
    ----------
    traces : float32 array, (n, n_samples)
    shift : float64 array, (n,), samples
        May be negative. The part of a sample is applied as a phase, on a padded spectrum.
    nt : int

    Examples
    --------
    >>> place_samples(np.array([[1, 2, 3]], dtype=np.float32), np.array([2.0]), 4).tolist()
    [[0.0, 0.0, 1.0, 2.0]]
    """
    out = np.zeros((len(traces), nt), dtype=np.float32)
    for amount in np.unique(shift):
        rows = np.flatnonzero(shift == amount)
        whole = int(np.rint(amount))
        moved = traces[rows]
        if abs(amount - whole) > _WHOLE:
            moved = _delay_by_part(moved, amount - whole)
        begin, end = max(whole, 0), min(whole + moved.shape[1], nt)
        if end > begin:
            out[rows, begin:end] = moved[:, begin - whole : end - whole]
    return out


def _delay_by_part(traces: NDArray[np.float32], part: float) -> NDArray[np.float32]:
    n_samples = traces.shape[1]
    padded = 2 * n_samples
    phase = np.exp(-2j * np.pi * np.fft.rfftfreq(padded) * part)
    moved = np.fft.irfft(np.fft.rfft(traces, padded, axis=1) * phase, padded, axis=1)
    return moved[:, :n_samples].astype(np.float32)
