"""How the work of a sweep is divided among threads, and cut to fit the caches."""

from dataclasses import dataclass

import torch

from wavepipe.propagators.backends.caches import cache_bytes
from wavepipe.propagators.backends.emit_driver import MOST_STEPS
from wavepipe.propagators.backends.ports import Arrays
from wavepipe.propagators.backends.sweep import Sweep

BANDS = (8, 16, 32)
"""Rows of a 2-D grid that one part of a step takes before the next does."""

SHORTEST_STRIP = 8
"""Lines of a plane."""


@dataclass(frozen=True, slots=True)
class Division:
    """How a sweep is divided; this changes no bits."""

    by_shot: bool
    """Threads take shots, or share the grid."""
    threads: int
    block: int
    """Steps that one sweep over the grid takes."""
    strip: int
    """Lines of a plane that it takes at a time."""
    band: int
    """Planes of a part of a step between which it goes on to the next part."""


def divided(sweep: Sweep, step_lag: int, arrays: Arrays) -> Division:
    """Blocks of steps as large as the caches allow.

    Parameters
    ----------
    step_lag
        Rows that a step of a block stays behind the one before it.

    Notes
    -----
    A 2-D grid sits in a core's cache, so a shot per thread needs no barriers; in 3-D the shots
    would compete for memory bandwidth. Threads that share a grid go over it in blocks only where
    each has planes enough, see the emitted sweep.
    """
    shape, threads = sweep.program.shape, torch.get_num_threads()
    itemsize, ndim = sweep.dtype.itemsize, len(shape)
    by_shot = ndim == 2 and sweep.n_shots >= threads
    threads = min(threads, sweep.n_shots if by_shot else shape[0])
    elements = sum(place.size for place in arrays.layout.values())
    plane = elements * itemsize // shape[0]
    lines = shape[1] if ndim == 3 else 1
    for steps in range(MOST_STEPS, 0, -1):
        lag = steps * step_lag
        band = max(n for n in BANDS if n == BANDS[0] or (lag + n) * plane <= cache_bytes(2))
        strip = cache_bytes(3) * lines // ((lag + step_lag) * plane)
        fits = strip >= min(2 * lag, lines) if ndim == 3 else (lag + band) * plane < cache_bytes(3)
        alone = by_shot or threads == 1 or shape[0] // threads > 2 * lag
        if fits and alone:
            break
    if ndim == 2:
        return Division(by_shot, threads, steps, 1, band)
    return Division(by_shot, threads, steps, min(max(strip, SHORTEST_STRIP), lines), 1)
