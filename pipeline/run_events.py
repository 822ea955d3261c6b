"""Events of a run: what happened when, one JSON object per line."""

import errno
import json
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path


def append_event(path: Path, event: Mapping[str, object]) -> None:
    """Append an event, with the time, in one write, which is not flushed.

    Raises
    ------
    OSError
        It cannot be written, or not all of it: the disk is full.
    """
    stamped = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **event}
    line = json.dumps(stamped, default=as_json) + "\n"
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            line = "\n" + line  # a crash cut the last one short
        content = line.encode()
        if os.write(descriptor, content) < len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    finally:
        os.close(descriptor)


def read_events(path: Path) -> list[dict[str, object]]:
    """Every event so far; a last line cut short by a crash is left out."""
    if not path.exists():
        return []
    events = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            event = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(event, dict):
            events.append(event)
    return events


def as_json(value: object) -> object:
    """JSON for paths, tuples of sets, and NumPy scalars and arrays."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    for method in ("tolist", "item"):
        convert = getattr(value, method, None)
        if convert is not None:
            return convert()
    if isinstance(value, Iterable):
        return list(value)
    msg = f"{type(value).__name__} has no JSON form"
    raise TypeError(msg)
