"""Runs on a real SLURM of one node, which .ci/start-slurm starts."""

import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner
from cluster_jobs import batch_section, cluster_job
from summed_shots import expected, processes, summed
from toy_jobs import write_models

from wavepipe.cli.main import cli
from wavepipe.pipeline.clusters import batch as cluster_batch
from wavepipe.pipeline.clusters.alike import Alike
from wavepipe.pipeline.clusters.driver_job import Driver
from wavepipe.pipeline.clusters.jobs import Jobs
from wavepipe.pipeline.clusters.lifetime import REASON
from wavepipe.pipeline.errors import ClusterError
from wavepipe.pipeline.job import Job
from wavepipe.pipeline.modelling import model_survey
from wavepipe.pipeline.provenance import collect_provenance

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(find_spec("dask_jobqueue") is None, reason="needs dask-jobqueue"),
]

SMALL = {"memory": "1500 MB", "walltime": "0:10:00"}


def slurm_job(folder: Path, jobs: dict | None = None, **section: object) -> Job:
    """Two workers of one core."""
    asked = {"threads_per_worker": 1, "jobs": jobs or SMALL} | section
    return cluster_job(folder, batch_section("slurm", **asked))


def squeue(*options: str) -> list[str]:
    """What SLURM says of jobs that wait or run."""
    # A job that has ended stays in the list for a while, as completing.
    words = ["squeue", "--me", "--noheader", "--states=PENDING,RUNNING", *options]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()


