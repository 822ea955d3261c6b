"""Damping that keeps the absorbing layers of a solid from growing.

Layered solids guide waves whose phase runs against their energy, and a perfectly matched layer
amplifies those (Becache, Fauqueux and Joly 2003): fine layering, a soft bed a few cells thick, a
plate between two free faces grow from 10 to 1e8 times in 2000 steps. A little damping along the
layer as well as across it ends that (Meza-Fajardo and Papageorgiou 2008); here it is the same for
every field, so that nothing but its gradient reflects.
"""

import warnings

import torch
from torch import Tensor

from wavepipe.propagators.axes import axis_name
from wavepipe.propagators.checks import to_the_user
from wavepipe.propagators.domain import Domain

NONE = (0.0, 1.0)

USUAL = (0.1, 13.0)
"""Strength and power: enough for every medium tried but shallow water. What grows lives near the
outer edge; a wave along the layer meets the inner half, and loses 0.2 %. One that is three layers
long loses 3.5 %: layers should be two thirds as thick as the longest wave."""

STRONG = (0.2, 3.0)
"""For water of up to half the order in cells on rock, below a free surface; costs some per cent."""


class LayerWarning(UserWarning):
    """Absorbing layers reflect more than usual."""


def needed_sponge(domain: Domain, vs: Tensor) -> tuple[float, float]:
    """Damping that a solid's layers need: strength and power.

    Parameters
    ----------
    vs : (n_shots or 1, *model), m/s
    """
    return _damping(too_shallow(domain, vs))


def _damping(reason: str) -> tuple[float, float]:
    """For water that is too shallow, which is a reason, or for none."""
    return STRONG if reason else USUAL


def judge_layers(domain: Domain, vs: Tensor) -> tuple[float, float]:
    """`needed_sponge`, with a warning where it is unusual."""
    reason = too_shallow(domain, vs)
    if reason:
        warnings.warn(reason, LayerWarning, stacklevel=to_the_user())
    return _damping(reason)


def too_shallow(domain: Domain, vs: Tensor) -> str:
    """What to say of water too shallow for the differences at a free face; empty if none is."""
    if float(vs.detach().amin()) > 0:
        return ""
    for axis, free in enumerate(domain.free):
        for side in (side for side, is_free in enumerate(free) if is_free):
            cells = _shallowest(vs.detach() == 0, axis + 1, from_end=side == 1)
            if cells <= domain.order // 2:
                face = f"{axis_name(axis, domain.ndim)}{side}"
                return (
                    f"water {cells} cells deep lies on rock below the free surface {face}; at "
                    f"order {domain.order} absorbing layers are stable with "
                    f"{domain.order // 2 + 1} or more. Damping that costs waves along them some "
                    "per cent keeps them from growing; deeper water, rock instead of it, or a "
                    "lower order avoids that."
                )
    return ""


def _shallowest(water: Tensor, axis: int, *, from_end: bool) -> int:
    """Cells of the shallowest water between a face and rock; very many where there is none."""
    water = water.flip(axis) if from_end else water
    depth = water.to(torch.int64).cumprod(dim=axis).sum(dim=axis)
    wet = depth[(depth > 0) & (depth < water.shape[axis])]
    return int(wet.min()) if wet.numel() else water.shape[axis]
