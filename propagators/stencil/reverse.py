"""A step taken back: from the wavefield after it to the wavefield before it."""

from dataclasses import replace

from wavepipe.propagators.stencil.inline import inlined
from wavepipe.propagators.stencil.program import ONE, Box, Keep, Program, Update, is_empty, meet


class IrreversibleError(ValueError):
    """A step loses what it would take to go back."""


def reverse(program: Program, inside: Box) -> Program:
    """The program that undoes `program`'s step on a box.

    Parameters
    ----------
    program
        Whose sources have been taken out of the wavefield again.
    inside
        Where: beyond the reach of absorbing layers, whose memories do not go back.

    Raises
    ------
    IrreversibleError
        An update inside keeps less than the whole of its target.

    Notes
    -----
    ``t = k t + A`` with k = 1 or -1 is undone by ``t = (t - A) / k``, the last update first. Beyond
    the box the wavefield must be put back by whoever calls.
    """
    step = inlined(program)
    updates = []
    for update in reversed(step.updates):
        if update.target in step.vanishing or any(t.field in step.vanishing for t in update.terms):
            continue  # a layer's
        box = meet(update.box, inside)
        if is_empty(box):
            continue
        if update.keep.factors != ONE or abs(update.keep.number) != 1.0:
            raise IrreversibleError(_reason(update))
        number = update.keep.number
        terms = tuple(replace(t, scale=-t.scale / number) for t in update.terms)
        updates.append(Update(update.target, terms, box, Keep(1.0 / number)))
    return replace(
        step,
        swaps_before=step.swaps_after[::-1],
        swaps_after=step.swaps_before[::-1],
        inputs=(),
        outputs=(),
    ).with_updates(updates)


def _reason(update: Update) -> str:
    kept = " ".join(name for name, _ in update.keep.factors) or f"{update.keep.number:g}"
    return (
        f"a step cannot be taken back: {update.target!r} keeps only {kept} times itself, so what "
        "it was is lost in noise that would grow with every step. Waves with losses need their "
        "wavefield stored or computed again."
    )
