"""Points whose interpolation reaches across a contact of water and rock."""

import warnings
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from wavepipe.propagators.backends.sweep import Points
from wavepipe.propagators.checks import to_the_user
from wavepipe.propagators.domain import Domain


class ContactWarning(UserWarning):
    """A point is interpolated across a contact of water and rock."""


ADVICE = (
    "off their nodes within four cells of a contact of water and rock: they are interpolated "
    "across it, where shear stress and sideways velocity jump. Put them on nodes, or further from "
    "the contact."
)


def water_on_grid(domain: Domain, vs: Tensor) -> NDArray[np.bool_] | None:
    """Where the grid is water, (n_shots or 1, *grid); None if none of it touches rock.

    Parameters
    ----------
    vs : (n_shots or 1, *model), m/s
    """
    if float(vs.detach().amin()) > 0:
        return None
    still = vs.detach() == 0
    if still.all():
        return None
    found: NDArray[np.bool_] = domain.extended(still.to(vs.dtype)).cpu().numpy() > 0
    return found


def crossing(water: NDArray[np.bool_], points: Points) -> NDArray[np.intp]:
    """Indices of points that are read, or added to, on both sides of a contact.

    Parameters
    ----------
    water
        From `water_on_grid`.
    points
        On the same grid.
    """
    counts = np.diff(points.rowptr)
    owners = np.repeat(np.arange(points.count), counts)
    shots = np.searchsorted(points.first, owners, side="right") - 1
    cells = tuple(np.clip(points.cells.T, 0, np.array(water.shape[1:])[:, None] - 1))
    wet = water[(shots if len(water) > 1 else np.zeros_like(shots), *cells)]
    in_water = np.bincount(owners, wet, points.count)
    return np.flatnonzero((in_water > 0) & (in_water < counts))


def judge_contacts(
    domain: Domain, vs: Tensor, sources: Mapping[str, Points], receivers: Mapping[str, Points]
) -> None:
    """Warn of points on both sides of a contact, by port: the wavefield jumps there."""
    water = water_on_grid(domain, vs)
    if water is None:
        return
    for ports, what in ((sources, "source"), (receivers, "receiver")):
        for name, points in ports.items():
            found = crossing(water, points)
            if found.size:
                first = int(found[0])
                shot = int(np.searchsorted(points.first, first, side="right") - 1)
                warnings.warn(
                    f"shot {shot}: {what} {first - int(points.first[shot])} of {name} and "
                    f"{found.size - 1} others lie {ADVICE}",
                    ContactWarning,
                    stacklevel=to_the_user(),
                )
