"""Absorbing layers of a solid do not grow, whatever waves it guides."""

import warnings

import numpy as np
import pytest
import torch
from waves import quiet

from wavepipe.propagators import Boundary, elastic
from wavepipe.propagators.sponges import NONE, STRONG, LayerWarning
from wavepipe.propagators.wavelets import ricker

SPACING, DT, N = 10.0, 1.2e-3, 44
ROCK, WATER = (3500.0, 1800.0, 2300.0), (1500.0, 0.0, 1000.0)


def record(free, models, *, sponge=None, nt=6000, order=8, shift=0.0):
    """|vz| at one receiver, for a vertical force."""
    wavelet = torch.as_tensor(ricker(15.0, DT, nt), dtype=torch.float32)[None, None]
    source, receiver = (np.array([[[z, x + shift]]]) for z, x in ((150.0, 200.0), (45.0, 300.0)))
    traces = elastic(
        *models,
        SPACING,
        DT,
        sources={"fz": (wavelet, source)},
        receivers={"vz": receiver},
        order=order,
        boundary=Boundary(20, 15.0, free, sponge=sponge),
        correct_time_dispersion=False,
        time_step=DT,
    )
    return traces["vz"][0, 0].double().abs()


def layered(*tops):
    """(N, N) models from (first row, (vp, vs, rho)) of layers."""
    models = [torch.empty(N, N) for _ in range(3)]
    for top, values in tops:
        for model, value in zip(models, values, strict=True):
            model[top:] = value
    return models


SOFT = (1600.0, 600.0, 1800.0)
FINE = torch.rand((N, 1), generator=torch.Generator().manual_seed(3)).expand(N, N)
GUIDES = {
    "soft top": (layered((0, SOFT), (2, ROCK)), ["z0"]),
    "bed of water": (layered((0, ROCK), (10, WATER), (12, ROCK)), ["z0"]),
    "soft bed": (layered((0, ROCK), (10, SOFT), (16, ROCK)), []),
    "plate": (layered((0, ROCK)), ["x0", "x1"]),
    "fine layers": ([2500 + 1500 * FINE, 1200 + 1000 * FINE, 2000 + 400 * FINE], ["z0"]),
}


@pytest.mark.parametrize("order", [4, pytest.param(8, marks=pytest.mark.slow)])
@pytest.mark.parametrize("guide", GUIDES)
def test_guided_waves_do_not_grow(guide, order):
    """6000 steps; without the sponge they do."""
    models, free = GUIDES[guide]
    with quiet():
        damped = record(free, models, order=order)
        bare = record(free, models, order=order, sponge=NONE)
    assert damped[-1000:].max() < 0.3 * damped.max()
    if guide != "fine layers":  # slower
        assert bare[-1000:].max() > 2 * damped[-1000:].max()


def test_shallow_water_is_damped_more_and_says_so():
    """Two cells of water on rock, at order 8."""
    models = layered((0, WATER), (2, ROCK))
    with pytest.warns() as caught:
        damped = record(["z0"], models)
    said = [str(w.message) for w in caught if w.category is LayerWarning]
    assert said
    assert said[0].startswith("water 2 cells deep lies on rock below the free surface z0")
    assert damped[-1000:].max() < 1e-4 * damped.max()
    with quiet():
        bare = record(["z0"], models, sponge=NONE)
    assert bare[-1000:].max() > 10 * damped[-1000:].max()


@pytest.mark.parametrize("water", [0, 5])
def test_other_layers_say_nothing(water):
    """Dry land and deeper water."""
    with quiet():
        warnings.simplefilter("error", LayerWarning)
        record(["z0"], layered((0, WATER), (water, ROCK)), nt=50)


@pytest.mark.parametrize(("sponge", "least", "most"), [(None, 1e-6, 0.01), (STRONG, 1e-3, 0.05)])
def test_a_sponge_reflects_little(sponge, least, most):
    """Against a model so large that nothing returns."""
    small = record(["z0"], layered((0, ROCK)), sponge=sponge, nt=400)
    wide = [torch.full((200, 400), value) for value in ROCK]
    large = record(["z0"], wide, sponge=NONE, nt=400, shift=1800.0)
    assert least < float((small - large).norm() / large.norm()) < most
