"""Write gathers to SEG-Y: one preallocated file, each shot in its own byte range.

`create_gather_file` lays the file out with every trace marked dead; `write_gather` fills the
range of one shot, headers included, with one write at a fixed place. So workers need no lock,
the bytes do not depend on their order, and a shot that never ran is dead in the file.
"""

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import segyio
from numpy.typing import NDArray

from wavepipe.pipeline.errors import DiskFullError, SegyError
from wavepipe.pipeline.quantities import describe_component
from wavepipe.pipeline.segy.headers import (
    BYTE_ORDER_MARK,
    FILE_HEADER_BYTES,
    TRACE_FIELDS,
    TRACE_HEADER_BYTES,
    TRACE_KINDS,
    binary_header_dtype,
    choose_scalar,
    to_header_integers,
    trace_header_dtype,
)
from wavepipe.pipeline.segy.text_header import text_header
from wavepipe.pipeline.shots import Survey
from wavepipe.propagators.errors import is_full

_SEGYIO: Any = segyio  # it has no type information
_IEEE = 5
_DEAD = 2
_METRES = 1
_RECORD_ORDER = 1
_LARGEST_SHORT = 32767
_TRACES_PER_CHUNK = 8192


@dataclass(frozen=True, slots=True)
class FileHeader:
    """What the file headers of a new SEG-Y file say."""

    n_samples: int
    """Samples per trace."""

    n_traces: int
    """Traces in the file."""

    interval: float
    """Sample interval, microseconds (depth: 1000 times the step in m)."""

    sorting: int
    """Trace sorting code: 1 as recorded, 4 horizontally stacked."""

    text: str
    """3200 characters."""

    traces_per_ensemble: int = 0
    """Traces per shot or CDP."""

    @property
    def revision(self) -> int:
        """1, or 2 where revision 1 cannot hold the sample count or the interval."""
        whole = abs(self.interval - round(self.interval)) < 1e-9
        small = self.n_samples <= _LARGEST_SHORT and self.interval <= _LARGEST_SHORT
        return 1 if whole and small else 2


def create_file(path: str | Path, header: FileHeader) -> None:
    """Create a SEG-Y file of its full size, with file headers and empty traces.

    Raises
    ------
    SegyError, DiskFullError
        The folder cannot be written; the disk has no room for the file.
    """
    size = FILE_HEADER_BYTES + header.n_traces * (TRACE_HEADER_BYTES + 4 * header.n_samples)
    try:
        _write_file_headers(Path(path), header)
        _reserve(Path(path), size)
    except OSError as error:
        message = (
            f"cannot create {path} of {size / 1e6:.4g} MB: {error.strerror or error}. Choose "
            "another output folder or make room."
        )
        raise (DiskFullError if is_full(error) else SegyError)(message) from error


def _reserve(path: Path, size: int) -> None:
    """Give a file its full size, on the disk too where the system can: a full disk shows now."""
    with path.open("r+b") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        file.truncate(size)


def _write_file_headers(target: Path, header: FileHeader) -> None:
    spec = _SEGYIO.spec()
    spec.format = _IEEE
    spec.samples = np.arange(min(header.n_samples, _LARGEST_SHORT))
    spec.tracecount = header.n_traces
    with _SEGYIO.create(str(target), spec) as file:
        file.text[0] = header.text
    binary = np.zeros(1, dtype=binary_header_dtype(">"))
    binary["job"] = binary["line"] = binary["reel"] = 1
    binary["traces_per_ensemble"] = min(header.traces_per_ensemble, _LARGEST_SHORT)
    binary["interval"] = binary["interval_recorded"] = unsigned_short(header.interval)
    binary["n_samples"] = binary["n_samples_recorded"] = unsigned_short(header.n_samples)
    binary["format"] = _IEEE
    binary["ensemble_fold"] = 1
    binary["sorting"] = header.sorting
    binary["measurement_system"] = _METRES
    binary["revision_major"] = header.revision
    binary["fixed_length"] = 1
    if header.revision == 2:
        binary["extended_n_samples"] = header.n_samples
        binary["extended_interval"] = header.interval
        binary["byte_order_mark"] = BYTE_ORDER_MARK
        binary["n_traces"] = header.n_traces
        binary["first_trace_offset"] = FILE_HEADER_BYTES
    with target.open("r+b") as file:
        file.seek(FILE_HEADER_BYTES - binary.itemsize)
        file.write(binary.tobytes())