def eventually(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not so after {seconds} s; {squeue()}"
        time.sleep(0.2)


@pytest.fixture
def _attentive(monkeypatch):
    """SLURM is asked every second, which on a real cluster would be too often."""
    monkeypatch.setattr(cluster_batch, "LOOK_EVERY", 1.0)


@contextmanager
def cluster_of(job: Job) -> Iterator:
    """The workers of a job; nothing is left in SLURM's queue."""
    alike = Alike(collect_provenance(), job)
    jobs = Jobs(job.cluster, job.output_folder)
    with cluster_batch.batch_cluster(jobs, int(job.cluster.workers), 1.0, alike) as cluster:
        yield cluster
    eventually(lambda: not squeue())


def test_a_run_on_slurm_gives_the_bits_of_a_local_one(tmp_path):
    """With certificates."""
    write_models(tmp_path)
    job = slurm_job(tmp_path, tls=True)
    outcome = model_survey(job)
    assert len(outcome.shots) == 8
    eventually(lambda: not squeue())
    alone = cluster_job(tmp_path, {"kind": "local", "workers": 1}, output={"folder": "alone"})
    model_survey(alone)
    here, there = alone.output_folder / "shots.sgy", job.output_folder / "shots.sgy"
    assert there.read_bytes() == here.read_bytes()


@pytest.mark.usefixtures("_attentive")
def test_a_cancelled_job_is_replaced(tmp_path):
    """scancel of a worker's job, and of one that still waits; the bits are the same."""
    job = slurm_job(tmp_path)
    with cluster_of(job) as cluster:
        first: list[str] = []

        def cancel():
            eventually(lambda: (tmp_path / "notes").exists())
            first.extend(squeue("--format=%A"))
            subprocess.run(["scancel", first[0]], check=True)

        thread = threading.Thread(target=cancel)
        thread.start()
        found = summed(cluster, tmp_path, 1.0, 20)
        thread.join()
        eventually(lambda: len(squeue("--format=%A")) == 2)
        assert first[0] not in squeue("--format=%A")
    assert found == expected(tmp_path, 20)
    assert len(set(processes(tmp_path))) == 3


@pytest.mark.usefixtures("_attentive")
def test_jobs_whose_workers_never_come_end_the_run(tmp_path):
    """With the last lines of the log, instead of waiting for ever."""
    failing = SMALL | {"prologue": ["echo the module is not there >&2", "exit 1"]}
    job = slurm_job(tmp_path, failing, workers=3)
    with cluster_of(job) as cluster, pytest.raises(ClusterError) as caught:
        summed(cluster, tmp_path, 0.0, 3)
    assert "3 jobs in a row" in str(caught.value)
    assert "the module is not there" in str(caught.value)


def test_a_job_that_slurm_refuses_is_told(tmp_path):
    write_models(tmp_path)
    job = slurm_job(tmp_path, SMALL | {"queue": "nowhere"})
    result = CliRunner().invoke(cli, ["model", str(job.path)])
    assert result.exit_code == 2
    assert "invalid partition specified: nowhere" in result.output
    eventually(lambda: not squeue())


def test_a_walltime_shorter_than_a_batch_is_refused_by_the_plan(tmp_path):
    write_models(tmp_path)
    job = slurm_job(tmp_path, SMALL | {"walltime": 1})
    for words in (["--dry-run"], []):
        result = CliRunner().invoke(cli, ["model", str(job.path), *words])
        assert result.exit_code == 2
        assert re.search(r"ends after 00:00:01 .* a batch takes about \d+ s", result.output)
    assert not job.output_folder.exists()


def test_a_submitted_driver_submits_its_workers(tmp_path):
    """It is a job of its own, whose log is in the run folder."""
    write_models(tmp_path)
    small = {"memory": "1500 MB", "cores": 1, "walltime": "0:10:00"}
    job = slurm_job(tmp_path, driver=small)
    result = CliRunner().invoke(cli, ["submit", str(job.path)])
    assert result.exit_code == 0, result.output
    number = re.search(r"Submitted batch job (\d+)", result.output)[1]
    log = job.output_folder / "logs" / f"driver-{number}.log"
    eventually(lambda: log.exists() and "8 shots done" in log.read_text())
    eventually(lambda: not squeue())


def test_srun_starts_driver_and_workers(tmp_path):
    write_models(tmp_path)
    job = cluster_job(tmp_path, {"kind": "static", "interface": "lo"})
    program = [sys.executable, "-m", "wavepipe.cli", "model", str(job.path)]
    words = ["srun", "--ntasks=3", "--overcommit", "--mem=4G", *program]
    done = subprocess.run(words, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert "8 shots done" in done.stdout
    assert "2 workers of" in done.stderr


@pytest.mark.slow
def test_a_stopped_run_leaves_no_jobs_and_goes_on(tmp_path):
    """SIGTERM ends the driver with 75 and its workers' jobs with it."""
    write_models(tmp_path)
    job = slurm_job(tmp_path)
    long = ["--set", "propagator.backend=reference", "--set", "cluster.batch_shots=1"]
    command = [sys.executable, "-m", "wavepipe.cli", "model", str(job.path), *long]
    driver = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    events = job.output_folder / "events.jsonl"
    eventually(lambda: events.exists() and '"batch"' in events.read_text())
    driver.send_signal(signal.SIGTERM)
    _, said = driver.communicate(timeout=60)
    assert driver.returncode == 75, said
    assert "batches in flight" in said
    eventually(lambda: not squeue(), 20.0)
    assert subprocess.run([*command, "--resume"], check=False).returncode == 0
    fresh = [*command, "--output", str(tmp_path / "alone"), "--set", "cluster.kind=local"]
    assert subprocess.run(fresh, check=False).returncode == 0
    here, there = tmp_path / "alone" / "shots.sgy", job.output_folder / "shots.sgy"
    assert there.read_bytes() == here.read_bytes()


@pytest.mark.slow
def test_jobs_that_reach_their_walltime_are_replaced(tmp_path):
    """They end by themselves before SLURM ends them; SLURM counts in minutes."""
    job = slurm_job(tmp_path, SMALL | {"walltime": "0:01:00"})
    with cluster_of(job) as cluster:
        found = summed(cluster, tmp_path, 2.0, 60)
    assert found == expected(tmp_path, 60)
    assert len(set(processes(tmp_path))) >= 4
    logs = [path.read_text() for path in (job.output_folder / "logs").glob("*.err")]
    assert sum(REASON in text for text in logs) >= 2
    assert not any("DUE TO TIME LIMIT" in text for text in logs)


@pytest.mark.slow
def test_the_number_of_jobs_follows_the_work(tmp_path):
    """One at first, two while there is work, none when there has been none for a minute."""
    job = slurm_job(tmp_path, min_workers=0)
    with cluster_of(job) as cluster:
        assert len(squeue("--format=%A")) == 1
        found = summed(cluster, tmp_path, 1.0, 40)
        assert len(set(processes(tmp_path))) == 2
        eventually(lambda: not squeue(), 120.0)
        (tmp_path / "again").mkdir()
        assert summed(cluster, tmp_path / "again", 0.1, 3)
    assert found == expected(tmp_path, 40)


DRIVER = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))
with open({events!r}, "a") as events:
    events.write('{{"event": "batch"}}\\n')
print("again" if "SLURM_RESTART_COUNT" in os.environ else "first", flush=True)
while "SLURM_RESTART_COUNT" not in os.environ:
    time.sleep(0.1)
"""


@pytest.mark.slow
def test_slurm_starts_a_driver_again_that_has_put_itself_back(tmp_path, monkeypatch):
    """With a short program in the place of the driver: SLURM waits two minutes."""
    (tmp_path / "runs/model").mkdir(parents=True)
    program = DRIVER.format(events=str(tmp_path / "runs/model/events.jsonl"))
    monkeypatch.setattr(Driver, "_command", lambda self: [sys.executable, "-c", program])
    small = {"memory": "100 MB", "cores": 1, "walltime": "0:10:00", "requeue": True}
    driver = Driver(cluster_job(tmp_path, {"kind": "local", "driver": small}), "slurm")
    number = re.search(r"Submitted batch job (\d+)", driver.submit())[1]
    log = driver.logs / f"driver-{number}.log"
    eventually(lambda: log.exists() and "first" in log.read_text())
    subprocess.run(["scancel", "--batch", "--signal=USR1", number], check=True)
    eventually(lambda: "again" in log.read_text(), 200.0)
    eventually(lambda: not squeue())
