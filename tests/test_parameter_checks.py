"""Earth models that cannot be, or are unlikely to be meant: named with cell, value and remedy."""

import warnings

import numpy as np
import pytest
import torch
from torch import Tensor

from wavepipe.propagators.checks import judge_dispersion, slowest_wave
from wavepipe.propagators.earth_models import (
    ModelWarning,
    checked_parameters,
    checked_scatter,
    judge_solid,
    step_velocity,
)
from wavepipe.propagators.errors import ModelError, OptionError
from wavepipe.propagators.stability import (
    SAFETY,
    DispersionWarning,
    stable_time_step,
    time_step_limit,
)

SHAPE = (12, 15)


def full(value: float, **cells: float) -> Tensor:
    """A constant model; at=... puts another value into cell (3, 4)."""
    model = torch.full(SHAPE, value)
    if "at" in cells:
        model[3, 4] = cells["at"]
    return model


def earth(**changes: object) -> dict[str, object]:
    """A good elastic model, with some parameters replaced."""
    return {"vp": full(3000.0), "vs": full(1700.0), "rho": full(2200.0)} | changes


def test_good_models_come_back_as_batches_in_the_order_of_the_physics() -> None:
    per_shot = torch.full((3, *SHAPE), 1700.0)
    given = {"rho": full(2200.0), "vs": per_shot, "vp": full(3000.0)}
    found = checked_parameters("elastic", given, 2, 3)
    assert list(found) == ["vp", "vs", "rho"]
    assert {name: tuple(model.shape) for name, model in found.items()} == {
        "vp": (1, *SHAPE),
        "vs": (3, *SHAPE),
        "rho": (1, *SHAPE),
    }
    assert list(checked_parameters("scalar", {"vp": full(2000.0)}, 2, 1)) == ["vp"]
    water = checked_parameters("elastic", earth(vs=full(0.0)), 2, 1)
    assert not water["vs"].any()


