"""What the author of a physics writes with: fields, coefficients, derivatives, updates.

The page says what a derivative is and where; absorbing layers and free surfaces are added here,
so that no physics mentions them. Layers are convolutional perfectly matched layers in slabs:
each derivative d/dx becomes d/dx + psi with ``psi = a psi + b d/dx`` in the layer only.
(Komatitsch and Martin 2007; for second derivatives Pasalic and McGarry 2010.)
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from wavepipe.propagators.axes import axis_name
from wavepipe.propagators.stencil.derivatives import (
    first_derivative_weights,
    second_derivative_weights,
)
from wavepipe.propagators.stencil.program import (
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
)


@dataclass(frozen=True, slots=True)
class Face:
    """One face of the grid: how thick its absorbing slab is, or that it is free."""

    slab: int = 0
    """Cells of the slab, the order/2 cells with zero profiles included; 0: no layer."""
    free: bool = False


@dataclass(frozen=True, slots=True)
class Piece:
    """A term on its way into an update, still knowing which derivative it is."""

    term: Term
    axis: int | None = None


@dataclass(frozen=True, slots=True)
class Expression:
    """A sum of derivatives and values of fields, times numbers and coefficients."""

    pieces: tuple[Piece, ...]

    def __add__(self, other: "Expression | int") -> "Expression":
        """Sum; adding 0 makes `sum(...)` work."""
        return self if isinstance(other, int) else Expression(self.pieces + other.pieces)

    __radd__ = __add__

    def __sub__(self, other: "Expression") -> "Expression":
        return self + (-1.0) * other

    def __rmul__(self, factor: "float | Coefficient") -> "Expression":
        left, scale = (factor.factors, 1.0) if isinstance(factor, Coefficient) else (ONE, factor)
        return Expression(
            tuple(
                replace(
                    p,
                    term=replace(
                        p.term, scale=scale * p.term.scale, left=multiply(p.term.left, left)
                    ),
                )
                for p in self.pieces
            )
        )


@dataclass(frozen=True, slots=True)
class Coefficient:
    """A coefficient array, or a product of them."""

    factors: Monomial

    def __mul__(self, other: "Expression") -> Expression:
        return other.__rmul__(self)


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
        self._fields: dict[str, Box] = {}
        self._coefficients: dict[str, tuple[int, ...]] = {}
        self._updates: list[Update] = []
        self._swaps: list[Swap] = []
        self._inputs: list[Port] = []
        self._outputs: list[Port] = []
        self._vanishing: set[str] = set()

    def field(self, name: str) -> Expression:
        """Declare a wavefield; its value at the point updated.

        On a free face it starts one node inside: the node on the face is zero.
        """
        self._fields[name] = tuple(
            (int(lo.free), n - int(hi.free))
            for n, (lo, hi) in zip(self.shape, self.faces, strict=True)
        )
        return self._value(name)

    def coefficient(self, name: str) -> Coefficient:
        """Declare a coefficient on the grid."""
        self._coefficients[name] = tuple(self.axes)
        return Coefficient(monomial({name: 1}))

    def second_derivative(self, of: Expression, axis: int) -> Expression:
        """d2/dx2 along `axis`, centred."""
        return Expression((Piece(self._second(_field_of(of), axis), axis),))

    def laplacian(self, of: Expression) -> Expression:
        """Sum of the second derivatives along every axis."""
        along = [self.second_derivative(of, axis) for axis in self.axes]
        return Expression(tuple(piece for one in along for piece in one.pieces))

    def update(self, target: Expression, value: Expression) -> None:
        """``target = value``; a multiple of the target itself in `value` is what it keeps."""
        name = _field_of(target)
        keep, pieces = 0.0, []
        for piece in value.pieces:
            if piece.term.field == name and piece.axis is None and piece.term.left == ONE:
                keep += piece.term.scale
            else:
                pieces.append(piece)
        box = self._fields[name]
        self._updates.append(Update(name, _joined(p.term for p in pieces), box, Keep(keep)))
        for piece in pieces:
            if piece.axis is not None:
                self._bend_at_free_faces(name, piece.term, piece.axis)
                self._absorb(name, piece.term, piece.axis)

    def swap(self, a: Expression, b: Expression) -> None:
        """Exchange two fields at the end of the step."""
        self._swaps.append((_field_of(a), _field_of(b)))

    def source(self, name: str, into: Expression, times: Coefficient) -> None:
        """A source adds ``times * amplitude`` to a field at the end of the step."""
        self._inputs.append(Port(name, _field_of(into), times.factors))

    def receiver(self, name: str, of: Expression) -> None:
        """A receiver records a field at the start of the step."""
        self._outputs.append(Port(name, _field_of(of)))

    def program(self) -> Program:
        """The step as a program: layers' memory first, since the fields' updates read it."""
        memory = [u for u in self._updates if u.target in self._vanishing]
        rest = [u for u in self._updates if u.target not in self._vanishing]
        return Program(
            shape=self.shape,
            order=self.order,
            spacing=self.spacing,
            fields=dict(self._fields),
            coefficients=dict(self._coefficients),
            updates=tuple(memory + rest),
            swaps_after=tuple(self._swaps),
            inputs=tuple(self._inputs),
            outputs=tuple(self._outputs),
            vanishing=frozenset(self._vanishing),
        )

    def _offset(self, axis: int, distance: int) -> Offset:
        return tuple(distance if a == axis else 0 for a in self.axes)

    def _value(self, name: str) -> Expression:
        return Expression((Piece(Term(1.0, ONE, ((self._offset(0, 0), 1.0),), ONE, name)),))

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

    def _bend_at_free_faces(self, target: str, term: Term, axis: int) -> None:
        """Odd image of the field beyond a pressure-free face (p = 0 on the face's node).

        In row d from the face a tap k > d reaches -p at k - 2 d rows inward instead. Each
        correction is a single tap on a single row, so its transpose is exact on any box.
        """
        for side, face in enumerate(self.faces[axis]):
            if not face.free:
                continue
            inward = 1 if side == 0 else -1
            weights = {abs(k[axis]): w for k, w in term.taps}
            for distance in range(1, self.order // 2):
                row = distance if side == 0 else self.shape[axis] - 1 - distance
                box = tuple(
                    (row, row + 1) if a == axis else b for a, b in enumerate(self._fields[target])
                )
                images = tuple(
                    replace(
                        term,
                        taps=((self._offset(axis, inward * (k - 2 * distance)), -weights[k]),),
                    )
                    for k in range(distance + 1, self.order // 2 + 1)
                )
                self._updates.append(Update(target, images, box))

    def _absorb(self, target: str, term: Term, axis: int) -> None:
        """The layer's corrections to a second derivative, in the slab of each absorbing face."""
        for side, face in enumerate(self.faces[axis]):
            if not face.slab:
                continue
            place = f"{axis_name(axis, len(self.shape))}{side}"
            box = self._slab(self._fields[term.field], axis, side, face.slab)
            a, b = f"a_{place}", f"b_{place}"
            psi, zeta = f"psi_{term.field}_{place}", f"zeta_{term.field}_{place}"
            self._coefficients |= {a: (axis,), b: (axis,)}
            decay, drive = Keep(1.0, monomial({a: 1})), monomial({b: 1})
            self._fields |= {psi: box, zeta: box}
            self._vanishing |= {psi, zeta}
            d_field, d_psi = self._first(term.field, axis), self._first(psi, axis)
            second = self._second(term.field, axis)
            self._updates += [
                Update(psi, (replace(d_field, left=drive),), box, decay),
                Update(zeta, (replace(second, left=drive), replace(d_psi, left=drive)), box, decay),
                Update(
                    target,
                    tuple(
                        replace(t, left=term.left, scale=term.scale)
                        for t in (d_psi, *(p.term for p in self._value(zeta).pieces))
                    ),
                    meet_axis(self._fields[target], box, axis),
                ),
            ]

    def _slab(self, box: Box, axis: int, side: int, cells: int) -> Box:
        lo, hi = box[axis]
        cells = min(cells, hi - lo)
        edge = (lo, lo + cells) if side == 0 else (hi - cells, hi)
        return tuple(edge if a == axis else b for a, b in enumerate(box))


def meet_axis(box: Box, slab: Box, axis: int) -> Box:
    """`box` with the range of `slab` along `axis`."""
    return tuple(slab[a] if a == axis else b for a, b in enumerate(box))


def _field_of(expression: Expression) -> str:
    """The field an expression names."""
    (piece,) = expression.pieces
    return piece.term.field


def _joined(terms: Iterable[Term]) -> tuple[Term, ...]:
    """Terms that differ only in their taps, as one: a Laplacian is one term."""
    joined: dict[tuple[float, Monomial, Monomial, str], dict[Offset, float]] = {}
    for t in terms:
        taps = joined.setdefault((t.scale, t.left, t.right, t.field), {})
        for offset, weight in t.taps:
            taps[offset] = taps.get(offset, 0.0) + weight
    return tuple(
        Term(scale, left, tuple(taps.items()), right, name)
        for (scale, left, right, name), taps in joined.items()
    )
