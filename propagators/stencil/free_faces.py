"""What rows near a free face add to a derivative whose taps beyond the face read zero.

Mirrored fields: a field on the face's nodes is odd about it (pressure is zero there), a field half
a cell beside them is even. In a solid nothing is symmetric: one-sided differences.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from wavepipe.propagators.stencil.derivatives import second_derivative_weights, staggered_weights
from wavepipe.propagators.stencil.one_sided import one_sided

Closure = dict[tuple[int, int], float]
"""(row of the derivative, row of the field), counted from a low face -> weight on a unit grid."""


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
