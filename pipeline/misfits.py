"""Misfits: torch functions of (synthetic, observed, dt); autograd makes the adjoint source."""

from collections.abc import Callable

import torch
from torch import Tensor

BLOCK = 16384
"""Samples that torch sums on one thread."""

Misfit = Callable[[Tensor, Tensor, float], Tensor]


def l2(synthetic: Tensor, observed: Tensor, dt: float) -> Tensor:
    """Half the energy of the residual.

    Parameters
    ----------
    synthetic, observed : (..., nt)
        Gathers; a trace without data is zero in both.
    dt : s
        Sample interval: the misfit approaches an integral over time.

    Notes
    -----
    ``1/2 sum_r integral (synthetic - observed)^2 dt``, summed in float64 along time and then over
    traces, so that the number of threads cannot change its bits.

    >>> l2(torch.ones(1, 4), torch.zeros(1, 4), dt=0.5).item()
    1.0
    """
    energy = (synthetic - observed).to(torch.float64).square()
    # torch splits a long sum over its threads: short blocks, and a running sum over those.
    blocks = [block.sum(dim=-1) for block in torch.split(energy, BLOCK, dim=-1)]
    return 0.5 * dt * torch.stack(blocks).flatten().cumsum(dim=0)[-1]


MISFITS: dict[str, Misfit] = {"l2": l2}
