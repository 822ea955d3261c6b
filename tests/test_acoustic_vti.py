"""Acoustic VTI: velocities by direction, and what it is without anisotropy."""

import numpy as np
import pytest
import torch
from scipy.signal import correlate

from wavepipe.propagators import Boundary, propagate
from wavepipe.propagators.errors import ModelError
from wavepipe.propagators.physics.catalogue import PHYSICS
from wavepipe.propagators.stability import DispersionWarning
from wavepipe.propagators.wavelets import ricker

VP, EPSILON, DELTA = 2000.0, 0.24, 0.1
SHAPE, SPACING, DT, NT = (121, 121), 10.0, 1e-3, 620
SOURCE = np.array([[[600.0, 600.0]]])


def full(value, shape=SHAPE):
    return torch.full(shape, value)


def record(physics, receivers, boundary=Boundary(), **models):
    wavelet = torch.as_tensor(ricker(12.0, DT, NT), dtype=torch.float32)[None, None]
    models = {"vp": full(VP), "rho": full(1800.0), **models}
    return propagate(
        physics,
        models,
        SPACING,
        DT,
        sources={"pressure": (wavelet, SOURCE)},
        receivers={"pressure": receivers, "vx": receivers},
        order=8,
        boundary=boundary,
    )


def group_velocity(angle):
    """Velocity along a ray from the vertical: Tsvankin (2001), equation 1.55 without shear."""
    theta = np.linspace(-0.1, np.pi / 2 + 0.1, 20001)
    square = np.sin(theta) ** 2
    root = np.sqrt((1 + 2 * EPSILON * square) ** 2 - 2 * (EPSILON - DELTA) * np.sin(2 * theta) ** 2)
    phase = VP * np.sqrt(0.5 + EPSILON * square + 0.5 * root)
    slope = np.gradient(phase, theta)
    ray = theta + np.arctan(slope / phase)
    return np.interp(angle, ray, np.hypot(phase, slope))


@pytest.mark.parametrize("degrees", [0, 30, 45, 60, 90])
def test_rays_travel_at_the_group_velocity(degrees):
    """From one receiver to another on a ray, to 0.2 %."""
    angle = np.radians(degrees)
    direction = np.array([np.cos(angle), np.sin(angle)])
    distances = np.array([240.0, 540.0])
    receivers = (SOURCE[0] + distances[:, None] * direction)[None]
    # A source in an isotropic patch makes no shear-like wave beside the compressional one.
    z, x = np.meshgrid(*(np.arange(n) * SPACING for n in SHAPE), indexing="ij")
    outside = torch.as_tensor(np.hypot(z - 600.0, x - 600.0) > 100.0, dtype=torch.float32)
    traces = record("acoustic_vti", receivers, epsilon=EPSILON * outside, delta=DELTA * outside)
    near, far = traces["pressure"][0].double().numpy()
    lags = np.arange(-NT + 1, NT)
    found = correlate(far, near)
    top = int(found.argmax())
    a, b, c = found[top - 1 : top + 2]
    delay = (lags[top] + 0.5 * (a - c) / (a - 2 * b + c)) * DT
    expected = (distances[1] - distances[0]) / group_velocity(angle)
    assert delay == pytest.approx(expected, rel=2e-3)


def test_without_anisotropy_it_is_acoustic():
    """Both components, with a free surface and layers, to rounding."""
    receivers = np.array([[[300.0, 450.0], [35.0, 800.0]]])
    free = Boundary(free_surface=["z0"])
    plain = record("acoustic", receivers, free)
    same = record("acoustic_vti", receivers, free, epsilon=full(0.0), delta=full(0.0))
    for component, traces in plain.items():
        assert float((same[component] - traces).norm() / traces.norm()) < 1e-5


def test_an_anisotropy_that_grows_is_refused():
    """Delta above epsilon has no positive energy."""
    delta = full(0.1)
    delta[3, 4] = 0.3
    with pytest.raises(ModelError, match=r"epsilon is 0.2 and delta 0.3 at cell .*3, 4"):
        record("acoustic_vti", SOURCE, epsilon=full(0.2), delta=delta)


def test_the_fastest_and_the_slowest_wave_are_those_of_all_directions():
    """Against the phase velocity in 20,000 of them (Alkhalifah 2000), for random anisotropy."""
    numbers = np.random.default_rng(3)
    epsilon = numbers.uniform(-0.45, 0.6, 200)
    delta = numbers.uniform(-0.45, epsilon)
    delta[::10] = epsilon[::10]
    square = np.linspace(0, 1, 20001)[:, None]
    swelling = 1 + 2 * epsilon * square
    root = np.sqrt(np.maximum(swelling**2 - 8 * (epsilon - delta) * square * (1 - square), 0))
    phase = VP * np.sqrt(0.5 * (swelling + root))
    models = {"vp": torch.full((200,), VP).double()}
    models |= {"epsilon": torch.as_tensor(epsilon), "delta": torch.as_tensor(delta)}
    physics = PHYSICS["acoustic_vti"]
    assert physics.fastest(models).numpy() == pytest.approx(phase.max(axis=0), rel=1e-8)
    assert physics.slowest(models).numpy() == pytest.approx(phase.min(axis=0), rel=1e-8)


def test_dispersion_is_judged_by_the_slowest_direction():
    """With a negative epsilon that is sideways: half as many points a wavelength here."""
    receivers = np.array([[[300.0, 450.0]]])
    record("acoustic_vti", receivers, epsilon=full(0.0), delta=full(0.0))
    with pytest.warns(DispersionWarning, match="Hz at 1000 m/s"):
        record("acoustic_vti", receivers, epsilon=full(-0.375), delta=full(-0.375))
