"""The algebra of a page: sums of derivatives and values, times numbers and coefficients."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from wavepipe.propagators.stencil.program import ONE, Monomial, Offset, Term, multiply


@dataclass(frozen=True, slots=True)
class Piece:
    """A term on its way into an update, still knowing which derivative it is."""

    term: Term
    axis: int | None = None
    """Of the derivative."""
    second: bool = False
    """Whether it is a second derivative."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A sum of derivatives and values of fields, times numbers and coefficients."""

    pieces: tuple[Piece, ...]

    def __add__(self, other: "Expression") -> "Expression":
        return Expression(self.pieces + other.pieces)

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

    def __mul__(self, other: Expression) -> Expression:
        return other.__rmul__(self)


def total(expressions: Iterable[Expression]) -> Expression:
    """Sum of expressions."""
    return Expression(tuple(piece for one in expressions for piece in one.pieces))


def field_of(expression: Expression) -> str:
    """The field an expression names."""
    (piece,) = expression.pieces
    return piece.term.field


def joined(terms: Iterable[Term]) -> tuple[Term, ...]:
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
