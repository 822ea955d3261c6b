"""Absolute amplitude, phase and sign against closed forms, on and off the grid."""

import numpy as np
import pytest
import torch
from analytic import (
    half_space,
    homogeneous_2d,
    homogeneous_3d,
    ricker_signal,
    sampled_signal,
)
from scipy.special import hankel2

from wavepipe.propagators import Boundary, scalar, scalar_born
from wavepipe.propagators.stability import phase_velocity_error
from wavepipe.propagators.wavelets import ricker

VELOCITY, PEAK, DELAY, DT = 2000.0, 10.0, 0.15, 4e-3
WAVELENGTH = VELOCITY / PEAK


def record(shape, spacing, source, receivers, nt, **options):
    """Gather of a point source with a Ricker wavelet in a homogeneous medium."""
    wavelet = torch.tensor(ricker(PEAK, DT, nt, DELAY), dtype=torch.float32)
    return scalar(
        torch.full(shape, VELOCITY),
        spacing,
        DT,
        source_amplitudes=wavelet[None, None],
        source_positions=np.array(source)[None, None],
        receiver_positions=np.array(receivers)[None],
        **{"order": 8} | options,
    )["pressure"][0].numpy()


def misfit(found, expected) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


@pytest.mark.parametrize("off_grid", [False, True], ids=["on the grid", "off the grid"])
@pytest.mark.parametrize("ndim", [2, 3])
def test_twenty_wavelengths_at_twelve_points_are_within_one_percent(ndim, off_grid):
    """Relative L2 error of the whole trace, in absolute amplitude; needs the time correction.

    The 3-D path is oblique: along an axis the dispersion of order 8 alone is 1.05 %.
    """
    spacing = WAVELENGTH / 12
    shift = np.array([0.37, 0.21, 0.4][:ndim]) * spacing * off_grid
    if ndim == 2:
        shape, start, way = (130, 280), [65, 20], [0, 240]
    else:
        shape, start, way = (110, 110, 265), [28, 28, 20], [54, 54, 227]
    source = np.array(start) * spacing + shift
    receiver = source + np.array(way) * spacing - 1.7 * shift
    nt = int((20 / PEAK + 0.3) / DT)
    found = record(shape, spacing, source, [receiver], nt)[0]
    distance = float(np.linalg.norm(receiver - source))
    t, signal = np.arange(nt) * DT, ricker_signal(PEAK, DELAY)
    if ndim == 2:
        expected = homogeneous_2d(t, distance, VELOCITY, signal, 5 * PEAK)
    else:
        expected = homogeneous_3d(t, distance, VELOCITY, signal)
    assert misfit(found, expected) < 0.01


def test_without_the_time_correction_the_same_path_is_wrong():
    """The test above can fail: it needs what it says it needs."""
    spacing, nt = WAVELENGTH / 12, int((20 / PEAK + 0.3) / DT)
    found = record(
        (130, 280), spacing, [65 * spacing, 20 * spacing], [[65 * spacing, 260 * spacing]], nt,
        correct_time_dispersion=False,
    )[0]  # fmt: skip
    signal = ricker_signal(PEAK, DELAY)
    expected = homogeneous_2d(np.arange(nt) * DT, 240 * spacing, VELOCITY, signal, 5 * PEAK)
    assert misfit(found, expected) > 0.1


@pytest.mark.parametrize("off_grid", [False, True], ids=["on the grid", "off the grid"])
@pytest.mark.parametrize("ndim", [2, 3])
def test_a_free_surface_is_an_image_source(ndim, off_grid):
    """Source and receivers near and far from a pressure-free face, its ghost included."""
    spacing, nt = WAVELENGTH / 12, 200
    shift = np.array([0.3, 0.21, 0.4][:ndim]) * spacing * off_grid
    side = (100, 140) if ndim == 2 else (70, 70, 90)
    middle = side[1] // 2
    source = np.array([*(3, middle)[: ndim - 1], 25]) * spacing + shift
    receivers = [
        np.array([*(depth, middle)[: ndim - 1], x]) * spacing - 0.6 * shift
        for depth, x in ((2, 30), (40, 60))
    ]
    found = record(side, spacing, source, receivers, nt, boundary=Boundary(20, None, ("z0",)))
    t, signal = np.arange(nt) * DT, ricker_signal(PEAK, DELAY)
    for trace, receiver in zip(found, receivers, strict=True):
        expected = half_space(t, source, receiver, VELOCITY, signal, 5 * PEAK)
        assert misfit(trace, expected) < 0.01  # 12 points a wavelength, 0.2 measured


