"""How much memory this process may still take."""

from pathlib import Path

_GROUP = Path("/sys/fs/cgroup")


def free_memory() -> int:
    """Bytes that are free or can be freed, within the limit of the process's group."""
    free = 1 << 62
    for line in _text(Path("/proc/meminfo")).splitlines():
        if line.startswith("MemAvailable:"):
            free = int(line.split()[1]) * 1024
    limit = _text(_GROUP / "memory.max") or _text(_GROUP / "memory/memory.limit_in_bytes")
    if limit.strip().isdigit():
        used = _text(_GROUP / "memory.current") or _text(_GROUP / "memory/memory.usage_in_bytes")
        cache = _cache(_text(_GROUP / "memory.stat") or _text(_GROUP / "memory/memory.stat"))
        free = min(free, int(limit) - int(used or 0) + cache)
    return max(free, 0)


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
