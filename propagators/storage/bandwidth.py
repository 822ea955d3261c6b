"""How fast a scratch folder is."""

import os
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from wavepipe.propagators.errors import StorageError
from wavepipe.propagators.storage.disk import Disk, page_aligned, reason
from wavepipe.propagators.storage.scratch import check_folder

_PIECE = 8 << 20
_PIECES = 8
_PATIENCE = 1.0
"""s: slow disks are measured on fewer pieces."""


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """Speed of large transfers, one after the other."""

    write: float
    """Bytes/s."""
    read: float
    """Bytes/s."""


def bandwidth(folder: Path) -> Bandwidth:
    """The speed of the disk behind a folder, measured once in a process on at most 64 MB.

    Raises
    ------
    StorageError
        The folder is missing or cannot be written, has less room than that, or the disk fails.
    """
    check_folder(folder)
    return _measured(folder.resolve(), folder.stat().st_dev)


@lru_cache(maxsize=64)
def _measured(folder: Path, device: int) -> Bandwidth:
    """`device` tells what is mounted there."""
    piece = page_aligned(_PIECE)
    piece[:] = np.random.default_rng(0).integers(0, 256, _PIECE, dtype=np.uint8)
    disk = Disk(folder, _PIECE * _PIECES)
    try:
        began = time.perf_counter()
        written = 0
        while written < _PIECES and (not written or time.perf_counter() - began < _PATIENCE):
            disk.write([piece], written * _PIECE)
            written += 1
        disk.flush()
        turned = time.perf_counter()
        for index in reversed(range(written)):
            disk.read([piece], index * _PIECE)
        ended = time.perf_counter()
    except OSError as error:
        raise StorageError(f"the disk of {folder} fails: {reason(error)}") from error
    finally:
        disk.close()
    size = written * _PIECE
    return Bandwidth(size / (turned - began), size / (ended - turned))


def in_memory(folder: Path) -> bool:
    """Whether the files of a folder are kept in memory, as /tmp is on some systems."""
    status = folder.stat()
    device = f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}"
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        mount, _, kind = line.partition(" - ")
        if mount.split()[2] == device:
            return kind.split()[0] in ("tmpfs", "ramfs")
    return False
