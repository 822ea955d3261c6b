"""A new user's first hour: the templates run one after the other, as they are but smaller."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import xarray as xr

SMALLER = {
    "model": ["survey.layout.fixed_spread.sources.x.step=1000", "survey.nt=220"],
    "rtm": [],
    "fwi": ["fwi.stages=[{max_frequency: 6, iterations: 1}]"],
}


def wavepipe(folder: Path, *arguments: str) -> str:
    """Run a command in `folder`, and its output."""
    done = subprocess.run(
        [sys.executable, "-m", "wavepipe.cli", *arguments],
        cwd=folder, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder where the three templates were run with one worker."""
    folder = tmp_path_factory.mktemp("first_hour")
    for kind, changes in SMALLER.items():
        wavepipe(folder, "init", kind)
        sets = [word for change in changes for word in ("--set", change)]
        wavepipe(folder, kind, f"{kind}.yaml", "--workers", "1", *sets)
    return folder


@pytest.mark.parametrize(
    ("kind", "files"),
    [
        ("model", ["shots.sgy", "figures/geometry.png", "figures/gather.png"]),
        ("rtm", ["image.sgy", "illumination.sgy", "figures/image.png"]),
        ("fwi", ["vp.sgy", "figures/convergence.png"]),
    ],
)
def test_a_run_leaves_what_the_template_promises(folder, kind, files):
    run = folder / "runs" / kind
    common = ["job.resolved.yaml", "plan.json", "provenance.json", "events.jsonl", "results.zarr"]
    missing = [name for name in [*files, *common] if not (run / name).exists()]
    assert missing == []
    assert list(run.rglob("*.partial")) == []
    with xr.open_zarr(run / "results.zarr") as results:
        assert results.status.values.tolist() == ["done"] * 3


def test_the_misfit_falls(folder):
    with xr.open_zarr(folder / "runs" / "fwi" / "results.zarr") as results:
        assert results.sizes["iteration"] >= 2
        assert results.misfit.values[1] < results.misfit.values[0]


def test_the_resolved_job_runs_again_from_anywhere(folder, tmp_path):
    resolved = folder / "runs" / "model" / "job.resolved.yaml"
    wavepipe(tmp_path, "model", str(resolved), "--output", "again", "--workers", "1")
    first, again = folder / "runs" / "model" / "shots.sgy", tmp_path / "again" / "shots.sgy"
    assert again.read_bytes() == first.read_bytes()


def test_every_product_can_be_inspected(folder):
    for name in ("runs/rtm", "runs/rtm/results.zarr", "runs/rtm/image.sgy", "runs/model/shots.sgy"):
        assert json.loads(wavepipe(folder, "inspect", name, "--json"))["what"]
