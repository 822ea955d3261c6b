"""In which order, and how closely together, the updates of a step may sweep the grid.

Two updates depend on each other if one writes what the other reads or writes. If that crosses
points along an axis, they cannot share a sweep along it. A phase is a set of updates that can:
within a row loops follow one another, and across rows one phase stays some rows behind the other.
Phases of the next step may follow in the same sweep, so that cells make several steps while they
are in the cache (Wonnacott 2000, time skewing).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from wavepipe.propagators.stencil.program import (
    Offset,
    Swap,
    Update,
    is_empty,
    meet,
    reach,
    rename_after,
)


def links(first: Update, then: Update) -> set[Offset]:
    """Offsets by which `then` depends on `first`; empty if the two commute."""
    here = (0,) * len(first.box)
    found: set[Offset] = set()
    for writer, reader in ((first, then), (then, first)):
        for offset in reader.reads().get(writer.target, ()):
            if not is_empty(meet(reach(reader.box, (offset,)), writer.box)):
                found.add(offset)
    if first.target == then.target and not is_empty(meet(first.box, then.box)):
        found.add(here)
    return found


def phases(updates: Sequence[Update], axes: Sequence[int]) -> list[list[Update]]:
    """The fewest sweeps that respect every dependence across `axes`, each update in the latest."""
    depth = [0] * len(updates)
    for i in reversed(range(len(updates))):
        for j in range(i + 1, len(updates)):
            offsets = links(updates[i], updates[j])
            if offsets:
                crosses = any(offset[axis] for offset in offsets for axis in axes)
                depth[i] = max(depth[i], depth[j] + crosses)
    last = max(depth, default=0)
    return [
        [u for u, d in zip(updates, depth, strict=True) if d == last - level]
        for level in range(last + 1)
    ]


def together(
    updates: Sequence[Update], alike: Callable[[Update, Update], bool]
) -> list[list[Update]]:
    """Updates that are alike in one group, moved as late as their dependences allow."""
    groups: list[list[Update]] = []
    for update in reversed(updates):
        for group in groups:
            if alike(group[0], update):
                group.insert(0, update)
                break
            if any(links(update, other) for other in group):
                groups.insert(0, [update])
                break
        else:
            groups.insert(0, [update])
    return groups


@dataclass(frozen=True, slots=True)
class Access:
    """What a part of a step touches."""

    reads: Mapping[str, int]
    """Array -> the farthest row, in cells, at which it is read."""
    writes: frozenset[str]

    def after(self, swaps: Sequence[Swap]) -> "Access":
        """The same memory by its names after some swaps."""
        return Access(
            {rename_after(swaps, name): cells for name, cells in self.reads.items()},
            frozenset(rename_after(swaps, name) for name in self.writes),
        )


def access(updates: Iterable[Update], axes: Sequence[int]) -> Access:
    """What some updates touch, seen along `axes`."""
    reads: dict[str, int] = {}
    writes = set()
    for update in updates:
        writes.add(update.target)
        for name, offsets in update.reads().items():
            cells = max(abs(offset[axis]) for offset in offsets for axis in axes)
            reads[name] = max(reads.get(name, 0), cells)
    return Access(reads, frozenset(writes))


def distance(first: Access, then: Access) -> int | None:
    """Rows that `then` has to stay behind `first`; None where neither sees the other."""
    found = [then.reads[name] for name in first.writes & then.reads.keys()]
    found += [first.reads[name] for name in then.writes & first.reads.keys()]
    found += [0] * bool(first.writes & then.writes)
    return max(found, default=None)


def lags(parts: Sequence[Access]) -> list[int]:
    """Rows that each part of a step stays behind the first, never less than the one before it."""
    found: list[int] = []
    for then in parts:
        behind = [found[-1]] if found else [0]
        for lag, first in zip(found, parts, strict=False):
            rows = distance(first, then)
            if rows is not None:
                behind.append(lag + rows)
        found.append(max(behind))
    return found


def lag_of_next_step(kinds: Sequence[Sequence[Access]], swaps: Sequence[Swap]) -> int:
    """Rows that a step stays behind the one before it, whichever kinds of step the two are.

    Parameters
    ----------
    kinds
        Parts of each kind of step.
    swaps
        Between the parts of one step and those of the next.
    """
    lag = 1
    for before, now in ((a, b) for a in kinds for b in kinds):
        ends, starts = lags(before), lags(now)
        lag = max(lag, ends[-1])
        for steps in (1, 2):
            names = list(swaps) * steps
            for end, first in zip(ends, before, strict=True):
                for start, then in zip(starts, now, strict=True):
                    rows = distance(first.after(names), then)
                    if rows is not None:
                        lag = max(lag, -(-(end + rows - start) // steps))
    return lag
