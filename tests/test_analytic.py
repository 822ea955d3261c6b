"""The analytic waves that other tests trust, against independent closed forms."""

from pathlib import Path

import numpy as np
import pytest
from analytic import (
    born_plane_3d,
    born_point_3d,
    half_space,
    homogeneous,
    homogeneous_2d,
    homogeneous_3d,
    ricker_acceleration,
    ricker_signal,
    sampled_signal,
)
from scipy.special import hankel2


def relative(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def test_line_source_agrees_with_the_published_quadrature(data_folder: Path) -> None:
    folder = data_folder / "waveforms" / "acoustic_homog_analytic"
    t, p = np.loadtxt(folder / "closed_form_quadrature.txt", unpack=True)
    c, r, f0 = 3297.849, 707.107, 18.0
    signal = ricker_signal(f0, 0.0)
    ours = homogeneous_2d(t, r, c, signal, highest=4 * f0, start=-2 / f0) / c**2
    # The file gives c and r to seven and six digits: a phase of up to 1e-5 cycles.
    assert relative(ours, p) < 1e-4


def test_line_source_agrees_with_the_hankel_function() -> None:
    """A long, periodic frequency sum of -i/4 H0(2), with a wavelet that has no zero frequency."""
    c, r, f0 = 2000.0, 900.0, 10.0
    dt, n = 1e-3, 2**17
    signal = ricker_signal(f0, 0.15)
    t = np.arange(n) * dt
    omega = 2 * np.pi * np.fft.rfftfreq(n, dt)
    green = np.zeros(len(omega), dtype=complex)
    green[1:] = -0.25j * hankel2(0, omega[1:] * r / c)
    expected = np.fft.irfft(np.fft.rfft(signal(t)) * green, n)[:1500]
    ours = homogeneous_2d(t[:1500], r, c, signal, highest=40.0)
    # A Ricker wavelet's tail falls as t**-3, so what wraps round after 131 s is far below this.
    assert relative(ours, expected) < 1e-6


def test_line_source_does_not_depend_on_its_quadrature() -> None:
    t = np.arange(800) * 1e-3
    signal = ricker_signal(12.0, 0.125)
    coarse = homogeneous_2d(t, 35.0, 1500.0, signal, highest=40.0)
    fine = homogeneous_2d(t, 35.0, 1500.0, signal, highest=320.0)
    # 1e-9: exponential convergence; the cut at the wavelet's start is 1e-8 of its peak.
    assert np.abs(coarse - fine).max() < 1e-7 * np.abs(fine).max()


def test_integrated_point_sources_make_a_line_source() -> None:
    """Descent: the 2-D wave is the 3-D one summed along a line."""
    c, r = 1800.0, 120.0
    signal = ricker_signal(15.0, 0.1)
    t = np.linspace(0.0, 0.4, 81)
    y, dy = np.linspace(-800.0, 800.0, 3201, retstep=True)
    total = sum(homogeneous_3d(t, float(d), c, signal) * dy for d in np.hypot(r, y))
    # Waves from the ends arrive at 0.45 s, after the last time; the rest is a smooth sum.
    assert relative(np.asarray(total), homogeneous_2d(t, r, c, signal, highest=60.0)) < 1e-5


@pytest.mark.parametrize("ndim", [2, 3])
def test_pressure_vanishes_on_the_free_surface_only(ndim: int) -> None:
    t = np.arange(600) * 1e-3
    signal = ricker_signal(12.0, 0.125)
    source, receiver = (60.0, 0.0, 0.0)[:ndim], (0.0, 80.0, 30.0)[:ndim]
    assert np.abs(half_space(t, source, receiver, 1500.0, signal, 50.0)).max() == 0.0
    deep = (90.0, *receiver[1:])
    both = half_space(t, source, deep, 1500.0, signal, 50.0)
    direct = homogeneous(t, source, deep, 1500.0, signal, 50.0)
    ghost = direct - both
    # The ghost of a path longer by the depth of the source is later, weaker and of the other sign.
    longer = np.linalg.norm(np.add(source, (90.0, *np.negative(deep[1:]))))
    peak = t[np.argmax(ghost)]
    assert abs(peak - 0.125 - longer / 1500.0) < (2e-3 if ndim == 3 else 2e-2)
    assert 0.3 < ghost.max() / direct.max() < 1.0


def test_ricker_acceleration_is_the_second_derivative() -> None:
    t, step = np.linspace(0.0, 0.3, 301), 1e-5
    signal = ricker_signal(11.0, 0.14)
    numeric = (signal(t + step) - 2 * signal(t) + signal(t - step)) / step**2
    # Truncation step**2 / 12 s'''' / s'' ~ 1e-6 and cancellation 1e-16 / step**2 / s'' ~ 1e-9.
    assert relative(numeric, ricker_acceleration(11.0, 0.14)(t)) < 1e-5


def test_born_points_on_a_plane_sum_to_the_born_plane() -> None:
    c, depth, cell = 2000.0, 150.0, 10.0
    source, receiver = (20.0, -40.0, 0.0), (40.0, 60.0, 0.0)
    t = np.linspace(0.0, 0.36, 61)
    acceleration = ricker_acceleration(10.0, 0.12)
    # Waves from beyond 420 m arrive after the last time.
    y, x = np.meshgrid(*[np.arange(-420.0, 420.1, cell)] * 2, indexing="ij")
    total = np.zeros_like(t)
    for point in zip(y.ravel(), x.ravel(), strict=True):
        place = (depth, *map(float, point))
        total += born_point_3d(t, source, place, receiver, c, 50.0 * cell**2, acceleration)
    plane = born_plane_3d(t, source, depth, receiver, c, 50.0, acceleration)
    # A smooth integrand on a square lattice: 1e-3 leaves room for the edge of the sheet.
    assert relative(total, plane) < 1e-3


def test_sampled_signals_are_read_between_their_samples() -> None:
    dt = 4e-3
    signal = ricker_signal(20.0, 0.1)
    read = sampled_signal(signal(np.arange(100) * dt), dt)
    t = np.random.default_rng(3).uniform(0.02, 0.38, 200)
    # The wavelet's spectrum at the Nyquist frequency, 125 Hz, is below 1e-14 of its peak.
    assert np.abs(read(t) - signal(t)).max() < 1e-4
    assert np.all(read(np.array([-0.1, 0.5])) == 0.0)
