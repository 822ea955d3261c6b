"""What the author of a physics writes with: fields, coefficients, derivatives, updates.

The page says what a derivative is of and where; absorbing layers and free surfaces are added here,
so that no physics mentions them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from wavepipe.propagators.axes import axis_name
from wavepipe.propagators.stencil.contact_rows import contact_name, short_beside_contacts
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
from wavepipe.propagators.stencil.free_faces import Place, close, closure
from wavepipe.propagators.stencil.layers import Layer
from wavepipe.propagators.stencil.program import (
    DISCARDED,
    ONE,
    Box,
    Keep,
    Port,
    Program,
    Swap,
    Term,
    Update,
    is_empty,
    monomial,
    rename_after,
)


@dataclass(frozen=True, slots=True)
class Face:
    """One face of the grid: how thick its absorbing slab is, or that it is free."""

    slab: int = 0
    """Cells of the slab, the order/2 cells with zero profiles included; 0: no layer."""
    free: bool = False
    sponge: bool = False
    """Whether every field is damped in the slab as well."""


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
        self._solid = False
        self._fields: dict[str, Box] = {}
        self._halves: dict[str, tuple[int, ...]] = {}
        self._ahead: set[str] = set()
        self._local: set[str] = set()
        self._coefficients: dict[str, tuple[int, ...]] = {}
        self._profiles: dict[str, tuple[float, ...]] = {}
        self._updates: list[Update] = []
        self._swaps: list[Swap] = []
        self._inputs: list[Port] = []
        self._outputs: list[Port] = []
        self._vanishing: set[str] = set()
        self._fading: set[str] = set()
        self._layers = [
            Layer(axis, side, face.slab, f"{self.letters[axis]}{side}", order, spacing)
            for axis in self.axes
            for side, face in enumerate(faces[axis])
            if face.slab
        ]

    def solid(self) -> None:
        """No field has a symmetry about a free face: differences there are one-sided.

        And shear ends at water: beside it, differences from and to points of shear, half a cell
        along two axes, are of order 2, which do not cross the contact.

        Otherwise fields are mirrored about it: odd if they lie on the face's nodes, even if not.
        """
        self._solid = True

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
        self._halves[name] = tuple(half)
        if ahead:
            self._ahead.add(name)
        box = []
        for axis, (low, high) in enumerate(self.faces):
            on_nodes = axis not in half
            vanishes = on_nodes and (axis in zero or not self._solid)
            first = int(low.free and vanishes)
            last = self.shape[axis] - int((high.free and vanishes) or not (on_nodes or high.slab))
            box.append((first, last))
        self._fields[name] = tuple(box)
        return self._value(name)

    def local(self, name: str, value: Expression) -> Expression:
        """Name a sum of derivatives that several updates use; it is forgotten after the step."""
        places = {self._place(piece) for piece in value.pieces}
        if len(places) != 1:
            raise ValueError(f"the derivatives in {name!r} lie at different points: {places}")
        self._halves[name] = places.pop()
        self._fields[name] = tuple((0, n) for n in self.shape)
        self._local.add(name)
        self.update(self._value(name), value)
        return self._value(name)

    def coefficient(self, name: str) -> Coefficient:
        """Declare a coefficient on the grid."""
        self._coefficients[name] = tuple(self.axes)
        return Coefficient(monomial({name: 1}))

    def derivative(self, of: Expression, axis: int) -> Expression:
        """d/dx along `axis`, half a cell to the side of `of`'s points."""
        name = field_of(of)
        after = axis not in self._halves[name]
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
            if self._place(piece) != self._halves[name]:
                raise ValueError(
                    f"{name!r} lies half a cell after the nodes along axes {self._halves[name]}, "
                    f"a term with {piece.term.field!r} along {self._place(piece)}"
                )
            if piece.term.field == name and piece.axis is None:
                keep = Keep(keep.number + piece.term.scale, piece.term.left)
            else:
                pieces.append(piece)
        corrections: list[Update] = []
        box = self._fields[name]
        for piece in pieces:
            if piece.axis is not None:
                derivative = Update(name, (piece.term,), box)
                corrections += self._close_free_faces(derivative, piece.axis, piece.second)
                corrections += self._absorb(name, piece.term, piece.axis, piece.second)
                corrections += self._shorten([derivative], piece.axis)
        self._updates.append(Update(name, joined(p.term for p in pieces), box, keep))
        self._updates += corrections

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
        inner = field in self._ahead
        shift = 0.5 if self._ahead and not inner else 0.0
        self._inputs.append(Port(name, field, factors, scale, inner, shift))

    def receiver(self, name: str, of: Expression, scale: float = 1.0) -> None:
        """A receiver records ``scale * field`` at the start of the step."""
        field = field_of(of)
        shift = -0.5 if field in self._ahead else 0.0
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
        updates = self._soaked()
        return Program(
            shape=self.shape,
            order=self.order,
            spacing=self.spacing,
            fields=dict(self._fields),
            coefficients=dict(self._coefficients),
            updates=tuple(updates),
            swaps_after=tuple(self._swaps),
            inputs=tuple(self._inputs),
            outputs=tuple(self._outputs),
            vanishing=frozenset(self._vanishing),
            fading=frozenset(self._fading),
            local=frozenset(self._local),
            halves=dict(self._halves),
            profiles=dict(self._profiles),
            inside=tuple(
                (low.slab, n - high.slab)
                for n, (low, high) in zip(self.shape, self.faces, strict=True)
            ),
        )

    def _check_sources(self) -> None:
        for port in (p for p in self._inputs if not p.inner):
            for name in self._fields:
                if rename_after(self._swaps, name) != port.field:
                    continue
                updated = [i for i, u in enumerate(self._updates) if u.target == name]
                later = self._updates[updated[0] + 1 :] if updated else []
                if any(name in u.field_reads() for u in later if u.target != name):
                    raise ValueError(
                        f"{name!r} is read after its update, before {port.name!r} enters"
                    )

    def _value(self, name: str) -> Expression:
        return Expression((Piece(field_value(name, len(self.axes))),))

    def _place(self, piece: Piece) -> tuple[int, ...]:
        """Axes along which a piece lies half a cell after the nodes."""
        half = set(self._halves[piece.term.field])
        if piece.axis is not None and not piece.second:
            half ^= {piece.axis}
        return tuple(sorted(half))

    def _close_free_faces(self, derivative: Update, axis: int, second: bool) -> list[Update]:
        """What rows near the free faces of an axis add to a derivative."""
        half = axis in self._halves[derivative.terms[0].field]
        updates = []
        for side, face in enumerate(self.faces[axis]):
            weights = closure(self.order, second=second, half=half, solid=self._solid)
            if face.free and weights:
                name = f"free_{self.letters[axis]}{side}{'h' if half else ''}"
                place = Place(axis, side, self.shape[axis], self.spacing[axis], half, second)
                found = close(derivative, weights, place, name)
                self._coefficients |= dict.fromkeys(found.profiles, (axis,))
                self._profiles |= found.profiles
                updates.append(found.update)
        return [u for u in updates if not is_empty(u.box)]

    def _absorb(self, target: str, term: Term, axis: int, second: bool) -> list[Update]:
        """The corrections of the layers to a derivative; their memories are updated at once."""
        corrections = []
        box = self._fields[target]
        for layer in (one for one in self._layers if one.axis == axis):
            if second:
                found = layer.absorb_second(target, term, box, self._fields[term.field])
            else:
                half = axis not in self._halves[term.field]  # the field's derivative, then
                found = layer.absorb_first(target, term, box, half=half)
            if found.memories.keys() & self._fields.keys():
                raise ValueError(
                    f"the derivative behind {', '.join(found.memories)} is taken twice: name it "
                    "once with `local`"
                )
            self._fields |= found.memories
            self._vanishing |= found.memories.keys()
            self._coefficients |= dict.fromkeys(found.profiles, (axis,))
            self._updates += found.before
            self._updates += self._shorten(found.before, axis)
            corrections.append(found.correction)
        return corrections

    def _shorten(self, derivatives: Sequence[Update], axis: int) -> list[Update]:
        """What makes derivatives along `axis` from and to points of shear short at contacts."""
        updates: list[Update] = []
        if not self._solid or self.contacts is None:
            return updates
        for one in derivatives:
            read = set(self._halves[one.terms[0].field])
            shear = max(read, read ^ {axis}, key=len)
            if len(shear) == 2:
                name = contact_name(sorted(shear), len(self.axes))
                self._coefficients[name] = tuple(self.axes)
                self._fading.add(name)
                h, at_read = self.spacing[axis], shear == read
                updates.append(short_beside_contacts(one, name, self.contacts, h, read=at_read))
        return [u for u in updates if not is_empty(u.box)]

    def _soaked(self) -> list[Update]:
        """The updates, and after those of the fields ahead, and of the others, their damping."""
        lasting = self._fields.keys() - self._vanishing - self._local
        ahead = [i for i, u in enumerate(self._updates) if u.target in self._ahead]
        middle = max(ahead) + 1 if ahead else 0
        return [
            *self._updates[:middle],
            *self._soak(sorted(lasting & self._ahead)),
            *self._updates[middle:],
            *self._soak(sorted(lasting - self._ahead)),
        ]

    def _soak(self, names: Sequence[str]) -> list[Update]:
        """Damp fields in the slabs that are sponges, face by face: one loop for all of them."""
        updates = []
        for layer in self._layers:
            if self.faces[layer.axis][layer.side].sponge:
                self._coefficients[layer.damping] = (layer.axis,)
                updates += [layer.damp(name, self._fields[name]) for name in names]
        return updates
