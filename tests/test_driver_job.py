"""`wavepipe submit`: the driver's own job, by its text and by running its script."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from cluster_jobs import batch_section, cluster_job
from toy_jobs import write_models

from wavepipe.cli import exit_codes
from wavepipe.cli.main import cli
from wavepipe.pipeline.clusters import driver_job
from wavepipe.pipeline.clusters.batch_systems import BATCH_SYSTEMS
from wavepipe.pipeline.clusters.driver_job import Driver, batch_kind
from wavepipe.pipeline.errors import ClusterError, JobError, RunFolderError
from wavepipe.pipeline.job import read_job
from wavepipe.pipeline.run_folder import RunFolder

ASKED = {"walltime": "10:00:00", "memory": "6 GB", "cores": 3, "requeue": True}

DIRECTIVES = {
    "slurm": [
        "#SBATCH --cpus-per-task=3",
        "#SBATCH --mem=6000M",
        "#SBATCH --time=10:00:00",
        "#SBATCH --partition=long",
        "#SBATCH --account=geo",
        "#SBATCH --signal=B:USR1@120",
        "#SBATCH --requeue",
        '    scontrol requeue "$SLURM_JOB_ID"',
    ],
    "pbs": [
        "#PBS -S /bin/bash",
        "#PBS -l select=1:ncpus=3:mem=6000mb",
        "#PBS -l walltime=10:00:00",
        "#PBS -q long",
        "#PBS -A geo",
    ],
    "lsf": [
        "#BSUB -n 3",
        "#BSUB -M 6000MB",
        "#BSUB -W 10:00",
        "#BSUB -q long",
        '#BSUB -P "geo"',
        '#BSUB -Q "99"',
        "    exit 99",
    ],
    "sge": [
        "#$ -S /bin/bash",
        "#$ -l h_rt=10:00:00",
        "#$ -q long",
        "#$ -P geo",
        "#$ -r y",
        "    exit 99",
    ],
    "oar": [
        "#OAR -l /nodes=1/core=3,walltime=10:00:00",
        "#OAR -q long",
        "#OAR --project geo",
        "#OAR -t idempotent",
        "    exit 99",
    ],
    "htcondor": [
        "request_cpus = 3",
        "request_memory = 6000MB",
        "allowed_job_duration = 36000",
        "accounting_group = geo",
        "on_exit_remove = ExitCode =!= 99",
        "    exit 99",
    ],
}


def asked_of(kind: str) -> dict:
    """SGE and OAR have no words of their own for memory, SGE none for cores."""
    missing = {"sge": ("cores", "memory"), "oar": ("memory",)}.get(kind, ())
    return {key: ASKED[key] for key in ASKED if key not in missing}


def driver(folder: Path, kind: str, **asked: object) -> Driver:
    section = batch_section("slurm", driver=asked)
    return Driver(cluster_job(folder, section), kind)


@pytest.mark.parametrize("kind", BATCH_SYSTEMS)
def test_what_the_driver_asks_for_is_in_its_script(kind, tmp_path):
    found = driver(tmp_path, kind, **asked_of(kind))
    text = "\n".join(found.files().values())
    for line in DIRECTIVES[kind]:
        assert line in text.splitlines(), text
    assert f"-m wavepipe.cli model {found.job.path} --resume" in text
    assert ("timeout --foreground --preserve-status 35880 " in text) == (kind != "slurm")
    assert text.index("trap stop TERM") < text.index("-m wavepipe.cli")
    plain = "\n".join(driver(tmp_path, kind).files().values())
    assert "None" not in plain
    assert not re.search(r"\{\w+\}", plain)
    assert "exit 99" not in plain
    assert "scontrol requeue" not in plain


@pytest.mark.parametrize("kind", BATCH_SYSTEMS)
def test_a_script_is_bash(kind, tmp_path):
    for path, text in driver(tmp_path, kind, **asked_of(kind)).files().items():
        if path.suffix == ".sh":
            subprocess.run(["bash", "-n"], input=text, text=True, check=True)


@pytest.fixture
def run_script(tmp_path, monkeypatch):
    """Starts the script of a driver that is replaced by a short program."""

    def start(
        program: str, kind: str = "slurm", late: str = "", **asked: object
    ) -> subprocess.Popen:
        command = [sys.executable, "-c", program]
        monkeypatch.setattr(Driver, "_command", lambda self: command)
        queue = tmp_path / "scontrol"  # stands in the place of SLURM's command
        queue.write_text(f"#!/bin/sh\necho $1 $2 >> {tmp_path}/requeued\n")
        queue.chmod(0o755)
        found = driver(tmp_path, kind, **asked)
        (text,) = found.files().values()
        if late:  # as on a machine that is busy just then
            assert f"{late}\n" in text
            text = text.replace(f"{late}\n", f"{late}\nsleep 0.5\n")
        path = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "7"}
        return subprocess.Popen(["bash", "-c", text], env=os.environ | path)

    return start


DRIVER = """
import signal, sys, time
def stop(*_):
    time.sleep({seconds})
    sys.exit(75)
