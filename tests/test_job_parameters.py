"""The choice of parameters to invert for: what a job may say, and what the start must obey."""

import logging
from pathlib import Path

import numpy as np
import pytest
import yaml

from wavepipe.pipeline.earth_model import EarthModel
from wavepipe.pipeline.errors import JobError
from wavepipe.pipeline.inverted_parameters import (
    allowed,
    changes,
    parameter_space,
    starting_model,
)
from wavepipe.pipeline.job import Job, read_job
from wavepipe.pipeline.ties import Tie

BOUNDS = {"vp": [1400.0, 4500.0], "vs": [400.0, 2500.0], "rho": [900.0, 3000.0]}
FREE = {name: {"bounds": bounds} for name, bounds in BOUNDS.items()}


def elastic_job(folder: Path, parameters: dict, physics: str = "elastic") -> Job:
    """An inversion; nothing is read here but the job."""
    content = {
        "kind": "fwi",
        "physics": physics,
        "earth_model": {
            "vp": {"constant": 2000.0},
            "vs": {"ratio": {"of": "vp", "value": 0.5}},
            "rho": {"gardner": {"of": "vp"}},
            "shape": [6, 5],
            "spacing": [10.0, 10.0],
        },
        "survey": {"data": "shots.sgy"},
        "wavelet": {"ricker": {"peak_frequency": 10.0}},
        "fwi": {
            "parameters": parameters,
            "stages": [{"max_frequency": 8.0, "iterations": 2}],
        },
    }
    path = folder / "fwi.yaml"
    path.write_text(yaml.safe_dump(content))
    return read_job(path)


def model(water: int = 0) -> EarthModel:
    """Rock that gets faster with depth, below some rows of water."""
    vp = np.linspace(2000, 3000, 30, dtype=np.float32).reshape(6, 5)
    parameters = {"vp": vp, "vs": 0.5 * vp, "rho": np.full_like(vp, 2100.0)}
    for name, value in (("vp", 1500.0), ("vs", 0.0), ("rho", 1000.0)):
        parameters[name] = parameters[name].astype(np.float32)
        parameters[name][:water] = value
    return EarthModel(parameters, (10.0, 10.0), (0.0, 0.0))


EVERYWHERE = np.ones((6, 5), dtype=bool)


def test_parameters_are_inverted_for_tied_fixed_or_left_out(tmp_path):
    job = elastic_job(
        tmp_path,
        {
            "vp": {"bounds": BOUNDS["vp"], "step_scale": 1.0},
            "vs": {"tied": {"ratio": {"of": "vp", "value": 0.578}}},
            "rho": "fixed",
        },
    )
    parameters = job.fwi.parameters
    assert list(parameters.inverted) == ["vp"]
    assert parameters.ties == {"vs": Tie("vp", 0.578)}
    assert changes(job, "vs")
    assert not changes(job, "rho")
    assert allowed(job, "vs") == pytest.approx((0.578 * 1400, 0.578 * 4500), rel=1e-6)
    assert allowed(job, "rho") is None
    again = read_job_of(tmp_path, job)
    assert again.fwi.parameters.ties == parameters.ties


def read_job_of(folder: Path, job: Job) -> Job:
    """The job again, from what the run folder would hold of it."""
    resolved = job.model_dump(mode="json", exclude_none=True)
    path = folder / "resolved.yaml"
    path.write_text(yaml.safe_dump(resolved))
    return read_job(path)


def test_without_a_choice_vp_is_inverted_for(tmp_path):
    content = yaml.safe_load((elastic_job(tmp_path, FREE).path).read_text())
    del content["fwi"]["parameters"]
    path = tmp_path / "plain.yaml"
    path.write_text(yaml.safe_dump(content))
    assert list(read_job(path).fwi.parameters.inverted) == ["vp"]


