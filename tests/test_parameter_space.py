"""Several parameters in one vector: ties, limits, gradients and balance, on plain functions."""

import itertools

import numpy as np
import pytest

from wavepipe.pipeline.optimizers import Lbfgs, Point, Problem
from wavepipe.pipeline.parameter_space import LIMITS, ParameterSpace
from wavepipe.pipeline.preconditioning import Preconditioner, balance
from wavepipe.pipeline.ties import GARDNER_FACTOR, Tie

SHAPE = (6, 5)
HIGHEST_RATIO = LIMITS[0].factor
RATIO = Tie("vp", 0.578)
GARDNER = Tie("vp", GARDNER_FACTOR, 0.25)
CHAINS = {
    "ratio": {"vs": RATIO},
    "gardner": {"rho": GARDNER},
    "both": {"vs": RATIO, "rho": GARDNER},
    "chain": {"vp": Tie("vs", 1.8), "rho": GARDNER},
}


def earth(water: int = 2) -> dict[str, np.ndarray]:
    """Water over rock that varies."""
    rng = np.random.default_rng(1)
    vp = rng.uniform(2500, 3500, SHAPE)
    model = {"vp": vp, "vs": 0.5 * vp, "rho": rng.uniform(2000, 2400, SHAPE)}
    for name, value in (("vp", 1500.0), ("vs", 0.0), ("rho", 1000.0)):
        model[name][:water] = value
    return {name: values.astype(np.float32) for name, values in model.items()}


def make_space(inverted=("vp", "vs", "rho"), ties=None, mask=None, bounds=None) -> ParameterSpace:
    """A space of scales that no power of two divides."""
    wide = {"vp": (1400.0, 6000.0), "vs": (200.0, 3500.0), "rho": (900.0, 4000.0)}
    scales = {"vp": 2987.3, "vs": 0.7 * 1533.1, "rho": 2211.7}
    mask = np.ones(SHAPE, dtype=bool) if mask is None else mask
    limits = {name: (bounds or wide)[name] for name in inverted}
    return ParameterSpace(earth(), mask, limits, {n: scales[n] for n in inverted}, ties or {})


def test_a_model_comes_back_from_its_vector_bit_for_bit():
    space = make_space()
    rng = np.random.default_rng(2)
    model = {name: values * rng.uniform(0.9, 1.1, SHAPE) for name, values in earth().items()}
    model = {name: values.astype(np.float32) for name, values in model.items()}
    found = space.unpack(space.pack(model))
    for name, values in model.items():
        assert np.array_equal(found[name], values), name


def test_a_tied_parameter_follows_at_every_vector_and_a_fluid_stays_one():
    space = make_space(("vp",), CHAINS["both"])
    assert space.changing == ("vp", "vs", "rho")
    vector = space.project(1.1 * space.pack(space.start))
    model = space.unpack(vector)
    assert np.array_equal(model["vs"][2:], RATIO.values(model["vp"])[2:])
    assert np.array_equal(model["rho"], GARDNER.values(model["vp"]))
    assert not model["vs"][:2].any()  # water, although the mask lets it change


def test_what_is_neither_inverted_nor_tied_stays_as_it_starts():
    space = make_space(("vs",))
    model = space.unpack(space.project(1.2 * space.pack(space.start)))
    assert np.array_equal(model["vp"], earth()["vp"])
    assert np.array_equal(model["rho"], earth()["rho"])
    assert (model["vs"][2:] > earth()["vs"][2:]).all()


def test_the_mask_keeps_water_in_every_parameter_tied_ones_too():
    mask = earth()["vs"] > 0
    space = make_space(("vp",), CHAINS["both"], mask)
    model = space.unpack(space.project(1.3 * space.pack(space.start)))
    for name, values in earth().items():
        assert np.array_equal(model[name][:2], values[:2]), name
    assert space.pack_gradient(dict.fromkeys(space.changing, np.ones(SHAPE)), model)[:10].max() == 0


