"""The adjoint is the transpose: dot products, Taylor slopes, and torch's own differentiation."""

import itertools

import numpy as np
import pytest
import torch
from waves import Toy, dot_error, relative

# Rounding of sums of some thousand terms; normalised by norms.
LIMIT = {torch.float64: 1e-13, torch.float32: 1e-6}

EVERYTHING = [
    pytest.param(
        shape,
        order,
        free,
        dtype,
        id=f"{len(shape)}-D order {order} {'free ' + '+'.join(free)} {dtype}",
        marks=() if order == 4 or (order == 8 and free == ("z0",)) else pytest.mark.slow,
    )
    for shape, order, free, dtype in itertools.product(
        [(21, 25), (11, 12, 13)],
        [2, 4, 6, 8],
        [(), ("z0",), ("z1", "x0")],
        [torch.float64, torch.float32],
    )
]


@pytest.mark.parametrize(("shape", "order", "free", "dtype"), EVERYTHING)
def test_forward_and_adjoint_are_transposes(shape, order, free, dtype):
    """<L s, d> = <s, L' d> for noise in the sources, five seeds."""
    for seed in range(5):
        toy = Toy(shape, order, free, dtype=dtype, seed=seed)
        amplitudes = toy.amplitudes.requires_grad_()
        recorded = toy.scalar(amplitudes=amplitudes)
        assert dot_error(recorded, amplitudes, toy.noise(recorded.shape)) < LIMIT[dtype]


@pytest.mark.parametrize(("shape", "order", "free", "dtype"), EVERYTHING)
def test_born_and_migration_are_transposes(shape, order, free, dtype):
    """<J m, d> = <m, J' d> for noise in the perturbation, five seeds."""
    for seed in range(5):
        toy = Toy(shape, order, free, dtype=dtype, seed=seed)
        scatter = toy.noise(shape).requires_grad_()
        recorded = toy.born(scatter)
        assert dot_error(recorded, scatter, toy.noise(recorded.shape)) < LIMIT[dtype]


@pytest.mark.parametrize("backend", ["c", "reference"])
@pytest.mark.parametrize("time_step", [None, 6.1e-4, 8e-4])
def test_the_clock_keeps_the_transpose(backend, time_step):
    """Resampling by any fraction, and the time-dispersion transforms, are transposed exactly."""
    for correct in (True, False):
        toy = Toy((16, 17), time_step=time_step, correct=correct, backend=backend)
        amplitudes = toy.amplitudes.requires_grad_()
        recorded = toy.scalar(amplitudes=amplitudes)
        assert dot_error(recorded, amplitudes, toy.noise(recorded.shape)) < 1e-13


@pytest.mark.parametrize("shape", [(21, 25), (11, 12, 13)], ids=["2-D", "3-D"])
@pytest.mark.parametrize("free", [(), ("z0",)], ids=["absorbing", "free"])
def test_born_is_the_derivative_of_the_forward_operator(shape, free):
    """(F(m + h dm) - F(m)) / h - J dm falls as h: Taylor slopes 1 and 2."""
    toy = Toy(shape, 8, free)
    direction = toy.noise(shape)
    start, tangent = toy.scalar(), toy.born(direction)
    sizes = np.array([4.0, 2.0, 1.0, 0.5])
    zeroth, first = [], []
    for h in sizes:
        change = toy.scalar(toy.vp + h * direction) - start
        zeroth.append(float(change.norm()))
        first.append(float((change - h * tangent).norm()))
    slopes = np.polyfit(np.log(sizes), np.log(np.array([zeroth, first]).T), 1)[0]
    assert slopes == pytest.approx([1.0, 2.0], abs=0.05)  # the next order at these sizes


def test_the_misfit_gradient_predicts_the_misfit_to_second_order():
    """Phi(m + h dm) - Phi(m) - h <grad Phi, dm> falls as h^2."""
    toy = Toy((21, 25), 4, ("z0",))
    observed = Toy((21, 25), 4, ("z0",), seed=1).scalar()

    def misfit(vp):
        return 0.5 * (toy.scalar(vp) - observed).square().sum()

    vp = toy.vp.clone().requires_grad_()
    start = misfit(vp)
    (gradient,) = torch.autograd.grad(start, vp)
    direction = toy.noise(vp.shape)
    slope = float((gradient * direction).sum())
    sizes = np.array([4.0, 2.0, 1.0, 0.5])
    first = float(start.detach())
    rest = [abs(float(misfit(toy.vp + h * direction)) - first - h * slope) for h in sizes]
    assert np.polyfit(np.log(sizes), np.log(rest), 1)[0] == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize("shape", [(17, 19), (11, 12, 12)], ids=["2-D", "3-D"])
@pytest.mark.parametrize("free", [(), ("z0",)], ids=["absorbing", "free"])
def test_gradients_equal_torch_autograd_through_the_reference(shape, free, autograd_reference):
    """The derived adjoint and torch's differentiation of the interpreted step agree."""
    toy = Toy(shape, 4, free, nt=20)
    vp, amplitudes = toy.vp.requires_grad_(), toy.amplitudes.requires_grad_()
    recorded = toy.scalar(vp, amplitudes)
    cotangent = toy.noise(recorded.shape)
    ours = torch.autograd.grad(recorded, (vp, amplitudes), cotangent)
    with autograd_reference():
        plain = toy.scalar(vp, amplitudes)
        theirs = torch.autograd.grad(plain, (vp, amplitudes), cotangent)
    assert relative(recorded.detach(), plain.detach()) < 1e-12
    assert [relative(a, b) < 1e-12 for a, b in zip(ours, theirs, strict=True)] == [True, True]


def test_born_gradients_equal_torch_autograd_through_the_reference(autograd_reference):
    """With respect to background, perturbation and sources."""
    toy = Toy((17, 19), 4, ("z0",), nt=20)
    scatter = toy.noise(toy.shape).requires_grad_()
    vp, amplitudes = toy.vp.requires_grad_(), toy.amplitudes.requires_grad_()
    recorded = toy.born(scatter, vp, amplitudes)
    cotangent = toy.noise(recorded.shape)
    ours = torch.autograd.grad(recorded, (vp, scatter, amplitudes), cotangent)
    with autograd_reference():
        plain = toy.born(scatter, vp, amplitudes)
        theirs = torch.autograd.grad(plain, (vp, scatter, amplitudes), cotangent)
    for a, b in zip(ours, theirs, strict=True):
        assert relative(a, b) < 1e-12


@pytest.fixture
def autograd_reference(monkeypatch):
    """Propagation by torch's autograd through the reference step, no adjoint of ours."""
    from contextlib import contextmanager

    from wavepipe.propagators import propagation
    from wavepipe.propagators.backends.reference import Reference

    def run(call, amplitudes, coefficients):
        sweep = propagation._forward_sweep(call, amplitudes, coefficients)
        return dict(Reference().run(sweep).recorded)

    @contextmanager
    def patched():
        with monkeypatch.context() as patch:
            patch.setattr(propagation.Propagation, "run", run)
            yield

    return patched
