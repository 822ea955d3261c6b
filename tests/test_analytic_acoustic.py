"""Acoustic waves of varying density against exact ones: absolute amplitude, sign and reflection."""

import numpy as np
import pytest
from analytic import ricker_signal
from analytic_comparison import layered, misfit, node, record
from analytic_elastic import NAMES, Clock, Medium, whole_space
from analytic_halfspace import contact

from wavepipe.propagators import Boundary

PEAK, DELAY = 10.0, 0.15
WAVELET, SIGNAL = (PEAK, DELAY), ricker_signal(PEAK, DELAY)
WATER = Medium(2000.0, 0.0, 1300.0)
WAVELENGTH = WATER.vp / PEAK


@pytest.mark.parametrize("off_grid", [False, True], ids=["on the grid", "off the grid"])
@pytest.mark.parametrize(
    ("ndim", "kind"),
    [
        (2, "pressure"),
        (2, "fz"),
        (2, "fx"),
        (3, "pressure"),
        (3, "fy"),
        pytest.param(3, "fz", marks=pytest.mark.slow),
        pytest.param(3, "fx", marks=pytest.mark.slow),
    ],
)
def test_all_components_of_all_sources_have_the_right_amplitude(ndim, kind, off_grid):
    """Three wavelengths at twelve points each, pressure and velocities."""
    spacing = WAVELENGTH / 12
    shift = np.array([0.37, 0.21, 0.4][:ndim]) * spacing * off_grid
    start, end = ([40, 30], [58, 62]) if ndim == 2 else ([12, 13, 12], [26, 30, 36])
    shape = (90, 100) if ndim == 2 else (40, 44, 48)
    models = layered(shape, WATER, WATER, 1)
    clock = Clock(4e-3, 130, 5 * PEAK)
    source = node(start, kind, spacing) + shift
    receivers = {
        name: node(end, name, spacing) - 0.7 * shift for name in (*NAMES[ndim], "pressure")
    }
    thin = Boundary(10)
    found = record(
        "acoustic", models, spacing, clock, WAVELET, kind, source, receivers, boundary=thin
    )
    for name, place in receivers.items():
        expected = whole_space(clock, SIGNAL, source, place, WATER, kind)[name][0]
        assert misfit(found[name][0], expected) < 0.01


@pytest.mark.parametrize("kind", ["pressure", "fz", "fx"])
def test_under_a_free_surface_all_components_are_right(kind):
    spacing = WAVELENGTH / 12
    models = layered((60, 120), WATER, WATER, 1)
    clock = Clock(4e-3, 150, 5 * PEAK)
    source = node([4, 25], kind, spacing)
    names = ("vz", "vx", "pressure")
    receivers = {name: [node([row, 70], name, spacing) for row in (2, 30)] for name in names}
    found = record(
        "acoustic", models, spacing, clock, WAVELET, kind, source, receivers,
        boundary=Boundary(20, None, ("z0",)),
    )  # fmt: skip
    for name, places in receivers.items():
        expected = contact(clock, SIGNAL, source, places, None, WATER, kind)[name]
        assert misfit(found[name], expected) < 0.01


CONTRASTS = {
    "density": Medium(2000.0, 0.0, 2600.0),
    "velocity": Medium(3000.0, 0.0, 1300.0),
    "both": Medium(2800.0, 0.0, 2300.0),
}


def at_a_contact(lower, points):
    """Exact and recorded traces, reflected alone and transmitted, of an explosion above `lower`.

    The contact is half a cell above the first row of the lower medium: nodes carry the modulus of
    the cell around them, and the velocity between them the mean density of both.
    """
    spacing, row, shape = WAVELENGTH / points, 3 * points, (5 * points, 7 * points)
    clock = Clock(4e-3, 210, 5 * PEAK)
    source, depth = np.array([2.0, 1.5]) * WAVELENGTH, (row - 0.5) * spacing
    # Nearly vertical, at 45 degrees and beyond the critical angle; then two under the contact.
    above = np.array([[2.0, 1.75], [2.0, 3.5], [2.0, 6.5]]) * WAVELENGTH
    places = np.concatenate([above, np.array([[4.0, 1.5], [4.0, 4.5]]) * WAVELENGTH])
    receivers = {"pressure": places, "vz": places}
    args = (spacing, clock, WAVELET, "pressure", source, receivers)
    found = record("acoustic", layered(shape, WATER, lower, row), *args)
    uniform = record("acoustic", layered(shape, WATER, WATER, 1), *args)
    down = [depth, 0.0]
    expected = contact(clock, SIGNAL, source - down, places - down, WATER, lower, "pressure")
    direct = whole_space(clock, SIGNAL, source, above, WATER, "pressure")
    for name in receivers:
        found[name][:3] -= uniform[name][:3]
        expected[name][:3] -= direct[name]
    return clock, found, expected


@pytest.mark.parametrize("contrast", CONTRASTS)
def test_reflected_and_transmitted_waves_are_exact_at_all_angles(contrast):
    """The reflected wave alone, head waves included; second order in h."""
    _, found, expected = at_a_contact(CONTRASTS[contrast], 24)
    for name in found:
        for trace, exact in zip(found[name], expected[name], strict=True):
            assert misfit(trace, exact) < 0.015


@pytest.mark.parametrize(("contrast", "points"), [("both", 16), ("density", 28)])
def test_the_reflection_coefficient_of_the_peak_frequency_is_within_half_a_percent(
    contrast, points
):
    """A jump of density alone, sampled by nodes, reflects 1 - (k h)^2 / 12 of what it should.

    One of velocity alone reflects as much too much: in rock, where both rise, they nearly cancel.
    """
    clock, found, expected = at_a_contact(CONTRASTS[contrast], points)
    wave = np.exp(-2j * np.pi * PEAK * clock.t)
    for name in found:
        assert np.allclose(found[name] @ wave / (expected[name] @ wave), 1.0, atol=5e-3)
