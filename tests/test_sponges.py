"""Layers of a solid that would grow are damped, and say so."""

import warnings

import numpy as np
import pytest
import torch

from wavepipe.propagators import Boundary, elastic
from wavepipe.propagators.sponges import LayerWarning
from wavepipe.propagators.wavelets import ricker

SPACING, DT = 10.0, 1.4e-3


def record(free, *, water=0, sponge=None, nt=6000, shape=(44, 44), order=8, shift=0.0):
    vp, vs, rho = (torch.full(shape, value) for value in (3500.0, 1800.0, 2300.0))
    vp[:water], vs[:water], rho[:water] = 1500.0, 0.0, 1000.0
    wavelet = torch.as_tensor(ricker(15.0, DT, nt), dtype=torch.float32)[None, None]
    source, receivers = np.array([[[150.0, 200.0]]]), np.array([[[45.0, 300.0], [105.0, 100.0]]])
    move = np.array([0.0, shift])
    return elastic(
        vp,
        vs,
        rho,
        SPACING,
        DT,
        sources={"fz": (wavelet, source + move)},
        receivers={"vz": receivers + move},
        order=order,
        boundary=Boundary(20, 15.0, free, sponge=sponge),
        correct_time_dispersion=False,
        time_step=DT,
    )["vz"][0].double()


@pytest.mark.parametrize(
    ("free", "water", "reason"),
    [
        (["x0", "x1"], 0, "x0 and x1 are both free surfaces"),
        (["z0"], 2, "there is water 2 cells deep on rock"),
    ],
)
def test_layers_that_would_grow_are_damped(free, water, reason):
    """Without the sponge the wavefield grows, with it not, and a warning tells."""
    with pytest.warns(LayerWarning, match=reason):
        damped = record(free, water=water)
    late = damped.abs()[:, -1000:].max()
    assert late < 0.2 * damped.abs().max()
    assert record(free, water=water, sponge=False).abs()[:, -1000:].max() > 10 * late


@pytest.mark.parametrize(("free", "water"), [(["z0"], 0), (["z0"], 5), ([], 2), (["z0", "x0"], 0)])
def test_other_layers_are_left_alone(free, water):
    """Dry land, deeper water, no free surface, and a corner."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plain = record(free, water=water, nt=300)
    assert torch.equal(plain, record(free, water=water, nt=300, sponge=False))


def test_a_sponge_reflects_a_few_per_cent():
    """Against a model so large that nothing returns."""
    small = record(["z0"], sponge=True, nt=400)
    large = record(["z0"], sponge=False, nt=400, shape=(200, 400), shift=1800.0)
    assert 1e-3 < float((small - large).norm() / large.norm()) < 0.05