def unsigned_short(value: float) -> int:
    """Round to the 16 bits of a header field; 0 (not given) where it does not fit."""
    return round(value) if value <= 0xFFFF else 0


def record_dtype(n_samples: int) -> np.dtype[np.void]:
    """Make the type of a whole trace: named header fields and its samples."""
    header = trace_header_dtype(">", TRACE_FIELDS)
    fields = {name: header.fields[name] for name in header.names}  # type: ignore[index,union-attr]
    return np.dtype(
        {
            "names": [*fields, "samples"],
            "formats": [*(kind for kind, *_ in fields.values()), (">f4", (n_samples,))],
            "offsets": [*(place[1] for place in fields.values()), TRACE_HEADER_BYTES],
            "itemsize": TRACE_HEADER_BYTES + 4 * n_samples,
        }
    )


def create_gather_file(path: str | Path, survey: Survey, dt: float, text: str) -> None:
    """Lay out the file that `write_gather` fills, every trace marked dead.

    Parameters
    ----------
    path : path
    survey : Survey
        Shots and receivers; traces are written in its order, `survey.nt` samples each.
    dt : float, s
    text : str
        A line for the text header: what the traces are.
    """
    lines = [
        text,
        f"{survey.n_shots} shots, {survey.n_traces} traces of {survey.nt} samples, "
        f"every {1e6 * dt:g} us from the time of the shot",
        f"component: {', '.join(describe_component(name) for name in survey.components)}",
        "amplitudes are absolute, IEEE floats; coordinates and depths are metres",
        "bytes 9 field record, 17 energy source point, 13 trace within the record",
        "bytes 41, 45 elevations (negative: below the datum), 49 source depth",
        "bytes 73-88 source X Y, receiver X Y; bytes 69, 71 their scalars",
    ]
    counts = np.diff(survey.first_trace)
    header = FileHeader(
        n_samples=survey.nt,
        n_traces=survey.n_traces,
        interval=_microseconds(dt),
        sorting=_RECORD_ORDER,
        text=text_header(lines),
        traces_per_ensemble=int(counts.max(initial=0)),
    )
    create_file(path, header)
    kind = record_dtype(survey.nt)
    with Path(path).open("r+b") as file:
        for first in range(0, survey.n_traces, _TRACES_PER_CHUNK):
            rows = np.arange(first, min(first + _TRACES_PER_CHUNK, survey.n_traces))
            block = np.zeros(len(rows), dtype=trace_header_dtype(">", TRACE_FIELDS))
            _fill_headers(block, survey, rows, dt)
            block["trace_kind"] = _DEAD
            raw = block.view(np.uint8).reshape(len(rows), TRACE_HEADER_BYTES)
            for row, header_bytes in zip(rows.tolist(), raw, strict=True):
                file.seek(FILE_HEADER_BYTES + row * kind.itemsize)
                file.write(header_bytes.tobytes())


