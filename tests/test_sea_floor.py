"""Water on rock with a rugged floor: differences of shear stop there, and all stays exact."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from conformance_exactness import Exactness
from random_surveys import LAYERS, RandomSurvey
from waves import quiet

from wavepipe.propagators import Boundary, elastic, propagate
from wavepipe.propagators.contact_masks import contact_masks, contact_rows, short_rows
from wavepipe.propagators.domain import Domain
from wavepipe.propagators.errors import OptionError
from wavepipe.propagators.planning import plan_call
from wavepipe.propagators.wavelets import ricker

F64, F32 = torch.float64, torch.float32
SETTINGS = {2: [("z0", 4, F64), (LAYERS, 8, F32)], 3: [("z0", 4, F64), (LAYERS, 8, F32)]}


class SeaFloorSurvey(RandomSurvey):
    """A random solid below water; its floor goes up and down by some cells."""

    def __post_init__(self) -> None:
        super().__post_init__()
        n = self.shape[0]
        floor = torch.tensor(self.numbers.integers(n // 2 + 1, n - 4, self.shape[1:]))
        water = torch.arange(n).reshape(-1, *[1] * (self.ndim - 1)) < floor
        self.models["vs"] = torch.where(water, 0.0, 0.5 * self.models["vp"])


class TestSeaFloor(Exactness):
    """Transposes, derivatives and back-ends, where some rows have contacts and others none."""

    physics = "elastic"

    def survey(self, faces="z0", order=4, dtype=F64, **options):
        return SeaFloorSurvey(self.physics, self.ndim, faces, order, dtype, **options)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        full = "dtype" in metafunc.fixturenames
        quick = full or "derivative" in metafunc.definition.name
        dimensions = (2,) if "autograd" in metafunc.definition.name else (2, 3)
        metafunc.parametrize(
            ("ndim", "faces", "order", "dtype") if full else ("ndim",),
            [
                pytest.param(ndim, *one, marks=() if quick and ndim == 2 else pytest.mark.slow)
                for ndim in dimensions
                for one in (SETTINGS[ndim] if full else [()])
            ],
        )


def floors(n: int) -> dict[str, torch.Tensor]:
    """First row of rock below each of n columns."""
    numbers = torch.Generator().manual_seed(7)
    return {
        "flat": torch.full((n,), 20),
        "stairs": 16 + 3 * (torch.arange(n) // 8) % 13,
        "rugged": torch.randint(14, 28, (n,), generator=numbers),
    }


@pytest.mark.slow
@pytest.mark.parametrize("free", [(), ("z0",)], ids=["layers", "z0"])
@pytest.mark.parametrize("order", [4, 8])
@pytest.mark.parametrize("floor", floors(1))
def test_nothing_grows_above_hard_rock(floor, order, free):
    """Ten windows of 10,000 steps: each of the last five is below the one before, or rounding."""
    shape, steps, step = (44, 60), 10_000, 1.2e-3
    water = torch.arange(shape[0])[:, None] < floors(shape[1])[floor]
    models = [torch.where(water, *pair) for pair in ((1500.0, 3800.0), (0.0, 2200.0), (1e3, 2.4e3))]
    wavelet = torch.as_tensor(ricker(12.0, step, steps), dtype=torch.float32)[None, None]
    places = np.array([[[80.0, 300.0], [300.0, 200.0], [150.0, 420.0]]])
    with quiet():
        recording = elastic(
            *models,
            10.0,
            step,
            sources={"pressure": (wavelet, np.array([[[64.0, 203.0]]]))},
            receivers=dict.fromkeys(("pressure", "vz", "vx"), places),
            order=order,
            boundary=Boundary(10, 12.0, free),
            correct_time_dispersion=False,
            backend="c",
        )
    assert recording.info.n_steps >= steps
    for name, gather in recording.items():
        peaks = [float(one.abs().max()) for one in gather[0].chunk(10, dim=-1)]
        assert peaks[-1] < 5e-3 * peaks[0], name
        for before, then in pairwise(peaks[4:]):
            assert then < max(before, 1e-6 * peaks[0]), name


def random_water(shape: tuple[int, ...], seed: int) -> torch.Tensor:
    """vs of water above rock, or below it, in some with drops of water in the rock."""
    numbers = torch.Generator().manual_seed(seed)
    floor = torch.randint(12, 26, (1, *shape[1:]), generator=numbers)
    water = torch.arange(shape[0]).reshape(1, -1, *[1] * (len(shape) - 1)) < floor
    if seed % 3 == 0:
        water = ~water
    if seed % 4 == 0:
        water = water & (torch.rand(water.shape, generator=numbers) > 0.02)
    return torch.where(water, 0.0, 1000.0)


@pytest.mark.parametrize("order", [4, 8])
@pytest.mark.parametrize("seed", range(8))
def test_the_rows_hold_every_short_difference(seed, order):
    """Masks are the same whether a program treats the rows of contacts or all."""
    vs = random_water((40, 12) if seed % 2 else (40, 6, 7), seed)
    for free in ((), ("z0",)):
        domain = Domain(
            tuple(vs.shape[1:]),
            (10.0,) * (vs.ndim - 1),
            order,
            Boundary(0 if vs.ndim > 3 else 3, 10.0, free),
            staggered=True,
            solid=True,
        )
        rows = short_rows(domain, contact_rows(vs))
        assert rows is not None
        some, every = (contact_masks(domain, vs, one) for one in (rows, (0, domain.shape[0])))
        for name, mask in some.items():
            assert mask.any()
            assert torch.equal(mask, every[name])


@pytest.mark.parametrize(("order", "none"), [(2, True), (4, False)])
def test_order_2_needs_nothing(order, none):
    domain = Domain((40, 40), (10.0, 10.0), order, Boundary(5, 10.0), staggered=True, solid=True)
    assert (short_rows(domain, (17, 19)) is None) is none


def record(vs: torch.Tensor, contacts: object = None, physics: str = "elastic"):
    """Gathers and gradients of as many equal shots as there are models."""
    n = len(vs)
    rock = vs > 0
    models = {
        "vp": torch.where(rock, 2000.0, 1500.0) * torch.linspace(1, 1.2, vs.shape[1])[:, None],
        "vs": vs.clone(),
        "rho": torch.where(rock, 2000.0, 1000.0),
    }
    if physics != "elastic":
        del models["vs"]
    models = {name: one.requires_grad_() for name, one in models.items()}
    wavelet = torch.randn(1, 1, 80, generator=torch.Generator().manual_seed(3))
    places = np.full((n, 1, 2), 222.0)
    with quiet():
        recording = propagate(
            physics,
            models,
            10.0,
            1e-3,
            sources={"fz": (wavelet.expand(n, 1, -1).contiguous(), np.full((n, 1, 2), 123.0))},
            receivers={"vz": places, "pressure": places},
            order=8,
            boundary=Boundary(6, 10.0),
            time_step=1e-3,
            velocity_bound=2600.0,
            contacts=contacts,
        )
    gathers = tuple(recording.values())
    gradients = torch.autograd.grad(
        gathers, tuple(models.values()), [torch.ones_like(one) for one in gathers]
    )
    return [one[0].detach() for one in (*gathers, *gradients)]


def test_pinned_rows_keep_the_bits_of_a_shot():
    """Land beside sea, sea beside land, and sea beside deeper sea."""
    land = torch.full((1, 40, 50), 900.0)
    sea, deep = land.clone(), land.clone()
    sea[:, :18], deep[:, :38, :10] = 0.0, 0.0
    for ours, others in ((land, sea), (sea, land), (sea, deep)):
        alone = record(ours, (1, 39))
        beside = record(torch.cat([ours, others]), (1, 39))
        for one, other in zip(alone, beside, strict=True):
            assert torch.equal(one, other)


def test_rows_left_open_are_those_of_the_models():
    sea = torch.full((1, 40, 50), 900.0)
    sea[:, :18] = 0.0
    assert contact_rows(sea) == (17, 19)
    pinned, found, none = (record(sea, one) for one in ((17, 19), None, (0, 0)))
    assert all(torch.equal(a, b) for a, b in zip(pinned, found, strict=True))
    assert not torch.equal(none[0], found[0])


@pytest.mark.parametrize("rows", [(3,), (5, 3), (0, 41), (0.5, 3), 7])
def test_rows_that_are_none_of_the_model_are_refused(rows):
    with pytest.raises(OptionError, match="must be two rows of the model"):
        record(torch.full((1, 40, 50), 900.0), rows)


def test_contacts_of_a_fluid_are_refused():
    with pytest.raises(OptionError, match="acoustic has no shear"):
        record(torch.full((1, 40, 50), 900.0), (17, 19), "acoustic")


def test_a_plan_counts_the_masks():
    """One array more for each pair of axes."""

    def planned(contacts):
        return plan_call(
            (60, 60, 60), 10.0, 1e-3, 100, 1, 1, velocity_bound=2000.0, physics="elastic",
            contacts=contacts, gradient=False, max_frequency=10.0,
        )  # fmt: skip

    with_water, without = planned((20, 22)), planned((0, 0))
    more = (with_water.bytes - without.bytes) / (4 * with_water.cells)
    assert 3.0 < more < 4.5  # halos and whole vectors included
