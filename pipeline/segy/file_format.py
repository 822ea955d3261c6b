"""Find out what a SEG-Y file is, however loosely it follows the standard.

`open_segy` settles the byte order, the sample format, the size of headers and the samples per trace
from the binary header *and* the file's size, and says every assumption it makes.
"""

import os
import stat
import struct
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from wavepipe.pipeline.errors import SegyError
from wavepipe.pipeline.segy.headers import (
    BINARY_FIELDS,
    FILE_HEADER_BYTES,
    TEXT_BYTES,
    TRACE_FIELDS,
    TRACE_HEADER_BYTES,
    ByteOrder,
    Doubt,
    binary_header_dtype,
    trace_header_dtype,
)
from wavepipe.pipeline.segy.samples import FORMATS, SampleFormat

_MAX_EXTENDED_TEXT = 1000
_MAX_EXTRA_HEADERS = 255
_MANY_LENGTHS = 1000
_MOST_TRACES = 10**12


@dataclass(frozen=True, slots=True)
class SegyFile:
    """What the bytes of a SEG-Y file are."""

    path: str
    """Path of the file."""

    size: int
    """Size of the file, bytes."""

    byte_order: ByteOrder
    """'>' or '<'."""

    format: SampleFormat
    """Sample format."""

    revision: tuple[int, int]
    """(major, minor) revision of the standard."""

    n_extended_text: int
    """Number of 3200-byte extended text headers."""

    first_trace: int
    """Byte offset of the first trace."""

    header_bytes: int
    """Size of a trace's headers: 240, more with revision 2's extra trace headers."""

    n_samples: int
    """Samples per trace."""

    n_traces: int
    """Whole traces in the file."""

    dt: float
    """Sample interval, s (for depth sections 1e-3 times the depth step in m); 0 where unknown."""

    dt_binary: float
    """Sample interval in the binary header, s."""

    dt_trace: float
    """Sample interval in the first trace header, s."""

    measurement_system: int
    """Binary header's unit of length: 1 metres, 2 feet, else not said."""

    assumptions: tuple[str, ...]
    """What had to be assumed to read the file; a `Doubt` where it may well be wrong."""

    n_traces_stated: int = 0
    """Traces that the binary header of revision 2 says there are; 0 where it does not."""

    traces_per_ensemble: int = 0
    """Traces of a shot, as the binary header says; 0 where it does not."""

    @property
    def trace_bytes(self) -> int:
        """Size of a trace with its headers, bytes."""
        return self.header_bytes + self.n_samples * self.format.bytes

    @property
    def name(self) -> str:
        """File name without its folder, for messages."""
        return Path(self.path).name


def open_segy(path: str | Path) -> SegyFile:
    """Find out what a SEG-Y file holds.

    Raises
    ------
    SegyError
        The file is missing, empty, too short, may not be read, or is not SEG-Y.
    """
    status = file_status(path)
    try:
        return _open_cached(str(path), status.st_size, status.st_mtime_ns)
    except OSError as error:
        reason = error.strerror or str(error)
        message = f"cannot read {path}: {reason}. Check the permissions of the file and its disk."
        raise SegyError(message) from error


def file_status(path: str | Path) -> os.stat_result:
    """Size and times of a file that must exist.

    Raises
    ------
    SegyError
        It does not, or is no file.
    """
    try:
        status = Path(path).stat()
    except OSError as error:
        reason = error.strerror or str(error)
        message = f"cannot open {path}: {reason}. Check survey.data or the path given."
        raise SegyError(message) from error
    if not stat.S_ISREG(status.st_mode):
        message = f"{path} is not a file; a SEG-Y file is expected."
        raise SegyError(message)
    return status


@lru_cache(maxsize=256)
def _open_cached(path: str, size: int, mtime_ns: int) -> SegyFile:
    """Open a file; the time of its last change is here to be part of the cache's key."""
    start = _read_start(path, size)
    notes: list[str] = []
    if start.byte_order == "<":
        notes.append("byte order: little-endian, from the sample format code")
    n_extended, first_trace = _find_first_trace(start, notes)
    header_bytes = _find_trace_header_size(start, notes)
    if size < first_trace + header_bytes:
        message = (
            f"{path} has {size} bytes, but its first trace starts at byte {first_trace} after "
            f"{n_extended} extended text headers. Is it cut short, or another format?"
        )
        raise SegyError(message)
    trace = _first_trace_header(start, first_trace)
    traces = _Traces(start, first_trace, header_bytes)
    n_samples, n_traces = _find_samples(traces, trace["n_samples"], notes)
    dt_binary, dt_trace = start.interval, trace["interval"] / 1e6
    return SegyFile(
        path=path,
        size=size,
        byte_order=start.byte_order,
        format=start.format,
        revision=start.revision,
        n_extended_text=n_extended,
        first_trace=first_trace,
        header_bytes=header_bytes,
        n_samples=n_samples,
        n_traces=n_traces,
        dt=_choose_interval(dt_binary, dt_trace, notes),
        dt_binary=dt_binary,
        dt_trace=dt_trace,
        measurement_system=int(start.binary["measurement_system"]),
        assumptions=tuple(notes),
        n_traces_stated=_stated_traces(start),
        traces_per_ensemble=max(int(start.binary["traces_per_ensemble"]), 0),
    )


