"""Differences of order 2 beside contacts of water and rock, where a longer one would cross them.

Shear stress and the velocity along a contact jump there, and water has no shear stress for a long
difference to take: what it takes from beyond the contact makes the scheme one of first order
(Moczo et al. 2014 lower the order beside discontinuities likewise). Points of shear lie in rock
wherever they count, and a difference of order 2 from or to them stays in it.
"""

from collections.abc import Sequence
from dataclasses import replace

from wavepipe.propagators.axes import axis_name
from wavepipe.propagators.stencil.program import Offset, Term, Update, monomial, multiply, within


def contact_name(axes: Sequence[int], ndim: int) -> str:
    """The coefficient that is 1 where differences are short, half a cell along two axes."""
    return "contact_" + "".join(axis_name(axis, ndim) for axis in axes)


def short_beside_contacts(
    derivative: Update, contact: str, rows: tuple[int, int], spacing: float, *, read: bool
) -> Update:
    """What makes a staggered derivative one of order 2 where a coefficient is 1.

    Parameters
    ----------
    derivative
        Of one term.
    contact
        The coefficient.
    rows
        Of the first axis: it is zero in the outer order/2 of them, and beyond.
    spacing : m
    read
        Whether the coefficient lies where the derivative is taken from, else where it is taken.
    """
    (term,) = derivative.terms
    factor = monomial({contact: 1})
    taps = _shortening(term, spacing)
    if read:
        term = replace(term, taps=taps, right=multiply(term.right, factor))
    else:
        term = replace(term, taps=taps, left=multiply(term.left, factor))
    low, high = derivative.box[0]
    box = within(derivative.box, 0, (max(low, rows[0]), min(high, rows[1])))
    return Update(derivative.target, (term,), box)


def _shortening(term: Term, spacing: float) -> tuple[tuple[Offset, float], ...]:
    """Taps of the difference of order 2 less those of a longer one: its two largest are nearest."""
    nearest = sorted(term.taps, key=lambda tap: -abs(tap[1]))[:2]
    short = {where: (1.0 if weight > 0 else -1.0) / spacing for where, weight in nearest}
    return tuple((where, short.get(where, 0.0) - weight) for where, weight in term.taps)
