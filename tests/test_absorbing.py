"""Absorbing layers: what comes back, and that nothing grows."""

import numpy as np
import pytest
import torch
from waves import quiet

from wavepipe.propagators import Boundary, scalar
from wavepipe.propagators.absorbing import layer_profiles
from wavepipe.propagators.wavelets import ricker

DT, SPACING = 2e-3, 10.0


def trace(shape, source, receiver, nt, boundary, order=8, vp=None):
    wavelet = torch.tensor(ricker(12.0, DT, nt), dtype=torch.float32)
    with quiet():
        return scalar(
            torch.full(shape, 2000.0) if vp is None else vp,
            SPACING,
            DT,
            source_amplitudes=wavelet[None, None],
            source_positions=np.array(source)[None, None] * SPACING,
            receiver_positions=np.array(receiver)[None, None] * SPACING,
            order=order,
            boundary=boundary,
        )["pressure"][0, 0]


@pytest.mark.parametrize("width", [10, 20])
def test_little_comes_back_from_a_layer(width):
    """A corner of a small grid against the same points of a grid whose edges are out of reach."""
    boundary = Boundary(width, 12.0)
    small = trace((40, 40), (5, 5), (34, 8), 200, boundary)
    large = trace((280, 280), (125, 125), (154, 128), 200, boundary)
    assert (small - large).norm() < 2e-3 * large.norm()  # measured 3e-4 (20), 5e-4 (10)


@pytest.mark.parametrize("order", [2, 8])
def test_the_layers_let_the_energy_out_and_nothing_grows(order):
    """20,000 steps in a heterogeneous model: the trace falls by more than eight decades."""
    vp = 1500 + 1500 * torch.rand(30, 40, generator=torch.Generator().manual_seed(0))
    found = trace((30, 40), (15, 10), (15, 30), 20_000, Boundary(20, 12.0), order, vp)
    assert torch.isfinite(found).all()
    assert found[-1000:].abs().max() < 1e-8 * found.abs().max()


def test_profiles_grow_towards_the_edge_and_end_with_the_layer():
    """Decay below 1, drive negative, zero beyond: beyond the layer the memory has no effect."""
    for high in (False, True):
        a, b = layer_profiles(10, 16, SPACING, DT, 2000.0, 12.0, high=high)
        if high:
            a, b = a[::-1], b[::-1]
        assert np.all((a[:10] > 0) & (a[:10] < 1))
        assert np.all(np.diff(b[:10]) > 0)
        assert not a[10:].any()
        assert not b[10:].any()


def test_a_layer_inside_the_model_uses_the_models_own_cells():
    """A window cut with its layers gives the wavefield, and the gradient, of the whole model."""
    generator = torch.Generator().manual_seed(1)
    whole = 1900 + 200 * torch.rand(70, 120, generator=generator)
    window = whole[:, 20:100].clone()
    source, receiver = (10, 60), (12, 70)
    settings = Boundary(20, 12.0)
    inside = Boundary(20, 12.0, inside=("x0", "x1"))
    full, cut = whole.clone().requires_grad_(), window.requires_grad_()
    a = trace((70, 120), source, receiver, 90, settings, vp=full)
    b = trace((70, 80), (10, 40), (12, 50), 90, inside, vp=cut)
    assert (a - b).norm() < 1e-3 * a.norm()
    a.square().sum().backward()
    b.square().sum().backward()
    middle = full.grad[:, 50:90]
    assert (cut.grad[:, 30:70] - middle).norm() < 1e-2 * middle.norm()
    assert cut.grad[:, 0].norm() < 1e-2 * cut.grad.norm()  # nothing piles up at the edge