def write_gather(
    path: str | Path, survey: Survey, i: int, gather: NDArray[np.float32], dt: float | None = None
) -> tuple[int, int]:
    """Write shot `i` into a file made by `create_gather_file`, in one write.

    Parameters
    ----------
    path : path
    survey : Survey
        The survey the file was created for.
    i : int
    gather : float32 array, (n_receivers, nt)
    dt : float, s, optional
        What the file was created with; `survey.dt` when absent.

    Returns
    -------
    first, last : int
        The bytes written, [first, last).
    """
    rows = np.arange(int(survey.first_trace[i]), int(survey.first_trace[i + 1]))
    if gather.shape != (len(rows), survey.nt):
        message = (
            f"shot {survey.label(i)}: the gather has shape {gather.shape}, the file holds "
            f"{(len(rows), survey.nt)} (receivers, samples)."
        )
        raise SegyError(message)
    block = np.zeros(len(rows), dtype=record_dtype(survey.nt))
    _fill_headers(block, survey, rows, survey.dt if dt is None else dt)
    block["samples"] = gather
    first = FILE_HEADER_BYTES + int(rows[0]) * block.itemsize
    last = first + block.nbytes
    with Path(path).open("r+b", buffering=0) as file:
        if os.fstat(file.fileno()).st_size < last:
            message = (
                f"{path} is too short for shot {survey.label(i)}, which needs bytes {first} to "
                f"{last}. Was it made by create_gather_file for this survey?"
            )
            raise SegyError(message)
        data = memoryview(block.tobytes())
        while data:
            written = os.pwrite(file.fileno(), data, last - len(data))
            data = data[written:]
        os.fsync(file.fileno())  # a ledger will say that it is there
    return first, last


def _fill_headers(
    block: NDArray[np.void], survey: Survey, rows: NDArray[np.int64], dt: float
) -> None:
    """Fill trace headers of the traces `rows` of a survey."""
    coordinate_scalar, elevation_scalar, above_datum = _scalars(survey)
    shot = np.searchsorted(survey.first_trace, rows, side="right") - 1
    source, receiver = survey.source_positions[shot], survey.receiver_positions[rows]
    block["trace_in_line"] = block["trace_in_file"] = rows + 1
    block["trace_in_record"] = rows - survey.first_trace[shot] + 1
    block["field_record"] = survey.labels[shot, 0]
    block["source_point"] = survey.labels[shot, 1]
    kinds = np.array([TRACE_KINDS.get(name, 1) for name in survey.components])
    block["trace_kind"] = kinds[survey.component[rows]]
    block["offset"] = _signed_offsets(source, receiver)
    block["elevation_scalar"], block["coordinate_scalar"] = elevation_scalar, coordinate_scalar
    block["receiver_elevation"] = to_header_integers(-receiver[:, 0], elevation_scalar)
    depth = to_header_integers(source[:, 0], elevation_scalar)
    # Where anything lies above the datum, each source is one unit below a surface at or above it:
    # a depth beside an elevation tells readers that elevations are elevations.
    surface = np.maximum(-depth, 0) + (1 if above_datum else 0)
    block["source_elevation"] = surface
    block["source_depth"] = depth + surface
    for name, points in (("source", source), ("receiver", receiver)):
        block[f"{name}_x"] = to_header_integers(points[:, -1], coordinate_scalar)
        if survey.ndim == 3:
            block[f"{name}_y"] = to_header_integers(points[:, 1], coordinate_scalar)
    block["coordinate_units"] = 1
    block["n_samples"] = unsigned_short(survey.nt)
    block["interval"] = unsigned_short(_microseconds(dt))


def _signed_offsets(
    source: NDArray[np.float64], receiver: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Horizontal distance, negative where the receiver has the smaller x, whole metres."""
    distance = np.linalg.norm((receiver - source)[:, 1:], axis=1)
    return np.asarray(np.rint(np.where(receiver[:, -1] < source[:, -1], -distance, distance)))


@lru_cache(maxsize=8)
def _scalars(survey: Survey) -> tuple[int, int, bool]:
    """Coordinate and elevation scalars that hold all positions; whether any is above z = 0."""
    points = (survey.source_positions, survey.receiver_positions)
    horizontal = np.concatenate([part[:, 1:].ravel() for part in points])
    vertical = np.concatenate([part[:, 0] for part in points])
    return choose_scalar(horizontal), choose_scalar(vertical), bool(vertical.min() < 0)


def _microseconds(dt: float) -> float:
    """Sample interval in microseconds, whole where rounding of `dt` is all that differs."""
    exact = 1e6 * dt
    return float(round(exact)) if abs(exact - round(exact)) < 1e-6 else exact
