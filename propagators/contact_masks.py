"""Where water touches rock, and where differences of shear are short because of it.

See `stencil.contact_rows` for why. Rows are of the first axis; which of them a program treats is
fixed for a call, so that a shot's program need not depend on the shots beside it.
"""

from itertools import combinations
from numbers import Integral

import torch
from torch import Tensor

from wavepipe.propagators.checks import described
from wavepipe.propagators.domain import Domain
from wavepipe.propagators.errors import OptionError
from wavepipe.propagators.medium import beside
from wavepipe.propagators.stencil.contact_rows import contact_name
from wavepipe.propagators.stencil.one_sided import BLOCK

Rows = tuple[int, int]
"""First, and one past the last."""

NOWHERE = (0, 0)


def contact_rows(vs: Tensor) -> Rows:
    """Rows of a model with nodes that have one across a contact beside them.

    Parameters
    ----------
    vs : (n_shots or 1, *model), m/s

    Returns
    -------
    `NOWHERE` if the model is all rock or all water.
    """
    if float(vs.detach().amin()) > 0:
        return NOWHERE
    water = vs.detach() == 0
    if water.all():
        return NOWHERE
    found = torch.zeros(water.shape[1], dtype=torch.bool)
    for axis in range(1, water.ndim):
        n = water.shape[axis]
        changes = water.narrow(axis, 1, n - 1) != water.narrow(axis, 0, n - 1)
        rows = changes.movedim(1, 0).flatten(1).any(dim=1).cpu()
        found[: len(rows)] |= rows
        found[len(found) - len(rows) :] |= rows
    places = found.nonzero()
    return (int(places[0]), int(places[-1]) + 1) if len(places) else NOWHERE


def checked_contacts(contacts: object, shape: tuple[int, ...]) -> Rows:
    """The rows a user gave; an OptionError if they are none of a model of a shape."""
    if isinstance(contacts, (tuple, list)) and len(contacts) == 2:
        first, last = contacts
        whole = isinstance(first, Integral) and isinstance(last, Integral)
        if whole and 0 <= first <= last <= shape[0]:
            return int(first), int(last)
    raise OptionError(
        f"contacts is {described(contacts)}; it must be two rows of the model, the first with a "
        f"contact of water and rock and one past the last: between 0 and {shape[0]}."
    )


def short_rows(domain: Domain, contacts: Rows) -> Rows | None:
    """Rows of the grid on which differences may be cut short, and some around; None if nowhere.

    Parameters
    ----------
    contacts
        Rows of the model, see `contact_rows`. What is short lies within order/2 - 1 rows of them.
    """
    first, last = contacts
    if first >= last or domain.order == 2:  # they all are
        return None
    low, n = domain.margins[0][0], domain.shape[0]
    # A contact at the edge of the model goes on in the layer beyond.
    begin = low + first - domain.order + 1 if first > 0 else 0
    end = low + last + domain.order - 2 if last < domain.model_shape[0] else n
    return max(begin, 0), min(end, n)


def contact_masks(domain: Domain, vs: Tensor, rows: Rows | None) -> dict[str, Tensor]:
    """Coefficients that are 1 at points of shear in rock whose differences would reach into water.

    Not where the differences are one-sided because of a free face: those have no short form.

    Parameters
    ----------
    vs : (n_shots or 1, *model), m/s
    rows
        From `short_rows`; beyond them, and in the outer order/2 of them, masks are zero.

    Returns
    -------
    dict of (n_shots or 1, *grid)
        By `contact_name`.
    """
    if rows is None:
        return {}
    rock = domain.extended((vs.detach() > 0).to(vs.dtype))
    found = {}
    for pair in combinations(range(domain.ndim), 2):
        solid = rock
        for axis in pair:
            solid = torch.minimum(solid, beside(solid, axis, 1))
        mask, reach = torch.zeros_like(solid), domain.order // 2 - 1
        for axis in pair:
            for cells in (k for k in range(-reach, reach + 1) if k):
                mask = torch.maximum(mask, 1.0 - beside(solid, axis, cells))
        mask = mask * solid * _within(domain, rows).to(mask.device)
        for axis in pair:
            mask = mask * _beyond_closures(domain, axis).to(mask.device)
        found[contact_name(pair, domain.ndim)] = mask
    return found


def _beyond_closures(domain: Domain, axis: int) -> Tensor:
    """Where differences along an axis from and to half points are the interior's, as a profile."""
    place, last = torch.arange(domain.shape[axis]), domain.shape[axis] - 2
    block = BLOCK[domain.order][1] + domain.order // 2 - 1
    low, high = (block * free for free in domain.free[axis])
    return _profile((place >= low) & (last - place >= high), axis, domain.ndim)


def _within(domain: Domain, rows: Rows) -> Tensor:
    """Where some rows are not their outer order/2 ones, those at the edge of the grid included."""
    (begin, end), reach, n = rows, domain.order // 2, domain.shape[0]
    place = torch.arange(n)
    inner = (begin + reach * (begin > 0), end - reach * (end < n))
    return _profile((place >= inner[0]) & (place < inner[1]), 0, domain.ndim)


def _profile(values: Tensor, axis: int, ndim: int) -> Tensor:
    """Zeros and ones along an axis."""
    return values.reshape([1, *(-1 if a == axis else 1 for a in range(ndim))]).to(torch.uint8)