def _stated_traces(start: "_Start") -> int:
    """Read the number of traces of revision 2; 0 where it is not given or not to be believed."""
    stated = int(start.binary["n_traces"])
    return stated if start.revision[0] >= 2 and stated < _MOST_TRACES else 0


@dataclass(frozen=True, slots=True)
class _Start:
    """The beginning of a file: its binary header, and what follows from that alone."""

    path: str
    size: int
    byte_order: ByteOrder
    binary: dict[str, int | float]
    format: SampleFormat
    revision: tuple[int, int]

    @property
    def interval(self) -> float:
        """Sample interval of the binary header, s."""
        extended = float(self.binary["extended_interval"])
        if self.revision[0] >= 2 and np.isfinite(extended) and 1e-3 < extended < 1e9:
            return extended / 1e6
        return self.binary["interval"] / 1e6


@dataclass(frozen=True, slots=True)
class _Traces:
    """Where the traces of a file lie."""

    start: _Start
    first: int
    header_bytes: int

    @property
    def bytes(self) -> int:
        """Size of all traces together."""
        return self.start.size - self.first

    def size(self, n_samples: int) -> int:
        """Size of a trace of so many samples."""
        return self.header_bytes + n_samples * self.start.format.bytes


def _read_start(path: str, size: int) -> _Start:
    minimum = FILE_HEADER_BYTES + TRACE_HEADER_BYTES
    if size < minimum:
        what = "is empty" if size == 0 else f"has {size} bytes"
        message = (
            f"{path} {what}; SEG-Y needs at least {minimum} (3200 text, 400 binary, 240 trace "
            "header). Is it cut short, or another format?"
        )
        raise SegyError(message)
    with Path(path).open("rb") as file:
        head = file.read(FILE_HEADER_BYTES)
    byte_order = _find_byte_order(path, size, head)
    record = np.frombuffer(head, binary_header_dtype(byte_order), count=1, offset=TEXT_BYTES)[0]
    binary = {name: record[name].item() for name in BINARY_FIELDS}
    sample_format = FORMATS[int(binary["format"])]
    return _Start(path, size, byte_order, binary, sample_format, _find_revision(binary))


def _find_byte_order(path: str, size: int, head: bytes) -> ByteOrder:
    """Choose the order in which the sample format is a known code."""
    codes = {order: struct.unpack(order + "h", head[3224:3226])[0] for order in "><"}
    candidates = [order for order in "><" if codes[order] in FORMATS]
    if not candidates:
        known = ", ".join(str(code) for code in FORMATS)
        message = (
            f"{path} ({size} bytes) is not SEG-Y that can be read: bytes 3225-3226 hold sample "
            f"format {codes['>']} (or {codes['<']} little-endian); expected one of {known}."
        )
        raise SegyError(message)
    return candidates[0]


def _find_revision(binary: dict[str, int | float]) -> tuple[int, int]:
    """Read the revision; 0x0001 and 0x0002 are common misspellings of 1.0 and 2.0."""
    major, minor = int(binary["revision_major"]), int(binary["revision_minor"])
    if major == 0 and minor in (1, 2):
        return minor, 0
    # Little-endian files store the pair swapped: (0, 1) above; other pairs are junk of revision 0.
    return (major, minor) if major in (1, 2) and minor < 16 else (0, 0)


def _find_first_trace(start: _Start, notes: list[str]) -> tuple[int, int]:
    """Count the extended text headers: given, or -1 for "until the EndText stanza"."""
    count = int(start.binary["n_extended_text"])
    if count == -1:
        count = _count_to_end_text(start)
        notes.append(f"{count} extended text headers, counted up to the EndText stanza")
    elif count < 0 or count > _MAX_EXTENDED_TEXT:
        notes.append(f"extended text header count {count} is not believed; none assumed")
        count = 0
    elif start.revision == (0, 0) and start.size < FILE_HEADER_BYTES + count * TEXT_BYTES:
        notes.append(f"extended text header count {count} does not fit the file; none assumed")
        count = 0
    offset = FILE_HEADER_BYTES + count * TEXT_BYTES
    stated = int(start.binary["first_trace_offset"])
    if start.revision[0] >= 2 and offset < stated < start.size:
        notes.append(f"first trace at byte {stated}, as the binary header says (revision 2)")
        offset = stated
    return count, offset


