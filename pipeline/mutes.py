"""Mute of the direct arrival, by offset and velocity."""

import numpy as np
from numpy.typing import NDArray


def direct_mute(
    offsets: NDArray[np.float64],
    nt: int,
    dt: float,
    *,
    velocity: float,
    flat: float,
    taper: float,
) -> NDArray[np.float64]:
    """Weights that take out the direct arrival.

    Parameters
    ----------
    offsets : (n_receivers,), m
        Distances from source to receivers.
    nt
        Samples of the gather.
    dt : s
        Sample interval.
    velocity : m/s
        Of the direct arrival.
    flat : s
        The weights are zero until this long after it; the length of the wavelet belongs in here.
    taper : s
        And rise from zero to one over this long.

    Returns
    -------
    (n_receivers, nt) array of float64
    """
    start = np.asarray(offsets)[:, None] / velocity + flat
    time = np.arange(nt) * dt
    rise = (time - start) / taper if taper > 0.0 else np.where(time > start, 1.0, 0.0)
    return 0.5 * (1.0 - np.cos(np.pi * np.clip(rise, 0.0, 1.0)))