signal.signal(signal.SIGTERM, stop)
with open({events!r}, "a") as events:
    events.write({done!r})
open({ready!r}, "w").close()
time.sleep(60)
"""

BATCH = '{"time": "", "event": "batch", "shots": 1}\n'
OTHER = '{"time": "", "event": "start", "shots": 1}\n'


def stopped(
    folder: Path, start: Callable[..., subprocess.Popen], number: int, done: str, **more: object
) -> tuple[int, str]:
    """Exit status of a driver's job that gets a signal, and what it asks of the queue."""
    (folder / "runs/model").mkdir(parents=True)
    events, ready, log = folder / "runs/model/events.jsonl", folder / "ready", folder / "requeued"
    events.write_text(BATCH)  # of an earlier job
    seconds = 0.0 if more else 0.3
    program = DRIVER.format(events=str(events), done=done, ready=str(ready), seconds=seconds)
    process = start(program, requeue=True, **more)
    deadline = time.monotonic() + 60
    while not ready.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(number)
    return process.wait(60), log.read_text() if log.exists() else ""


@pytest.mark.parametrize(
    ("number", "done", "requeued"),
    [
        (signal.SIGUSR1, BATCH, "requeue 7\n"),
        (signal.SIGUSR1, OTHER, ""),
        (signal.SIGTERM, BATCH, ""),
    ],
    ids=["walltime", "nothing-done", "cancelled"],
)
def test_a_driver_whose_walltime_ends_goes_back_in_the_queue(
    number, done, requeued, tmp_path, run_script
):
    """Not what is cancelled, nor what would come to nothing again; it stops by itself always."""
    assert stopped(tmp_path, run_script, number, done) == (75, requeued)


def test_a_driver_that_ends_with_the_signal_has_its_own_status(tmp_path, run_script):
    """And not 128 and the signal's number, with which the wait for it ends."""
    found = stopped(tmp_path, run_script, signal.SIGUSR1, BATCH, late="status=$?")
    assert found == (75, "requeue 7\n")


def test_a_driver_that_ends_at_once_has_its_own_status(run_script):
    assert run_script("raise SystemExit(3)", late="driver=$!").wait(60) == 3


def test_the_walltime_stops_the_driver_and_not_its_workers(tmp_path, monkeypatch):
    """Who stop when the driver says so, after the batches in flight."""
    program = tmp_path / "python"  # in the place of the driver, which has a worker
    program.write_text(
        "#!/bin/bash\n"
        f'bash -c \'trap "echo hit > {tmp_path}/worker" TERM; '
        f"touch {tmp_path}/ready; sleep 3; sleep 1' & worker=$!\n"
        f"while [ ! -e {tmp_path}/ready ]; do sleep 0.02; done\n"
        f"trap 'touch {tmp_path}/driver; sleep 0.5; kill -KILL $worker; exit 75' TERM\n"
        "wait; wait\n"
    )
    program.chmod(0o755)
    monkeypatch.setattr(driver_job.sys, "executable", str(program))
    (text,) = driver(tmp_path, "pbs", walltime=3, warning=2).files().values()
    assert subprocess.run(["bash", "-c", text], timeout=60, check=False).returncode == 75
    assert (tmp_path / "driver").exists()
    assert not (tmp_path / "worker").exists()


