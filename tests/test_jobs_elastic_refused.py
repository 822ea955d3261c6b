"""Jobs with variable density or in solids that cannot run: one message, and nothing written."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from solid_jobs import job_content, run_model, write_solid
from toy_jobs import write_job

from wavepipe.cli.main import cli

ALL = "{pressure: runs/a/shots_pressure.sgy, vz: runs/a/shots_vz.sgy}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Acoustic data of two components, and job files."""
    folder = tmp_path_factory.mktemp("refused")
    write_solid(folder)
    run_model(folder, "acoustic", "a", "survey.components=[pressure, vz]", "survey.shots=[0, 1]")
    run_model(folder, "acoustic", "one", "survey.components=[vz]", "survey.shots=[0]")
    layout = "survey.layout.fixed_spread.receivers.depth=30"
    run_model(folder, "acoustic", "deep", "survey.components=[vz]", "survey.shots=[0, 1]", layout)
    for kind in ("model", "rtm"):
        content = job_content(kind, "elastic")
        if kind == "rtm":
            content["survey"]["data"] = "runs/a/shots_vz.sgy"
        write_job(folder, content)
    return folder


def run(folder: Path, kind: str, *pairs: str) -> str:
    """Output of a command that must be refused before its run folder appears."""
    arguments = [kind, str(folder / f"{kind}.yaml"), "--output", str(folder / "new")]
    for pair in pairs:
        arguments += ["--set", pair]
    result = CliRunner().invoke(cli, arguments)
    assert not (folder / "new").exists()
    assert result.exit_code == 2, result.output
    return " ".join(result.output.split())


@pytest.mark.parametrize(
    ("kind", "pairs", "words"),
    [
        ("model", ["survey.components=[vy]"], ["names 'vy'", "in 2-D", "pressure, vz and vx"]),
        ("model", ["survey.source=fy"], ["survey.source is 'fy'", "fz, fx and moment"]),
        (
            "model",
            ["survey.source={moment: [[1, 0, 0], [0, 1, 0], [0, 0, 1]]}"],
            ["moment of model.yaml is 3 by 3", "2-D"],
        ),
        ("rtm", ["physics=scalar"], ["shots_vz.sgy holds vz", "scalar records pressure"]),
        (
            "rtm",
            ["survey.data={pressure: runs/a/shots_pressure.sgy, vz: runs/one/shots.sgy}"],
            ["shot 2: pressure", "32 traces", "0 traces"],
        ),
        (
            "rtm",
            ["survey.data={pressure: runs/a/shots_pressure.sgy, vz: runs/deep/shots.sgy}"],
            ["shot 1: receiver 0 of vz", "at (30, 0) m", "at (20, 0) m"],
        ),
        ("rtm", ["survey.data={vz: runs/none.sgy}"], ["none.sgy does not exist"]),
        ("rtm", ["survey.data={vx: runs/a/shots_vz.sgy}"], ["for vx", "is 12: vz"]),
        (
            "rtm",
            [f"survey.data={ALL}", "survey.component_weights={vx: 2}"],
            ["component_weights of rtm.yaml names vx", "pressure and vz"],
        ),
        (
            "model",
            ["earth_model.vs={ratio: {of: vp, value: 0.9}}"],
            ["above 0.866", "bulk modulus is negative"],
        ),
        (
            "model",
            ["earth_model.vs={constant: 40}"],
            ["wavelet.ricker.peak_frequency", "slowest shear wave, vs = 40 m/s"],
        ),
        ("model", ["earth_model.rho={constant: 0}"], ["rho.constant holds 0"]),
        ("model", ["earth_model.rho=null"], ["needs vp, vs and rho", "gardner"]),
    ],
    ids=[
        "component of 3-D",
        "source of 3-D",
        "moment of 3-D",
        "scalar with vz",
        "shots differ",
        "receivers differ",
        "no file",
        "header contradicts",
        "weight of nothing",
        "bulk modulus",
        "slow shear wave",
        "density zero",
        "no density",
    ],
)
def test_what_cannot_be_is_refused_with_its_place(folder, kind, pairs, words):
    text = run(folder, kind, *pairs)
    for word in words:
        assert word in text


def test_rock_of_negative_poissons_ratio_is_a_warning(folder, caplog):
    ratio = "earth_model.vs={ratio: {of: vp, value: 0.75}}"
    run_model(folder, "elastic", "odd", ratio, "survey.shots=[0]", "survey.components=[vz]")
    assert any("Poisson's ratio is negative" in message for message in caplog.messages)


@pytest.mark.filterwarnings("ignore:.*contact of water and rock")
def test_pressure_at_a_free_surface_is_zero_in_water_only(folder, caplog):
    pairs = ["survey.shots=[0]", "propagator.free_surface=[z0]"]
    pairs += ["survey.layout.fixed_spread.receivers.depth=0"]
    run_model(folder, "elastic", "sea", *pairs, "survey.components=[pressure, vz]")
    said = [line for line in caplog.messages if "pressure receivers lie on the free" in line]
    assert len(said) == 1
    caplog.clear()
    land = "earth_model.vs={ratio: {of: vp, value: 0.5}}"
    run_model(folder, "elastic", "land", *pairs, land, "survey.components=[pressure]")
    assert not any("pressure receivers" in line for line in caplog.messages)
    assert np.load(folder / "true_vs.npy")[0].max() == 0