def _count_to_end_text(start: _Start) -> int:
    with Path(start.path).open("rb") as file:
        file.seek(FILE_HEADER_BYTES)
        for count in range(1, min(_MAX_EXTENDED_TEXT, start.size // TEXT_BYTES) + 1):
            block = file.read(TEXT_BYTES)
            plain = (block.decode("cp037", "replace"), block.decode("latin-1"))
            if any("((SEG:ENDTEXT))" in text.upper().replace(" ", "") for text in plain):
                return count
    message = (
        f"{start.path} says its extended text headers end with an EndText stanza (bytes 3505-3506 "
        "are -1), but none is found. Is the file cut short?"
    )
    raise SegyError(message)


def _find_trace_header_size(start: _Start, notes: list[str]) -> int:
    extra = int(start.binary["extra_trace_headers"])
    if start.revision[0] < 2 or not 0 < extra <= _MAX_EXTRA_HEADERS:
        return TRACE_HEADER_BYTES
    notes.append(f"every trace has {extra} extra 240-byte headers (revision 2), skipped")
    return TRACE_HEADER_BYTES * (1 + extra)


def _first_trace_header(start: _Start, offset: int) -> dict[str, int]:
    with Path(start.path).open("rb") as file:
        file.seek(offset)
        raw = file.read(TRACE_HEADER_BYTES)
    record = np.frombuffer(raw, trace_header_dtype(start.byte_order, TRACE_FIELDS), count=1)[0]
    return {name: int(record[name]) for name in TRACE_FIELDS}


def _find_samples(traces: _Traces, in_trace_header: int, notes: list[str]) -> tuple[int, int]:
    """Choose the number of samples per trace: the first stated one that divides the file."""
    start = traces.start
    stated = {"binary header": int(start.binary["n_samples"]), "trace header": in_trace_header}
    extended = int(start.binary["extended_n_samples"])
    if start.revision[0] >= 2 and extended > 0:
        stated = {"binary header, bytes 3269-3272": extended, **stated}
    stated = {where: count for where, count in stated.items() if count > 0}
    if not stated:
        message = (
            f"{start.path} gives no number of samples: bytes 3221-3222 of the binary header and "
            "115-116 of the first trace header are 0."
        )
        raise SegyError(message)
    for where, count in stated.items():
        n_traces, rest = divmod(traces.bytes, traces.size(count))
        if n_traces and rest == 0:
            _note_sample_count(where, stated, notes)
            return count, n_traces
    _refuse_varying_lengths(traces)
    count = next(iter(stated.values()))
    n_traces, rest = divmod(traces.bytes, traces.size(count))
    if n_traces == 0:
        message = (
            f"{start.path} holds {traces.bytes} bytes of traces, less than one trace of {count} "
            f"samples ({traces.size(count)} bytes). Is it cut short?"
        )
        raise SegyError(message)
    notes.append(
        f"the file is cut short: after {n_traces} whole traces of {count} samples, {rest} bytes "
        "are left over and ignored"
    )
    return count, n_traces


def _note_sample_count(where: str, stated: dict[str, int], notes: list[str]) -> None:
    """Say which sample count is believed, and which is not."""
    count = stated[where]
    others = {place: number for place, number in stated.items() if number != count}
    if not others:
        return
    said = ", ".join(f"{number} in the {place}" for place, number in others.items())
    reason = "of the binary header" if where == next(iter(stated)) else "which divide the file"
    notes.append(f"{count} samples per trace, {reason} ({said} not believed)")


def _refuse_varying_lengths(traces: _Traces) -> None:
    """Refuse a file whose traces fill it exactly when each has its own header's sample count."""
    start = traces.start
    lengths: set[int] = set()
    place = traces.first
    with Path(start.path).open("rb") as file:
        while place < start.size and len(lengths) < _MANY_LENGTHS:
            file.seek(place + TRACE_FIELDS["n_samples"][0] - 1)
            field = file.read(2)
            if len(field) < 2:
                return
            count = struct.unpack(start.byte_order + "H", field)[0]
            lengths.add(count)
            place += traces.size(count)
    if place == start.size and len(lengths) > 1:
        message = (
            f"{start.path} has traces of different lengths, {min(lengths)} to {max(lengths)} "
            "samples; only files of one length are read. Pad the traces to one length."
        )
        raise SegyError(message)


def _choose_interval(dt_binary: float, dt_trace: float, notes: list[str]) -> float:
    if dt_binary > 0:
        # Trace headers hold whole microseconds: a finer binary value does not contradict them.
        if dt_trace > 0 and abs(dt_trace - dt_binary) >= 1e-6:
            notes.append(
                Doubt(
                    f"sample interval {1e6 * dt_binary:g} us of the binary header "
                    f"(the first trace header says {1e6 * dt_trace:g} us); "
                    f"set survey.dt: {dt_trace:.10g} if that is right"
                )
            )
        return dt_binary
    if dt_trace > 0:
        notes.append(
            f"sample interval {1e6 * dt_trace:g} us of the first trace header "
            "(the binary header says 0)"
        )
        return dt_trace
    notes.append("sample interval unknown: 0 in the binary and in the first trace header")
    return 0.0
