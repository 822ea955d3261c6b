"""What an absorbing layer adds to a step: memories of derivatives in its slab, and damping.

Layers are convolutional perfectly matched layers: each derivative d/dx becomes d/dx + psi with
``psi = a psi + b d/dx`` in the layer only (Komatitsch and Martin 2007; for second derivatives
Pasalic and McGarry 2010). ``a``, ``b``, and the factors ``g`` that damp a field, are profiles.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from wavepipe.propagators.stencil.differences import (
    field_value,
    first_difference,
    second_difference,
)
from wavepipe.propagators.stencil.program import (
    Box,
    Keep,
    Monomial,
    Term,
    Update,
    monomial,
    within,
)


@dataclass(frozen=True, slots=True)
class Absorption:
    """What a layer adds to the update of a field by a derivative."""

    memories: Mapping[str, Box]
    """New fields."""
    profiles: tuple[str, ...]
    """New coefficients along the layer's axis."""
    before: tuple[Update, ...]
    """Of the memories, in the same step as the field they correct but before it."""
    correction: Update


@dataclass(frozen=True, slots=True)
class Layer:
    """The absorbing layer of one face."""

    axis: int
    side: int
    """0 for the low face, 1 for the high one."""
    cells: int
    """Of its slab, those with zero profiles included."""
    face: str
    """Name of the face."""
    order: int
    """Of the differences."""
    spacing: tuple[float, ...]
    """m, per axis."""

    def slab(self, box: Box) -> Box:
        """The part of a field's box that lies in the layer."""
        lo, hi = box[self.axis]
        cells = min(self.cells, hi - lo)
        return within(box, self.axis, (lo, lo + cells) if self.side == 0 else (hi - cells, hi))

    def absorb_first(self, target: str, term: Term, box: Box, *, half: bool) -> Absorption:
        """Correction to a staggered first derivative.

        Parameters
        ----------
        target
            What the derivative updates.
        term
            The derivative.
        box
            Of the target.
        half
            Whether the derivative lies half a cell after the nodes along the layer's axis.
        """
        slab, psi = self.slab(box), f"psi_{term.field}_{self.face}"
        profiles, decay, drive = self._memory(half=half)
        update = Update(psi, (replace(term, scale=1.0, left=drive),), slab, decay)
        added = self._as(term, field_value(psi, len(box)))
        return Absorption({psi: slab}, profiles, (update,), Update(target, (added,), slab))

    def absorb_second(self, target: str, term: Term, box: Box, read: Box) -> Absorption:
        """Correction to a second derivative.

        Parameters
        ----------
        target, term, box
            As of `absorb_first`.
        read
            Box of the field whose derivative it is.
        """
        slab, name = self.slab(read), term.field
        psi, zeta = (f"{kind}_{name}_{self.face}" for kind in ("psi", "zeta"))
        profiles, decay, drive = self._memory(half=False)
        d_field = first_difference(name, self.axis, self.order, self.spacing)
        d_psi = first_difference(psi, self.axis, self.order, self.spacing)
        second = second_difference(name, self.axis, self.order, self.spacing)
        updates = (
            Update(psi, (replace(d_field, left=drive),), slab, decay),
            Update(zeta, (replace(second, left=drive), replace(d_psi, left=drive)), slab, decay),
        )
        added = tuple(self._as(term, one) for one in (d_psi, field_value(zeta, len(box))))
        correction = Update(target, added, within(box, self.axis, slab[self.axis]))
        return Absorption({psi: slab, zeta: slab}, profiles, updates, correction)

    @property
    def damping(self) -> str:
        """Profile by which `damp` multiplies."""
        return f"g_{self.face}"

    def damp(self, name: str, box: Box) -> Update:
        """Damping of a whole field in the layer."""
        return Update(name, (), self.slab(box), Keep(1.0, monomial({self.damping: 1})))

    def _memory(self, *, half: bool) -> tuple[tuple[str, ...], Keep, Monomial]:
        """Names of the profiles of a memory; its decay and its drive."""
        a, b = (f"{kind}_{self.face}{'h' if half else ''}" for kind in "ab")
        return (a, b), Keep(1.0, monomial({a: 1})), monomial({b: 1})

    @staticmethod
    def _as(term: Term, added: Term) -> Term:
        """A term with the factors of the derivative it corrects."""
        return replace(added, left=term.left, scale=term.scale)
