"""Powers of two that keep wavefields and gradients within the range of float32.

A source of 1 N moves rock by some 1e-15 m/s a wavelength away, and a gradient is a product of two
such wavefields: below the smallest number of float32. Everything is linear in the wavelet and in
the data, and a power of two changes digits only where numbers underflow, so both are scaled, and
the results scaled back. Propagators keep their own products within range, but what they return,
gradients and illumination, is as small as it is.
"""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from wavepipe.pipeline.partial import Partial

LARGEST = 100
"""Exponents of two are cut to this size: far from the limits of float32 itself."""


def power_of_two(size: float) -> float:
    """Return the power of two that brings `size` near 1; 1 where there is nothing to scale.

    Examples
    --------
    >>> power_of_two(1e-3), power_of_two(0.0)
    (1024.0, 1.0)
    """
    if not (math.isfinite(size) and size > 0):
        return 1.0
    exponent = -round(math.log2(size))
    return 2.0 ** max(-LARGEST, min(LARGEST, exponent))


def wavefield_size(
    wavelet_unit: str, largest: float, velocity: float, density: float, frequency: float
) -> float:
    """Size of a wavefield one wavelength from its source: pressure (scalar) or particle velocity.

    Parameters
    ----------
    wavelet_unit
        Of the wavelet; see `quantities.wavelet_unit`. That of a line source is per metre.
    largest
        Of the wavelet's samples.
    velocity, density : m/s, kg/m3
        Of the medium.
    frequency : Hz
        Of the wavelet.

    Notes
    -----
    The far field of a point source: ``s / (4 pi r)`` of the scalar equation, ``q' / (4 pi c r)``
    of a volume rate, ``f' / (4 pi rho c^2 r)`` of a force and ``m' / (4 pi rho c^3 r)`` of a moment
    rate; a line is a wavelength of points.
    """
    angular = 2.0 * math.pi * frequency
    per_unit = {
        "Pa m": 1.0,
        "m3/s": angular / velocity,
        "N": angular / (density * velocity**2),
        "N m/s": angular / (density * velocity**3),
    }
    lines = {"Pa": "Pa m", "m2/s": "m3/s", "N/m": "N", "N/s": "N m/s"}
    wavelength = velocity / frequency
    length = wavelength if wavelet_unit in lines else 1.0
    unit = lines.get(wavelet_unit, wavelet_unit)
    return largest * per_unit[unit] * length / (4.0 * math.pi * wavelength)


def residual_size(largest: Mapping[str, float], weights: Mapping[str, float]) -> float:
    """Size of weighted data, from the largest sample and the weight of each component."""
    return max((weights.get(name, 1.0) * size for name, size in largest.items()), default=0.0)


def scaled_back(partial: Partial, scale: float) -> Partial:
    """Gradients and images of a sum without their scale, in float64; illumination is relative."""
    arrays = {
        name: values if name == "illumination" else values / np.float64(scale)
        for name, values in partial.arrays.items()
    }
    return replace(partial, arrays=arrays)
