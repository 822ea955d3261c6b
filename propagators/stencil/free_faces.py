"""What rows near a free face add to a derivative whose taps beyond the face read zero.

Mirrored fields: a field on the face's nodes is odd about it (pressure is zero there), a field half
a cell beside them is even. In a solid nothing is symmetric: one-sided differences.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from wavepipe.propagators.stencil.derivatives import second_derivative_weights, staggered_weights
from wavepipe.propagators.stencil.differences import offset
from wavepipe.propagators.stencil.one_sided import one_sided
from wavepipe.propagators.stencil.program import Update, monomial, multiply, within

Closure = dict[tuple[int, int], float]
"""(row of the derivative, row of the field), counted from a low face -> weight on a unit grid."""


@dataclass(frozen=True, slots=True)
class Place:
    """A free face, and a derivative across it."""

    axis: int
    side: int
    """0 for the low face, 1 for the high one."""
    cells: int
    """Of the grid along the axis."""
    spacing: float
    """m."""
    half: bool
    """Whether the field lies half a cell after the nodes along the axis."""
    second: bool
    """Whether the derivative is a second one."""


@dataclass(frozen=True, slots=True)
class Closing:
    """What the rows near a free face add to a derivative."""

    update: Update
    profiles: Mapping[str, tuple[float, ...]]
    """Weights of its taps by row."""


def close(derivative: Update, weights: Closure, at: Place, name: str) -> Closing:
    """What rows near a free face add to a derivative of one term: taps beyond the face read zero.

    Each tap is a term of its own, its weights by row a profile of a `name` and its offset, so that
    its transpose is exact on any box.
    """
    (term,) = derivative.terms
    ends = (at.half, at.half if at.second else not at.half)  # of the field, and of its derivative
    last = [at.cells - 1 - end for end in ends]
    low, high = derivative.box[at.axis]
    by_offset: dict[int, dict[int, float]] = {}
    for (near, column), weight in weights.items():
        row, sign = near, 1.0
        if at.side == 1:
            row, column, sign = last[1] - near, last[0] - column, 1.0 if at.second else -1.0
        if low <= row < high:
            by_offset.setdefault(column - row, {})[row] = sign * weight
    scale = at.spacing ** (-2 if at.second else -1)
    terms, profiles = [], {}
    for distance, by_row in sorted(by_offset.items()):
        profile = f"{name}_{'m' if distance < 0 else 'p'}{abs(distance)}"
        profiles[profile] = tuple(by_row.get(row, 0.0) for row in range(at.cells))
        left = multiply(term.left, monomial({profile: 1}))
        taps = ((offset(at.axis, distance, len(derivative.box)), 1.0),)
        terms.append(replace(term, scale=term.scale * scale, left=left, taps=taps))
    rows = [row for by_row in by_offset.values() for row in by_row]
    box = within(derivative.box, at.axis, (min(rows, default=0), max(rows, default=-1) + 1))
    return Closing(Update(derivative.target, tuple(terms), box), profiles)


@cache
def closure(order: int, *, second: bool, half: bool, solid: bool) -> Closure:
    """Corrections at a low free face.

    Parameters
    ----------
    order
        Of the interior's differences.
    second
        Second derivative, centred; else the staggered first derivative.
    half
        Whether the field lies half a cell after the nodes. Row 0 of what does not is the face.
    solid
        One-sided differences instead of mirror images.
    """
    if solid:
        return _one_sided(order, half=half)
    reach = order // 2
    found: Closure = {}
    for row in range(reach + 1):
        for image in range(1, reach + 1):
            weight = _weight(order, row, -image, second=second, half=half)
            if weight:  # the field at -image is that of its mirror image
                found[row, image - half] = weight if half else -weight
    return found


def _weight(order: int, row: int, column: int, *, second: bool, half: bool) -> float:
    """Weight of the interior's difference at a row for the field at a column."""
    distance = column - row
    if second:
        weights = second_derivative_weights(order)
        return weights[abs(distance)] if abs(distance) < len(weights) else 0.0
    sides = staggered_weights(order)
    # A tap lies distance + 1/2 from a derivative at nodes, distance - 1/2 from one beside them.
    after = distance if half else distance - 1
    number = after + 1 if after >= 0 else -after
    return (1.0 if after >= 0 else -1.0) * sides[number - 1] if number <= len(sides) else 0.0


def _one_sided(order: int, *, half: bool) -> Closure:
    operators = one_sided(order)
    wanted: NDArray[np.float64] = operators.minus if half else operators.plus
    found: Closure = {}
    for row, column in np.ndindex(*wanted.shape):
        correction = wanted[row, column] - _weight(order, row, column, second=False, half=half)
        if abs(correction) > 1e-14:
            found[row, column] = float(correction)
    return found
