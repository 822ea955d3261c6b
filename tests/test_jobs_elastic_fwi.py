"""Elastic inversion: vp and vs together, with rho fixed or tied, from data of two components."""

import json
from pathlib import Path

import numpy as np
import pytest
import zarr
from click.testing import CliRunner
from elastic_jobs import ANOMALIES, settings, write_job, write_models
from scipy.ndimage import gaussian_filter

from wavepipe.cli.main import cli
from wavepipe.pipeline.clusters.cluster import InProcess
from wavepipe.pipeline.execution import start_run
from wavepipe.pipeline.inversion import invert_survey
from wavepipe.pipeline.inverted_parameters import parameter_space
from wavepipe.pipeline.job import Job, read_job


def run_cli(kind: str, path: Path) -> str:
    """Run a command as a user would, and return what it printed."""
    result = CliRunner().invoke(cli, [kind, str(path)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with models and modelled data."""
    folder = tmp_path_factory.mktemp("elastic")
    write_models(folder)
    run_cli("model", write_job(folder, settings("model")))
    return folder


def load(folder: Path, name: str, which: str) -> np.ndarray:
    return np.load(folder / f"{name}_{which}.npy").astype(np.float64)


def recovered(folder: Path, run: Path, name: str) -> tuple[float, float]:
    """Correlation of the update with the truth, and what is left of the error."""
    true, start = load(folder, name, "true"), load(folder, name, "start")
    found = np.load(run / f"{name}.npy").astype(np.float64)
    correlation = np.corrcoef((found - start).ravel(), (true - start).ravel())[0, 1]
    left = np.linalg.norm(found - true) / np.linalg.norm(start - true)
    return float(correlation), float(left)


def short_job(folder: Path, name: str, iterations: int = 3, **parameters: object) -> Job:
    """A few iterations over four of the shots."""
    content = settings("fwi")
    content["fwi"]["stages"] = [{"max_frequency": 10.0, "iterations": iterations}]
    content["fwi"]["parameters"] |= parameters
    content["survey"]["shots"] = "0:8:2"
    content["output"]["folder"] = f"runs/{name}"
    return read_job(write_job(folder, content, name))


def test_anomalies_of_vp_and_vs_are_both_recovered_from_the_command_line(folder):
    output = run_cli("fwi", write_job(folder, settings("fwi")))
    run = folder / "runs" / "fwi"
    for name in ANOMALIES:
        correlation, left = recovered(folder, run, name)
        assert correlation > 0.5, name
        assert left < 0.9, name
    assert not (run / "rho.npy").exists()
    group = zarr.open_group(run / "results.zarr", mode="r")
    assert "rho" not in group
    for name in ANOMALIES:
        assert group[name].metadata.dimension_names == ("iteration", "z", "x")
        assert (run / f"{name}.sgy").exists()
    misfit = np.asarray(group["misfit"][...])
    assert (np.diff(misfit) < 0).all()
    assert group["misfit"].attrs["units"] == "m2/s"
    assert "largest change vp" in output


def test_a_tied_parameter_follows_through_a_whole_inversion(folder):
    """vs = 0.575 vp at every iteration, to the last bit; density by Gardner's rule."""
    job = short_job(
        folder,
        "tied",
        vs={"tied": {"ratio": {"of": "vp", "value": 0.575}}},
        rho={"tied": {"gardner": {"of": "vp"}}},
    )
    outcome = invert_survey(job, cluster=InProcess())
    assert outcome.accepted
    group = zarr.open_group(outcome.folder / "results.zarr", mode="r")
    vp, vs, rho = (np.asarray(group[name][...]) for name in ("vp", "vs", "rho"))
    assert np.array_equal(vs, (0.575 * vp.astype(np.float64)).astype(np.float32))
    assert np.array_equal(rho, (310.0 * vp.astype(np.float64) ** 0.25).astype(np.float32))
    misfit = np.asarray(group["misfit"][...])
    assert (np.diff(misfit) < 0).all()
    assert {"vp.sgy", "vs.sgy", "rho.sgy"} <= {path.name for path in outcome.folder.iterdir()}


@pytest.mark.parametrize("name", ["vp", "vs", "rho"])
def test_one_parameter_is_inverted_while_the_others_stay(folder, name):
    bounds = {"vp": [1700.0, 2400.0], "vs": [900.0, 1400.0], "rho": [1500.0, 2500.0]}
    choice = dict.fromkeys(bounds, "fixed") | {name: {"bounds": bounds[name]}}
    outcome = invert_survey(short_job(folder, f"only-{name}", 1, **choice), cluster=InProcess())
    group = zarr.open_group(outcome.folder / "results.zarr", mode="r")
    assert {"vp", "vs", "rho"} & set(group) == {name}
    values = np.asarray(group[name][...])
    assert np.array_equal(values[0], load(folder, name, "start").astype(np.float32))
    assert np.abs(values[-1] - values[0]).max() > 0
    misfit = np.asarray(group["misfit"][...])
    assert misfit[-1] < misfit[0]


@pytest.mark.parametrize("tied", [False, True], ids=["free", "tied"])
def test_the_gradient_of_the_vector_predicts_the_misfit(folder, tied):
    """Central differences through the projection, the ties and the elastic misfit."""
    choice: dict = {"rho": {"bounds": [1500.0, 2500.0]}}
    if tied:
        choice |= {"vs": {"tied": {"ratio": {"of": "vp", "value": 0.575}}}}
        choice |= {"rho": {"tied": {"gardner": {"of": "vp"}}}}
    job = short_job(folder, f"taylor-{tied}", **choice)
    with start_run(job, cluster=InProcess()) as run:
        band, inputs = run.plan.passes[0], run.inputs
        bound = band.propagation.velocity_bound
        space = parameter_space(run.job, inputs.earth, inputs.mask, bound)

        def evaluate(wanted, vector):
            model = space.unpack(vector)
            changing = {name: model[name] for name in space.changing}
            described = run.describe(wanted, band, changing, space.changing)
            return run.evaluate(described, run.shots, "test"), model

        start = space.pack(space.start)
        partial, model = evaluate("gradient", start)
        gradients = {name: partial.spread(name, space.mask.shape) for name in space.changing}
        gradient = space.pack_gradient(gradients, model)
        smooth = gaussian_filter(np.random.default_rng(5).standard_normal(space.mask.shape), 3.0)
        direction = np.tile((smooth / np.abs(smooth).max()).ravel(), len(space.inverted))
        sides = [
            evaluate("misfit", start + step * direction)[0].scalars["misfit"]
            for step in (2e-3, -2e-3)
        ]
    # float32 wavefields, and the curvature of the misfit over 0.4 % of the model
    assert (sides[0] - sides[1]) / 4e-3 == pytest.approx(float(gradient @ direction), rel=0.01)


def test_the_change_told_is_in_the_units_of_each_parameter(folder):
    job = short_job(folder, "scaled", 1, vs={"bounds": [900.0, 1400.0], "step_scale": 0.1})
    outcome = invert_survey(job, cluster=InProcess())
    group = zarr.open_group(outcome.folder / "results.zarr", mode="r")
    events = map(json.loads, (outcome.folder / "events.jsonl").read_text().splitlines())
    told = [event["changes"] for event in events if event.get("event") == "iteration"][-1]
    for name in ("vp", "vs"):
        values = np.asarray(group[name][...])
        assert told[name] == pytest.approx(float(np.abs(values[1] - values[0]).max()), rel=1e-6)
    # a tenth of vp's part of its mean, to the difference of their gradients' shapes
    assert 0.02 < (told["vs"] / 1150.0) / (told["vp"] / 2000.0) < 0.5


def test_a_later_job_starts_from_the_iteration_of_an_earlier_one(folder):
    first = invert_survey(short_job(folder, "first", 2), cluster=InProcess())
    content = settings("fwi")
    for name in ("vp", "vs"):
        content["earth_model"][name] = {"path": str(first.folder), "iteration": -1}
    content["fwi"]["stages"] = [{"max_frequency": 10.0, "iterations": 1}]
    content["survey"]["shots"] = "0:8:2"
    content["output"]["folder"] = "runs/second"
    second = invert_survey(read_job(write_job(folder, content, "second")), cluster=InProcess())
    before, after = (
        zarr.open_group(one.folder / "results.zarr", mode="r") for one in (first, second)
    )
    for name in ("vp", "vs"):
        assert np.array_equal(np.asarray(before[name][-1]), np.asarray(after[name][0]))
    assert float(after["misfit"][1]) < float(before["misfit"][2])
