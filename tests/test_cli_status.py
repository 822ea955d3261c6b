"""`wavepipe status` and `wavepipe cancel`: a run seen from outside."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from toy_jobs import settings, toy_job, write_job, write_models

from wavepipe.cli.main import cli
from wavepipe.pipeline import status as module
from wavepipe.pipeline.clusters.cluster import InProcess
from wavepipe.pipeline.execution import start_run
from wavepipe.pipeline.inversion import invert_survey
from wavepipe.pipeline.modelling import model_survey
from wavepipe.pipeline.run_folder import RunFolder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Modelled data and a finished inversion."""
    folder = tmp_path_factory.mktemp("status")
    write_models(folder)
    model_survey(toy_job(folder, "model"), cluster=InProcess())
    invert_survey(toy_job(folder, "fwi"), cluster=InProcess())
    return folder


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli, list(arguments))
    return result.exit_code, result.output


def test_a_finished_run(folder):
    code, text = run("status", str(folder / "runs/fwi"))
    assert code == 0
    assert "fwi, finished" in text
    assert "iteration 3, misfit " in text
    code, text = run("status", str(folder / "runs/fwi"), "--json", "--follow")
    found = json.loads(text)
    assert (found["kind"], found["state"], found["owner"]) == ("fwi", "finished", "")
    assert found["iteration"] == 3
    assert found["evaluations"] >= 4


def test_a_run_that_goes_on_and_one_that_was_stopped(folder):
    """Of the first, who is at work; of the second, how to go on, which works as it is said."""
    job = toy_job(folder, "rtm", output__folder="runs/stopped")
    run_folder = RunFolder(job.output_folder)
    with start_run(job, cluster=InProcess()):  # which leaves without having done anything
        run_folder.log_event({"event": "batch", "shots": 3})
        code, text = run("status", str(run_folder.path))
        assert code == 0
        assert "rtm, running by process " in text
        assert "3 of 8 shots of this evaluation, 0 evaluations before it" in text
    code, text = run("status", str(run_folder.path))
    assert "rtm, stopped" in text
    command = text.splitlines()[-1].partition("wavepipe ")[2].split()
    assert run(*command)[0] == 0
    assert module.status_of(run_folder).state == "finished"


def test_a_run_is_cancelled_and_goes_on(folder):
    """The driver ends with 75; a second time there is nobody."""
    path = write_job(folder, settings("fwi"), "long.yaml")
    target = folder / "runs/long"
    line = [sys.executable, "-m", "wavepipe.cli", "fwi", str(path), "--output", str(target)]
    driver = subprocess.Popen([*line, "--workers", "1"], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list(target.glob("ledger/*/*.sum")):
        assert driver.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert module.status_of(RunFolder(target)).state == "running"
    code, text = run("cancel", str(target))
    assert code == 0, text
    assert "go on with --resume" in text
    assert driver.wait(60) == 75, driver.communicate()[1]
    driver.communicate()
    code, text = run("cancel", str(target))
    assert (code, "Nobody is at work" in text) == (0, True)


def test_a_run_on_another_machine_is_not_guessed_at(folder, monkeypatch):
    monkeypatch.setattr(RunFolder, "owner", lambda _: "process 1 on elsewhere")
    code, text = run("cancel", str(folder / "runs/fwi"))
    assert code == 2
    assert "process 1 on elsewhere is at work" in text


def test_what_is_no_run_is_refused(tmp_path):
    for command in ("status", "cancel"):
        code, text = run(command, str(tmp_path))
        assert code == 2
        assert "is not a run folder" in text
