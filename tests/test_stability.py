"""The largest stable step and the speed of waves on the grid, against simulated schemes."""

import warnings
from collections.abc import Callable

import numpy as np
import pytest

from wavepipe.propagators.errors import DispersionError, OptionError, StabilityError
from wavepipe.propagators.stability import (
    SAFETY,
    DispersionWarning,
    check_dispersion,
    check_time_step,
    phase_velocity_error,
    points_needed,
    stable_time_step,
    time_step_limit,
)
from wavepipe.propagators.stencil.derivatives import (
    second_derivative_weights,
    staggered_weights,
)

ORDERS = (2, 4, 6, 8)


def periodic_laplacian(u: np.ndarray, spacing: tuple[float, ...], order: int) -> np.ndarray:
    weights = second_derivative_weights(order)
    total = np.zeros_like(u)
    for axis, h in enumerate(spacing):
        total += weights[0] / h**2 * u
        for j, w in enumerate(weights[1:], start=1):
            total += w / h**2 * (np.roll(u, j, axis) + np.roll(u, -j, axis))
    return total


def half_difference(u: np.ndarray, axis: int, h: float, order: int, on: bool) -> np.ndarray:
    """First derivative half a cell on, or half a cell back."""
    total = np.zeros_like(u)
    for k, w in enumerate(staggered_weights(order), start=1):
        ahead, behind = (-k, k - 1) if on else (1 - k, k)
        total += w / h * (np.roll(u, ahead, axis) - np.roll(u, behind, axis))
    return total


def staggered_laplacian(u: np.ndarray, spacing: tuple[float, ...], order: int) -> np.ndarray:
    """What is left of a pressure-velocity system when its velocities are eliminated."""
    total = np.zeros_like(u)
    for axis, h in enumerate(spacing):
        gradient = half_difference(u, axis, h, order, on=True)
        total += half_difference(gradient, axis, h, order, on=False)
    return total


def solid_growth(step: float, h: tuple[float, float], vp: float, vs: float, order: int) -> float:
    """Largest velocity after 400 steps of a velocity-stress system from noise of size 1."""
    rng = np.random.default_rng(2)
    v = [rng.standard_normal((8, 12)) for _ in h]
    normal, shear = [np.zeros((8, 12)) for _ in h], np.zeros((8, 12))
    lam, mu = vp**2 - 2 * vs**2, vs**2
    for _ in range(400):
        strain = [half_difference(v[a], a, h[a], order, on=False) for a in (0, 1)]
        for a in (0, 1):
            normal[a] += step * (lam * (strain[0] + strain[1]) + 2 * mu * strain[a])
        shear += step * mu * half_difference(v[0], 1, h[1], order, on=True)
        shear += step * mu * half_difference(v[1], 0, h[0], order, on=True)
        for a in (0, 1):
            v[a] += step * half_difference(normal[a], a, h[a], order, on=True)
            v[a] += step * half_difference(shear, 1 - a, h[1 - a], order, on=False)
    return float(max(np.abs(x).max() for x in v))


def growth(
    step: float,
    spacing: tuple[float, ...],
    c: float,
    order: int,
    laplacian: Callable[..., np.ndarray] = periodic_laplacian,
) -> float:
    """Largest amplitude after 400 steps from noise of size 1."""
    u = np.random.default_rng(1).standard_normal((8, 12, 10)[: len(spacing)])
    previous = u.copy()
    for _ in range(400):
        u, previous = 2 * u - previous + (c * step) ** 2 * laplacian(u, spacing, order), u
    return float(np.abs(u).max())


def test_the_limit_is_the_textbooks() -> None:
    assert time_step_limit((10.0, 10.0), 2000.0, 2) == pytest.approx(10 / 2000 / np.sqrt(2))
    assert time_step_limit((10.0,) * 3, 2000.0, 2) == pytest.approx(10 / 2000 / np.sqrt(3))
    # Fourth order: sqrt(3/4) of it.
    fourth = time_step_limit((10.0, 10.0), 2000.0, 4)
    assert fourth == pytest.approx(10 / 2000 / np.sqrt(2) * np.sqrt(0.75))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("spacing", [(10.0, 10.0), (5.0, 12.5), (4.0, 10.0, 7.0)])
