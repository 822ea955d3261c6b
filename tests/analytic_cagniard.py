"""Line explosions near a plane contact by the method of Cagniard and de Hoop, one ray at a time.

An independent way to what `analytic_halfspace` sums over wavenumbers: a ray is

    f(t) = 1/pi Im [F(p) dp/dt],   t = p x + sum h_i eta_i(p) real,   eta_i = sqrt(1/c_i^2 - p^2)

(de Hoop 1960, Appl. Sci. Res. B8, 349-356; Garvin 1956, Proc. R. Soc. A 234, 528-541, for the free
surface; de Hoop and van der Hijden 1983, J. Acoust. Soc. Am. 74, 333-342, for a fluid on a solid),
convolved with the signal along its path in p, where nothing is singular. All coefficients are for
the potentials phi, u = grad phi, and psi, (u_x, u_z) = (-d psi / dz, d psi / dx).
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from analytic import Array, Signal
from analytic_elastic import Medium, Spectrum
from scipy.optimize import brentq

Coefficient = Callable[[Spectrum], Spectrum]


def eta(p: Spectrum, velocity: float) -> Spectrum:
    """Vertical slowness of a p to the right of and above the axes, or just above the real one."""
    root = np.sqrt((1.0 / velocity - p) * (1.0 / velocity + p) + 0j)
    return np.asarray(root.real - 1j * np.abs(root.imag))


def ray(
    t: Array,
    offset: float,
    legs: list[tuple[float, float]],
    coefficient: Coefficient,
    signal: Signal,
    media: Sequence[Medium],
    highest: float,
) -> Array:
    """Convolution of `signal` with 1/pi Im [F dp/dt] at times t.

    `legs` are heights (m) and velocities. Head waves leave at the branch points of the velocities
    of `media`. `highest` (Hz) sets the quadrature.
    """
    legs = [(h, c) for h, c in legs if h > 0.0]

    def time(p: Spectrum) -> Spectrum:
        return p * offset + sum(h * eta(p, c) for h, c in legs)

    def slope(p: Spectrum) -> Spectrum:
        return offset - sum(h * p / eta(p, c) for h, c in legs)

    limit = 1.0 / max(c for _, c in legs)
    p0 = brentq(lambda p: float(slope(p).real), 0.0, limit * (1 - 1e-13), xtol=1e-18)
    t0 = float(time(p0).real)
    out = np.zeros_like(t)
    branches = sorted(1.0 / c for m in media for c in (m.vp, m.vs) if c * p0 > 1.0)
    nodes, weights = np.polynomial.legendre.leggauss(300)
    angle = 0.25 * np.pi * (nodes + 1.0)
    for start, end in pairwise([*branches, p0]):  # head waves: on the real axis, to the saddle
        p = start + (end - start) * np.sin(angle) ** 2 + 0j
        dp = (end - start) * np.sin(2.0 * angle) * 0.25 * np.pi * weights
        strength = np.imag(coefficient(p) * dp)
        out += signal(t[:, None] - time(p).real) @ strength
    longest = float(t.max())
    if longest > t0:
        end = np.arccosh(longest / t0) + 1e-3
        count = int(np.ceil(end * longest * highest * 8.0)) + 200
        u, du = np.linspace(0.0, end, count, retstep=True)
        curvature = -sum(h / c**2 / eta(p0, c) ** 3 for h, c in legs).real
        path, rate = np.empty(count, complex), np.empty(count, complex)
        path[0], rate[0] = p0, 1j * np.sqrt(t0 / -curvature)
        for i in range(1, count):
            p = path[i - 1] + rate[i - 1] * du
            for _ in range(3):
                p -= (time(p) - t0 * np.cosh(u[i])) / slope(p)
            path[i], rate[i] = p, t0 * np.sinh(u[i]) / slope(p)
        weights = np.full(count, du)
        weights[0] *= 0.5
        strength = np.imag(coefficient(path) * rate) * weights
        out += signal(t[:, None] - t0 * np.cosh(u)) @ strength
    return out / np.pi


def garvin(
    t: Array,
    offset: float,
    source: float,
    receiver: float,
    solid: Medium,
    rate: Signal,
    highest: float,
) -> tuple[Array, Array]:
    """Reflected velocities (vz, vx) of a line explosion at depth `source` under a free surface.

    `rate` is the time derivative of the moment rate. The direct wave is left out.
    """
    a, b = solid.vp, solid.vs

    def reflected(p: Spectrum) -> tuple[Spectrum, Spectrum]:
        shear = 1.0 / b**2 - 2.0 * p**2
        both = 4.0 * p**2 * eta(p, a) * eta(p, b)
        rayleigh = both + shear**2
        return (both - shear**2) / rayleigh, -4.0 * p * eta(p, a) * shear / rayleigh

    def along(factor: Callable[[Spectrum], Spectrum], shear_leg: bool) -> Array:
        legs = [(source, a), (receiver, b if shear_leg else a)]
        return ray(t, offset, legs, factor, rate, [solid], highest) / (2.0 * solid.rho * a**2)

    vz = along(lambda p: reflected(p)[0], False)
    vz += along(lambda p: p / eta(p, a) * reflected(p)[1], True)
    vx = along(lambda p: p / eta(p, a) * reflected(p)[0], False)
    vx -= along(lambda p: eta(p, b) / eta(p, a) * reflected(p)[1], True)
    return vz, vx


def fluid_contact(
    t: Array,
    offset: float,
    source: float,
    receiver: float,
    upper: Medium,
    lower: Medium,
    rate: Signal,
    highest: float,
) -> Array:
    """Reflected pressure above a contact (receiver < 0), or transmitted vz below it.

    The source is an injection of rate derivative `rate` at height `source` < 0 in the fluid
    `upper`; `lower` is a fluid or a solid.
    """
    c, a, b = upper.vp, lower.vp, lower.vs

    def solve(p: Spectrum) -> tuple[Spectrum, Spectrum, Spectrum]:
        """Reflected phi, transmitted phi and psi."""
        if b == 0.0:
            ours, theirs = lower.rho * eta(p, c), upper.rho * eta(p, a)
            return (
                (ours - theirs) / (ours + theirs),
                2 * upper.rho * eta(p, c) / (ours + theirs),
                0 * p,
            )
        shear = 1.0 / b**2 - 2.0 * p**2
        rayleigh = 4.0 * p**2 * eta(p, a) * eta(p, b) + shear**2
        ours, theirs = rayleigh * eta(p, c), upper.rho / lower.rho * eta(p, a) / b**4
        back = (ours - theirs) / (ours + theirs)
        through = upper.rho * (1.0 + back) * shear / (lower.mu * rayleigh)
        return back, through, 2.0 * p * eta(p, a) * through / shear

    def along(velocity: float, factor: Callable[[Spectrum], Spectrum]) -> Array:
        legs = [(-source, c), (abs(receiver), velocity)]
        return ray(t, offset, legs, factor, rate, [upper, lower], highest)

    if receiver < 0.0:
        return upper.rho * along(c, lambda p: 0.5 * solve(p)[0] / eta(p, c))
    vz = along(a, lambda p: 0.5 * solve(p)[1] * eta(p, a) / eta(p, c))
    if b:
        vz += along(b, lambda p: 0.5 * solve(p)[2] * p / eta(p, c))
    return vz
