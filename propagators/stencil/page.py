"""What the author of a physics writes with: fields, coefficients, derivatives, updates.

The page says what a derivative is of and where; absorbing layers and free surfaces are added here,
so that no physics mentions them. Layers are convolutional perfectly matched layers in slabs:
each derivative d/dx becomes d/dx + psi with ``psi = a psi + b d/dx`` in the layer only.
(Komatitsch and Martin 2007; for second derivatives Pasalic and McGarry 2010.)
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

from wavepipe.propagators.axes import axis_name
from wavepipe.propagators.stencil.derivatives import (
    first_derivative_weights,
    second_derivative_weights,
    staggered_weights,
)
from wavepipe.propagators.stencil.expression import (
    Coefficient,
    Expression,
    Piece,
    field_of,
    joined,
    total,
)
from wavepipe.propagators.stencil.free_faces import closure
from wavepipe.propagators.stencil.program import (
    DISCARDED,
    ONE,
    Box,
    Keep,
    Monomial,
    Offset,
    Port,
    Program,
    Swap,
    Term,
    Update,
    monomial,
    multiply,
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
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        order: int,
        spacing: tuple[float, ...],
        faces: tuple[tuple[Face, Face], ...],
    ) -> None:
        self.shape, self.order, self.spacing, self.faces = shape, order, spacing, faces
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

    def solid(self) -> None:
        """No field has a symmetry about a free face: differences there are one-sided.

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
            last = self.shape[axis] - int(high.free and (vanishes or not on_nodes))
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
        forward = 0 if axis in self._halves[name] else 1
        taps = [
            (self._offset(axis, s * k - (s + 1) // 2 + forward), s * weight / self.spacing[axis])
            for k, weight in enumerate(staggered_weights(self.order), start=1)
            for s in (-1, 1)
        ]
        return Expression((Piece(Term(1.0, ONE, tuple(taps), ONE, name), axis),))

    def second_derivative(self, of: Expression, axis: int) -> Expression:
        """d2/dx2 along `axis`, centred."""
        return Expression((Piece(self._second(field_of(of), axis), axis, second=True),))

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
        for piece in pieces:
            if piece.axis is not None:
                corrections += self._close_free_faces(name, piece.term, piece.axis, piece.second)
                corrections += self._absorb(name, piece.term, piece.axis, piece.second)
        box = self._fields[name]
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
            local=frozenset(self._local),
            halves=dict(self._halves),
            profiles=dict(self._profiles),
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

    def _offset(self, axis: int, distance: int) -> Offset:
        return tuple(distance if a == axis else 0 for a in self.axes)

    def _value(self, name: str) -> Expression:
        return Expression((Piece(Term(1.0, ONE, ((self._offset(0, 0), 1.0),), ONE, name)),))

    def _place(self, piece: Piece) -> tuple[int, ...]:
        """Axes along which a piece lies half a cell after the nodes."""
        half = set(self._halves[piece.term.field])
        if piece.axis is not None and not piece.second:
            half ^= {piece.axis}
        return tuple(sorted(half))

    def _second(self, name: str, axis: int) -> Term:
        centre, *side = second_derivative_weights(self.order)
        per_area = 1 / self.spacing[axis] ** 2
        taps = [(self._offset(axis, 0), centre * per_area)]
        for k, weight in enumerate(side, start=1):
            taps += [(self._offset(axis, s * k), weight * per_area) for s in (-1, 1)]
        return Term(1.0, ONE, tuple(taps), ONE, name)

    def _first(self, name: str, axis: int) -> Term:
        taps = [
            (self._offset(axis, s * k), s * weight / self.spacing[axis])
            for k, weight in enumerate(first_derivative_weights(self.order), start=1)
            for s in (-1, 1)
        ]
        return Term(1.0, ONE, tuple(taps), ONE, name)

    def _close_free_faces(self, target: str, term: Term, axis: int, second: bool) -> list[Update]:
        """What rows near a free face add to a derivative: its taps beyond the face read zero.

        Each tap is a term of its own, its weights by row a profile, so that its transpose is exact
        on any box.
        """
        half = axis in self._halves[term.field]
        ends = (half, half if second else not half)  # of the field, and of its derivative
        sign = self.spacing[axis] ** -2 if second else self.spacing[axis] ** -1
        updates = []
        for side, face in enumerate(self.faces[axis]):
            if not face.free:
                continue
            place = f"{self.letters[axis]}{side}{'h' if half else ''}"
            last = [self.shape[axis] - 1 - end for end in ends]
            by_offset: dict[int, dict[int, float]] = {}
            for (row, column), weight in closure(
                self.order, second=second, half=half, solid=self._solid
            ).items():
                if side == 1:
                    row, column = last[1] - row, last[0] - column
                    weight = weight if second else -weight
                lo, hi = self._fields[target][axis]
                if lo <= row < hi:
                    by_offset.setdefault(column - row, {})[row] = weight
            terms = []
            for offset, weights in sorted(by_offset.items()):
                name = f"free_{place}_{'m' if offset < 0 else 'p'}{abs(offset)}"
                profile = [0.0] * self.shape[axis]
                for row, weight in weights.items():
                    profile[row] = weight
                self._coefficients[name] = (axis,)
                self._profiles[name] = tuple(profile)
                left = multiply(term.left, monomial({name: 1}))
                taps = ((self._offset(axis, offset), 1.0),)
                terms.append(replace(term, scale=term.scale * sign, left=left, taps=taps))
            rows = [row for weights in by_offset.values() for row in weights]
            if rows:
                box = within(self._fields[target], axis, (min(rows), max(rows) + 1))
                updates.append(Update(target, tuple(terms), box))
        return updates

    def _absorb(self, target: str, term: Term, axis: int, second: bool) -> list[Update]:
        """The layer's corrections to a derivative, in the slab of each absorbing face.

        The memory of a layer is updated at once, before the field it corrects.
        """
        corrections = []
        for side, face in enumerate(self.faces[axis]):
            if face.slab:
                place = f"{self.letters[axis]}{side}"
                absorb = self._absorb_second if second else self._absorb_first
                corrections.append(absorb(target, term, axis, side, face.slab, place))
        return corrections

    def _absorb_second(
        self, target: str, term: Term, axis: int, side: int, cells: int, place: str
    ) -> Update:
        box = self._slab(self._fields[term.field], axis, side, cells)
        psi, zeta = (f"{kind}_{term.field}_{place}" for kind in ("psi", "zeta"))
        decay, drive = self._layer(axis, place)
        self._remember(psi, box)
        self._remember(zeta, box)
        d_field, d_psi = self._first(term.field, axis), self._first(psi, axis)
        second = self._second(term.field, axis)
        self._updates += [
            Update(psi, (replace(d_field, left=drive),), box, decay),
            Update(zeta, (replace(second, left=drive), replace(d_psi, left=drive)), box, decay),
        ]
        added = (d_psi, *(p.term for p in self._value(zeta).pieces))
        return Update(
            target,
            tuple(replace(t, left=term.left, scale=term.scale) for t in added),
            within(self._fields[target], axis, box[axis]),
        )

    def _absorb_first(
        self, target: str, term: Term, axis: int, side: int, cells: int, place: str
    ) -> Update:
        box = self._slab(self._fields[target], axis, side, cells)
        psi = f"psi_{term.field}_{place}"
        on_nodes = axis in self._halves[term.field]  # the derivative lies on the other points
        decay, drive = self._layer(axis, place if on_nodes else f"{place}h")
        self._remember(psi, box)
        self._updates.append(Update(psi, (replace(term, scale=1.0, left=drive),), box, decay))
        (added,) = (p.term for p in self._value(psi).pieces)
        return Update(target, (replace(added, left=term.left, scale=term.scale),), box)

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
        for axis, side in product(self.axes, (0, 1)):
            face = self.faces[axis][side]
            if face.sponge and face.slab:
                profile = f"g_{self.letters[axis]}{side}"
                self._coefficients[profile] = (axis,)
                keep = Keep(1.0, monomial({profile: 1}))
                for name in names:
                    box = self._slab(self._fields[name], axis, side, face.slab)
                    updates.append(Update(name, (), box, keep))
        return updates

    def _layer(self, axis: int, place: str) -> tuple[Keep, Monomial]:
        """Decay and drive of a layer's memory."""
        a, b = f"a_{place}", f"b_{place}"
        self._coefficients |= {a: (axis,), b: (axis,)}
        return Keep(1.0, monomial({a: 1})), monomial({b: 1})

    def _remember(self, name: str, box: Box) -> None:
        if name in self._fields:
            raise ValueError(
                f"the derivative behind {name!r} is taken twice: name it once with `local`"
            )
        self._fields[name] = box
        self._vanishing.add(name)

    def _slab(self, box: Box, axis: int, side: int, cells: int) -> Box:
        lo, hi = box[axis]
        cells = min(cells, hi - lo)
        return within(box, axis, (lo, lo + cells) if side == 0 else (hi - cells, hi))


def within(box: Box, axis: int, cells: tuple[int, int]) -> Box:
    """`box` with another range along `axis`."""
    return tuple(cells if a == axis else b for a, b in enumerate(box))
