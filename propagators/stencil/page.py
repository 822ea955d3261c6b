"""What the author of a physics writes with: fields, coefficients, derivatives, updates.

The page says what a derivative is of and where; absorbing layers and free surfaces are added in
`Surroundings`, so that no physics mentions them.
"""

from collections.abc import Sequence

from wavepipe.propagators.axes import axis_name
from wavepipe.propagators.stencil.differences import (
    field_value,
    second_difference,
    staggered_difference,
)
from wavepipe.propagators.stencil.expression import (
    Coefficient,
    Expression,
    Piece,
    field_of,
    joined,
    total,
)
from wavepipe.propagators.stencil.program import (
    DISCARDED,
    ONE,
    Keep,
    Port,
    Program,
    Swap,
    Update,
    monomial,
    rename_after,
)
from wavepipe.propagators.stencil.surroundings import Face, Parts, Surroundings


class Page:
    """Collects one time step; `program` closes it.

    Parameters
    ----------
    shape : cells
        The grid, absorbing layers included.
    order
        2, 4, 6 or 8: of the derivatives in space.
    spacing : m
        Of the grid, per axis.
    faces
        Low and high face of every axis.
    contacts : rows
        Of the first axis, first and one past the last: those where a solid's differences may be
        short beside water, and order/2 more on either side. None if nowhere.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        order: int,
        spacing: tuple[float, ...],
        faces: tuple[tuple[Face, Face], ...],
        contacts: tuple[int, int] | None = None,
    ) -> None:
        self.shape, self.order, self.spacing, self.faces = shape, order, spacing, faces
        self.contacts = contacts
        self.axes = range(len(shape))
        self.letters = [axis_name(axis, len(shape)) for axis in self.axes]
        self._parts = Parts()
        self._around = Surroundings(self._parts, shape, order, spacing, faces, contacts)
        self._swaps: list[Swap] = []
        self._inputs: list[Port] = []
        self._outputs: list[Port] = []

    def solid(self) -> None:
        """No field has a symmetry about a free face: differences there are one-sided.

        And shear ends at water: beside it, differences from and to points of shear, half a cell
        along two axes, are of order 2, which do not cross the contact.

        Otherwise fields are mirrored about it: odd if they lie on the face's nodes, even if not.
        """
        self._parts.solid = True

    def field(
        self, name: str, *, half: Sequence[int] = (), ahead: bool = False, zero: Sequence[int] = ()
    ) -> Expression:
        """Declare a wavefield; its value at the point updated.

        Parameters
        ----------
        half
            Axes along which it lies half a cell after the nodes.
        ahead
            Whether it lives half a time step before the others at the start of a step, and half
            a step ahead of them once it is updated.
        zero
            Axes on whose free faces a solid's field is zero, as a stress across them is. What is
            mirrored is zero wherever it lies on a free face.
        """
        self._parts.halves[name] = tuple(half)
        if ahead:
            self._parts.ahead.add(name)
        box = []
        for axis, (low, high) in enumerate(self.faces):
            on_nodes = axis not in half
            vanishes = on_nodes and (axis in zero or not self._parts.solid)
            first = int(low.free and vanishes)
            last = self.shape[axis] - int((high.free and vanishes) or not (on_nodes or high.slab))
            box.append((first, last))
        self._parts.fields[name] = tuple(box)
        return self._value(name)

    def local(self, name: str, value: Expression) -> Expression:
        """Name a sum of derivatives that several updates use; it is forgotten after the step."""
        places = {self._place(piece) for piece in value.pieces}
        if len(places) != 1:
            raise ValueError(f"the derivatives in {name!r} lie at different points: {places}")
        self._parts.halves[name] = places.pop()
        self._parts.fields[name] = tuple((0, n) for n in self.shape)
        self._parts.local.add(name)
        self.update(self._value(name), value)
        return self._value(name)

    def coefficient(self, name: str) -> Coefficient:
        """Declare a coefficient on the grid."""
        self._parts.coefficients[name] = tuple(self.axes)
        return Coefficient(monomial({name: 1}))

    def derivative(self, of: Expression, axis: int) -> Expression:
        """d/dx along `axis`, half a cell to the side of `of`'s points."""
        name = field_of(of)
        after = axis not in self._parts.halves[name]
        term = staggered_difference(name, axis, self.order, self.spacing, after=after)
        return Expression((Piece(term, axis),))

    def second_derivative(self, of: Expression, axis: int) -> Expression:
        """d2/dx2 along `axis`, centred."""
        term = second_difference(field_of(of), axis, self.order, self.spacing)
        return Expression((Piece(term, axis, second=True),))

    def laplacian(self, of: Expression) -> Expression:
        """Sum of the second derivatives along every axis."""
        return total(self.second_derivative(of, axis) for axis in self.axes)

    def update(self, target: Expression, value: Expression) -> None:
        """``target = value``; a multiple of the target itself in `value` is what it keeps.

        Raises
        ------
        ValueError
            A term of `value` does not lie at the target's points.
        """
        name = field_of(target)
        keep, pieces = DISCARDED, []
        for piece in value.pieces:
            if self._place(piece) != self._parts.halves[name]:
                raise ValueError(
                    f"{name!r} lies half a cell after the nodes along axes "
                    f"{self._parts.halves[name]}, a term with {piece.term.field!r} along "
                    f"{self._place(piece)}"
                )
            if piece.term.field == name and piece.axis is None:
                keep = Keep(keep.number + piece.term.scale, piece.term.left)
            else:
                pieces.append(piece)
        corrections: list[Update] = []
        box = self._parts.fields[name]
        for piece in pieces:
            if piece.axis is not None:
                derivative = Update(name, (piece.term,), box)
                corrections += self._around.closed(derivative, piece.axis, piece.second)
                corrections += self._around.absorbed(name, piece.term, piece.axis, piece.second)
                corrections += self._around.shortened([derivative], piece.axis)
        self._parts.updates.append(Update(name, joined(p.term for p in pieces), box, keep))
        self._parts.updates += corrections

    def swap(self, a: Expression, b: Expression) -> None:
        """Exchange two fields at the end of the step."""
        self._swaps.append((field_of(a), field_of(b)))

    def source(
        self, name: str, into: Expression, times: Coefficient | None = None, scale: float = 1.0
    ) -> None:
        """A source adds ``scale * times * amplitude`` to a field in every step.

        Without `times`, which has the time step in it, the amplitude is multiplied by that.
        """
        field = field_of(into)
        factors = times.factors if times is not None else ONE
        inner = field in self._parts.ahead
        shift = 0.5 if self._parts.ahead and not inner else 0.0
        self._inputs.append(Port(name, field, factors, scale, inner, shift))

    def receiver(self, name: str, of: Expression, scale: float = 1.0) -> None:
        """A receiver records ``scale * field`` at the start of the step."""
        field = field_of(of)
        shift = -0.5 if field in self._parts.ahead else 0.0
        self._outputs.append(Port(name, field, scale=scale, shift=shift))

    def program(self) -> Program:
        """The step as a program.

        Raises
        ------
        ValueError
            A source enters a field at the end of the step that is read after its update in it: its
            share of a gradient would be counted where it has not arrived yet.
        """
        self._check_sources()
        updates = self._around.soaked()
        return Program(
            shape=self.shape,
            order=self.order,
            spacing=self.spacing,
            fields=dict(self._parts.fields),
            coefficients=dict(self._parts.coefficients),
            updates=tuple(updates),
            swaps_after=tuple(self._swaps),
            inputs=tuple(self._inputs),
            outputs=tuple(self._outputs),
            vanishing=frozenset(self._parts.vanishing),
            fading=frozenset(self._parts.fading),
            local=frozenset(self._parts.local),
            halves=dict(self._parts.halves),
            profiles=dict(self._parts.profiles),
            inside=tuple(
                (low.slab, n - high.slab)
                for n, (low, high) in zip(self.shape, self.faces, strict=True)
            ),
        )

    def _check_sources(self) -> None:
        for port in (p for p in self._inputs if not p.inner):
            for name in self._parts.fields:
                if rename_after(self._swaps, name) != port.field:
                    continue
                updated = [i for i, u in enumerate(self._parts.updates) if u.target == name]
                later = self._parts.updates[updated[0] + 1 :] if updated else []
                if any(name in u.field_reads() for u in later if u.target != name):
                    raise ValueError(
                        f"{name!r} is read after its update, before {port.name!r} enters"
                    )

    def _value(self, name: str) -> Expression:
        return Expression((Piece(field_value(name, len(self.axes))),))

    def _place(self, piece: Piece) -> tuple[int, ...]:
        """Axes along which a piece lies half a cell after the nodes."""
        half = set(self._parts.halves[piece.term.field])
        if piece.axis is not None and not piece.second:
            half ^= {piece.axis}
        return tuple(sorted(half))
