"""How much of the processor's caches a thread has for itself."""

from functools import cache
from pathlib import Path

_FOLDER = Path("/sys/devices/system/cpu/cpu0/cache")
_USUAL = {2: 1_000_000, 3: 4_000_000}
_UNITS = {"K": 1024, "M": 1024**2, "G": 1024**3}


@cache
def cache_bytes(level: int) -> int:
    """A thread's part of the cache of a level, 2 or 3; a usual number where nothing tells."""
    try:
        for index in sorted(_FOLDER.glob("index*")):
            if int((index / "level").read_text()) == level:
                size = (index / "size").read_text().strip()
                sharing = _count((index / "shared_cpu_list").read_text().strip())
                return int(size[:-1]) * _UNITS[size[-1]] // sharing
    except (OSError, ValueError, KeyError):
        pass
    return _USUAL[level]


def _count(cpus: str) -> int:
    """Number of processors in a list such as ``0-3,8``."""
    ends = [part.split("-") for part in cpus.split(",")]
    return sum(int(end[-1]) - int(end[0]) + 1 for end in ends)
