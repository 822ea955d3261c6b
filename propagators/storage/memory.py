"""How much memory this process may still take."""

from collections.abc import Iterator
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")


def free_memory() -> int:
    """Bytes that are free or can be freed, within the limits of the process's control groups.

    Those of its own group and of every group around it, as a container or a batch system sets them.
    """
    free = 1 << 62
    for line in _text(Path("/proc/meminfo")).splitlines():
        if line.startswith("MemAvailable:"):
            free = int(line.split()[1]) * 1024
    for group in _groups():
        limit = _text(group / "memory.max") or _text(group / "memory.limit_in_bytes")
        if limit.strip().isdigit():
            used = _text(group / "memory.current") or _text(group / "memory.usage_in_bytes")
            cache = _cache(_text(group / "memory.stat"))
            free = min(free, int(limit) - int(used or 0) + cache)
    return max(free, 0)


def _groups() -> Iterator[Path]:
    """Folders of the groups that count this process's memory, in version 2 and version 1."""
    for line in _text(_OWN).splitlines():
        _, kinds, path = line.split(":", 2)
        if kinds not in ("", "memory"):
            continue
        root = _GROUPS / kinds
        own = root / path.lstrip("/")
        # In a container the path may be the host's: what is not seen here sets no limit here.
        yield from (group for group in (own, *own.parents) if group.is_relative_to(root))


def _cache(statistics: str) -> int:
    """Bytes of files that the group's limit counts but the system gives up when asked."""
    for line in statistics.splitlines():
        name, _, value = line.partition(" ")
        if name in ("inactive_file", "total_inactive_file"):
            return int(value)
    return 0


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""
