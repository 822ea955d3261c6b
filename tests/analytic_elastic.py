"""Exact acoustic and elastic waves in a whole space, in 2-D (plane strain, line sources) and 3-D.

Everything is a sum of derivatives of one Green's function, that of the scalar wave equation,

    G_c = (2 pi)^(-d/2) kappa^(2 nu) z^(-nu) K_nu(z),
    kappa = i omega / c,  z = kappa r,  nu = d/2 - 1

(K0(z) / 2 pi on a plane, exp(-z) / 4 pi r in space). The displacement of a force F in a solid is

    u = [k_b^2 G_b F + grad div((G_b - G_a) F)] / (rho omega^2),   k_b = omega / vs

(Stokes 1849; Achenbach 1973, 3.95), in a fluid the same without G_b; a moment tensor is the force
-div(M delta). `point_force_3d` and `point_moment_3d` are the closed forms in time of Aki and
Richards (2002), 4.23 and 4.29, for comparison. Sign, units and order of axes are the contract's:
+z down, velocities, moment rate positive outward, a line source per metre in 2-D.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from analytic import Array, Signal
from numpy.typing import ArrayLike, NDArray
from scipy.special import kv

Spectrum = NDArray[np.complex128]
NAMES = {2: ("vz", "vx"), 3: ("vz", "vy", "vx")}


@dataclass(frozen=True)
class Medium:
    """Velocities in m/s and density in kg/m3; vs = 0 is a fluid."""

    vp: float
    vs: float
    rho: float

    @property
    def mu(self) -> float:
        return self.rho * self.vs**2

    @property
    def modulus(self) -> float:
        """lambda + 2 mu."""
        return self.rho * self.vp**2

    def bulk(self, ndim: int) -> float:
        """Minus the mean normal stress per dilatation."""
        return self.modulus - 2.0 * (1.0 - 1.0 / ndim) * self.mu


@dataclass(frozen=True)
class Clock:
    """Samples at n dt, and frequencies with a small negative imaginary part.

    That damps what a periodic Fourier series wraps round by 1e-10; the series is twice as long as
    the record. `highest` (Hz) is where the signal ends.
    """

    dt: float
    nt: int
    highest: float

    @property
    def t(self) -> Array:
        return np.arange(self.nt) * self.dt

    @property
    def length(self) -> int:
        return 2 * self.nt

    @property
    def damping(self) -> float:
        return float(np.log(1e10) / (self.length * self.dt))

    @cached_property
    def omega(self) -> Spectrum:
        frequency = np.fft.rfftfreq(self.length, self.dt)
        return 2.0 * np.pi * frequency[frequency <= self.highest] - 1j * self.damping

    def spectrum(self, signal: Signal) -> Spectrum:
        t = np.arange(self.length) * self.dt
        return np.fft.rfft(signal(t) * np.exp(-self.damping * t))[: len(self.omega)]

    def trace(self, spectrum: Spectrum) -> Array:
        out = np.fft.irfft(spectrum, self.length, axis=-1)[..., : self.nt]
        return np.asarray(out * np.exp(self.damping * self.t))


def force_and_moment(
    kind: str | ArrayLike, medium: Medium, ndim: int
) -> tuple[Array | None, Array | None]:
    """Direction of a force, or tensor of a moment rate, of a unit source.

    `kind` is "fz", "fy", "fx", "pressure" (injection rate in a fluid, isotropic moment rate in a
    solid) or a symmetric (ndim, ndim) tensor. An injection q is a moment rate rho c^2 q.
    """
    if not isinstance(kind, str):
        return None, np.asarray(kind, dtype=np.float64)
    if kind == "pressure":
        return None, np.eye(ndim) * (1.0 if medium.vs else medium.modulus)
    return np.eye(ndim)[NAMES[ndim].index(kind.replace("f", "v"))], None


def green_derivatives(distance: float, velocity: float, omega: Spectrum, ndim: int) -> Spectrum:
    """(d/dr / r)^n of G for n = 0, 1, 2, 3, (4, nw)."""
    kappa = 1j * omega / velocity
    z = kappa * distance
    order = ndim / 2 - 1 + np.arange(4)[:, None]
    sign = (-1.0) ** np.arange(4)[:, None]
    scaled = sign * kappa ** (2 * order) * z ** (-order) * kv(order, z)
    return np.asarray(scaled * (2.0 * np.pi) ** (-ndim / 2))


def whole_space(
    clock: Clock,
    signal: Signal,
    source: Sequence[float],
    receivers: ArrayLike,
    medium: Medium,
    kind: str | ArrayLike,
) -> dict[str, Array]:
    """Velocities and pressure, each (n_receivers, nt), of a source in a homogeneous medium."""
    ndim = len(source)
    force, moment = force_and_moment(kind, medium, ndim)
    w = clock.omega
    spectra = []
    for x in np.atleast_2d(np.asarray(receivers, dtype=np.float64)) - np.asarray(source):
        distance = float(np.linalg.norm(x))
        p_wave = green_derivatives(distance, medium.vp, w, ndim)
        s_wave = green_derivatives(distance, medium.vs, w, ndim) if medium.vs else 0.0 * p_wave
        both = s_wave - p_wave
        kb2 = (w / medium.vs) ** 2 if medium.vs else 0.0 * w
        if force is not None:
            fx = float(force @ x)
            u = kb2 * s_wave[0] * force[:, None] + both[1] * force[:, None]
            u = 1j * w * (u + both[2] * fx * x[:, None])
            dilatation = p_wave[1] * fx
        else:
            assert moment is not None
            mx, trace = moment @ x, np.trace(moment)
            mxx = float(x @ mx)
            first = kb2 * s_wave[1] * mx[:, None]
            third = both[2] * (2.0 * mx + trace * x)[:, None] + both[3] * mxx * x[:, None]
            u = -(first + third)
            dilatation = -(p_wave[1] * trace + p_wave[2] * mxx) / (1j * w)
        pressure = -medium.bulk(ndim) / medium.modulus * dilatation
        spectra.append([*u / (medium.rho * w**2), pressure])
    traces = clock.trace(np.moveaxis(np.array(spectra), 1, 0) * clock.spectrum(signal))
    return dict(zip((*NAMES[ndim], "pressure"), traces, strict=True))


# Closed forms in time, in space. Signals come as functions, with their derivatives and integrals.


def ricker_rate(peak_frequency: float, delay: float) -> Signal:
    """First derivative in time of `analytic.ricker_signal`."""

    def signal(t: Array) -> Array:
        w2, tau = (np.pi * peak_frequency) ** 2, np.asarray(t) - delay
        return np.asarray(w2 * tau * (4.0 * w2 * tau**2 - 6.0) * np.exp(-w2 * tau**2))

    return signal


def ricker_integral(peak_frequency: float, delay: float) -> Signal:
    """Integral in time, from the far past, of `analytic.ricker_signal`."""

    def signal(t: Array) -> Array:
        tau = np.asarray(t) - delay
        return np.asarray(tau * np.exp(-((np.pi * peak_frequency * tau) ** 2)))

    return signal


def _near_integral(t: Array, signal: Signal, start: float, end: float) -> Array:
    """Integral of tau s(t - tau) from r/vp to r/vs, the near field of 4.23 and 4.29."""
    nodes, weights = np.polynomial.legendre.leggauss(80)
    tau = start + 0.5 * (end - start) * (nodes + 1.0)
    values = signal(np.asarray(t)[..., None] - tau) * tau
    return np.asarray(values @ weights * 0.5 * (end - start))


def point_force_3d(
    t: Array, x: ArrayLike, medium: Medium, direction: ArrayLike, rate: Signal
) -> Array:
    """Velocity (3, nt) at x from a force whose time derivative is `rate`: 4.23, differentiated."""
    x, force = np.asarray(x, dtype=np.float64), np.asarray(direction, dtype=np.float64)
    r = float(np.linalg.norm(x))
    g = x / r
    along = g * float(g @ force)
    alpha, beta = medium.vp, medium.vs
    near = _near_integral(t, rate, r / alpha, r / beta) / r**3
    u = np.outer(3.0 * along - force, near)
    u += np.outer(along, rate(t - r / alpha)) / (alpha**2 * r)
    u -= np.outer(along - force, rate(t - r / beta)) / (beta**2 * r)
    return u / (4.0 * np.pi * medium.rho)


def point_moment_3d(
    t: Array, x: ArrayLike, medium: Medium, tensor: ArrayLike, signal: Signal, rate: Signal
) -> Array:
    """Velocity (3, nt) at x from a moment rate s(t) M, near to far field: 4.29."""
    x, m = np.asarray(x, dtype=np.float64), np.asarray(tensor, dtype=np.float64)
    r = float(np.linalg.norm(x))
    g = x / r
    mg, trace = m @ g, np.trace(m)
    gmg = g * float(g @ mg)
    alpha, beta = medium.vp, medium.vs
    near = _near_integral(t, signal, r / alpha, r / beta) / r**4
    u = np.outer(15.0 * gmg - 3.0 * g * trace - 6.0 * mg, near)
    u += np.outer(6.0 * gmg - g * trace - 2.0 * mg, signal(t - r / alpha)) / (alpha**2 * r**2)
    u -= np.outer(6.0 * gmg - g * trace - 3.0 * mg, signal(t - r / beta)) / (beta**2 * r**2)
    u += np.outer(gmg, rate(t - r / alpha)) / (alpha**3 * r)
    u -= np.outer(gmg - mg, rate(t - r / beta)) / (beta**3 * r)
    return u / (4.0 * np.pi * medium.rho)
