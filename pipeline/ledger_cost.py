"""What keeping sums safe takes: their sizes, and how fast the run's disk makes one safe."""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wavepipe.pipeline.ledger import LEVELS, write_sum
from wavepipe.pipeline.partial import Partial
from wavepipe.pipeline.windows import Window

MOST = 0.05
"""Part of a run that its ledger may take."""

TRIAL_BYTES = 32 << 20
"""Largest sum that is written to find out how fast the disk is."""

REPEATS = 3


@dataclass(frozen=True, slots=True)
class Disk:
    """Of the run folder."""

    latency: float
    """Seconds that the smallest sum takes."""

    speed: float
    """Bytes a second beyond that."""

    def seconds(self, files: int, size: float) -> float:
        """That it takes to make some sums safe.

        Parameters
        ----------
        files
            How many.
        size
            Bytes of all of them.
        """
        return files * self.latency + size / self.speed


def measure_disk(folder: Path, sum_bytes: float) -> Disk:
    """Write some sums beside the run folder to be, which go at once.

    Parameters
    ----------
    folder
        Of the run; need not exist.
    sum_bytes
        Of a sum of the run; larger ones than `TRIAL_BYTES` are judged by a smaller one.
    """
    near = next(path for path in (folder, *folder.parents) if path.is_dir())
    size = int(min(max(sum_bytes, 1 << 20), TRIAL_BYTES))
    with tempfile.TemporaryDirectory(prefix=".wavepipe-", dir=near) as name:

        def seconds(values: int) -> float:
            array = np.ones(values, np.float32)
            start = time.perf_counter()
            write_sum(Path(name) / "trial", Partial((0,), arrays={"values": array}))
            return time.perf_counter() - start

        latency = min(seconds(1) for _ in range(REPEATS))
        large = seconds(size // 4)
    return Disk(latency, size / max(large - latency, 1e-4))


def tree_sizes(windows: Sequence[Window]) -> tuple[tuple[int, int], ...]:
    """Nodes, and cells of all their windows, of each level of the tree over single shots."""
    level, found = list(windows), []
    while True:
        found.append((len(level), sum(int(np.prod(one.shape)) for one in level)))
        if len(level) == 1:
            return tuple(found)
        pairs = zip(level[::2], level[1::2], strict=False)
        odd = level[-1:] if len(level) % 2 else []
        level = [a.union(b) for a, b in pairs] + odd


@dataclass(frozen=True, slots=True)
class LedgerCost:
    """What it takes to make the sums of one evaluation safe."""

    sizes: tuple[tuple[int, int], ...]
    """Of `tree_sizes`."""

    cell_bytes: int
    """Of all arrays of a sum."""

    disk: Disk
    """Where they go."""

    n_workers: int
    """That share it."""

    work: float
    """Seconds that a worker would take for all shots."""

    def seconds(self, batch: int) -> float:
        """Seconds of all workers together, with batches of so many shots, a power of two."""
        lowest = min(batch.bit_length(), len(self.sizes)) - 1
        levels = {*range(lowest, len(self.sizes), LEVELS), len(self.sizes) - 1}
        files, cells = map(sum, zip(*(self.sizes[level] for level in levels), strict=True))
        return self.disk.seconds(files, self.cell_bytes * cells)

    def share(self, batch: int) -> float:
        """Part of the workers' time.

        A disk that is busy a part u of the time makes each wait 1 / (1 - u) times as long as alone.
        """
        alone = self.seconds(batch)
        busy = self.n_workers * alone / self.work
        waited = alone / (1.0 - busy) if busy < 1.0 else self.n_workers * alone
        return waited / (self.work + waited)
