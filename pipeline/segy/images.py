"""Images and earth models written as SEG-Y depth sections and volumes.

A trace is a column of the array, downwards. The interval field holds 1000 times the depth step
in metres, as if millimetres were microseconds, and the text header says so.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wavepipe.pipeline.durable import flush
from wavepipe.pipeline.errors import SegyError
from wavepipe.pipeline.segy.headers import choose_scalar, to_header_integers
from wavepipe.pipeline.segy.models import read_model_segy
from wavepipe.pipeline.segy.text_header import text_header
from wavepipe.pipeline.segy.writer import FileHeader, create_file, record_dtype, unsigned_short

__all__ = ["read_model_segy", "write_image_segy"]

_STACKED = 4
Place = tuple[float, ...]


def write_image_segy(
    path: str | Path,
    array: NDArray[np.floating],
    spacing: Sequence[float],
    origin: Sequence[float],
    text: str,
) -> None:
    """Write an image or a model as a depth section (2-D) or volume (3-D).

    Parameters
    ----------
    path : path
        Appears when it is complete.
    array : float array, (nz, nx) or (nz, ny, nx)
    spacing : (dz, [dy,] dx), m
    origin : (z, [y,] x) of the first node, m
    text : str
        What the values are, with their unit; lines separated by newlines.

    Notes
    -----
    Inlines count y and crosslines count x, from 1; in 2-D the inline is 1 and the CDP counts x.
    CDP coordinates are the nodes' x and y. The delay field holds the depth of the first sample,
    in metres, with the scalar of times (bytes 215-216).
    """
    target = Path(path)
    values = np.asarray(array, dtype=np.float32)
    if values.ndim not in (2, 3) or len(spacing) != values.ndim or len(origin) != values.ndim:
        message = (
            f"{target.name}: an array of shape {values.shape} with spacing {tuple(spacing)} and "
            f"origin {tuple(origin)} is no section (z, x) nor volume (z, y, x)."
        )
        raise SegyError(message)
    partial = target.with_name(target.name + ".partial")
    volume = values[:, np.newaxis, :] if values.ndim == 2 else values
    steps = _as_volume(spacing, 1.0)
    corner = _as_volume(origin, 0.0)
    header = FileHeader(
        n_samples=volume.shape[0],
        n_traces=volume.shape[1] * volume.shape[2],
        interval=1000.0 * steps[0],
        sorting=_STACKED,
        text=text_header([*text.splitlines(), *_describe(volume.shape, steps, corner)]),
        traces_per_ensemble=1,
    )
    create_file(partial, header)
    block = np.zeros(volume.shape[2], dtype=record_dtype(header.n_samples))
    x, y = (corner[i] + steps[i] * np.arange(volume.shape[i], dtype=np.float64) for i in (2, 1))
    scalar = choose_scalar(np.concatenate([x, y]))
    with partial.open("r+b") as file:
        file.seek(partial.stat().st_size - header.n_traces * block.itemsize)
        for line in range(volume.shape[1]):
            _fill_line(block, line, x, y[line], scalar, header, corner[0])
            block["samples"] = volume[:, line, :].T
            file.write(block.tobytes())
    flush(partial)
    partial.replace(target)


def _as_volume(values: Sequence[float], missing: float) -> Place:
    """Give (z, x) a y."""
    parts = [float(value) for value in values]
    return (parts[0], missing, parts[1]) if len(parts) == 2 else tuple(parts)


def _describe(shape: Sequence[int], steps: Place, corner: Place) -> list[str]:
    lines = [
        "DEPTH domain: the sample interval field holds 1000 times the depth step in metres",
        f"z: {shape[0]} samples every {steps[0]:.10g} m from {corner[0]:.10g} m, positive down",
        f"x: {shape[2]} crosslines every {steps[2]:.10g} m from {corner[2]:.10g} m",
    ]
    if shape[1] > 1:
        lines.append(f"y: {shape[1]} inlines every {steps[1]:.10g} m from {corner[1]:.10g} m")
    return [
        *lines,
        "bytes 189 inline, 193 crossline, 21 CDP; 181 CDP X, 185 CDP Y, 71 their scalar",
        "IEEE floats; bytes 109 depth of the first sample in m, 215 its scalar",
    ]


def _fill_line(
    block: NDArray[np.void],
    line: int,
    x: NDArray[np.float64],
    y: float,
    scalar: int,
    header: FileHeader,
    top: float,
) -> None:
    """Fill the trace headers of one inline."""
    n = len(x)
    crossline = np.arange(1, n + 1)
    block["trace_in_line"] = crossline
    block["trace_in_file"] = block["cdp"] = line * n + crossline
    block["trace_in_cdp"] = 1
    block["field_record"] = line + 1
    block["trace_kind"] = 1
    block["inline"], block["crossline"] = line + 1, crossline
    block["coordinate_scalar"] = scalar
    block["coordinate_units"] = 1
    for name, value in (("x", x), ("y", np.full(n, y))):
        integers = to_header_integers(value, scalar)
        for where in (f"cdp_{name}", f"source_{name}", f"receiver_{name}"):
            block[where] = integers
    block["n_samples"] = unsigned_short(header.n_samples)
    block["interval"] = unsigned_short(header.interval)
    top_scalar = choose_scalar([top])
    stored = to_header_integers(top, top_scalar)
    if abs(stored) < 32768:
        block["delay"], block["time_scalar"] = stored, top_scalar
