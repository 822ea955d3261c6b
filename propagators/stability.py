r"""How large a time step is stable and how coarse a grid is fine enough.

For a plane wave :math:`e^{i k x}` the second-derivative stencil of one axis gives
:math:`-\lambda(k h) / h^2`, :math:`\lambda(\kappa) = -w_0 - 2 \sum_j w_j \cos(j \kappa)`. The
leapfrog scheme then obeys

.. math:: \sin^2(\omega D / 2) = \tfrac14 c^2 D^2 \sum_{axes} \lambda(k_i h_i) / h_i^2 ,

is stable while the right-hand side stays below 1 for every k, and travels at
:math:`\omega / |k|` rather than c. With the time-dispersion correction, D plays no part in that
speed, as for :math:`D \to 0`.

A staggered system of first order is the same scheme with the square of its first derivative's
symbol, :math:`\lambda(\kappa) = (2 \sum_k w_k \sin((k - 1/2) \kappa))^2`, for c the velocity of
either wave. It is largest at :math:`\kappa = \pi`, where all its terms agree in sign.
"""

import math
import warnings
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wavepipe.propagators.errors import DispersionError, OptionError, StabilityError
from wavepipe.propagators.stencil.derivatives import (
    ORDERS,
    second_derivative_weights,
    staggered_weights,
)

SAFETY = 0.9
"""Part of the stability limit that a step chosen here uses. White noise in small models of orders 2
to 8 with absorbing layers of 5 and 20 cells stayed bounded for 4000 steps up to the limit itself;
but near it the shortest waves stand almost still and answer rounding errors with large amplitudes
(1 / cos(omega D / 2)), and die out ten times more slowly."""

FEWEST_POINTS = 2.2
"""Points a wavelength below which a grid is refused: 2 is the grid's own Nyquist wavenumber."""

TOLERATED_ERROR = 0.01
"""Phase-velocity error of the grid above which `check_dispersion` warns."""

Wave = Literal["", "P", "S"]
"""Which wave a message names: none, compressional or shear."""

_NAMED: dict[Wave, str] = {
    "": "{:g} m/s",
    "P": "the slowest compressional wave, vp = {:g} m/s,",
    "S": "the slowest shear wave, vs = {:g} m/s,",
}


class DispersionWarning(UserWarning):
    """The grid is coarse for the highest frequency: late, dispersed arrivals."""


def time_step_limit(
    spacing: Sequence[float],
    velocity_bound: float,
    order: int,
    *,
    staggered: bool = False,
    gains: Sequence[float] = (),
) -> float:
    """Largest stable leapfrog step, s.

    Parameters
    ----------
    spacing : sequence of float, (ndim,), m
        Distance between nodes, per axis.
    velocity_bound : float, m/s
        Velocity that the model never exceeds: its fastest wave's, in any direction. Beside strong
        contrasts of density a staggered scheme needs more, see `contrasts.contrast_velocity`.
    order : {2, 4, 6, 8}
        Order of the space derivatives.
    staggered : bool
        Whether the scheme is a staggered system of first order rather than the scalar equation.
    gains : sequence of float, (ndim,)
        How many times larger than the stencil's an axis' largest first derivative of a field is,
        where it is one-sided at a free face. None given: 1 for every axis.
    """
    _check_order(order)
    if not (np.isfinite(velocity_bound) and velocity_bound > 0):
        raise OptionError(f"velocity_bound is {velocity_bound} m/s; it must be positive.")
    h = np.asarray(spacing, dtype=np.float64)
    if not (np.isfinite(h).all() and (h > 0).all()):
        raise OptionError(f"spacing is {tuple(spacing)} m; every axis needs a positive number.")
    enlarged = np.asarray(gains if len(gains) else np.ones(len(h)), dtype=np.float64)
    if enlarged.shape != h.shape or not (np.isfinite(enlarged) & (enlarged > 0)).all():
        raise OptionError(f"gains are {tuple(gains)}; give a positive number for each axis.")
    largest = float(_symbol(np.array(np.pi), order, staggered))
    return float(2.0 / (velocity_bound * np.sqrt(np.sum(largest * (enlarged / h) ** 2))))


def stable_time_step(
    spacing: Sequence[float],
    velocity_bound: float,
    order: int,
    *,
    staggered: bool = False,
    gains: Sequence[float] = (),
) -> float:
    """Step to use: `SAFETY` times `time_step_limit`, s."""
    return SAFETY * time_step_limit(
        spacing, velocity_bound, order, staggered=staggered, gains=gains
    )


def accurate_time_step(frequency: float) -> float:
    """Step (s) at which time dispersion, where nothing corrects it, stays below 1e-3 in phase.

    Notes
    -----
    A leapfrog step D is early by ``(omega D)^2 / 24``. Any step will do for a frequency of 0 Hz.
    """
    return float("inf") if frequency <= 0 else math.sqrt(24e-3) / (2 * math.pi * frequency)


def check_time_step(
    time_step: float,
    spacing: Sequence[float],
    velocity_bound: float,
    order: int,
    *,
    staggered: bool = False,
    gains: Sequence[float] = (),
) -> None:
    """Refuse a step above the stability limit with a `StabilityError`."""
    limit = time_step_limit(spacing, velocity_bound, order, staggered=staggered, gains=gains)
    if not 0.0 < time_step <= limit:
        raise StabilityError(
            f"time_step is {time_step:g} s, but order {order} at spacing "
            f"{tuple(float(h) for h in spacing)} m is stable only up to {limit:.6g} s for "
            f"velocities up to {velocity_bound:g} m/s. Use {SAFETY * limit:.4g} s or less (None "
            "chooses one), a coarser grid, or a lower velocity_bound if the model allows it."
        )


