"""Jobs that cannot run: one message, exit code 2, and nothing written."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from toy_jobs import settings, write_job, write_models

from wavepipe.cli.main import cli
from wavepipe.pipeline import cluster, passes
from wavepipe.pipeline.cluster import InProcess
from wavepipe.pipeline.job import read_job
from wavepipe.pipeline.modelling import model_survey


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with modelled data and a job file of each kind."""
    folder = tmp_path_factory.mktemp("refused")
    write_models(folder)
    for kind in ("model", "rtm", "fwi"):
        write_job(folder, settings(kind))
    model_survey(read_job(folder / "model.yaml"), cluster=InProcess())
    return folder


def run(folder: Path, kind: str, *pairs: str, options: tuple[str, ...] = ()) -> tuple[int, str]:
    """Exit code and output of a command whose run folder must not appear."""
    arguments = [kind, str(folder / f"{kind}.yaml"), "--output", str(folder / "new"), *options]
    for pair in pairs:
        arguments += ["--set", pair]
    result = CliRunner().invoke(cli, arguments)
    assert not (folder / "new").exists()
    return result.exit_code, " ".join(result.output.split())


@pytest.mark.parametrize(
    ("kind", "pairs", "words"),
    [
        ("model", ["survey.layout.fixed_spread.sources.x=[700.0]"], ["700", "630", "drop"]),
        ("rtm", ["earth_model.origin=[0, 100]"], ["outside", "origin"]),
        ("model", ["wavelet.ricker.peak_frequency=60.0"], ["Hz", "spacing"]),
        ("rtm", ["survey.dt=0.002"], ["survey.dt", "0.002", "0.004"]),
        ("model", ["propagator.time_step=0.0039"], ["stable", "0.0039"]),
        ("model", ["propagator.velocity_bound=1800.0"], ["velocity_bound", "2200"]),
        (
            "model",
            ["propagator.free_surface=[z0]", "survey.layout.fixed_spread.sources.depth=0"],
            ["free surface", "z0"],
        ),
        (
            "fwi",
            ["earth_model.vp={constant: 2500.0}", "earth_model.shape=[30, 64]"],
            ["fwi.mask.water", "2500"],
        ),
    ],
    ids=[
        "source outside",
        "origin",
        "wavelet too high",
        "dt contradicts",
        "step too long",
        "bound too low",
        "source on free surface",
        "no water",
    ],
)
def test_a_job_that_cannot_run_is_refused_with_its_numbers(folder, kind, pairs, words):
    code, text = run(folder, kind, *pairs)
    assert code == 2, text
    for word in words:
        assert word in text


def test_a_scheduler_that_does_not_answer_is_named(folder, monkeypatch):
    monkeypatch.setattr(cluster, "CONNECT_TIMEOUT", 0.5)
    monkeypatch.setitem(cluster.SETTINGS, "distributed.comm.timeouts.connect", "0.5s")
    code, text = run(folder, "model", options=("--scheduler", "tcp://127.0.0.1:9"))
    assert code == 2
    assert "no Dask scheduler answers at tcp://127.0.0.1:9" in text


def test_a_machine_without_a_compiler_is_refused_unless_the_job_accepts_the_slow_back_end(
    folder, monkeypatch
):
    monkeypatch.setattr(passes, "find_compiler", lambda: None)
    code, text = run(folder, "model")
    assert code == 2
    assert "no C compiler" in text
    assert "propagator.backend: reference" in text
    job = read_job(
        folder / "model.yaml",
        ["propagator.backend=reference", "survey.shots=[0]", "output.folder=runs/slow"],
    )
    assert model_survey(job, cluster=InProcess()).accepted


def test_positions_outside_are_dropped_where_the_job_says_so(folder):
    pairs = ["survey.layout.fixed_spread.sources.x=[300.0, 700.0]", "survey.outside=drop"]
    job = read_job(folder / "model.yaml", [*pairs, "output.folder=runs/dropped"])
    outcome = model_survey(job, cluster=InProcess())
    assert outcome.accepted
    assert outcome.shots == (0,)
    attributes = (outcome.folder / "results.zarr" / "zarr.json").read_text()
    assert "its source at (15, 700) m is outside" in attributes


def test_too_many_failed_shots_are_exit_code_3(folder, monkeypatch):
    """The SEG-Y file loses its last shots after its headers were read."""
    from wavepipe.pipeline import migration
    from wavepipe.pipeline.errors import SegyError
    from wavepipe.pipeline.shots import Survey

    read = Survey.read_gather

    def read_gather(survey, i):
        if i == 5:
            raise SegyError("shots.sgy has 160 traces now")
        return read(survey, i)

    monkeypatch.setattr(Survey, "read_gather", read_gather)
    migrate = migration.migrate_survey
    monkeypatch.setattr(
        migration, "migrate_survey", lambda job, **more: migrate(job, cluster=InProcess(), **more)
    )
    result = CliRunner().invoke(
        cli, ["rtm", str(folder / "rtm.yaml"), "--output", str(folder / "three")]
    )
    assert result.exit_code == 3, result.output
    assert "shot 6 failed: shots.sgy has 160 traces now" in result.output
    assert np.load(folder / "start.npy").shape == (30, 64)
