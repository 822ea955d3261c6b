"""Where absorbing layers of a solid would grow, and need damping of another kind.

Some surface waves' phase runs against their energy, and a perfectly matched layer amplifies such
waves (Becache, Fauqueux and Joly 2003): those of a plate, between two free faces, 1e8 times in 2000
steps, and on the grid those of water a few cells deep on rock, ten times in as many.
"""

import warnings

import torch
from torch import Tensor

from wavepipe.propagators.axes import axis_name
from wavepipe.propagators.checks import TO_THE_USER
from wavepipe.propagators.domain import Domain


class LayerWarning(UserWarning):
    """Absorbing layers reflect more than usual."""


def why_sponge(domain: Domain, vs: Tensor) -> str:
    """Why the layers of a solid have to be sponges as well; empty if they need not.

    Parameters
    ----------
    vs : (n_shots or 1, *model), m/s
    """
    for axis, free in enumerate(domain.free):
        layers = (domain.boundary.widths(domain.ndim)[a] for a in range(domain.ndim) if a != axis)
        if not any(free) or not any(width for pair in layers for width in pair):
            continue
        letter = axis_name(axis, domain.ndim)
        if all(free):
            return f"{letter}0 and {letter}1 are both free surfaces, which makes a plate"
        shallow = _shallowest(vs.detach() == 0, axis + 1, from_end=free[1])
        if shallow <= domain.order // 2:
            return (
                f"there is water {shallow} cells deep on rock below the free surface, at order "
                f"{domain.order} too shallow by {domain.order // 2 + 1 - shallow}"
            )
    return ""


def judge_layers(domain: Domain, vs: Tensor) -> bool:
    """Whether the layers have to be sponges, with a warning if so."""
    reason = why_sponge(domain, vs)
    if reason:
        warnings.warn(f"{reason}: {CONSEQUENCE}", LayerWarning, stacklevel=TO_THE_USER)
    return bool(reason)


CONSEQUENCE = (
    "surface waves there would grow in an absorbing layer. Layers damp in another way too, and "
    "reflect 1 to 3 %."
)


def _shallowest(water: Tensor, axis: int, *, from_end: bool) -> int:
    """Cells of the shallowest water between a face and rock; very many where there is none."""
    water = water.flip(axis) if from_end else water
    depth = water.to(torch.int64).cumprod(dim=axis).sum(dim=axis)
    wet = depth[(depth > 0) & (depth < water.shape[axis])]
    return int(wet.min()) if wet.numel() else water.shape[axis]
