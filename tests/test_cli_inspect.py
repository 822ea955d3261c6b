"""``wavepipe inspect``: text and JSON for everything the program reads or writes."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from wavepipe.cli.main import cli
from wavepipe.pipeline.earth_model import EarthModel
from wavepipe.pipeline.job.template import job_template
from wavepipe.pipeline.layouts import make_survey
from wavepipe.pipeline.results import create_results, write_grid, write_status
from wavepipe.pipeline.run_folder import RunFolder
from wavepipe.pipeline.segy.images import write_image_segy


def inspect(path, *options):
    """Output of the command."""
    result = CliRunner().invoke(cli, ["inspect", str(path), *options])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def run_folder(tmp_path):
    """A finished migration."""
    folder = RunFolder.create(tmp_path / "run")
    model = EarthModel({"vp": np.full((5, 6), 1500.0, np.float32)}, (10.0, 10.0), (0.0, 0.0))
    shots = make_survey(np.zeros((2, 2)), [np.zeros((1, 2))] * 2, dt=0.004, nt=40)
    create_results(folder.results, "rtm", shots, model)
    write_grid(folder.results, "image", np.full((5, 6), 2.5))
    write_status(folder.results, [0], "done")
    folder.log_event({"event": "start", "misfit": float("nan")})
    folder.write_json(folder.plan, {"time_step": 0.001})
    return folder


def test_an_array_is_described_with_what_it_does_not_say(tmp_path):
    np.save(tmp_path / "vp.npy", np.array([[1500.0, np.nan], [2000.0, 1800.0]]))
    text = inspect(tmp_path / "vp.npy")
    for part in ("1500", "2000", "not_finite: 1", "unit"):
        assert part in text
    found = json.loads(inspect(tmp_path / "vp.npy", "--json"))
    assert found["what"] == "array"
    assert found["shape"] == [2, 2]


def test_a_store_is_described_with_dimensions_and_units(run_folder):
    found = json.loads(inspect(run_folder.results, "--json"))
    assert found["arrays"]["image"]["dimensions"] == ["z", "x"]
    assert found["arrays"]["image"]["maximum"] == 2.5
    assert found["arrays"]["x"]["units"] == "m"
    assert "image" in inspect(run_folder.results)


def test_a_run_folder_is_described_with_plan_shots_and_files(run_folder):
    found = json.loads(inspect(run_folder.path, "--json"))
    assert found["plan"] == {"time_step": 0.001}
    assert found["shots"] == {"done": 1, "pending": 1}
    assert found["last_event"]["misfit"] is None  # JSON has no NaN
    assert "events.jsonl" in found["files"]
    assert "pending 1" in inspect(run_folder.path)


def test_a_job_is_described_with_its_defaults_and_earth_model(tmp_path):
    path = tmp_path / "model.yaml"
    path.write_text(job_template("model", "model.yaml"))
    found = json.loads(inspect(path, "--json"))
    assert found["job"]["propagator"]["pml_width"] == 20
    assert found["earth_model"]["shape"] == [101, 301]


def test_a_job_whose_data_are_missing_is_described_with_the_problem(tmp_path):
    path = tmp_path / "rtm.yaml"
    path.write_text(job_template("rtm", "rtm.yaml"))
    assert "does not exist" in json.loads(inspect(path, "--json"))["problem"]


def test_segy_is_described_with_every_assumption(data_folder):
    path = data_folder / "segy" / "viking_small.segy"
    text = inspect(path)
    for part in ("4 shots of 120 traces", "3237 to 3312", "depth 6 m", "depth 10 m", "4 ms"):
        assert part in text
    found = json.loads(inspect(path, "--json"))
    assert found["what"] == "segy"
    assert any("units field" in text for text in found["assumptions"])


@pytest.mark.parametrize(("shape", "kind"), [((4, 5), "section"), ((4, 3, 5), "volume")])
def test_what_is_in_depth_is_described_in_metres(tmp_path, shape, kind):
    path = tmp_path / "image.sgy"
    ndim = len(shape)
    write_image_segy(path, np.ones(shape), (10.0,) * ndim, (20.0,) + (0.0,) * (ndim - 1), "image")
    found = json.loads(inspect(path, "--json"))
    assert found["dz"] == 10.0
    assert not {"dt", "survey"} & set(found)
    assert found["section"] == {
        "kind": kind,
        "n_inlines": 1 if ndim == 2 else 3,
        "n_crosslines": 5,
        "n_depths": 4,
        "depth": [20.0, 50.0],
    }
    text = inspect(path)
    assert f"depth {kind} of" in text
    assert "every 10 m" in text
    assert "shot" not in text


def test_text_is_without_python(run_folder):
    folder, plan = run_folder.path, {"max_frequency": None, "taper": 0.1}
    run_folder.write_json(run_folder.plan, {"passes": [plan, plan], "dropped": [], "verdict": ""})
    text = inspect(folder) + inspect(run_folder.results)
    assert "dtype text" in text
    for part in ("None", "()", "StringDType", "verdict", "dropped", "True"):
        assert part not in text


@pytest.mark.parametrize("name", ["a.npz", "README", "folder"])
def test_what_is_of_no_known_kind_is_refused_with_the_kinds_there_are(tmp_path, name):
    path = tmp_path / name
    if name == "folder":
        path.mkdir()
    else:
        path.write_bytes(b"PK" * 3000)
    result = CliRunner().invoke(cli, ["inspect", str(path)])
    assert result.exit_code == 2
    assert "a SEG-Y file, a .npy array, a Zarr store, a run folder or a job" in result.stderr
    assert "StorePath" not in result.stderr


@pytest.mark.parametrize("content", [None, b"", b"short"])
def test_what_cannot_be_described_is_refused(tmp_path, content):
    path = tmp_path / "shots.sgy"
    if content is not None:
        path.write_bytes(content)
    result = CliRunner().invoke(cli, ["inspect", str(path)])
    assert result.exit_code == 2
    assert "shots.sgy" in result.stderr


def test_an_empty_folder_is_refused(tmp_path):
    assert CliRunner().invoke(cli, ["inspect", str(tmp_path)]).exit_code == 2
