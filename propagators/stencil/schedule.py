"""In which order, and how closely together, the updates of a step may sweep the grid.

Two updates depend on each other if one writes what the other reads or writes. If that crosses
points along an axis, they cannot share a sweep along it. A phase is a set of updates that can:
across rows a barrier separates phases, within a row loops follow one another.
"""

from collections.abc import Sequence

from wavepipe.propagators.stencil.program import Offset, Update, is_empty, meet, reach


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
