"""`wavepipe submit`: the driver's own job, by its text and by running its script."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from cluster_jobs import batch_section, cluster_job
from toy_jobs import write_models

from wavepipe.cli.main import cli
from wavepipe.pipeline.clusters import driver_job
from wavepipe.pipeline.clusters.batch_systems import BATCH_SYSTEMS
from wavepipe.pipeline.clusters.driver_job import Driver, batch_kind
from wavepipe.pipeline.errors import ClusterError, JobError

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
    "sge": ["#$ -l h_rt=10:00:00", "#$ -q long", "#$ -P geo", "#$ -r y", "    exit 99"],
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


def driver(folder: Path, kind: str, **asked: object) -> Driver:
    section = batch_section("slurm", driver=asked)
    return Driver(cluster_job(folder, section), kind)


@pytest.mark.parametrize("kind", BATCH_SYSTEMS)
def test_what_the_driver_asks_for_is_in_its_script(kind, tmp_path):
    found = driver(tmp_path, kind, **ASKED)
    text = "\n".join(found.files().values())
    for line in DIRECTIVES[kind]:
        assert line in text.splitlines(), text
    assert f"-m wavepipe.cli model {found.job.path} --resume" in text
    assert ("timeout --preserve-status 35880 " in text) == (kind != "slurm")
    plain = "\n".join(driver(tmp_path, kind).files().values())
    assert "None" not in plain
    assert "{" not in plain
    assert "exit 99" not in plain
    assert "scontrol requeue" not in plain


@pytest.mark.parametrize("kind", BATCH_SYSTEMS)
def test_a_script_is_bash(kind, tmp_path):
    for path, text in driver(tmp_path, kind, **ASKED).files().items():
        if path.suffix == ".sh":
            subprocess.run(["bash", "-n"], input=text, text=True, check=True)


@pytest.fixture
def run_script(tmp_path, monkeypatch):
    """Starts the script of a driver that is replaced by a short program."""

    def start(program: str, kind: str = "slurm", **asked: object) -> subprocess.Popen:
        command = [sys.executable, "-c", program]
        monkeypatch.setattr(Driver, "_command", lambda self: command)
        queue = tmp_path / "scontrol"  # stands in the place of SLURM's command
        queue.write_text(f"#!/bin/sh\necho $1 $2 >> {tmp_path}/requeued\n")
        queue.chmod(0o755)
        found = driver(tmp_path, kind, **asked)
        (text,) = found.files().values()
        path = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "7"}
        return subprocess.Popen(["bash", "-c", text], env=os.environ | path)

    return start


DRIVER = """
import signal, sys, time
def stop(*_):
    time.sleep(0.3)
    sys.exit(75)
signal.signal(signal.SIGTERM, stop)
open({ready!r}, "w").close()
time.sleep(60)
"""


@pytest.mark.parametrize(
    ("number", "requeued"), [(signal.SIGUSR1, "requeue 7\n"), (signal.SIGTERM, "")]
)
def test_a_driver_whose_walltime_ends_goes_back_in_the_queue(
    number, requeued, tmp_path, run_script
):
    """What is cancelled does not; either way the driver stops as it would by itself."""
    ready = tmp_path / "ready"
    process = run_script(DRIVER.format(ready=str(ready)), requeue=True)
    while not ready.exists():
        time.sleep(0.02)
    process.send_signal(number)
    assert process.wait(20) == 75
    log = tmp_path / "requeued"
    assert (log.read_text() if log.exists() else "") == requeued


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
    assert driver_job.STOPPED == 75
