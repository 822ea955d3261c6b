"""The Kaiser-windowed sinc between two clocks, and its spectrum."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

HALF_WIDTH = 12
"""Half width of the kernel, in periods of its cutoff: 24 samples in all."""

KAISER_BETA = 9.0
"""Shape of the window. With 12 samples a side, signals below `PASS_EDGE` of the cutoff are
interpolated to 5e-5 of their amplitude, and what lies above `2 - PASS_EDGE` is rejected as much."""

PASS_EDGE = 0.76
"""End of the pass band, as a fraction of the kernel's cutoff frequency."""


def kernel(t: NDArray[np.float64]) -> NDArray[np.float64]:
    """Kaiser-windowed sinc; t in periods of the cutoff."""
    inside = np.clip(1.0 - (t / HALF_WIDTH) ** 2, 0.0, None)
    window = np.i0(KAISER_BETA * np.sqrt(inside)) / np.i0(KAISER_BETA)
    return np.where(np.abs(t) <= HALF_WIDTH, np.sinc(t) * window, 0.0)


@lru_cache(maxsize=1)
def _quadrature() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nodes on (0, HALF_WIDTH) and weights times kernel, for its cosine transform."""
    nodes, weights = np.polynomial.legendre.leggauss(120)
    t = 0.5 * HALF_WIDTH * (nodes + 1.0)
    return t, HALF_WIDTH * weights * kernel(t)


def spectrum(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Spectrum of the kernel, 1 in the pass band; x is the frequency over the cutoff, below 2."""
    t, weights = _quadrature()
    return np.cos(np.pi * x[:, None] * t) @ weights


@lru_cache(maxsize=1)
def stop() -> tuple[float, float]:
    """First minimum of the kernel's spectrum, over the cutoff, and how far below zero it is.

    Lifted by that much and cut there, the spectrum ends without a jump or a corner, so the warped
    kernel dies out quickly in time.
    """
    x = np.linspace(1.0, 1.6, 6001)
    values = spectrum(x)
    lowest = int(np.argmax(np.diff(values) > 0.0))
    return float(x[lowest]), float(-values[lowest])
