"""Exact waves of a source near one plane contact: free surface, fluid or solid on solid.

Each frequency is a sum of plane waves exp(-i k x - gamma |z|) over horizontal wavenumbers k, whose
amplitudes solve the conditions at the contact (Aki and Richards 2002, section 5.2, for complex
slowness). The wavenumber is sampled so finely that the periodic images of the source arrive after
the record, and frequencies have an imaginary part that keeps poles and branch points off the
real axis (Bouchon and Aki 1977, Bull. Seism. Soc. Am. 67, 259-277); the sum is then exact to the
evanescent waves left out, exp(-17) of what arrives. The direct wave is not summed but taken from
`analytic_elastic.whole_space`. This holds interface and head waves: Rayleigh, Scholte, Stoneley.

In 3-D the same amplitudes serve, exp(-i k x) dk becoming J0(k r) k dk and -i J1(k r) k dk, k > 0
(Aki and Richards 2002, section 6.1), for sources that are symmetric about the vertical.
"""

from collections.abc import Sequence

import numpy as np
from analytic import Array, Signal
from analytic_elastic import NAMES, Clock, Medium, Spectrum, force_and_moment, whole_space
from numpy.typing import ArrayLike
from scipy.special import j0, j1

UX, UZ, SZZ, SZX, PRESSURE = range(5)
EVANESCENT = 17.0


def plane_waves(
    medium: Medium, w: complex, k: Array, way: int, ndim: int = 2
) -> tuple[list[Spectrum], list[Spectrum]]:
    """Vertical decay and fields of P, and S in a solid, going down (way = 1) or up (-1).

    Potentials u = grad phi and u = (u_x, u_z) = (-d psi / dz, d psi / dx). Each field is (5, nk):
    u_x, u_z, s_zz, s_zx and pressure.
    """
    gp = np.sqrt(k**2 - (w / medium.vp) ** 2)
    mu, inertia = medium.mu, medium.rho * w**2
    shear = 2j * mu * k * way
    normal = 2.0 * mu * k**2 - inertia
    pressure = medium.bulk(ndim) * (w / medium.vp) ** 2 + 0.0 * k
    decays, fields = [gp], [np.array([-1j * k, -way * gp, normal, shear * gp, pressure])]
    if medium.vs:
        gs = np.sqrt(k**2 - (w / medium.vs) ** 2)
        decays.append(gs)
        fields.append(np.array([way * gs, -1j * k, shear * gs, -normal, 0.0 * gs]))
    return decays, fields


def emitted(
    medium: Medium, w: complex, k: Array, way: int, force: Array | None, moment: Array | None
) -> list[Spectrum]:
    """Amplitudes (velocity potentials) of the waves that leave a unit source down or up."""
    amplitudes = []
    for i, gamma in enumerate(plane_waves(medium, w, k, way)[0]):
        dz, dx = -way * gamma, -1j * k
        if force is not None:
            fz, fx = 1j * w * force[0], 1j * w * force[-1]
        else:
            assert moment is not None
            fz = -(moment[0, 0] * dz + moment[0, -1] * dx)
            fx = -(moment[-1, 0] * dz + moment[-1, -1] * dx)
        strength = fx * dz - fz * dx if i else -(fz * dz + fx * dx)
        amplitudes.append(strength / (2.0 * gamma * medium.rho * w**2))
    return amplitudes


def scattered(
    upper: Medium | None, lower: Medium, w: complex, k: Array, incident: Spectrum, way: int
) -> Spectrum:
    """Amplitudes of the waves that leave the contact at z = 0, up and then down, (n, nk).

    `incident` is the field (5, nk) at the contact of waves that go down (way = 1) from `upper` or
    up (-1) from `lower`. Without `upper` the contact is free of traction.
    """
    up = plane_waves(upper, w, k, -1)[1] if upper else []
    down = plane_waves(lower, w, k, 1)[1]
    rows = [SZZ, UZ] if upper else [SZZ]
    solid = (bool(upper and upper.vs), bool(lower.vs))
    rows += [SZX] * any(solid) + [UX] * all(solid)
    jump = np.array([f[rows] for f in up] + [-f[rows] for f in down])
    # Stress against particle velocity: rows of one size, for the pivoting.
    scale = np.array([lower.rho * lower.vp * abs(w) if r in (SZZ, SZX) else 1.0 for r in rows])
    matrix = np.moveaxis(jump / scale[:, None], -1, 0).swapaxes(1, 2)
    right = -way * incident[rows] / scale[:, None]
    return np.linalg.solve(matrix, right.T[..., None])[..., 0].T


