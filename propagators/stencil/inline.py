"""A program without locals that are only read at the point: nothing is stored to be read once."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from wavepipe.propagators.stencil.program import ONE, Program, Term, Update, meet, multiply


@lru_cache(maxsize=64)
def inlined(program: Program, kept: frozenset[str] = frozenset()) -> Program:
    """The same step with what a local holds in place of the local.

    ``L = A; L += B; t += c L`` becomes ``t += c A; t += c B``. Locals that are sums of the program,
    in `kept`, or read beside the point stay.
    """
    names = program.local - kept - set(program.sums.values())
    for name in sorted(names):
        if _is_pointwise(program, name):
            program = _without(program, name)
    return program


def _is_pointwise(program: Program, name: str) -> bool:
    """Whether a local is read at the point only, from fields that have not changed since."""
    places = [i for i, u in enumerate(program.updates) if u.target == name]
    readers = [(i, t) for i, u in enumerate(program.updates) for t in u.terms if t.field == name]
    if not places or not readers or any(i < places[-1] for i, _ in readers):
        return False
    inputs = {n for i in places for n in program.updates[i].field_reads()}
    changed = {u.target for u in program.updates[places[0] : readers[-1][0]]}
    return not (changed & inputs) and all(
        t.is_pointwise and t.right == ONE and t.taps[0][1] == 1.0 for _, t in readers
    )


def _without(program: Program, name: str) -> Program:
    first, *more = (u for u in program.updates if u.target == name)
    updates: list[Update] = []
    for update in program.updates:
        if update.target == name:
            continue
        terms = [t for t in update.terms if t.field != name]
        reads = [t for t in update.terms if t.field == name]
        updates.append(replace(update, terms=(*terms, *_expanded(reads, first.terms))))
        updates += [
            Update(update.target, _expanded(reads, other.terms), meet(update.box, other.box))
            for other in more
            if reads
        ]
    return replace(
        program.with_updates(updates),
        fields={n: box for n, box in program.fields.items() if n != name},
        local=program.local - {name},
    )


def _expanded(reads: Sequence[Term], definition: Sequence[Term]) -> tuple[Term, ...]:
    """Reads of a local as reads of what it is made of."""
    return tuple(
        replace(d, scale=r.scale * d.scale, left=multiply(r.left, d.left))
        for r in reads
        for d in definition
    )