@pytest.mark.parametrize(
    ("parameters", "physics", "expected"),
    [
        ({"vs": {}}, "scalar", ["names vs", "physics scalar has vp"]),
        ({"vs": "fixed", "vp": {}}, "acoustic", ["names vs", "acoustic has vp and rho"]),
        ({"vp": "fixed"}, "elastic", ["nothing to invert for", "vp, vs and rho"]),
        ({}, "elastic", ["nothing to invert for"]),
        ({"vp": "frozen"}, "elastic", ["frozen", "fixed", "section"]),
        ({"v_s": {}}, "elastic", ["unknown key 'v_s'", "did you mean 'vs'"]),
        ({"vp": {"bounds": [4000, 3000]}}, "elastic", ["lowest value must be below"]),
        ({"vs": {"bounds": [0, 3000]}}, "elastic", ["vs.bounds", "above 0"]),
        ({"vp": {"step_scale": 0}}, "elastic", ["step_scale", "greater than 0"]),
        ({"vs": {"tied": {}}, "vp": {}}, "elastic", ["exactly one of ratio, gardner"]),
        (
            {"vs": {"tied": {"ratio": {"of": "vp", "value": 0.5}}}},
            "elastic",
            ["nothing to invert for"],
        ),
        (
            {"vs": {"tied": {"ratio": {"of": "vp", "value": 0.5}}}, "rho": {}},
            "elastic",
            ["ties vs to vp, which stays fixed", "invert for vp"],
        ),
        (
            {"vs": {"bounds": [100, 900], "tied": {"ratio": {"of": "vp", "value": 0.5}}}, "vp": {}},
            "elastic",
            ["bounds beside tied", "follows vp"],
        ),
        (
            {
                "rho": {},
                "vs": {"tied": {"ratio": {"of": "vp", "value": 0.5}}},
                "vp": {"tied": {"ratio": {"of": "vs", "value": 2.0}}},
            },
            "elastic",
            ["tied to", "in turn"],
        ),
        (
            {"vp": {}, "vs": {"tied": {"gardner": {"of": "vp"}}}},
            "elastic",
            ["'gardner' gives a density"],
        ),
    ],
)
def test_a_choice_that_cannot_be_is_refused(tmp_path, parameters, physics, expected):
    with pytest.raises(JobError) as caught:
        elastic_job(tmp_path, parameters, physics)
    for part in expected:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"vs": [100, 1400]}, ["vs.bounds", "100 to 1400 m/s", "1500 m/s at z = 50 m, x = 40 m"]),
        ({"rho": [2200, 3000]}, ["rho.bounds", "2100 kg/m3", "100 % of its cells"]),
        ({"vs": [950, 2500], "vp": [1000, 5000]}, ["vs.bounds", "950", "vp may be 1000 m/s"]),
    ],
    ids=["start above", "start below", "vs and vp"],
)
def test_bounds_that_the_start_or_each_other_contradict_are_refused(tmp_path, change, expected):
    parameters = {name: {"bounds": change.get(name, bounds)} for name, bounds in BOUNDS.items()}
    job = elastic_job(tmp_path, parameters)
    with pytest.raises(JobError) as caught:
        starting_model(job, model(), EVERYWHERE)
    for part in expected:
        assert part in str(caught.value)


def test_a_start_with_vs_too_near_to_vp_is_refused_where_it_may_change(tmp_path):
    job = elastic_job(tmp_path, {"rho": {"bounds": BOUNDS["rho"]}})
    earth = model()
    earth.parameters["vs"][3, 2] = 0.9 * earth.vp[3, 2]
    with pytest.raises(JobError, match=r"at z = 30 m, x = 20 m; .* at or below 0.86 vp"):
        starting_model(job, earth, EVERYWHERE)
    tied = {"vp": FREE["vp"], "vs": {"tied": {"ratio": {"of": "vp", "value": 0.9}}}}
    with pytest.raises(JobError, match=r"keeps vs at or below 0\.86 vp"):
        starting_model(elastic_job(tmp_path, tied), model(), EVERYWHERE)


