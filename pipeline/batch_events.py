"""What a worker says of a batch that is done: a view of the run, not its result."""

import resource
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psutil

from wavepipe.pipeline.partial import Partial


@dataclass(frozen=True, slots=True)
class BatchWatch:
    """Time and memory of a batch, from the moment that this is made."""

    worker: str
    """Address of the one that has it, as Dask adds it to events; empty in the driver."""

    began: float = field(default_factory=time.time)
    """Since the epoch by the worker's clock, s."""

    cpu: float = field(default_factory=time.process_time)
    """That the process had used before, s."""

    held: int = field(default_factory=lambda: int(psutil.Process().memory_info().rss))
    """Memory that the process had before, bytes."""

    def event(
        self, shots: Sequence[int], partial: Partial, dead: Sequence[str]
    ) -> dict[str, object]:
        """Line of events.jsonl on the batch, which is done now.

        Parameters
        ----------
        shots
            In the batch, as indices in the selection.
        partial
            What came of it.
        dead
            Workers that had it before, and ended with it.
        """
        event: dict[str, object] = {
            "event": "batch",
            "shots": len(shots),
            "indices": list(shots),
            "began": datetime.fromtimestamp(self.began, UTC).isoformat(timespec="milliseconds"),
            "seconds": round(time.time() - self.began, 4),
            "cpu_seconds": round(time.process_time() - self.cpu, 4),
            "held_bytes": self.held,
            "peak_bytes": _peak(),
            "worker": self.worker,
        }
        if dead:
            event["died"] = list(dead)
        if partial.failures:
            event["failed"] = [failure.shot for failure in partial.failures]
        return event


def _peak() -> int:
    """Most memory that this process ever had, bytes."""
    # Linux counts in ru_maxrss what the parent had when it made this process.
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return 1024 * int(next(line.split()[1] for line in lines if line.startswith("VmHWM:")))
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
