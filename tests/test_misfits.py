"""Misfits, preconditioning and the space that is inverted in."""

import numpy as np
import pytest
import torch

from wavepipe.pipeline.errors import JobError
from wavepipe.pipeline.misfits import l2
from wavepipe.pipeline.parameter_space import ParameterSpace
from wavepipe.pipeline.preconditioning import (
    Preconditioner,
    divide_by_illumination,
    illumination_weight,
    water_mask,
)


def test_the_adjoint_source_of_l2_is_the_residual_times_dt():
    synthetic = torch.tensor([[1.0, 2.0, 4.0]], requires_grad=True)
    observed = torch.tensor([[1.0, 1.0, 1.0]])
    misfit = l2(synthetic, observed, 0.5)
    assert misfit.item() == 0.5 * 0.5 * (0 + 1 + 9)
    misfit.backward()
    assert torch.equal(synthetic.grad, 0.5 * (synthetic - observed).detach())


def test_l2_has_the_same_bits_for_any_number_of_threads():
    generator = torch.Generator().manual_seed(1)
    synthetic = torch.randn(301, 1501, generator=generator)
    observed = torch.randn(301, 1501, generator=generator)
    threads = torch.get_num_threads()
    values = set()
    try:
        for count in (1, 2, 4):
            torch.set_num_threads(count)
            values.add(l2(synthetic, observed, 0.004).item())
    finally:
        torch.set_num_threads(threads)
    assert len(values) == 1


def test_the_preconditioner_is_symmetric_and_positive():
    """<P x, y> = <x, P y> and <x, P x> > 0, which L-BFGS needs of its first Hessian."""
    rng = np.random.default_rng(3)
    mask = rng.random((20, 30)) > 0.2
    weight = rng.uniform(0.1, 5.0, (20, 30))
    precondition = Preconditioner(mask, weight, (1.5, 2.0))
    x, y = rng.standard_normal((2, 20, 30))
    left, right = np.sum(precondition(x) * y), np.sum(x * precondition(y))
    assert left == pytest.approx(right, rel=1e-12)
    assert np.sum(x * precondition(x)) > 0
    assert not precondition(x)[~mask].any()


def test_the_illumination_weight_lifts_what_is_dark_and_stays_bounded():
    mask = np.ones((10, 10), dtype=bool)
    illumination = np.ones((10, 10))
    illumination[5:] = 1e-6
    weight = illumination_weight(illumination, mask)
    assert weight.mean() == pytest.approx(1.0)
    # the floor is 1 % of the largest illumination
    assert weight[9, 0] / weight[0, 0] == pytest.approx(101, rel=1e-3)
    assert illumination_weight(np.zeros((10, 10)), mask) is None


def test_dividing_by_the_illumination_is_bounded_where_there_is_none():
    image = np.ones((4, 4), dtype=np.float32)
    illumination = np.zeros((4, 4), dtype=np.float32)
    illumination[0] = 4.0
    found = divide_by_illumination(image, illumination, 0.05)
    assert found[0, 0] == pytest.approx(1 / 4.05)
    assert found[3, 0] == pytest.approx(20.0)


def test_the_water_mask_ends_at_the_sea_floor():
    vp = np.full((10, 3), 2000.0, dtype=np.float32)
    vp[:4] = 1500.0
    vp[:6, 2] = 1500.0
    vp[8, 0] = 1500.0
    mask = water_mask(vp)
    assert mask.sum(axis=0).tolist() == [4, 4, 6]
    with pytest.raises(JobError, match="no water"):
        water_mask(vp + 500)


def test_water_has_no_shear_velocity_where_the_physics_has_one():
    vp = np.full((10, 3), 2000.0, dtype=np.float32)
    vs = np.full((10, 3), 800.0, dtype=np.float32)
    vs[:3] = 0.0
    vs[:5, 2] = 0.0
    vs[8, 0] = 0.0
    assert water_mask(vp, vs).sum(axis=0).tolist() == [3, 3, 5]
    with pytest.raises(JobError, match="top of vs is 800 m/s"):
        water_mask(vp, np.full_like(vs, 800.0))


def test_the_space_moves_between_models_and_vectors():
    vp = np.linspace(1500, 3000, 12, dtype=np.float32).reshape(3, 4)
    mask = np.ones((3, 4), dtype=bool)
    mask[0] = False
    space = ParameterSpace({"vp": vp}, mask, {"vp": (1600.0, 2500.0)}, {"vp": 2.0})
    vector = space.pack({"vp": vp})
    assert np.array_equal(space.unpack(vector)["vp"], vp)
    projected = space.unpack(space.project(vector + 1000.0))["vp"]
    assert np.array_equal(projected[0], vp[0])
    assert projected[1:].max() == 2500.0
    gradient = space.pack_gradient({"vp": np.ones((3, 4))}, {"vp": vp})
    assert gradient.tolist() == [0.0] * 4 + [2.0] * 8


@pytest.mark.parametrize("shape", [(40_000, 3), (1, 100_000)])
def test_threads_do_not_change_the_misfit(shape: tuple[int, int]) -> None:
    """Many traces, or one very long one: torch would split a plain sum."""
    generator = torch.Generator().manual_seed(0)
    synthetic, observed = (torch.randn(shape, generator=generator) for _ in range(2))
    before, found = torch.get_num_threads(), set()
    try:
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            found.add(l2(synthetic, observed, 0.004).item())
    finally:
        torch.set_num_threads(before)
    assert len(found) == 1
