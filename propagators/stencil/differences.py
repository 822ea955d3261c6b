"""A field and its differences along an axis, as terms of an update."""

from collections.abc import Sequence

from wavepipe.propagators.stencil.derivatives import (
    first_derivative_weights,
    second_derivative_weights,
    staggered_weights,
)
from wavepipe.propagators.stencil.program import ONE, Offset, Term


def offset(axis: int, distance: int, ndim: int) -> Offset:
    """Some cells along an axis."""
    return tuple(distance if a == axis else 0 for a in range(ndim))


def field_value(name: str, ndim: int) -> Term:
    """The field at the point updated."""
    return Term(1.0, ONE, ((offset(0, 0, ndim), 1.0),), ONE, name)


def staggered_difference(
    name: str, axis: int, order: int, spacing: Sequence[float], *, after: bool
) -> Term:
    """d/dx half a cell before the field's points, or after them."""
    ndim, h = len(spacing), spacing[axis]
    taps = [
        (offset(axis, s * k - (s + 1) // 2 + after, ndim), s * weight / h)
        for k, weight in enumerate(staggered_weights(order), start=1)
        for s in (-1, 1)
    ]
    return Term(1.0, ONE, tuple(taps), ONE, name)


def first_difference(name: str, axis: int, order: int, spacing: Sequence[float]) -> Term:
    """d/dx at the field's points."""
    ndim, h = len(spacing), spacing[axis]
    taps = [
        (offset(axis, s * k, ndim), s * weight / h)
        for k, weight in enumerate(first_derivative_weights(order), start=1)
        for s in (-1, 1)
    ]
    return Term(1.0, ONE, tuple(taps), ONE, name)


def second_difference(name: str, axis: int, order: int, spacing: Sequence[float]) -> Term:
    """d2/dx2 at the field's points."""
    ndim, per_area = len(spacing), 1 / spacing[axis] ** 2
    centre, *side = second_derivative_weights(order)
    taps = [(offset(axis, 0, ndim), centre * per_area)]
    for k, weight in enumerate(side, start=1):
        taps += [(offset(axis, s * k, ndim), weight * per_area) for s in (-1, 1)]
    return Term(1.0, ONE, tuple(taps), ONE, name)
