"""Bandwidths of signals on any device."""

import numpy as np
import torch
from scipy import fft
from torch import Tensor

from wavepipe.propagators.time_resampling import bandwidth, highest_frequency

VALUES = 2**24
"""That are transformed at a time: what memory that takes is small beside a wavefield."""


def bandwidth_there(signals: Tensor, dt: float, tolerance: float) -> float:
    """`bandwidth` of signals (n, nt), measured where they are."""
    signals = signals.detach()
    if signals.device.type == "cpu":
        return bandwidth(signals.numpy(), dt, tolerance)
    length = fft.next_fast_len(2 * signals.shape[-1], real=True)
    energy = torch.zeros(length // 2 + 1, dtype=torch.float64, device=signals.device)
    rows = max(1, VALUES // length)
    for first in range(0, len(signals), rows):
        part = signals[first : first + rows].double()
        energy += torch.fft.rfft(part, length, dim=-1).abs().square().sum(dim=0)
    return highest_frequency(np.asarray(energy.cpu()), length, dt, tolerance)