def phase_velocity_error(
    points_per_wavelength: ArrayLike,
    order: int,
    angle: float = 0.0,
    courant: float = 0.0,
    *,
    staggered: bool = False,
) -> NDArray[np.float64]:
    """Relative error of the scheme's phase velocity in 2-D, equal spacings.

    Parameters
    ----------
    points_per_wavelength : array
        Cells per wavelength, 2 and more.
    order : {2, 4, 6, 8}
        Order of the space derivatives.
    angle : float, rad
        Direction of propagation, 0 along a grid axis.
    courant : float
        c D / h of the leapfrog step. 0: time exact, which is also what remains with the
        time-dispersion correction.
    staggered : bool
        Whether the scheme is a staggered system of first order.

    Returns
    -------
    array of float64
        Numerical over true phase velocity, minus 1; negative is slow.
    """
    _check_order(order)
    kappa = 2.0 * np.pi / np.asarray(points_per_wavelength, dtype=np.float64)
    along, across = kappa * np.cos(angle), kappa * np.sin(angle)
    root = np.sqrt(_symbol(along, order, staggered) + _symbol(across, order, staggered))
    if courant == 0.0:
        return np.asarray(root / kappa - 1.0)
    sine = 0.5 * courant * root
    if np.any(sine > 1.0):
        raise StabilityError(
            f"A Courant number of {courant:g} is unstable for order {order} at these wavelengths: "
            f"sin(omega D / 2) would be {float(np.max(sine)):.4g}, above 1."
        )
    return np.asarray(2.0 / courant * np.arcsin(sine) / kappa - 1.0)


@lru_cache(maxsize=32)
def points_needed(
    order: int, tolerance: float = TOLERATED_ERROR, *, staggered: bool = False
) -> float:
    """Fewest points a wavelength with a phase-velocity error (time exact) within `tolerance`."""
    points = np.geomspace(2.0, 200.0, 4001)
    good = np.abs(phase_velocity_error(points, order, staggered=staggered)) <= tolerance
    return float(points[np.argmax(good)])


def check_dispersion(
    slowest: float,
    spacing: Sequence[float],
    max_frequency: float,
    order: int,
    *,
    staggered: bool = False,
    wave: Wave = "",
    stacklevel: int = 2,
) -> None:
    """Refuse a hopeless grid, warn of a coarse one.

    Parameters
    ----------
    slowest : float, m/s
        Slowest velocity of the model: of a solid, of its shear waves.
    spacing : sequence of float, (ndim,), m
        Distance between nodes.
    max_frequency : float, Hz
        Highest frequency that the source holds in earnest; 0 passes.
    order : {2, 4, 6, 8}
        Order of the space derivatives.
    staggered : bool
        Whether the scheme is a staggered system of first order.
    wave : {"", "P", "S"}
        The slowest wave, for the message to name.
    stacklevel : int
        Which caller the warning points at, as in `warnings.warn`.

    Raises
    ------
    DispersionError
        Below `FEWEST_POINTS` points a wavelength.

    Warns
    -----
    DispersionWarning
        Where the phase velocity is wrong by more than `TOLERATED_ERROR`.
    """
    _check_order(order)
    if max_frequency <= 0.0:
        return
    coarsest = float(max(spacing))
    points = slowest / (max_frequency * coarsest)
    needed = points_needed(order, staggered=staggered)
    if points >= needed:
        return
    enough = slowest / (max_frequency * needed)
    lowest = slowest / (needed * coarsest)
    finding = (
        f"{max_frequency:.4g} Hz at {_NAMED[wave].format(slowest)} has {points:.3g} points a "
        f"wavelength at spacing {coarsest:g} m"
    )
    remedy = (
        f"Order {order} needs {needed:.1f} for {TOLERATED_ERROR:.0%}: use a spacing of at most "
        f"{enough:.4g} m, or frequencies up to {lowest:.4g} Hz."
    )
    if wave == "S":
        remedy += (
            f" Or raise vs: this grid carries {needed * max_frequency * coarsest:.4g} m/s and "
            "more; water has vs = 0, which needs no points."
        )
    if points < FEWEST_POINTS:
        raise DispersionError(f"{finding}; fewer than {FEWEST_POINTS} cannot be modelled. {remedy}")
    error = float(phase_velocity_error(points, order, staggered=staggered))
    warnings.warn(
        f"{finding}: its phase velocity is wrong by {error:.1%}. {remedy}",
        DispersionWarning,
        stacklevel=stacklevel,
    )


def _symbol(kappa: NDArray[np.float64], order: int, staggered: bool = False) -> NDArray[np.float64]:
    """-h^2 times the second-derivative stencil's answer to a wave of kappa radians a cell.

    Staggered: the square of the first-derivative stencil's.
    """
    total: Any
    if staggered:
        total = 0.0
        for k, weight in enumerate(staggered_weights(order), start=1):
            total = total + 2.0 * weight * np.sin((k - 0.5) * kappa)
        return np.asarray(total**2)
    weights = second_derivative_weights(order)
    total = -weights[0]
    for j, weight in enumerate(weights[1:], start=1):
        total = total - 2.0 * weight * np.cos(j * kappa)
    return np.asarray(np.maximum(total, 0.0))


def _check_order(order: int) -> None:
    if order not in ORDERS:
        known = ", ".join(map(str, ORDERS))
        raise OptionError(f"order is {order}; the orders in space are {known}.")
