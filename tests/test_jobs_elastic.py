"""Modelling with variable density and in solids: components in and out of files."""

from pathlib import Path

import numpy as np
import pytest
import segyio
import torch
import xarray as xr
from solid_jobs import job_content, run_model, write_solid
from toy_jobs import write_job

from wavepipe.pipeline.clusters.cluster import InProcess
from wavepipe.pipeline.execution import start_run
from wavepipe.pipeline.job import read_job
from wavepipe.pipeline.modelling import model_survey
from wavepipe.pipeline.survey import read_survey
from wavepipe.propagators import Boundary
from wavepipe.propagators.physics.names import PARAMETERS
from wavepipe.propagators.wavelets import ricker
from wavepipe.propagators.waves import propagate

ALL = ("pressure", "vz", "vx")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models, and elastic and acoustic gathers of all components of them."""
    folder = tmp_path_factory.mktemp("elastic")
    write_solid(folder)
    components = f"survey.components=[{', '.join(ALL)}]"
    run_model(folder, "elastic", "elastic", components, "survey.source=fz")
    run_model(folder, "acoustic", "acoustic", components)
    return folder


def direct(folder: Path, physics: str, source: str) -> dict[str, np.ndarray]:
    """The same gathers by one call of the propagator, (n_traces, nt) by component."""
    survey = read_survey({"vz": folder / f"runs/{physics}/shots_vz.sgy"}, ndim=2)
    vp = torch.from_numpy(np.load(folder / "true.npy"))
    models = {
        "vp": vp,
        "vs": torch.from_numpy(np.load(folder / "true_vs.npy")),
        "rho": (310 * vp.double() ** 0.25).float(),
    }
    wavelet = torch.from_numpy(ricker(6.0, 0.004, 130, 0.2).astype(np.float32))
    receivers = np.stack([survey.shot(i).receiver_positions for i in range(survey.n_shots)])
    amplitudes = wavelet.expand(survey.n_shots, 1, -1)
    recording = propagate(
        physics,
        {name: models[name] for name in PARAMETERS[physics]},
        10.0,
        0.004,
        sources={source: (amplitudes, survey.source_positions[:, None])},
        receivers=dict.fromkeys(ALL, receivers),
        order=6,
        boundary=Boundary(8, 6.0),
    )
    return {name: gathers.reshape(-1, 130).numpy() for name, gathers in recording.items()}


@pytest.mark.parametrize(("physics", "source"), [("elastic", "fz"), ("acoustic", "pressure")])
def test_modelled_components_are_those_of_the_propagator(folder, physics, source):
    run = folder / "runs" / physics
    expected = direct(folder, physics, source)
    with xr.open_zarr(run / "results.zarr") as found:
        assert "gather" not in found
        for name, unit in (("pressure", "Pa"), ("vz", "m/s"), ("vx", "m/s")):
            stored = found[f"gather_{name}"]
            assert stored.attrs["units"] == unit
            assert stored.dims == ("trace", "time")
            # the layers are tuned to a peak frequency measured on the wavelet instead of 6 Hz
            error = np.linalg.norm(stored.values - expected[name])
            assert error < 1e-2 * np.linalg.norm(expected[name])
        unit = {"elastic": "N/m", "acoustic": "m2/s"}[physics]
        assert found.gather_vz.attrs["comment"] == f"for a wavelet in {unit}"
        assert found.sizes["trace"] == 8 * 32


@pytest.mark.parametrize("physics", ["elastic", "acoustic"])
def test_every_component_is_in_a_file_that_says_which_it_is(folder, physics):
    run = folder / "runs" / physics
    assert sorted(path.name for path in run.glob("*.sgy")) == [
        "shots_pressure.sgy",
        "shots_vx.sgy",
        "shots_vz.sgy",
    ]
    for name, code, words in (("pressure", 11, b"(Pa)"), ("vz", 12, b"down"), ("vx", 14, b"x")):
        with segyio.open(str(run / f"shots_{name}.sgy"), ignore_geometry=True) as file:
            assert set(file.attributes(29)[:]) == {code}
            assert words in bytes(file.text[0])
    survey = read_survey(run / "shots_*.sgy", ndim=2)
    assert survey.components == ALL
    with xr.open_zarr(run / "results.zarr") as found:
        for i in range(survey.n_shots):
            gather = survey.gather(i)
            for name, rows in survey.component_traces(i).items():
                stored = found[f"gather_{name}"].values[32 * i : 32 * (i + 1)]
                assert np.array_equal(gather[rows], stored)


def test_one_component_keeps_the_plain_names(folder):
    run = run_model(folder, "acoustic", "vz", "survey.components=[vz]", "survey.shots=[0]")
    assert [path.name for path in run.glob("*.sgy")] == ["shots.sgy"]
    assert read_survey(run / "shots.sgy", ndim=2).components == ("vz",)
    with xr.open_zarr(run / "results.zarr") as found:
        assert found.gather.attrs["units"] == "m/s"
        assert found.gather.attrs["component"] == "vz"


def test_the_geometry_of_a_file_models_other_components(folder):
    content = job_content("model", "elastic")
    content["survey"] = {
        "data": "runs/acoustic/shots_vx.sgy",
        "components": list(ALL),
        "source": "fz",
        "aperture": None,
    }
    path = write_job(folder, content, "again.yaml")
    outcome = model_survey(read_job(path, ["output.folder=runs/again"]), cluster=InProcess())
    for name in ALL:
        again, first = (
            folder / "runs" / run / f"shots_{name}.sgy" for run in (outcome.folder.name, "elastic")
        )
        assert again.read_bytes() == first.read_bytes()


def test_a_moment_tensor_of_equal_axes_is_a_pressure_source(folder):
    pairs = ["survey.shots=[3]", "survey.components=[vz]"]
    run_model(folder, "elastic", "explosion", *pairs)
    moment = "survey.source={moment: [[2, 0], [0, 2]]}"
    run_model(folder, "elastic", "moment", *pairs, moment)
    one, two = (
        read_survey(folder / f"runs/{name}/shots.sgy", ndim=2).gather(0)
        for name in ("explosion", "moment")
    )
    assert np.linalg.norm(2 * one - two) < 1e-5 * np.linalg.norm(two)  # float32


def test_a_small_elastic_survey_is_modelled_in_three_dimensions(tmp_path):
    write_solid(tmp_path, 3)
    run = run_model(
        tmp_path,
        "elastic",
        "cube",
        "survey.components=[vz, vy, vx]",
        "survey.source=fy",
        "survey.shots=[1]",
        "propagator.free_surface=[z0]",
        "earth_model.vs={ratio: {of: vp, value: 0.5}}",
        ndim=3,
    )
    survey = read_survey(run / "shots_*.sgy", ndim=3)
    assert survey.components == ("vz", "vy", "vx")
    gather = survey.gather(0)
    assert np.isfinite(gather).all()
    for rows in survey.component_traces(0).values():
        assert gather[rows].any()


@pytest.fixture(scope="module")
def inversion(folder: Path) -> Path:
    """A job that inverts all components of the elastic data."""
    content = job_content("fwi", "elastic")
    content["survey"] = {
        "data": {name: f"runs/elastic/shots_{name}.sgy" for name in ALL},
        "source": "fz",
        "shots": [2, 5],
    }
    content["fwi"] = {"stages": [{"max_frequency": 12.0, "iterations": 1}]}
    return write_job(folder, content, "fwi.yaml")


def gradient(path: Path, *pairs: str, wanted: str = "gradient"):
    """Misfit and gradients of the starting model."""
    name = f"runs/{path.stem}-{abs(hash(pairs)) % 10**6}-{wanted}"
    job = read_job(path, [f"output.folder={name}", *pairs])
    with start_run(job, cluster=InProcess()) as run:
        variables = PARAMETERS[job.physics] if wanted == "gradient" else ()
        evaluation = run.describe(wanted, run.plan.passes[0], variables=variables)
        return run.evaluate(evaluation, run.shots, "test")


def test_the_misfit_is_the_weighted_sum_over_components(inversion):
    files = {name: f"{name}: runs/elastic/shots_{name}.sgy" for name in ("pressure", "vz")}
    alone = {name: gradient(inversion, f"survey.data={{{one}}}") for name, one in files.items()}
    factors = {"pressure": 1e-12, "vz": 2.0}
    weights = "survey.component_weights={pressure: 1e-12, vz: 2.0}"
    both = f"survey.data={{{', '.join(files.values())}}}"
    together = gradient(inversion, weights, both)
    expected = sum(factors.get(name, 1.0) * one.scalars["misfit"] for name, one in alone.items())
    assert together.scalars["misfit"] == pytest.approx(expected, rel=1e-4)  # float32 gathers
    assert set(together.arrays) == {"vp", "vs", "rho"}
    for name, values in together.arrays.items():
        summed = sum(factors.get(part, 1.0) * one.arrays[name] for part, one in alone.items())
        # float32 gathers, whose residuals are a few per cent of them
        assert np.linalg.norm(values - summed) < 1e-2 * np.linalg.norm(summed)
    again = gradient(inversion, weights, both, wanted="misfit")
    assert again.scalars["misfit"] == pytest.approx(expected, rel=1e-4)


def test_dead_traces_of_a_component_are_left_out_of_it_alone(folder, inversion):
    """The vz traces of one shot are marked dead: its other components stay."""
    dead = bytearray((folder / "runs/elastic/shots_vz.sgy").read_bytes())
    size = 240 + 4 * 130
    for trace in range(2 * 32, 3 * 32):
        dead[3600 + trace * size + 28 : 3600 + trace * size + 30] = b"\x00\x02"
    (folder / "dead_vz.sgy").write_bytes(dead)
    weights = "survey.component_weights={pressure: 0, vx: 0}"
    whole = gradient(inversion, weights, "survey.shots=[5]", wanted="misfit")
    data = "survey.data={vz: dead_vz.sgy, vx: runs/elastic/shots_vx.sgy}"
    found = gradient(inversion, data, "survey.component_weights={vx: 0}", wanted="misfit")
    assert found.shots == (0, 1)
    assert found.scalars["misfit"] == pytest.approx(whole.scalars["misfit"], rel=1e-9)


def test_the_batch_size_changes_no_bit_of_several_gradients(inversion):
    data = "survey.data={vz: runs/elastic/shots_vz.sgy, vx: runs/elastic/shots_vx.sgy}"
    one, two = (gradient(inversion, data, f"cluster.batch_shots={size}") for size in (1, 2))
    assert one.scalars == two.scalars
    for name, values in one.arrays.items():
        assert values.tobytes() == two.arrays[name].tobytes()
