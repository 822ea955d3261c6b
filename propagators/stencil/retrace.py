"""The programs of a run that is taken back: what it stores on its way, and the way back.

Beyond the box in which steps can be undone nothing is known on the way back. There each step of the
run stores strips of its fields, as wide as the stencils that are taken inside reach; and of the
stored sums, which are made again inside, those beyond the box are kept.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from wavepipe.propagators.axes import axis_name
from wavepipe.propagators.stencil.adjoint import pruned
from wavepipe.propagators.stencil.program import (
    DISCARDED,
    ONE,
    Box,
    Program,
    Term,
    Update,
    is_empty,
    lasting,
    meet,
    within,
)
from wavepipe.propagators.stencil.reverse import reverse


@dataclass(frozen=True, slots=True)
class Strip:
    """Cells of a field beside the box in which steps are undone."""

    name: str
    field: str
    """As it is called before the updates of a step of the run."""
    box: Box


@dataclass(frozen=True, eq=False, slots=True)
class Retraced:
    """A run and its way back; each has a step, and one that meets a slot of the history."""

    step: Program
    sampled: Program
    back: Program
    back_sampled: Program
    strips: tuple[Strip, ...]
    outside: tuple[Box, ...]
    """Where stored sums are not made again: disjoint boxes."""
    fields: tuple[str, ...]
    """With what the way back begins."""

    @property
    def is_possible(self) -> bool:
        """Whether layers leave an inside."""
        return bool(self.back.updates)


@lru_cache(maxsize=64)
def retraced(step: Program, sampled: Program, sums: tuple[str, ...]) -> Retraced:
    """The programs of a run and of its way back.

    Parameters
    ----------
    step, sampled
        Of the run.
    sums
        Names of the stored sums.

    Raises
    ------
    IrreversibleError
        The waves have losses.
    """
    inside = step.box if step.inside is None else step.inside
    needed = pruned(sampled, set(sums))
    fields = set(lasting([needed])) - needed.vanishing
    back = [reverse(one, inside) for one in (pruned(step, fields), needed)]
    found = _strips(back, inside)
    if any(is_empty((cells,)) for cells in inside):
        outside: tuple[Box, ...] = (step.box,)
    else:
        outside = _around(inside, step.box)
    return Retraced(
        _storing(step, found),
        _storing(sampled, found),
        _putting_back(back[0], found),
        _putting_back(back[1], found),
        found,
        outside,
        tuple(sorted(fields)),
    )


def _around(inside: Box, whole: Box) -> tuple[Box, ...]:
    """What is left of a box without another one in it."""
    boxes, rest = list[Box](), whole
    for axis, (low, high) in enumerate(inside):
        first, last = rest[axis]
        boxes += [within(rest, axis, (first, low)), within(rest, axis, (high, last))]
        rest = within(rest, axis, (low, high))
    return tuple(box for box in boxes if not is_empty(box))


def _strips(back: Sequence[Program], inside: Box) -> tuple[Strip, ...]:
    """Strips that steps back read."""
    found: dict[tuple[str, int, int], Box] = {}
    undone = {u.target for program in back for u in program.updates} - back[1].local
    for program in back:
        for name, read in _reads(program):
            for field in _alike(program, name) & undone:
                for axis, side, beyond in _beyond(read, inside):
                    known = found.get((field, axis, side), beyond)
                    found[field, axis, side] = _hull(known, beyond)
    ndim = len(inside)
    return tuple(
        Strip(f"strip_{field}_{axis_name(axis, ndim)}{side}", field, box)
        for (field, axis, side), box in sorted(found.items())
    )


def _reads(program: Program) -> set[tuple[str, Box]]:
    """What is read of the fields beside the points that are updated."""
    found = set()
    for update in program.updates:
        for term in update.terms:
            for offset in (k for k in term.offsets if any(k)):
                if term.field in program.local:
                    raise NotImplementedError(f"local {term.field!r} is read beside the point")
                box = tuple(
                    (lo + k, hi + k) for (lo, hi), k in zip(update.box, offset, strict=True)
                )
                found.add((term.field, meet(box, program.fields[term.field])))
    return found


def _alike(program: Program, name: str) -> set[str]:
    """Names that an array has in other steps: swaps exchange them."""
    names = {name}
    swaps = (*program.swaps_before, *program.swaps_after)
    for _ in swaps:
        names.update(*(pair for pair in swaps if names & set(pair)))
    return names


def _beyond(read: Box, inside: Box) -> list[tuple[int, int, Box]]:
    """Parts of a box beyond another: axis, side and cells."""
    parts = [
        (axis, side, within(read, axis, cells))
        for axis, ((low, high), (first, last)) in enumerate(zip(inside, read, strict=True))
        for side, cells in enumerate(((first, min(last, low)), (max(first, high), last)))
    ]
    return [part for part in parts if not is_empty(part[2])]


def _hull(a: Box, b: Box) -> Box:
    return tuple((min(p, r), max(q, s)) for (p, q), (r, s) in zip(a, b, strict=True))


def _storing(program: Program, strips: Sequence[Strip]) -> Program:
    """The step that first stores strips."""
    stores = [_copy(strip.field, strip.name, strip.box) for strip in strips]
    return _with_strips(program, strips, [*stores, *program.updates])


def _putting_back(program: Program, strips: Sequence[Strip]) -> Program:
    """The step back that loads strips as soon as their fields are as they were when stored."""
    updates = list(program.updates)
    for strip in strips:
        last = max(k for k, update in enumerate(updates) if update.target == strip.field)
        updates.insert(last + 1, _copy(strip.name, strip.field, strip.box))
    return _with_strips(program, strips, updates)


def _copy(source: str, target: str, box: Box) -> Update:
    here = ((0,) * len(box), 1.0)
    return Update(target, (Term(1.0, ONE, (here,), ONE, source),), box, DISCARDED)


def _with_strips(program: Program, strips: Sequence[Strip], updates: Sequence[Update]) -> Program:
    boxes: Mapping[str, Box] = {strip.name: strip.box for strip in strips}
    return replace(
        program,
        fields={**program.fields, **boxes},
        local=program.local | boxes.keys(),
        strips=frozenset(boxes),
    ).with_updates(updates)
