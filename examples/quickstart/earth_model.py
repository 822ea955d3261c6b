"""The earth model of the example: water, faulted dipping layers, a salt body and a gas pocket."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

SHAPE = (110, 280)
SPACING = 12.5
WATER = 1500.0
SALT = 3400.0
GAS = 1650.0

LAYER_TOPS = (0.0, 90.0, 200.0, 330.0, 440.0, 590.0, 720.0, 880.0)
"""Depths below the sea floor at x = 0, m."""

LAYER_VELOCITIES = (1700.0, 1820.0, 1960.0, 1880.0, 2150.0, 2350.0, 2250.0, 2650.0)
"""Of the layers, m/s."""


def true_model() -> NDArray[np.float32]:
    """P-wave velocity (nz, nx), m/s."""
    z, x = np.meshgrid(*(SPACING * np.arange(n) for n in SHAPE), indexing="ij")
    sea_floor = 190.0 + 25.0 * np.sin(x / 700.0)
    below = z - sea_floor
    # Two normal faults: each side has its own part of a dipping stack of layers.
    dip = 0.06 * x + 30.0 * np.sin(x / 450.0)
    throw = 70.0 * (x > 900.0 + 0.4 * z) - 90.0 * (x > 2500.0 - 0.35 * z)
    depth = below - dip + throw
    vp = np.full(SHAPE, LAYER_VELOCITIES[0])
    for top, velocity in zip(LAYER_TOPS, LAYER_VELOCITIES, strict=True):
        vp[depth >= top] = velocity
    salt = ((x - 1900.0) / 420.0) ** 2 + ((z - 760.0) / (150.0 + 0.05 * (x - 1900.0))) ** 2 < 1.0
    gas = ((x - 700.0) / 230.0) ** 2 + ((z - 500.0) / 38.0) ** 2 < 1.0
    vp[salt] = SALT
    vp[gas] = GAS
    vp[below < 0] = WATER
    return vp.astype(np.float32)


def smooth_model(vp: NDArray[np.float32], length: float) -> NDArray[np.float32]:
    """Slowness averaged over `length` (m) below the sea floor; the water stays as it is."""
    water = vp == WATER
    # Rock continues upwards into the water before smoothing, or the sea floor would leak.
    first = np.argmin(water, axis=0)
    rock = vp.copy()
    for column, top in enumerate(first):
        rock[:top, column] = vp[top, column]
    smooth = 1.0 / gaussian_filter(1.0 / rock.astype(np.float64), length / SPACING, mode="nearest")
    smooth[water] = WATER
    return smooth.astype(np.float32)