def test_the_closed_form_and_an_independent_code(data_folder):
    """A published 2-D trace 707 m from an 18 Hz source of strength 1/c2."""
    folder = data_folder / "waveforms" / "acoustic_homog_analytic"
    closed = np.loadtxt(folder / "closed_form_quadrature.txt")
    spectral = np.loadtxt(folder / "AA.S0001.PRE.semp")
    velocity, spacing, dt, nt = 3297.849, 10.0, 2e-3, 400
    delay = 1.2 / 18
    signal = ricker_signal(18.0, delay)
    wavelet = torch.tensor(signal(np.arange(nt) * dt), dtype=torch.float32)
    found = scalar(
        torch.full((160, 160), velocity),
        spacing,
        dt,
        source_amplitudes=wavelet[None, None] / velocity**2,
        source_positions=[[[500.0, 500.0]]],
        receiver_positions=[[[1000.0, 1000.0]]],
        order=8,
    )["pressure"][0, 0]
    ours = sampled_signal(found.double().numpy(), dt)
    for times, values in (closed[:, :2].T, spectral[:, :2].T):
        inside = (times + delay > 0) & (times + delay < (nt - 20) * dt)
        shifts = np.linspace(-0.5, 0.5, 21) * max(dt, float(np.diff(times)[0]))
        best = min(misfit(ours(times[inside] + delay + s), values[inside]) for s in shifts)
        assert best < 0.015


@pytest.mark.filterwarnings("ignore::wavepipe.propagators.stability.DispersionWarning")
@pytest.mark.parametrize("order", [4, 8])
@pytest.mark.parametrize("points", [5.0, 7.0, 10.0])
def test_the_measured_phase_velocity_is_that_of_the_dispersion_analysis(order, points):
    """Phase between two receivers along an axis, against the exact Hankel function's."""
    spacing, nt = 20.0, 400
    frequency = VELOCITY / (points * spacing)
    near, far = 20, 60
    middle = 70
    receivers = [[middle * spacing, (40 + n) * spacing] for n in (near, far)]
    found = record(
        (140, 150), spacing, [middle * spacing, 40 * spacing], receivers, nt, order=order
    )  # fmt: skip
    t = np.arange(nt) * DT
    spectrum = found.astype(np.float64) @ np.exp(-2j * np.pi * frequency * t)
    ratio = spectrum[1] / spectrum[0]

    def phase_at(velocity):
        k = 2 * np.pi * frequency / velocity
        exact = hankel2(0, k * far * spacing) / hankel2(0, k * near * spacing)
        return np.angle(ratio / exact)

    step = 1e-4 * VELOCITY
    slope = (phase_at(VELOCITY + step) - phase_at(VELOCITY - step)) / (2 * step)
    measured = -phase_at(VELOCITY) / slope / VELOCITY
    expected = float(phase_velocity_error(points, order))
    assert measured == pytest.approx(expected, abs=1e-3)  # the time part is corrected to 1e-3


def test_a_point_scatterer_scatters_its_born_field():
    """A single cell of the perturbation against the closed form in 3-D, absolute."""
    from analytic import born_point_3d, ricker_acceleration

    spacing, nt, shape = WAVELENGTH / 14, 130, (50, 50, 70)
    source, receiver, cell = [25, 25, 12], [25, 25, 58], (14, 25, 35)
    scatter = torch.zeros(shape)
    scatter[cell] = 10.0
    wavelet = torch.tensor(ricker(PEAK, DT, nt, DELAY), dtype=torch.float32)
    found = scalar_born(
        torch.full(shape, VELOCITY),
        scatter,
        spacing,
        DT,
        source_amplitudes=wavelet[None, None],
        source_positions=np.array(source)[None, None] * spacing,
        receiver_positions=np.array(receiver)[None, None] * spacing,
        order=8,
    )["pressure"][0, 0].numpy()
    expected = born_point_3d(
        np.arange(nt) * DT,
        np.array(source) * spacing,
        np.array(cell) * spacing,
        np.array(receiver) * spacing,
        VELOCITY,
        10.0 * spacing**3,
        ricker_acceleration(PEAK, DELAY),
    )
    assert misfit(found, expected) < 0.02  # two paths of 3 wavelengths at 14 points


def test_the_model_of_the_page_holds_for_unequal_spacings():
    """Different distances along each axis, the same answer."""
    spacing, nt = (WAVELENGTH / 14, WAVELENGTH / 12), 230
    source, receiver = [60 * spacing[0], 40 * spacing[1]], [100 * spacing[0], 100 * spacing[1]]
    found = record((160, 150), spacing, source, [receiver], nt)[0]
    distance = float(np.linalg.norm(np.subtract(receiver, source)))
    signal = ricker_signal(PEAK, DELAY)
    expected = homogeneous_2d(np.arange(nt) * DT, distance, VELOCITY, signal, 5 * PEAK)
    assert misfit(found, expected) < 0.005
