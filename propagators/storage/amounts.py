"""Amounts of memory for people to read."""


def size(count: float) -> str:
    """Bytes with a unit: ``1.5 GB``."""
    for unit, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= unit:
            return f"{count / unit:.3g} {name}"
    return f"{count:.0f} bytes"
