"""Exact waves in simple media, for tests of absolute amplitude and arrival time.

Sources are functions of time (callables), so nothing here depends on a sample interval. All waves
solve (1/c^2) p_tt - lap p = s(t) delta, s in the unit that makes p what it is; a 2-D source is a
line source, s per metre. Positions and distances in m, times in s, velocities in m/s.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Signal = Callable[[Array], Array]


def ricker_signal(peak_frequency: float, delay: float) -> Signal:
    """Ricker wavelet as a function of time."""

    def signal(t: Array) -> Array:
        a = (np.pi * peak_frequency * (np.asarray(t) - delay)) ** 2
        return np.asarray((1.0 - 2.0 * a) * np.exp(-a))

    return signal


def ricker_acceleration(peak_frequency: float, delay: float) -> Signal:
    """Second derivative in time of `ricker_signal`."""

    def signal(t: Array) -> Array:
        w2 = (np.pi * peak_frequency) ** 2
        a = w2 * (np.asarray(t) - delay) ** 2
        return np.asarray(-2.0 * w2 * (3.0 - 12.0 * a + 4.0 * a**2) * np.exp(-a))

    return signal


def sampled_signal(samples: Array, dt: float) -> Signal:
    """Band-limited samples at n dt as a function of time, zero outside; exact at the samples.

    The samples are refined eightfold by a zero-padded Fourier transform and read with a cubic
    spline, good to 1e-4 of a signal that ends at four fifths of the Nyquist frequency.
    """
    from scipy.interpolate import CubicSpline
    from scipy.signal import resample

    fine = 8
    pad = 64
    padded = np.pad(np.asarray(samples, dtype=np.float64), pad)
    values = resample(padded, fine * len(padded))
    times = (np.arange(len(values)) / fine - pad) * dt
    spline = CubicSpline(times, values)
    first, last = 0.0, (len(samples) - 1) * dt

    def signal(t: Array) -> Array:
        t = np.asarray(t)
        inside = (t >= first) & (t <= last)
        return np.where(inside, spline(np.clip(t, first, last)), 0.0)

    return signal


def homogeneous_3d(t: Array, distance: float, c: float, signal: Signal) -> Array:
    """Point source: p = s(t - r/c) / (4 pi r)."""
    return signal(t - distance / c) / (4.0 * np.pi * distance)


def homogeneous_2d(
    t: Array, distance: float, c: float, signal: Signal, highest: float, start: float = 0.0
) -> Array:
    """Line source: p = 1/(2 pi) times the integral over u > 0 of s(t - (r/c) cosh u).

    This is the convolution with 1/(2 pi sqrt(t^2 - r^2/c^2)) with its singularity taken out by
    tau = (r/c) cosh u. The trapezoidal rule converges exponentially here, because the integrand is
    smooth, even in u and zero beyond the signal's start.

    Parameters
    ----------
    t : array, s
        Times wanted.
    distance : float, m
        From the source.
    c : float, m/s
        Velocity.
    signal : callable
        Source per metre as a function of time; zero before `start`.
    highest : float, Hz
        Frequency above which the signal holds next to nothing: it sets the quadrature.
    start : float, s
        When the signal begins.
    """
    t = np.asarray(t, dtype=np.float64)
    delay = distance / c
    longest = max(float(t.max()) - start, delay)
    end = np.arccosh(longest / delay) + 1e-3
    # tau moves by (r/c) sinh(u) du <= longest * du: six points a period at the highest frequency.
    count = int(np.ceil(end * longest * highest * 6.0)) + 64
    u = np.linspace(0.0, end, count)
    weights = np.full(count, u[1])
    weights[0] *= 0.5
    out = np.empty(t.shape)
    tau = delay * np.cosh(u)
    for i in np.ndindex(t.shape):
        out[i] = np.dot(weights, signal(t[i] - tau))
    return out / (2.0 * np.pi)


def homogeneous(
    t: Array,
    source: Sequence[float],
    receiver: Sequence[float],
    c: float,
    signal: Signal,
    highest: float,
) -> Array:
    """Whole space in 2-D or 3-D, by the number of coordinates."""
    distance = float(np.linalg.norm(np.subtract(source, receiver)))
    if len(source) == 3:
        return homogeneous_3d(t, distance, c, signal)
    return homogeneous_2d(t, distance, c, signal, highest)


def half_space(
    t: Array,
    source: Sequence[float],
    receiver: Sequence[float],
    c: float,
    signal: Signal,
    highest: float,
) -> Array:
    """Half space z > 0 under a pressure-free surface: the source less its image at -z."""
    image = (-source[0], *source[1:])
    return homogeneous(t, source, receiver, c, signal, highest) - homogeneous(
        t, image, receiver, c, signal, highest
    )


def born_point_3d(
    t: Array,
    source: Sequence[float],
    scatterer: Sequence[float],
    receiver: Sequence[float],
    c: float,
    strength: float,
    acceleration: Signal,
) -> Array:
    """First-order wave from a velocity perturbation at one point.

    Parameters
    ----------
    strength : float, m/s m^3
        Perturbation times volume (on a grid: scatter at a node times the cell volume).
    acceleration : callable
        Second derivative in time of the source.

    Notes
    -----
    1/c^2 becomes 1/c^2 - 2 dc/c^3, so (1/c^2) q_tt - lap q = (2 dc / c^3) p_tt:
    q = 2 strength / c^3 * s''(t - (r1 + r2) / c) / (16 pi^2 r1 r2).
    """
    r1 = float(np.linalg.norm(np.subtract(source, scatterer)))
    r2 = float(np.linalg.norm(np.subtract(receiver, scatterer)))
    scale = 2.0 * strength / c**3 / (16.0 * np.pi**2 * r1 * r2)
    return scale * acceleration(t - (r1 + r2) / c)


def born_plane_3d(
    t: Array,
    source: Sequence[float],
    depth: float,
    receiver: Sequence[float],
    c: float,
    strength: float,
    acceleration: Signal,
) -> Array:
    """First-order reflection from a thin horizontal sheet of perturbed velocity.

    Parameters
    ----------
    depth : float, m
        Of the sheet; source and receiver are on the same side of it.
    strength : float, m/s m
        Perturbation times thickness.
    acceleration : callable
        Second derivative in time of the source.

    Notes
    -----
    The sum of `born_point_3d` over the sheet. In plane waves the answer is
    (2 strength / c^3) s'' e^{-i kz Z} / (2 i kz)^2 with Z the sum of the heights above the sheet;
    one factor makes a spherical wave, the other integrates it over its height:
    q = strength / c^3 / (4 pi) times the integral over z > Z of s''(t - R/c) / R dz,
    R^2 = z^2 + x^2 and x the horizontal offset.
    """
    height = abs(depth - source[0]) + abs(depth - receiver[0])
    offset = float(np.linalg.norm(np.subtract(source[1:], receiver[1:])))
    top = c * float(np.max(t))
    nodes, weights = np.polynomial.legendre.leggauss(1500)
    if top <= height:
        return np.zeros_like(t)
    z = height + 0.5 * (top - height) * (nodes + 1.0)
    radius = np.hypot(z, offset)
    values = acceleration(np.asarray(t)[..., None] - radius / c) / radius
    scale = strength / c**3 / (4.0 * np.pi) * 0.5 * (top - height)
    return scale * (values @ weights)
