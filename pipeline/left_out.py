"""Traces that hold nothing to use: found by workers, counted in sums, said once by the driver."""

from collections.abc import Mapping
from dataclasses import dataclass

_PREFIX = "left_out"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Traces of one shot that are left out, though no header calls them dead."""

    not_finite: int = 0
    """Traces with NaN or infinity."""

    zero: int = 0
    """Traces whose samples are all zero."""


def left_out_scalars(shot: int, found: LeftOut) -> dict[str, float]:
    """Sums of a `Partial` that carry what one shot leaves out; empty where that is nothing."""
    counts = {"not_finite": found.not_finite, "zero": found.zero}
    return {f"{_PREFIX}/{shot}/{name}": float(n) for name, n in counts.items() if n}


def left_out(scalars: Mapping[str, float]) -> dict[int, LeftOut]:
    """What each shot leaves out, by index in the survey, ascending.

    Examples
    --------
    >>> left_out({"misfit": 1.0, "left_out/2/zero": 3.0})
    {2: LeftOut(not_finite=0, zero=3)}
    """
    counts: dict[int, dict[str, int]] = {}
    for key, value in scalars.items():
        prefix, *rest = key.split("/")
        if prefix == _PREFIX:
            counts.setdefault(int(rest[0]), {})[rest[1]] = round(value)
    return {shot: LeftOut(**counts[shot]) for shot in sorted(counts)}


def describe_left_out(found: LeftOut) -> str:
    """Name it in words.

    Examples
    --------
    >>> describe_left_out(LeftOut(not_finite=1, zero=2))
    '1 trace with NaN or infinity and 2 all-zero traces left out'
    """
    parts = []
    if found.not_finite:
        parts.append(f"{found.not_finite} {_traces(found.not_finite)} with NaN or infinity")
    if found.zero:
        parts.append(f"{found.zero} all-zero {_traces(found.zero)}")
    return f"{' and '.join(parts)} left out"


def _traces(count: int) -> str:
    return "trace" if count == 1 else "traces"