def test_noise_grows_just_above_the_limit_and_not_just_below(
    order: int, spacing: tuple[float, ...]
) -> None:
    limit = time_step_limit(spacing, 1800.0, order)
    assert growth(0.999 * limit, spacing, 1800.0, order) < 200.0
    assert growth(1.01 * limit, spacing, 1800.0, order) > 1e10


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("spacing", [(10.0, 10.0), (5.0, 12.5), (4.0, 10.0, 7.0)])
def test_noise_in_a_staggered_system_grows_just_above_its_limit(
    order: int, spacing: tuple[float, ...]
) -> None:
    limit = time_step_limit(spacing, 1800.0, order, staggered=True)
    weights = np.abs(staggered_weights(order)).sum()
    by_hand = 1 / (1800.0 * weights * np.sqrt(sum(1 / h**2 for h in spacing)))
    assert limit == pytest.approx(by_hand)
    assert growth(0.999 * limit, spacing, 1800.0, order, staggered_laplacian) < 200.0
    assert growth(1.01 * limit, spacing, 1800.0, order, staggered_laplacian) > 1e10


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("spacing", [(10.0, 10.0), (5.0, 12.5)])
def test_noise_in_a_solid_grows_just_above_the_limit_of_its_fastest_wave(
    order: int, spacing: tuple[float, float]
) -> None:
    limit = time_step_limit(spacing, 1800.0, order, staggered=True)
    assert solid_growth(0.999 * limit, spacing, 1800.0, 900.0, order) < 200.0
    assert solid_growth(1.01 * limit, spacing, 1800.0, 900.0, order) > 1e10


def test_a_gain_shortens_the_step_as_a_smaller_spacing_would() -> None:
    gained = time_step_limit((10.0, 8.0), 2000.0, 4, staggered=True, gains=(2.0, 1.0))
    assert gained == pytest.approx(time_step_limit((5.0, 8.0), 2000.0, 4, staggered=True))
    kept = stable_time_step((10.0, 8.0), 2000.0, 4, staggered=True, gains=(2.0, 1.0))
    assert kept == SAFETY * gained
    check_time_step(gained, (10.0, 8.0), 2000.0, 4, staggered=True, gains=(2.0, 1.0))
    with pytest.raises(StabilityError):
        check_time_step(1.01 * gained, (10.0, 8.0), 2000.0, 4, staggered=True, gains=(2.0, 1.0))
    for gains in ((1.0,), (1.0, 0.0), (1.0, float("nan"))):
        with pytest.raises(OptionError, match="gains are"):
            time_step_limit((10.0, 8.0), 2000.0, 4, staggered=True, gains=gains)


def test_the_chosen_step_leaves_a_margin() -> None:
    limit = time_step_limit((5.0, 8.0), 3000.0, 8)
    assert stable_time_step((5.0, 8.0), 3000.0, 8) == SAFETY * limit
    assert 0.85 <= SAFETY < 1.0


def test_a_step_above_the_limit_is_refused_with_the_limit() -> None:
    limit = time_step_limit((10.0, 10.0), 2000.0, 4)
    check_time_step(limit, (10.0, 10.0), 2000.0, 4)
    with pytest.raises(StabilityError, match=r"stable only up to 0\.00306186 s.*0\.002756 s"):
        check_time_step(1.001 * limit, (10.0, 10.0), 2000.0, 4)
    with pytest.raises(StabilityError):
        check_time_step(0.0, (10.0, 10.0), 2000.0, 4)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("courant", [0.0, 0.4])
@pytest.mark.parametrize("staggered", [False, True])
def test_the_phase_velocity_is_that_of_a_stepped_plane_wave(
    order: int, courant: float, staggered: bool
) -> None:
    """A plane wave along a diagonal, started on the scheme's own two time levels."""
    n, h, c = 60, 10.0, 2000.0
    cycles = (7, 4)  # wavelengths across the periodic box, per axis
    k = 2 * np.pi * np.array(cycles) / (n * h)
    points = 2 * np.pi / (np.linalg.norm(k) * h)
    angle = float(np.arctan2(k[1], k[0]))
    error = float(phase_velocity_error(points, order, angle, courant, staggered=staggered))
    laplacian = staggered_laplacian if staggered else periodic_laplacian
    step = (courant or 1e-3) * h / c
    omega = np.linalg.norm(k) * c * (1 + error)
    z, x = np.meshgrid(np.arange(n) * h, np.arange(n) * h, indexing="ij")
    phase = k[0] * z + k[1] * x
    u, previous = np.cos(phase), np.cos(phase + omega * step)
    steps = 200
    for _ in range(steps):
        u, previous = 2 * u - previous + (c * step) ** 2 * laplacian(u, (h, h), order), u
    # Exact but for rounding; with time exact, courant 1e-3 leaves (omega step)^2 / 24 ~ 1e-7.
    assert np.abs(u - np.cos(phase - omega * steps * step)).max() < (1e-9 if courant else 1e-5)