@pytest.mark.parametrize("kind", ["sge", "htcondor"])
def test_what_no_directive_says_is_refused(kind, tmp_path):
    asked = {"sge": {"cores": 4}, "htcondor": {"queue": "long"}}[kind]
    said = rf"cluster\.driver\.{next(iter(asked))} is nothing that {kind} knows"
    with pytest.raises(JobError, match=said):
        driver(tmp_path, kind, **asked).files()


def test_a_warning_as_long_as_the_walltime_is_refused(tmp_path):
    """With both values: every job would stop at once, and start again."""
    with pytest.raises(JobError, match="warning is 600 s and walltime 300 s"):
        driver(tmp_path, "slurm", walltime="0:05:00", warning=600)


def test_names_that_a_script_cannot_hold(tmp_path):
    """Those of job files are changed, those of run folders refused."""
    job = cluster_job(tmp_path, batch_section("slurm"))
    odd = job.path.rename(job.path.with_name("north sea $1.yaml"))
    (text,) = Driver(read_job(odd), "slurm").files().values()
    assert "#SBATCH --job-name=wavepipe-north-sea--1\n" in text
    for name in ("with blank", "a$b", "run%j"):
        job = cluster_job(tmp_path, batch_section("slurm"), output={"folder": name})
        with pytest.raises(JobError, match=r"run folder .* cannot be named in .* a slurm job"):
            Driver(job, "slurm").files()


def test_a_run_that_is_finished_or_at_work_is_not_submitted(tmp_path, monkeypatch):
    found = driver(tmp_path, "slurm")
    folder = RunFolder.create(found.job.output_folder)
    monkeypatch.setenv("PATH", str(tmp_path))  # nothing there submits
    with folder.locked(), pytest.raises(RunFolderError, match="is at work in"):
        found.submit()
    folder.log_event({"event": "end", "shots": 8, "failed": 0, "accepted": True})
    with pytest.raises(RunFolderError, match="is finished"):
        found.submit()
    assert not found.script_path.exists()


def test_a_driver_that_is_stopped_by_hand_stays_stopped(tmp_path, run_script):
    """`wavepipe cancel` and a full disk end it with 75 too."""
    assert run_script("raise SystemExit(75)", requeue=True).wait(20) == 75
    assert not (tmp_path / "requeued").exists()


def test_the_status_of_the_driver_is_that_of_its_job(run_script):
    assert run_script("raise SystemExit(3)").wait(20) == 3


def test_without_a_walltime_there_is_no_time_to_requeue(tmp_path):
    with pytest.raises(JobError, match=r"needs cluster\.driver\.walltime on pbs"):
        driver(tmp_path, "pbs", requeue=True).files()
    assert driver(tmp_path, "slurm", requeue=True).files()  # SLURM says when


def test_a_batch_system_that_is_not_there_or_refuses_is_told(tmp_path, monkeypatch):
    found = driver(tmp_path, "slurm")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ClusterError, match="'sbatch', and this machine has no such command"):
        found.submit()
    refusing = tmp_path / "sbatch"
    refusing.write_text("#!/bin/sh\necho invalid partition >&2\nexit 1\n")
    refusing.chmod(0o755)
    with pytest.raises(ClusterError, match=r"'sbatch' refuses .*driver\.sh: invalid partition"):
        found.submit()


def test_a_job_of_this_machine_needs_to_be_told_where(tmp_path):
    job = cluster_job(tmp_path, {"kind": "local"})
    with pytest.raises(JobError, match="is 'local', which is no batch system; say with --on"):
        batch_kind(job, None)
    assert batch_kind(job, "lsf") == "lsf"


def test_the_command_shows_its_script_and_writes_nothing(tmp_path, monkeypatch):
    write_models(tmp_path)
    job = cluster_job(tmp_path, batch_section("slurm"))
    before = set(tmp_path.rglob("*"))
    words = [str(job.path), "--dry-run", "--set", "run.seed=3", "--output", str(tmp_path / "out")]
    result = CliRunner().invoke(cli, ["submit", *words])
    assert result.exit_code == 0, result.output
    assert "#SBATCH --signal=B:USR1@120" in result.output
    assert "--set run.seed=3 --set" in result.output
    assert f"{tmp_path}/out/driver.sh" in result.output
    assert set(tmp_path.rglob("*")) == before
    assert f"-eq {exit_codes.STOPPED} ]" in driver_job.REQUEUE