@pytest.mark.parametrize(
    ("inverted", "ties"),
    [
        (("vp", "vs", "rho"), {}),
        (("vp", "rho"), CHAINS["ratio"]),
        (("vp", "vs"), CHAINS["gardner"]),
        (("vp",), CHAINS["both"]),
        (("vs",), CHAINS["chain"]),
    ],
    ids=["free", "ratio", "gardner", "both", "chain"],
)
def test_the_gradient_with_ties_passes_the_taylor_test(inverted, ties):
    """The rest of a first-order expansion falls as the square of the step.

    In float64: the values of the model are not rounded here.
    """
    mask = np.ones(SHAPE, dtype=bool)
    mask[2, 1:3] = False
    space = make_space(inverted, ties, mask)
    rng = np.random.default_rng(3)
    weights = {name: rng.uniform(0.5, 1.5, SHAPE) for name in ("vp", "vs", "rho")}

    def unpack(vector):
        model = {name: values.astype(np.float64) for name, values in space.start.items()}
        for name, part in zip(space.inverted, space.split(vector), strict=True):
            model[name] = part * space.scales[name]
        for name, tie in space.ties.items():
            followed = tie.factor * model[tie.of] ** tie.power
            model[name] = np.where(space.where(name), followed, space.start[name])
        return model

    def misfit(model):
        """Coupled, so that every derivative depends on every parameter."""
        vp, vs, rho = (model[name] / 1000 for name in ("vp", "vs", "rho"))
        impedance = weights["vp"] * rho * vp + weights["vs"] * rho * vs + weights["rho"] * vs**2
        value = 0.5 * float(np.sum(impedance**2))
        gradient = {
            "vp": impedance * weights["vp"] * rho,
            "vs": impedance * (weights["vs"] * rho + 2 * weights["rho"] * vs),
            "rho": impedance * (weights["vp"] * vp + weights["vs"] * vs),
        }
        return value, {name: values / 1000 for name, values in gradient.items()}

    start = space.pack(space.start)
    value, raw = misfit(unpack(start))
    gradient = space.pack_gradient(raw, unpack(start))
    where = np.concatenate([space.where(name).ravel() for name in space.inverted])
    direction = np.where(where, rng.standard_normal(start.size), 0.0)
    slope = float(gradient @ direction)
    steps = 1e-2 * 0.5 ** np.arange(4)
    rests = [abs(misfit(unpack(start + h * direction))[0] - value - h * slope) for h in steps]
    orders = np.log2(np.array(rests[:-1]) / rests[1:])
    # 2 in the limit; the third order of the misfit is still felt at the largest step
    assert np.abs(orders - 2.0).max() < 0.05
    assert not gradient[~where].any()


def test_bounds_hold_parameter_by_parameter():
    space = make_space()
    model = space.unpack(space.project(10.0 * space.pack(space.start)))
    assert model["vp"].max() == 6000.0
    assert model["rho"].max() == 4000.0
    low = space.unpack(space.project(0.01 * space.pack(space.start)))
    assert low["vp"].min() == 1400.0
    assert low["vs"][2:].min() == 200.0
    assert not low["vs"][:2].any()


def test_vs_stays_below_its_part_of_vp():
    space = make_space()
    vector = space.pack(space.start)
    vector[30:60] *= 3.0  # vs alone
    model = space.unpack(space.project(vector))
    assert (model["vs"] <= 0.861 * model["vp"]).all()
    np.testing.assert_allclose(model["vs"][2:], HIGHEST_RATIO * model["vp"][2:], rtol=1e-6)
    assert np.array_equal(model["vp"], space.start["vp"])
    again = space.project(space.project(vector))
    assert np.array_equal(again, space.project(vector))


def test_vp_stays_above_a_vs_that_is_fixed():
    space = make_space(("vp",), bounds={"vp": (1400.0, 6000.0)})
    model = space.unpack(space.project(0.1 * space.pack(space.start)))
    assert np.array_equal(model["vs"], space.start["vs"])
    assert (model["vs"] <= 0.861 * model["vp"]).all()