def test_a_fluid_cannot_be_inverted_for_its_shear_velocity(tmp_path):
    with pytest.raises(JobError, match="inverts for vs, but vs is 0 everywhere"):
        starting_model(elastic_job(tmp_path, FREE), model(water=6), EVERYWHERE)


def test_the_start_obeys_the_ties_and_what_is_not_tied_is_named(tmp_path, caplog):
    job = elastic_job(
        tmp_path, {"vp": FREE["vp"], "vs": {"tied": {"ratio": {"of": "vp", "value": 0.55}}}}
    )
    with caplog.at_level(logging.INFO):
        earth = starting_model(job, model(water=2), EVERYWHERE)
    assert np.array_equal(earth.parameters["vs"][2:], Tie("vp", 0.55).values(earth.vp[2:]))
    assert not earth.parameters["vs"][:2].any()
    assert "vs is tied: 0.55 vp; it starts up to 150 m/s from earth_model.vs" in caplog.text
    assert "rho starts as 310 vp^0.25 and then stays as it is while vp changes" in caplog.text


def test_scales_are_relative_to_the_mean_of_what_may_change(tmp_path):
    parameters = FREE | {"rho": {"bounds": BOUNDS["rho"], "step_scale": 0.25}}
    earth, mask = model(water=2), EVERYWHERE.copy()
    mask[:2] = False
    space = parameter_space(elastic_job(tmp_path, parameters), earth, mask, 4500.0)
    assert space.scales["vp"] == pytest.approx(float(earth.vp[2:].mean()), rel=1e-6)
    assert space.scales["vs"] == pytest.approx(0.5 * space.scales["vp"], rel=1e-6)
    assert space.scales["rho"] == pytest.approx(0.25 * 2100.0, rel=1e-6)
    assert space.inverted == ("vp", "vs", "rho")


def test_without_bounds_a_parameter_has_room_around_its_start(tmp_path):
    job = elastic_job(tmp_path, {"vp": {}, "vs": {}, "rho": {}})
    space = parameter_space(job, model(water=2), EVERYWHERE, 4321.0)
    assert space.bounds["vp"] == (750.0, 4321.0)
    vs = model().parameters["vs"][2:]
    assert space.bounds["vs"] == pytest.approx((0.5 * vs.min(), 2.0 * vs.max()))
    assert space.bounds["rho"] == (500.0, 4200.0)


def test_a_vp_that_follows_vs_stays_within_the_velocity_bound(tmp_path):
    tied = {"vs": {}, "vp": {"tied": {"ratio": {"of": "vs", "value": 1.9}}}}
    job = elastic_job(tmp_path, tied)
    earth = starting_model(job, model(), EVERYWHERE)
    space = parameter_space(job, earth, EVERYWHERE, 3300.0)
    fastest = space.unpack(space.project(9.0 * space.pack(space.start)))["vp"]
    assert 3299.0 < fastest.max() <= 3300.0


def test_a_parameter_without_unit_may_be_negative_and_needs_bounds(tmp_path):
    content = yaml.safe_load(elastic_job(tmp_path, FREE).path.read_text())
    content["physics"] = "acoustic_vti"
    content["earth_model"] |= {"epsilon": {"constant": 0.0}, "delta": {"constant": 0.05}}
    content["fwi"]["parameters"] = {"vp": FREE["vp"], "epsilon": {"bounds": [-0.1, 0.3]}}
    path = tmp_path / "vti.yaml"
    path.write_text(yaml.safe_dump(content))
    earth = model()
    earth.parameters.update(epsilon=np.zeros((6, 5), np.float32), delta=np.zeros((6, 5)))
    space = parameter_space(read_job(path), earth, EVERYWHERE, 4500.0)
    assert space.bounds["epsilon"] == (-0.1, 0.3)
    assert space.scales["epsilon"] == 1.0  # 1 % of it is a change by 0.01
    content["fwi"]["parameters"]["epsilon"] = {}
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(JobError, match=r"fwi\.parameters\.epsilon .* needs bounds"):
        parameter_space(read_job(path), earth, EVERYWHERE, 4500.0)