def test_higher_orders_and_finer_grids_are_more_exact() -> None:
    at_five = [abs(float(phase_velocity_error(5.0, order))) for order in ORDERS]
    assert at_five == sorted(at_five, reverse=True)
    # Halving the cells of order 4 divides the error by sixteen.
    ratio = phase_velocity_error(20.0, 4) / phase_velocity_error(40.0, 4)
    assert ratio == pytest.approx(16.0, rel=0.02)


def test_the_axes_are_the_worst_directions() -> None:
    angles = np.linspace(0, np.pi / 2, 19)
    for order in ORDERS:
        errors = [abs(float(phase_velocity_error(4.0, order, a))) for a in angles]
        assert max(errors) == pytest.approx(errors[0], rel=1e-6)


def test_an_unstable_courant_number_has_no_phase_velocity() -> None:
    with pytest.raises(StabilityError, match=r"Courant number of 1\.2"):
        phase_velocity_error([10.0, 2.0], 4, 0.0, 1.2)


def test_the_points_needed_meet_their_tolerance() -> None:
    for order, about in zip(ORDERS, (12.8, 5.3, 3.9, 3.4), strict=True):
        needed = points_needed(order)
        assert needed == pytest.approx(about, abs=0.1)
        assert abs(float(phase_velocity_error(needed, order))) <= 0.01
        assert abs(float(phase_velocity_error(0.99 * needed, order))) > 0.01


def test_the_points_needed_of_a_staggered_grid_meet_their_tolerance() -> None:
    for order, about in zip(ORDERS, (12.8, 5.1, 3.8, 3.3), strict=True):
        needed = points_needed(order, staggered=True)
        assert needed == pytest.approx(about, abs=0.1)
        assert abs(float(phase_velocity_error(needed, order, staggered=True))) <= 0.01
        assert abs(float(phase_velocity_error(0.99 * needed, order, staggered=True))) > 0.01


def test_a_slow_shear_wave_is_named_with_the_velocity_that_would_do() -> None:
    with pytest.raises(
        DispersionError,
        match=r"slowest shear wave, vs = 20 m/s, has 0\.2 points.*carries 508\.8 m/s.*vs = 0",
    ):
        check_dispersion(20.0, (10.0, 10.0), 10.0, 4, staggered=True, wave="S")
    check_dispersion(508.9, (10.0, 10.0), 10.0, 4, staggered=True, wave="S")
    with pytest.warns(DispersionWarning, match="the slowest compressional wave, vp = 400 m/s, has"):
        check_dispersion(400.0, (10.0, 10.0), 10.0, 4, staggered=True, wave="P")


def test_a_fine_grid_passes_in_silence() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_dispersion(1500.0, (10.0, 10.0), 28.0, 4)
        check_dispersion(1500.0, (10.0, 10.0), 0.0, 4)


def test_a_coarse_grid_warns_with_the_spacing_that_would_do() -> None:
    with pytest.warns(DispersionWarning, match=r"3\.75 points.*-3\.5%.*at most 7\.12 m") as record:
        check_dispersion(1500.0, (10.0, 5.0), 40.0, 4)
    assert record[0].filename == __file__
    # The spacing it names does pass.
    check_dispersion(1500.0, (7.12, 5.0), 40.0, 4)


def test_a_hopeless_grid_is_refused_with_the_spacing_that_would_do() -> None:
    with pytest.raises(
        DispersionError, match=r"1\.88 points.*spacing of at most 3\.56 m.*28\.48 Hz"
    ):
        check_dispersion(1500.0, (10.0, 10.0), 80.0, 4)
    check_dispersion(1500.0, (3.56, 3.56), 80.0, 4)


def test_bad_orders_spacings_and_velocities_are_refused() -> None:
    with pytest.raises(OptionError, match="order is 5; the orders in space are 2, 4, 6, 8"):
        time_step_limit((1.0, 1.0), 1.0, 5)
    with pytest.raises(OptionError, match="velocity_bound is nan"):
        time_step_limit((1.0, 1.0), float("nan"), 4)
    with pytest.raises(OptionError, match="spacing is"):
        time_step_limit((1.0, 0.0), 1.0, 4)
