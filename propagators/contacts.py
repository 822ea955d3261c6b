"""Points whose interpolation reaches across a contact of water and rock."""

import warnings
from collections.abc import Mapping

import numpy as np
from torch import Tensor

from wavepipe.propagators.backends.sweep import Points
from wavepipe.propagators.checks import TO_THE_USER
from wavepipe.propagators.domain import Domain


def judge_contacts(
    domain: Domain, vs: Tensor, sources: Mapping[str, Points], receivers: Mapping[str, Points]
) -> None:
    """Warn of points read, or added to, on both sides of a contact: the wavefield jumps there.

    Parameters
    ----------
    vs : (n_shots or 1, *model), m/s
    sources, receivers
        By port, on the grid of `domain`.
    """
    water = domain.extended((vs.detach() == 0).to(vs.dtype)).numpy() > 0
    if not water.any() or water.all():
        return
    for ports, what in ((sources, "source"), (receivers, "receiver")):
        for name, points in ports.items():
            counts = np.diff(points.rowptr)
            owners = np.repeat(np.arange(points.count), counts)
            shots = np.searchsorted(points.first, owners, side="right") - 1
            cells = tuple(np.clip(points.cells.T, 0, np.array(domain.shape)[:, None] - 1))
            wet = water[(shots if len(water) > 1 else np.zeros_like(shots), *cells)]
            in_water = np.bincount(owners, wet, points.count)
            crossing = np.flatnonzero((in_water > 0) & (in_water < counts))
            if not crossing.size:
                continue
            first = int(crossing[0])
            shot = int(np.searchsorted(points.first, first, side="right") - 1)
            warnings.warn(
                f"shot {shot}: {what} {first - int(points.first[shot])} of {name} and "
                f"{crossing.size - 1} others lie off the nodes within four cells of a contact of "
                "water and rock: they are interpolated across it, where shear stress and sideways "
                "velocity jump. Put them on nodes, or further from the contact.",
                stacklevel=TO_THE_USER,
            )
