"""Read a source wavelet from a file."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wavepipe.pipeline.errors import JobError


def read_wavelet(path: Path, file_dt: float | None, dt: float, nt: int) -> NDArray[np.float64]:
    """The wavelet in `path` as (nt,) samples at `dt`, cut or padded with zeros at its end.

    Parameters
    ----------
    path
        A .npy file with one dimension, or text with one sample per line.
    file_dt : s
        Sample interval of the file.
    dt : s
        Sample interval wanted.
    nt
        Number of samples wanted.

    Raises
    ------
    JobError
        Unreadable, not one-dimensional, NaN, or finer or coarser than `dt`.
    """
    samples = _read(path)
    if samples.ndim != 1 or samples.size == 0:
        msg = f"wavelet {path} has shape {samples.shape}; it must be one row of samples."
        raise JobError(msg)
    bad = np.flatnonzero(~np.isfinite(samples))
    if bad.size:
        msg = f"wavelet {path} has {samples[bad[0]]} at sample {bad[0]}; all must be finite."
        raise JobError(msg)
    if file_dt is None or abs(file_dt - dt) > 1e-6 * dt:
        msg = (
            f"wavelet {path} is sampled at {file_dt} s and the data at {dt} s. "
            f"Resample the wavelet to {dt} s."
        )
        raise JobError(msg)
    result = np.zeros(nt)
    result[: min(nt, samples.size)] = samples[:nt]
    return result


def _read(path: Path) -> NDArray[np.float64]:
    """The numbers in `path`."""
    try:
        if path.suffix == ".npy":
            return np.asarray(np.load(path, allow_pickle=False), dtype=np.float64)
        return np.loadtxt(path, dtype=np.float64)
    except (OSError, ValueError, EOFError) as error:
        msg = f"cannot read wavelet {path}: {error}. Give a .npy file or one sample per line."
        raise JobError(msg) from error
