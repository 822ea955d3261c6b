"""The command line: quick answers, exit codes, and one clear message per error."""

import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from wavepipe.cli import main as cli_main
from wavepipe.cli.main import COMMANDS, LazyGroup, Progress, cli
from wavepipe.cli.options import load_job, run_options, run_started
from wavepipe.pipeline.errors import JobError
from wavepipe.pipeline.job.template import job_template

HEAVY = ("torch", "dask", "distributed", "scipy", "matplotlib", "zarr")


def run_in_process(*arguments: str) -> tuple[float, subprocess.CompletedProcess[str]]:
    """Best time of three and the last result of a real command."""
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "wavepipe.cli", *arguments],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        best = min(best, time.perf_counter() - start)
    return best, done


def test_help_answers_in_under_a_second_and_lists_every_command():
    seconds, done = run_in_process("--help")
    assert done.returncode == 0
    assert seconds < 1.0
    for name in COMMANDS:
        assert f"  {name} " in done.stdout


def test_a_misspelt_key_is_refused_in_under_a_second(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text(
        job_template("fwi", "bad.yaml").replace("max_frequency: 6", "max_frequencyy: 6")
    )
    seconds, done = run_in_process("fwi", str(path))
    assert done.returncode == 2
    assert seconds < 1.0
    assert done.stderr.startswith(
        "Error: unknown key 'max_frequencyy' in section fwi.stages[0] of bad.yaml; "
        "did you mean 'max_frequency'?"
    )
    assert len(done.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["bad.yaml"]


def test_nothing_heavy_is_imported_to_read_a_job(tmp_path):
    (tmp_path / "job.yaml").write_text(job_template("model", "job.yaml"))
    code = (
        "import sys, wavepipe.cli.main, wavepipe.cli.model, wavepipe.cli.rtm, wavepipe.cli.fwi\n"
        "from wavepipe.cli.options import load_job\nfrom pathlib import Path\n"
        f"load_job('model', Path({str(tmp_path / 'job.yaml')!r}))\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_version_is_the_package_version():
    result = CliRunner().invoke(cli, ["--version"])
    assert result.exit_code == 0
    assert "0.1.0" in result.output


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_can_be_imported_and_explains_itself(name):
    result = CliRunner().invoke(cli, [name, "--help"])
    assert result.exit_code == 0
    assert "Usage:" in result.output


def test_an_unknown_command_is_refused():
    assert CliRunner().invoke(cli, ["modle"]).exit_code == 2


@pytest.fixture
def with_command(monkeypatch):
    """Put one extra command into the group."""

    def add(function):
        command = click.command()(function)
        monkeypatch.setattr(
            LazyGroup, "get_command", lambda self, ctx, name: command if name == "do" else None
        )
        return CliRunner().invoke(cli, ["do"])

    return add


def test_our_own_errors_are_one_message_and_exit_code_2(with_command):
    def fail() -> None:
        raise JobError("this and that is wrong; do so.")

    result = with_command(fail)
    assert result.exit_code == 2
    assert result.stderr == "Error: this and that is wrong; do so.\n"


def test_other_errors_are_exit_code_1_with_the_traceback_in_a_file(
    with_command, tmp_path, monkeypatch
):
    monkeypatch.setattr(cli_main.tempfile, "tempdir", str(tmp_path))

    def fail() -> None:
        raise KeyError("missing")

    result = with_command(fail)
    assert result.exit_code == 1
    assert "KeyError" in result.stderr
    assert "Traceback" not in result.stderr
    (log,) = tmp_path.iterdir()
    assert str(log) in result.stderr
    assert "Traceback" in log.read_text()


def test_the_traceback_of_a_started_run_is_in_its_folder(with_command, tmp_path):
    def fail() -> None:
        run_started(tmp_path)
        raise KeyError("missing")

    result = with_command(fail)
    assert result.exit_code == 1
    assert "KeyError" in (tmp_path / "error.log").read_text()


@pytest.mark.parametrize(("started", "code"), [(False, 130), (True, 75)])
def test_an_interruption_is_75_once_work_has_begun(with_command, tmp_path, started, code):
    def interrupted() -> None:
        if started:
            run_started(tmp_path)
        raise KeyboardInterrupt

    assert with_command(interrupted).exit_code == code


STOPPED_ITSELF = """
import os, signal, sys, time
from pathlib import Path
import click
from wavepipe.cli import main
from wavepipe.cli.options import run_started

@click.command()
def do():
    run_started(Path("somewhere"))
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(10)

main.LazyGroup.get_command = lambda *_: do
sys.argv = ["wavepipe", "do"]
main.main()
"""


def test_a_request_to_stop_ends_as_an_interruption_does():
    result = subprocess.run(
        [sys.executable, "-c", STOPPED_ITSELF], capture_output=True, text=True, check=False
    )
    assert result.returncode == 75
    assert "What was finished is in somewhere; go on with --resume." in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("code", [0, 3])
def test_a_command_returns_its_exit_code(with_command, code):
    assert with_command(lambda: code).exit_code == code


def test_run_started_outside_a_command_does_nothing(tmp_path):
    run_started(tmp_path)
    assert Progress().run_folder is None


def load(*arguments: str) -> tuple[int, object]:
    """Exit code and the job that a command line with the shared options leads to."""
    found: list[object] = []

    @click.command()
    @run_options
    def command(*, dry_run: bool, **options) -> None:
        assert not dry_run
        found.append(load_job("model", **options))

    result = CliRunner().invoke(command, list(arguments))
    if isinstance(result.exception, JobError | ValueError):
        return 2, result.exception
    return result.exit_code, found[0] if found else result.output


def test_flags_win_over_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "jobs" / "job.yaml"
    path.parent.mkdir()
    path.write_text(job_template("model", "job.yaml"))
    code, job = load(
        str(path), "--output", "here", "--workers", "3", "--set", "survey.nt=20",
        "--set", "run.seed=5",
    )  # fmt: skip
    assert code == 0
    assert job.output_folder == Path(tmp_path / "here")
    assert job.cluster.workers == 3
    assert job.survey.nt == 20
    assert job.run.seed == 5
    code, job = load(str(path), "--scheduler", "tcp://127.0.0.1:9")
    assert (job.cluster.kind, job.cluster.address) == ("address", "tcp://127.0.0.1:9")


def test_workers_of_a_running_scheduler_cannot_be_counted(tmp_path):
    path = tmp_path / "job.yaml"
    path.write_text(job_template("model", "job.yaml"))
    code, output = load(str(path), "--workers", "2", "--scheduler", "tcp://127.0.0.1:9")
    assert code == 2
    assert "give one of them" in output


def test_a_job_of_another_kind_and_a_used_folder_are_refused(tmp_path):
    path = tmp_path / "job.yaml"
    path.write_text(job_template("model", "job.yaml"))
    code, error = load(str(path), "--set", "kind=rtm")
    assert code == 2
    (tmp_path / "runs" / "model" / "results.zarr").mkdir(parents=True)
    code, error = load(str(path))
    assert code == 2
    assert "already holds a run" in str(error)
