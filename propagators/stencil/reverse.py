"""A step taken back: from the wavefield after it to the wavefield before it."""

from dataclasses import dataclass, field, replace

from wavepipe.propagators.stencil.inline import inlined
from wavepipe.propagators.stencil.program import ONE, Box, Keep, Program, Update, is_empty, meet


class IrreversibleError(ValueError):
    """A step loses what it would take to go back."""


def reverse(program: Program, inside: Box) -> Program:
    """The program that undoes `program`'s step on a box, its sources included.

    Parameters
    ----------
    inside
        Where: beyond the reach of absorbing layers, whose memories do not go back.

    Raises
    ------
    IrreversibleError
        An update inside keeps less than the whole of its target.

    Notes
    -----
    ``t = k t + A`` with k = 1 or -1 is undone by ``t = (t - A) / k``, the last update first. Sums
    that the step stores are made again on the way. Beyond the box the wavefield must be put back by
    whoever calls.
    """
    step = inlined(program)
    undone = _Undone(step, inside)
    for place in reversed(range(len(step.updates))):
        undone.take_back(place)
    return replace(
        step,
        fields={
            name: meet(box, inside) if name in step.local else box
            for name, box in step.fields.items()
            if name not in step.vanishing
        },
        swaps_before=step.swaps_after[::-1],
        swaps_after=step.swaps_before[::-1],
        inputs=tuple(replace(p, scale=-p.scale, inner=not p.inner) for p in step.inputs),
        outputs=(),
        vanishing=frozenset(),
    ).with_updates(undone.updates)


@dataclass
class _Undone:
    """Updates taken back so far."""

    step: Program
    inside: Box
    updates: list[Update] = field(default_factory=list)
    made: set[str] = field(default_factory=set)
    """Locals that have their value."""

    def take_back(self, place: int) -> None:
        """Undo an update; of a local, have it made."""
        update = self.step.updates[place]
        box = meet(update.box, self.inside)
        if is_empty(box) or self._is_a_layers(update):
            return
        for name in sorted(self.step.local & {update.target, *update.field_reads()}):
            self._make(name, place)
        if update.target in self.step.local:
            return
        if update.keep.factors != ONE or abs(update.keep.number) != 1.0:
            raise IrreversibleError(_reason(update))
        if update.target in update.field_reads():
            raise NotImplementedError(f"{update.target!r} is made from its own neighbours")
        number = update.keep.number
        terms = tuple(replace(t, scale=-t.scale / number) for t in update.terms)
        self.updates.append(Update(update.target, terms, box, Keep(1.0 / number)))

    def _make(self, name: str, place: int) -> None:
        """Have a local made before the update that is undone next."""
        if name in self.made:
            return
        self.made.add(name)
        own = [k for k, u in enumerate(self.step.updates) if u.target == name]
        kept = [self.step.updates[k] for k in own if not self._is_a_layers(self.step.updates[k])]
        read = {n for u in kept for n in u.field_reads()}
        if read & {u.target for u in self.step.updates[own[0] : place] if u.target != name}:
            raise NotImplementedError(f"what {name!r} is made of changes before it is used")
        for other in sorted(read & self.step.local):
            self._make(other, place)
        self.updates += [replace(u, box=meet(u.box, self.inside)) for u in kept]

    def _is_a_layers(self, update: Update) -> bool:
        vanishing = self.step.vanishing
        return update.target in vanishing or any(t.field in vanishing for t in update.terms)


def _reason(update: Update) -> str:
    kept = " ".join(name for name, _ in update.keep.factors) or f"{update.keep.number:g}"
    return (
        f"a step cannot be taken back: {update.target!r} keeps only {kept} times itself, so what "
        "it was is lost in noise that would grow with every step. Waves with losses need their "
        "wavefield stored or computed again."
    )