def wavenumbers(largest: float, dk: float, ndim: int) -> tuple[Array, Array]:
    """Nodes and weights: even ones over all k in 2-D, those of Gauss over k > 0 in 3-D."""
    count = int(np.ceil(largest / dk))
    if ndim == 2:
        return dk * np.arange(-count, count + 1), np.full(2 * count + 1, dk)
    nodes, weights = np.polynomial.legendre.leggauss(16)  # for every eight steps dk
    width = 8.0 * dk
    panels = width * np.arange(-(-count // 8))
    k = panels[:, None] + 0.5 * width * (nodes + 1.0)
    return k.ravel(), np.tile(0.5 * width * weights, len(panels))


def contact(
    clock: Clock,
    signal: Signal,
    source: Sequence[float],
    receivers: ArrayLike,
    upper: Medium | None,
    lower: Medium,
    kind: str | ArrayLike,
) -> dict[str, Array]:
    """Velocities and pressure, each (n_receivers, nt), of a source near a contact at z = 0.

    A receiver at z = 0 is in `lower`. Source or receiver must be some way from the contact:
    wavenumbers go up to EVANESCENT over the smallest sum of their distances to it. In 3-D the
    source is "fz" or "pressure".
    """
    points = np.atleast_2d(np.asarray(receivers, dtype=np.float64))
    way = 1 if source[0] < 0.0 else -1
    home = upper if way == 1 else lower
    assert home is not None, "the source is in the void"
    ndim = len(source)
    force, moment = force_and_moment(kind, home, ndim)
    across = points[:, 1:] - np.asarray(source[1:])
    offsets = across[:, 0] if ndim == 2 else np.linalg.norm(across, axis=1)
    depth = abs(source[0])
    height = float((np.abs(points[:, 0]) + depth).min())
    slowest = min(v for m in (upper, lower) if m for v in (m.vp, m.vs) if v)
    fastest = max(m.vp for m in (upper, lower) if m)
    period = 1.1 * (np.abs(offsets).max() + fastest * clock.dt * clock.nt)
    dk = 2.0 * np.pi / period
    spectra = np.zeros((3, len(points), len(clock.omega)), dtype=np.complex128)
    for j, w in enumerate(clock.omega):
        largest = np.hypot(abs(w) / slowest, EVANESCENT / height)
        k, weights = wavenumbers(largest, dk, ndim)
        weights /= 2.0 * np.pi
        decays, fields = plane_waves(home, w, k, way)
        amplitudes = emitted(home, w, k, way, force, moment)
        incident = sum(
            a * np.exp(-g * depth) * f for a, g, f in zip(amplitudes, decays, fields, strict=True)
        )
        waves = scattered(upper, lower, w, k, incident, way)
        first = 0 if upper is None else 1 + bool(upper.vs)
        for i, (z, x) in enumerate(np.column_stack([points[:, 0], offsets])):
            side = 1 if z >= 0.0 else -1
            medium = lower if side == 1 else upper
            assert medium is not None, "a receiver is in the void"
            decays, fields = plane_waves(medium, w, k, side, ndim)
            away = waves[first:] if side == 1 else waves[:first]
            if ndim == 2:
                even = odd = np.exp(-1j * k * x) * weights
            else:
                even, odd = j0(k * x) * k * weights, -1j * j1(k * x) * k * weights
            for a, g, f in zip(away, decays, fields, strict=True):
                wave = a * np.exp(-g * abs(z))
                spectra[0, i, j] += f[UZ] @ (wave * even)
                spectra[1, i, j] += f[UX] @ (wave * odd)
                spectra[2, i, j] += f[PRESSURE] @ (wave * even)
    spectra[2] /= 1j * clock.omega
    vz, radial, pressure = clock.trace(spectra * clock.spectrum(signal))
    horizontal = [radial] if ndim == 2 else (across.T / offsets)[..., None] * radial
    out = dict(zip((*NAMES[ndim], "pressure"), (vz, *horizontal, pressure), strict=True))
    near = (points[:, 0] >= 0.0) == (way == -1)
    if near.any():
        direct = whole_space(clock, signal, source, points[near], home, kind)
        for name, trace in direct.items():
            out[name][near] += trace
    return out
