"""Which cells of a phase go to which blocks of threads.

Where only layers have a part in a phase, as in that of their memories, each of its boxes has blocks
of its own. Elsewhere a region is the grid, or in 3-D the inside without the layers' slabs, where
threads need fewer registers, and apart from it the boxes around.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from wavepipe.propagators.backends.emit_cuda_values import columns
from wavepipe.propagators.backends.emit_values import Values
from wavepipe.propagators.stencil.program import Box, Update, is_empty, meet, within
from wavepipe.propagators.stencil.schedule import links, together

PLANES = 12
"""Vectors of columns that share a thread; more leave few threads to a multiprocessor."""

LEAST = 8
"""The inside has kernels of its own where it is more than one part in so many."""


@dataclass(frozen=True, eq=False)
class Group:
    """Updates on one box."""

    updates: tuple[Update, ...]

    @property
    def box(self) -> Box:
        """Of every update."""
        return self.updates[0].box


@dataclass(frozen=True, eq=False)
class Region:
    """Groups of updates within a box that has blocks of threads of its own."""

    groups: tuple[Group, ...]

    @property
    def box(self) -> Box:
        """The smallest that holds the groups'."""
        return hull([group.box for group in self.groups])

    @property
    def updates(self) -> list[Update]:
        """Of all groups, in order."""
        return [u for group in self.groups for u in group.updates]


def hull(boxes: Sequence[Box]) -> Box:
    """The smallest box that holds some boxes."""
    axes = range(len(boxes[0]))
    return tuple((min(b[a][0] for b in boxes), max(b[a][1] for b in boxes)) for a in axes)


def launches(updates: Sequence[Update], values: Values) -> list[tuple[list[Region], bool]]:
    """Regions of the kernels of a phase, and whether those of each are side by side."""
    found, beside = regions(updates, values)
    inside = values.program.inside
    if values.ndim < 3 or inside is None or not beside:
        return [(found, beside)]
    whole = hull([region.box for region in found])
    core = meet(inside, whole)
    if core == whole or is_empty(core) or LEAST * _cells(core) < _cells(whole):
        return [(found, beside)]
    frame = [
        region for box in _around(core, whole) for region in regions(_cut(updates, box), values)[0]
    ]
    return [regions(_cut(updates, core), values), (frame, False)]


def _cut(updates: Sequence[Update], box: Box) -> list[Update]:
    """What updates do in a box; they do not depend on each other across cells."""
    cut = (replace(u, box=meet(u.box, box)) for u in updates)
    return [u for u in cut if not is_empty(u.box)]


def _around(inside: Box, whole: Box) -> list[Box]:
    """What is left of a box without another one in it."""
    boxes, rest = list[Box](), whole
    for axis, (low, high) in enumerate(inside):
        first, last = rest[axis]
        boxes += [within(rest, axis, (first, low)), within(rest, axis, (high, last))]
        rest = within(rest, axis, (low, high))
    return [box for box in boxes if not is_empty(box)]


def regions(updates: Sequence[Update], values: Values) -> tuple[list[Region], bool]:
    """Regions of a phase, and whether they are side by side: on the same cells, for other arrays.

    Thin boxes that do not depend on each other are regions, and so are parts of a phase on the
    whole grid that would need too many registers together: these read the same cells at the same
    time.
    """
    parts: list[list[Update]] = []
    for update in updates:
        touched = [p for p in parts if any(links(other, update) for other in p)]
        parts = [p for p in parts if p not in touched]
        parts.append([u for p in touched for u in p] + [update])
    thin = [_region(part, updates) for part in _of_boxes(parts)]
    if sum(_cells(region.box) for region in thin) < _cells(hull([r.box for r in thin])):
        return thin, False
    joined: list[list[Update]] = []
    for part in parts:
        for other in joined:
            if planes([*other, *part], values) <= PLANES:
                other += part
                break
        else:
            joined.append(part)
    return [_region(part, updates) for part in joined], True


def _region(part: Sequence[Update], updates: Sequence[Update]) -> Region:
    ordered = sorted(part, key=updates.index)
    groups = together(ordered, lambda a, b: a.box == b.box)
    return Region(tuple(Group(tuple(group)) for group in groups))


def _of_boxes(parts: Sequence[list[Update]]) -> list[list[Update]]:
    """Independent updates that are on the same boxes together."""
    found: dict[frozenset[Box], list[Update]] = {}
    for part in parts:
        found.setdefault(frozenset(u.box for u in part), []).extend(part)
    return list(found.values())


def planes(updates: Sequence[Update], values: Values) -> int:
    """Vectors that a thread holds of the columns it marches."""
    return sum(last - first + 1 for first, last in columns(updates, values).values())


def _cells(box: Box) -> int:
    return prod(hi - lo for lo, hi in box)


def everywhere(region: Region) -> list[Update]:
    """Updates in all cells of a region."""
    return [u for group in region.groups if group.box == region.box for u in group.updates]
