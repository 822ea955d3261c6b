"""The exact discrete adjoint of a program.

Statements in reverse order, left and right factors exchanged, taps negated; then two clean-up
passes over the step taken as a cycle, after which the adjoint of leapfrog is leapfrog again.
"""

from collections.abc import Iterator
from dataclasses import replace

from wavepipe.propagators.stencil.program import (
    UNCHANGED,
    Program,
    Term,
    Update,
    contains,
    meet,
    reach,
    rename_after,
)


def transpose(program: Program) -> Program:
    """The program whose step is the transpose of `program`'s step.

    Notes
    -----
    ``target = keep target + sum A field`` transposes to one ``field += A^T target`` per term and
    then ``target = keep target``. Inputs become outputs. The memory of a layer, or a field whose
    scaling was folded into the next write, is a multiple of the adjoint field between steps.
    """
    updates: list[Update] = []
    for update in reversed(program.updates):
        updates += [_transposed(program, update, term) for term in update.terms]
        if update.keep != UNCHANGED:
            updates.append(Update(update.target, (), update.box, update.keep))
    adjoint = replace(
        program,
        swaps_before=program.swaps_after[::-1],
        swaps_after=program.swaps_before[::-1],
        inputs=program.outputs,
        outputs=program.inputs,
    ).with_updates(updates)
    return fold_scalings(fold_zeros(gather_writes(adjoint)))


def _transposed(program: Program, update: Update, term: Term) -> Update:
    _require_exact(program, update, term)
    taps = tuple((tuple(-x for x in offset), weight) for offset, weight in term.taps)
    # What drives a layer's memory vanishes at the slab's edge: nothing is written beyond it.
    drives_memory = update.target in program.vanishing
    reached = update.box if drives_memory else reach(update.box, term.offsets)
    box = meet(reached, program.fields[term.field])
    turned = Term(term.scale, term.right, taps, term.left, update.target)
    return Update(term.field, (turned,), box)


def _require_exact(program: Program, update: Update, term: Term) -> None:
    """The transposed update reads the target on a box; beyond the update's own box that is wrong.

    It is right where the target lives on the update's box only, where the box is exact because
    all taps are one, or where what is read too much meets a field or a factor that vanishes there.
    """
    exact = (
        len(term.taps) == 1
        or any(name in program.fading for name, _ in (*term.left, *term.right))
        or program.fields[update.target] == update.box
        or (term.field in program.vanishing and program.fields[term.field] == update.box)
    )
    if not exact:
        raise NotImplementedError(
            f"cannot transpose the update of {update.target!r} from {term.field!r}: its box "
            f"{update.box} is smaller than the field's and nothing vanishes at its edge"
        )


def gather_writes(program: Program) -> Program:
    """Additions to one target on one box become one update; those on the whole box come first."""
    updates: list[Update] = []
    for update in program.updates:
        position = _earliest(updates, update)
        if position is None:
            updates.append(update)
        elif updates[position].box == update.box:
            before = updates[position]
            updates[position] = replace(before, terms=before.terms + update.terms)
        else:
            updates.insert(position, update)
    return program.with_updates(updates)


def _earliest(updates: list[Update], update: Update) -> int | None:
    """Index of the first addition to the same target that `update` may join or precede."""
    if update.keep != UNCHANGED or not update.terms:
        return None
    found = None
    for index in reversed(range(len(updates))):
        other = updates[index]
        adds = other.target == update.target and other.keep == UNCHANGED and other.terms
        reads = update.target in other.field_reads() or other.target in update.field_reads()
        if adds and not reads:
            if other.box == update.box or contains(update.box, other.box):
                found = index
        elif reads or other.target == update.target:
            break
    return found


def _cycle(program: Program, start: int, name: str) -> Iterator[tuple[int, str]]:
    """Updates after `start`, taken cyclically, with the name that array `name` has there.

    A step is: swaps before, updates, swaps after.
    """
    count = len(program.updates)
    for index in range(start + 1, count):
        yield index, name
    name = rename_after(program.swaps_before, rename_after(program.swaps_after, name))
    for index in range(start + 1):
        yield index, name


def fold_zeros(program: Program) -> Program:
    """``t = 0`` vanishes and the next ``t += e`` becomes ``t = e``."""
    for index, update in enumerate(program.updates):
        if update.terms or update.keep.number != 0.0:
            continue
        folded = _fold(program, index, update)
        if folded is not None:
            return fold_zeros(folded)
    return program


def fold_scalings(program: Program) -> Program:
    """``t = a t`` vanishes and stays pending until t is next written on the same box."""
    for index, update in enumerate(program.updates):
        if update.terms:
            continue
        folded = _fold(program, index, update)
        if folded is not None:
            return fold_scalings(folded)
    return program


def _fold(program: Program, index: int, scaling: Update) -> Program | None:
    """Move a pure scaling into the next write of its target; None if something reads it first."""
    ports = {port.field for port in (*program.inputs, *program.outputs)}
    between_steps = rename_after(program.swaps_after, scaling.target)
    for other, name in _cycle(program, index, scaling.target):
        if other <= index and between_steps in ports:
            return None
        update = program.updates[other]
        touches = name == update.target or name in update.reads()
        if not touches:
            continue
        reads_it = name in update.field_reads()
        if update.target != name or update.box != scaling.box or reads_it or other == index:
            return None
        updates = list(program.updates)
        updates[other] = replace(update, keep=update.keep.times(scaling.keep))
        del updates[index]
        return replace(program, updates=tuple(updates))
    return None