def test_gradients_pass_through_the_checks() -> None:
    vs = full(1700.0).requires_grad_()
    found = checked_parameters("elastic", earth(vs=vs), 2, 1)
    assert torch.autograd.grad(found["vs"].sum(), vs)[0].eq(1).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vp": full(3e3, at=0.0)}, r"vp is 0 m/s at cell \(3, 4\) \(1 such cell\).*positive"),
        ({"vp": full(float("nan"))}, r"vp is nan m/s at cell \(0, 0\) \(180 such cells\)"),
        ({"rho": full(2e3, at=-1.0)}, r"rho is -1 kg/m3 at cell \(3, 4\).*finite and positive"),
        ({"rho": full(2e3, at=0.0)}, r"rho is 0 kg/m3"),
        ({"rho": full(2e3, at=float("inf"))}, r"rho is inf kg/m3 at cell \(3, 4\)"),
        (
            {"vs": full(9e2, at=-2.0)},
            r"vs is -2 m/s at cell \(3, 4\).*finite, and positive or zero",
        ),
        ({"vs": full(9e2, at=float("nan"))}, r"vs is nan m/s at cell \(3, 4\)"),
        ({"vs": full(900.0).double()}, r"vs is torch\.float64 but vp torch\.float32.*vs\.to\(vp"),
        (
            {"vs": torch.full((12, 14), 900.0)},
            r"vs has shape \(12, 14\) but vp \(12, 15\).*one grid",
        ),
        ({"rho": torch.full((4, *SHAPE), 2e3)}, r"rho has shape \(4, 12, 15\).*n_shots = 2"),
        ({"rho": np.full(SHAPE, 2e3)}, r"rho must be a torch tensor.*not ndarray of float64 \(12"),
        ({"rho": 2200.0}, r"rho must be a torch tensor.*not float\."),
        ({"vs": full(900.0).to(torch.int32)}, r"vs must be a torch tensor.*int32"),
        ({"qp": full(50.0)}, r"elastic is vp, vs, rho; given vp, vs, rho, qp\."),
    ],
)
def test_bad_parameters_are_named_with_cell_value_and_remedy(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        checked_parameters("elastic", earth(**changes), 2, 2)


def test_missing_parameters_and_other_devices_are_refused() -> None:
    with pytest.raises(ModelError, match=r"acoustic is vp, rho; given vp\."):
        checked_parameters("acoustic", {"vp": full(2000.0)}, 2, 1)
    with pytest.raises(ModelError, match=r"acoustic is vp, rho; given Tensor of torch\.float32"):
        checked_parameters("acoustic", full(2000.0), 2, 1)
    with pytest.raises(OptionError, match=r"rho is on device meta.*rho\.cpu\(\)"):
        checked_parameters("acoustic", {"vp": full(2000.0), "rho": full(2000.0).to("meta")}, 2, 1)


def test_a_negative_bulk_modulus_is_refused_at_the_worst_cell() -> None:
    vs = full(2650.0, at=2700.0)[None]
    with pytest.raises(
        ModelError,
        match=r"vs is 2700 m/s at cell \(3, 4\), where vp is 3000 m/s: vs / vp is 0\.9, above "
        r"0\.866 \(180 such cells\).*bulk modulus is negative.*2598\.08 m/s at most",
    ):
        judge_solid(full(3000.0)[None], vs)
    two = torch.stack([full(100.0), full(100.0, at=2700.0)])
    with pytest.raises(ModelError, match=r"cell \(3, 4\) of shot 1.*\(1 such cell\)"):
        judge_solid(full(3000.0)[None], two)


def test_a_negative_poissons_ratio_is_pointed_out() -> None:
    with pytest.warns(ModelWarning, match=r"vs is 2200 m/s at cell \(3, 4\).*above 0\.7071.*2121"):
        judge_solid(full(3000.0)[None], full(100.0, at=2200.0)[None])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        judge_solid(full(3000.0)[None], full(3000.0)[None] / 2**0.5)
        judge_solid(full(3000.0)[None], full(0.0)[None])
    # Exactly at the limit the bulk modulus is zero, not negative; float32 rounds.
    with pytest.warns(ModelWarning):
        judge_solid(full(3000.0)[None], full(3000.0)[None] * 3**0.5 / 2)


def test_scatter_fits_its_parameters_and_one_number_of_shots() -> None:
    checked = checked_parameters("elastic", earth(rho=torch.full((2, *SHAPE), 2e3)), 2, 2)
    given = {"rho": full(5.0), "vp": full(1.0).double()}
    found = checked_scatter(given, checked, 2, 2)
    assert list(found) == ["vp", "rho"]
    assert all(one.shape == (2, *SHAPE) and one.dtype == torch.float32 for one in found.values())
    alone = checked_scatter({"vp": full(1.0)}, {"vp": full(2e3)[None]}, 2, 2)
    assert alone["vp"].shape == (1, *SHAPE)


@pytest.mark.parametrize(
    ("scatter", "message"),
    [
        ({"vs": full(1.0)}, r"which has vp, rho; given vs\."),
        ({}, "given nothing"),
        (full(1.0), r"given Tensor of torch\.float32 \(12, 15\)"),
        ({"rho": np.zeros(SHAPE)}, "the scatter of rho must be a torch tensor, not ndarray"),
        ({"rho": torch.zeros(12, 14)}, r"the scatter of rho has shape \(12, 14\)"),
        ({"rho": torch.zeros(5, *SHAPE)}, "the scatter of rho has shape"),
        ({"rho": full(float("nan"))}, r"the scatter of rho has NaN.*kg/m3"),
    ],
)
def test_a_scatter_that_fits_no_parameter_is_refused(scatter: object, message: str) -> None:
    model = checked_parameters("acoustic", {"vp": full(2e3), "rho": full(1e3)}, 2, 2)
    with pytest.raises(ModelError, match=message):
        checked_scatter(scatter, model, 2, 2)


def test_the_slowest_wave_is_the_slowest_shear_wave_that_is_not_zero() -> None:
    vs = full(800.0, at=0.0)
    vs[5, 5] = 120.0
    assert slowest_wave(earth(vs=vs)) == (120.0, "S")
    assert slowest_wave(earth(vs=full(0.0))) == (3000.0, "P")
    assert slowest_wave({"vp": full(3000.0), "rho": full(1.0)}) == (3000.0, "")


def test_a_shear_velocity_almost_zero_is_named_with_its_limit() -> None:
    with pytest.warns(
        DispersionWarning,
        match=r"slowest shear wave, vs = 1 m/s, has 0\.005 points.*cannot be modelled.*carries "
        r"1018 m/s and more; water has vs = 0",
    ):
        judge_dispersion(earth(vs=full(1700.0, at=1.0)), (10.0, 10.0), 20.0, 4, staggered=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        judge_dispersion(earth(vs=full(1700.0, at=0.0)), (10.0, 10.0), 20.0, 4, staggered=True)


def test_the_step_is_fixed_by_the_fastest_wave_or_the_bound() -> None:
    ordinary = {"vp": full(3000.0, at=3200.0)[None], "rho": full(1000.0, at=3000.0)[None]}
    assert step_velocity(ordinary, None, (10.0, 10.0), 8, staggered=True) == 3200.0
    assert step_velocity(ordinary, 4000.0, (10.0, 10.0), 8, staggered=True) == 4000.0
    with pytest.raises(ModelError, match=r"vp reaches 3200 m/s, beyond velocity_bound = 3100"):
        step_velocity(ordinary, 3100.0, (10.0, 10.0), 8, staggered=True)


def test_a_jump_of_density_that_the_step_does_not_allow_for_is_refused_with_the_bound() -> None:
    rho = torch.where(torch.rand(SHAPE, generator=torch.manual_seed(1)) < 0.5, 1.0, 1000.0)
    airy = {"vp": full(1500.0)[None], "rho": rho[None]}
    free = step_velocity(airy, None, (10.0, 10.0), 4, staggered=True)
    assert free > 1600.0
    with pytest.raises(ModelError, match=r"density jumps so much.*Raise velocity_bound to"):
        step_velocity(airy, 1500.0, (10.0, 10.0), 4, staggered=True)
    assert step_velocity(airy, 1.001 * free, (10.0, 10.0), 4, staggered=True) == 1.001 * free
    # The step chosen from it is within the limit that is proven.
    step = stable_time_step((10.0, 10.0), free, 4, staggered=True)
    limit = time_step_limit((10.0, 10.0), free / SAFETY, 4, staggered=True)
    assert step <= limit * (1 + 1e-9)
    # The scalar equation has no density.
    assert step_velocity({"vp": airy["vp"]}, None, (10.0, 10.0), 4, staggered=False) == 1500.0
