"""Elastic waves against exact ones: absolute amplitude and sign of every source and component."""

import numpy as np
import pytest
from analytic import ricker_signal
from analytic_comparison import layered, node, record, worst
from analytic_elastic import NAMES, Clock, Medium, whole_space

from wavepipe.propagators import Boundary

PEAK, DELAY = 10.0, 0.15
WAVELET, SIGNAL = (PEAK, DELAY), ricker_signal(PEAK, DELAY)
ROCK = Medium(2000.0, 1150.0, 2200.0)
WAVELENGTH = ROCK.vs / PEAK
TENSORS = {
    2: {"moment": np.array([[1.0, 0.6], [0.6, -0.5]]), "shear": np.array([[0.0, 1.0], [1.0, 0.0]])},
    3: {
        "moment": np.array([[1.0, 0.6, -0.3], [0.6, -0.5, 0.2], [-0.3, 0.2, 0.1]]),
        "shear": np.array([[0.0, 0.0, 1.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]),
    },
}


def compare(shape, start, ends, kind, points, off_grid=False, nt=150, **options):
    """Worst relative error of all components at all receivers, in a homogeneous medium."""
    ndim, spacing = len(shape), WAVELENGTH / points
    shift = np.array([0.37, 0.21, 0.4][:ndim]) * spacing * off_grid
    clock = Clock(4e-3, nt, 5 * PEAK)
    tensor = TENSORS[ndim].get(kind, kind)
    source = node(start, kind if kind[0] == "f" else "pressure", spacing) + shift
    receivers = {
        name: [node(end, name, spacing) - 0.7 * shift for end in ends]
        for name in (*NAMES[ndim], "pressure")
    }
    models = layered(shape, ROCK, ROCK, 1)
    found = record("elastic", models, spacing, clock, WAVELET, tensor, source, receivers, **options)
    expected = {
        name: whole_space(clock, SIGNAL, source, places, ROCK, tensor)[name]
        for name, places in receivers.items()
    }
    return worst(found, expected)


@pytest.mark.parametrize("off_grid", [False, True], ids=["on the grid", "off the grid"])
@pytest.mark.parametrize("kind", ["fz", "fx", "pressure", "moment", "shear"])
def test_line_sources_have_the_right_amplitude(kind, off_grid):
    assert compare((110, 120), (40, 35), [(62, 75), (30, 44)], kind, 12, off_grid) < 0.01


SLOW = [pytest.param(kind, False, marks=pytest.mark.slow) for kind in ("fz", "pressure", "shear")]


@pytest.mark.parametrize(("kind", "off_grid"), [("fy", False), ("moment", True), *SLOW])
def test_point_sources_have_the_right_amplitude_near_and_far(kind, off_grid):
    """Half a wavelength of S and nearly three of them."""
    ends = [(12, 12, 11), (23, 26, 28)]
    thin = Boundary(8)
    error = compare((32, 36, 38), (8, 10, 8), ends, kind, 10, off_grid, nt=105, boundary=thin)
    assert error < 0.01