def test_delta_stays_at_or_below_epsilon():
    mask = np.ones(SHAPE, dtype=bool)
    start = {name: np.full(SHAPE, 0.1, dtype=np.float32) for name in ("epsilon", "delta")}
    for inverted in (("epsilon", "delta"), ("delta",), ("epsilon",)):
        space = ParameterSpace(
            start, mask, dict.fromkeys(inverted, (-0.3, 0.5)), dict.fromkeys(inverted, 1.0)
        )
        vector = np.linspace(-1.0, 1.0, 30 * len(inverted))
        model = space.unpack(space.project(vector))
        assert (model["delta"] <= model["epsilon"]).all()


def test_lbfgs_finds_the_constrained_minimum_of_several_parameters():
    """Quadratic in all three, its minimum beyond the limit of vs: vp and rho reach theirs."""
    space = make_space()
    start = space.start
    target = {"vp": start["vp"] * 1.1, "vs": start["vp"] * 0.95, "rho": start["rho"] * 0.9}
    sizes = {"vp": 3000.0, "vs": 1000.0, "rho": 2000.0}

    def evaluate(vector):
        model = space.unpack(vector)
        rests = {n: (model[n].astype(np.float64) - target[n]) / sizes[n] for n in model}
        gradient = {n: rest / sizes[n] for n, rest in rests.items()}
        value = 0.5 * sum(float(np.sum(rest**2)) for rest in rests.values())
        return Point(vector, value, space.pack_gradient(gradient, model))

    optimizer = Lbfgs(first_step=0.01)
    point = evaluate(space.project(space.pack(start)))
    misfits = [point.misfit]
    for _ in range(60):
        update = optimizer.update(point, Problem(evaluate, space.project, lambda v: v))
        point = update.point
        misfits.append(point.misfit)
        if update.converged:
            break
    model = space.unpack(point.vector)
    assert all(b <= a for a, b in itertools.pairwise(misfits))
    np.testing.assert_allclose(model["rho"], target["rho"], rtol=1e-3)
    vs, vp = model["vs"][2:], model["vp"][2:]
    np.testing.assert_allclose(vs, HIGHEST_RATIO * vp, rtol=1e-5)
    assert not model["vs"][:2].any()


def test_balanced_preconditioners_answer_in_one_size_whatever_the_units():
    rng = np.random.default_rng(4)
    gradients = {n: s * rng.standard_normal(SHAPE) for n, s in (("vp", 1e-9), ("rho", 4e3))}
    gradients["vs"] = np.zeros(SHAPE)
    mask = np.ones(SHAPE, dtype=bool)
    weight = rng.uniform(0.1, 2.0, SHAPE)
    plain = {name: Preconditioner(mask, weight, (1.0, 1.5)) for name in gradients}
    made = balance(plain, gradients)
    for name in ("vp", "rho"):
        answer = made[name](gradients[name])
        assert np.sqrt(np.mean(answer**2)) == pytest.approx(1.0)
        # still symmetric and positive
        a, b = rng.standard_normal((2, *SHAPE))
        assert np.sum(a * made[name](b)) == pytest.approx(np.sum(b * made[name](a)), rel=1e-9)
        assert np.sum(a * made[name](a)) > 0
    assert np.isfinite(made["vs"].factor)
    assert made["vs"].factor > 0


def test_changes_are_told_in_the_units_of_the_parameters():
    space = make_space(("vp", "vs"), CHAINS["gardner"])
    before = space.pack(space.start)
    after = before.copy()
    after[:30] += 30.0 / space.scales["vp"]
    after[30:] += 12.0 / space.scales["vs"]
    found = space.largest_changes(before, after)
    assert found["vp"] == pytest.approx(30.0, abs=1e-3)  # float32 at 3000
    assert found["vs"] == pytest.approx(12.0, abs=1e-3)
    assert found["rho"] == pytest.approx(GARDNER_FACTOR * (1530**0.25 - 1500**0.25), rel=1e-3)
