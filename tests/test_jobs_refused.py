"""Jobs that cannot run: one message, exit code 2, and nothing written."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from toy_jobs import settings, write_job, write_models

from wavepipe.cli.main import cli
from wavepipe.pipeline import passes
from wavepipe.pipeline.clusters import cluster
from wavepipe.pipeline.clusters.cluster import InProcess
from wavepipe.pipeline.job import read_job
from wavepipe.pipeline.modelling import model_survey
from wavepipe.pipeline.segy.images import write_image_segy
from wavepipe.propagators.errors import BackendError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with modelled data and a job file of each kind."""
    folder = tmp_path_factory.mktemp("refused")
    write_models(folder)
    for kind in ("model", "rtm", "fwi"):
        write_job(folder, settings(kind))
    model_survey(read_job(folder / "model.yaml"), cluster=InProcess())
    write_image_segy(folder / "depth.sgy", np.ones((30, 64)), (10, 10), (0, 0), "an image")
    file = bytearray((folder / "runs" / "model" / "shots.sgy").read_bytes())
    traces = np.frombuffer(file, dtype=np.uint8, offset=3600).reshape(-1, 240 + 4 * 130)
    traces[:, 240:] = 0
    (folder / "silent.sgy").write_bytes(file)
    (folder / "text.npy").write_text("1500 1500 1900")
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
        (
            "fwi",
            ["fwi.parameters.vp.bounds=[1700, 2600]", "fwi.mask.water=false"],
            ["fwi.parameters.vp.bounds of fwi.yaml", "1700 to 2600", "1500 m/s at z = 0 m, x = 0"],
        ),
        (
            "fwi",
            ["fwi.stages=[{max_frequency: 9, iterations: 1}, {max_frequency: 125, iterations: 1}]"],
            ["fwi.stages.1.max_frequency of fwi.yaml is 125 Hz", "end at 125 Hz"],
        ),
        (
            "model",
            ["wavelet.ricker={peak_frequency: 25, delay: 0}"],
            ["wavelet.ricker.peak_frequency of model.yaml", "cut at t = 0", "100% of its peak"],
        ),
        ("rtm", ["survey.data=depth.sgy"], ["depth.sgy is in depth", "gathers in time"]),
        ("rtm", ["survey.data=silent.sgy"], ["all 256 traces", "silent.sgy", "zero"]),
        (
            "rtm",
            ["earth_model.vp.path=text.npy"],
            ["text.npy is not a .npy file", "numpy.save"],
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
        "bounds exclude the start",
        "stage above Nyquist",
        "wavelet cut",
        "data in depth",
        "data all zero",
        "text as npy",
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


@pytest.mark.parametrize("address", ["nonsense", "tcp://host", "tcp://host:99999", "host:8786"])
def test_an_address_that_is_none_is_refused_without_waiting(folder, address):
    start = time.perf_counter()
    code, text = run(folder, "model", options=("--scheduler", address))
    assert code == 2
    assert f"'{address}' is not the address of a scheduler" in text
    assert time.perf_counter() - start < 5.0  # connecting waits for 10 s


def test_input_is_refused_before_torch_and_dask_are_loaded(folder):
    """Whoever mistypes a position should not wait for libraries."""
    code = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from wavepipe.cli.main import cli\n"
        "result = CliRunner().invoke(cli, sys.argv[1:])\n"
        "assert result.exit_code == 2, result.output\n"
        "assert 'outside the model' in result.output\n"
        "print(sorted({'torch', 'dask', 'distributed', 'scipy', 'zarr'} & set(sys.modules)))\n"
    )
    for kind in ("rtm", "fwi"):
        job = [kind, str(folder / f"{kind}.yaml"), "--set", "earth_model.origin=[0, 100]"]
        done = subprocess.run(
            [sys.executable, "-c", code, *job, "--output", str(folder / "new")],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout.strip() == "[]", done.stderr


def test_a_compiler_that_fails_leaves_nothing_behind(folder, monkeypatch):
    def fails():
        raise BackendError("the C compiler /bin/false failed")

    monkeypatch.setattr(passes, "check_compiler", fails)
    code, text = run(folder, "model")
    assert code == 2
    assert "the C compiler /bin/false failed" in text


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
