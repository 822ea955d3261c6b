"""Jobs of batch systems, by the text of their scripts: no scheduler is needed."""

import asyncio
import re
import subprocess
import sys
import time
import warnings
from importlib.util import find_spec

import dask
import pytest
from cluster_jobs import batch_section, cluster_job

from wavepipe.pipeline.clusters import batch as cluster_batch
from wavepipe.pipeline.clusters import jobs as cluster_jobs_module
from wavepipe.pipeline.clusters.batch import Tending
from wavepipe.pipeline.clusters.batch_systems import BATCH_SYSTEMS
from wavepipe.pipeline.clusters.jobs import Jobs
from wavepipe.pipeline.clusters.lifetime import Lifetime
from wavepipe.pipeline.errors import JobError

# Looked for and not imported: its import takes Ctrl-C away from pytest.
pytestmark = pytest.mark.skipif(find_spec("dask_jobqueue") is None, reason="needs dask-jobqueue")

DIRECTIVES = {
    "slurm": [
        "#SBATCH -p long",
        "#SBATCH -A geo",
        "#SBATCH -n 1",
        "#SBATCH --cpus-per-task=3",
        "#SBATCH --mem=4G",
        "#SBATCH -t 02:00:00",
    ],
    "pbs": [
        "#PBS -q long",
        "#PBS -A geo",
        "#PBS -l select=1:ncpus=3:mem=3815MB",
        "#PBS -l walltime=02:00:00",
    ],
    "lsf": ["#BSUB -q long", '#BSUB -P "geo"', "#BSUB -n 3", "#BSUB -W 02:00"],
    "sge": ["#$ -q long", "#$ -P geo", "#$ -l h_rt=02:00:00"],
    "oar": ["#OAR -q long", "#OAR --project geo", "#OAR -l /nodes=1/core=3,walltime=02:00:00"],
    "htcondor": [
        "MY.DaskWorkerCores = 3",
        "MY.DaskWorkerMemory = 4000000000",
        "MY.DaskWorkerDisk = 10000000000",
    ],
}


@pytest.fixture(autouse=True)
def _site():
    """A site whose OAR has no property for memory, which dask-jobqueue would warn of."""
    cluster_jobs_module._jobqueue("oar")  # or its defaults would go when the block ends
    with dask.config.set({"jobqueue.oar.memory-per-core-property-name": "not_applicable"}):
        yield


def jobs(tmp_path, kind: str, **more: object) -> Jobs:
    job = cluster_job(tmp_path, batch_section(kind, **more))
    return Jobs(job.cluster, job.output_folder)


@pytest.mark.parametrize("kind", BATCH_SYSTEMS)
def test_what_a_job_asks_for_is_in_its_script(kind, tmp_path):
    """In the system's own words; and nothing is written by looking at it."""
    found = jobs(tmp_path, kind)
    text = found.script()
    for line in DIRECTIVES[kind]:
        assert line in text.splitlines(), text
    assert "distributed.cli.dask_worker tcp://<scheduler>" in text
    assert "export OMP_NUM_THREADS=3" in text
    assert "--interface lo" in text
    # One task at a time, which has all the cores: the last of two values counts.
    assert re.findall(r"--nthreads (\d+)", text)[-1] == "1"
    assert "--dashboard-address 127.0.0.1:0" in text
    if kind != "htcondor":
        # 2 h less one minute to spare and one for a batch; they leave over half a minute.
        assert found.lifetime(batch_seconds=60.0) == Lifetime(7080.0, 30.0)
    assert not found.folder.exists()


@pytest.mark.parametrize("kind", BATCH_SYSTEMS)
def test_directives_and_prologue_are_passed_on(kind, tmp_path):
    line = "priority = 10" if kind == "htcondor" else "--nice 10"
    more = {"directives": [line], "prologue": ["module load python"]}
    section = batch_section(kind)
    text = jobs(tmp_path, kind, jobs=section["jobs"] | more).script()
    assert BATCH_SYSTEMS[kind].prefix + line in text
    assert "module load python" in text


def test_a_site_says_what_the_job_file_does_not(tmp_path):
    """And only that: what the job file states wins."""
    site = {
        "jobqueue.slurm.queue": "short",
        "jobqueue.slurm.account": "site",
        "jobqueue.slurm.cores": 12,
        "jobqueue.slurm.memory": "48 GiB",
        "jobqueue.slurm.walltime": "1-00:00:00",
        "jobqueue.slurm.job-script-prologue": ["source /etc/site"],
        "jobqueue.slurm.worker-extra-args": ["--resources", "node=1"],
    }
    with dask.config.set(site):
        found = jobs(tmp_path, "slurm", threads_per_worker="auto", jobs={"queue": "long"})
        text = found.script()
        assert (found.threads, found.memory, found.walltime) == (12, 48 * 2**30, 86400)
    for line in (
        "#SBATCH -p long",
        "#SBATCH -A site",
        "#SBATCH --cpus-per-task=12",
        "#SBATCH --mem=48G",
        "#SBATCH -t 1-00:00:00",
        "source /etc/site",
    ):
        assert line in text.splitlines()
    assert "--resources node=1" in text


@pytest.mark.parametrize(
    ("walltime", "seconds"), [("30", 1800), ("90:00", 5400), ("1-12", 129600), (None, None)]
)
def test_a_site_writes_walltimes_as_its_system_does(walltime, seconds, tmp_path):
    with dask.config.set({"jobqueue.slurm.walltime": walltime}):
        assert jobs(tmp_path, "slurm", jobs={"memory": "1 GB"}).walltime == seconds
    with (
        dask.config.set({"jobqueue.slurm.walltime": "UNLIMITED"}),
        pytest.raises(
            JobError, match=r"jobqueue\.slurm\.walltime .*'UNLIMITED'.* Give cluster\.jobs"
        ),
    ):
        jobs(tmp_path, "slurm", jobs={"memory": "1 GB"}).check(1.0)


def test_lsf_counts_in_minutes(tmp_path):
    found = jobs(tmp_path, "lsf", jobs={"memory": "1 GB", "walltime": 61})
    assert "#BSUB -W 00:02" in found.script()
    with dask.config.set({"jobqueue.lsf.walltime": "01:30"}):
        assert jobs(tmp_path, "lsf", jobs={"memory": "1 GB"}).walltime == 5400


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"interface": None}, "name the network as cluster.interface .*lo"),
        ({"interface": "ib7"}, "cluster.interface is 'ib7', and this machine has .*lo"),
        ({"threads_per_worker": "auto"}, "cluster.threads_per_worker, or jobqueue.slurm.cores"),
        ({"jobs": {}}, "cluster.jobs.memory, or jobqueue.slurm.memory"),
        ({"jobs": {"memory": "1 GB", "disk": "1 GB"}}, "jobs.disk is nothing that slurm knows"),
    ],
)
def test_what_is_missing_or_wrong_is_named(change, said, tmp_path):
    with pytest.raises(JobError, match=said):
        jobs(tmp_path, "slurm", **change).script()


def test_a_walltime_shorter_than_a_batch_is_refused(tmp_path):
    """With both values; what is accepted leaves workers a minute in which they begin a batch."""
    found = jobs(tmp_path, "slurm", jobs={"memory": "1 GB", "walltime": "0:05:00"})
    found.check(batch_seconds=195.0)
    lifetime = found.lifetime(batch_seconds=195.0)
    assert lifetime.seconds - lifetime.stagger == 60.0
    with pytest.raises(JobError, match=r"after 00:05:00 .* leaves 195 s .* takes about 269 s"):
        found.check(batch_seconds=269.0)


@pytest.mark.parametrize("kind", BATCH_SYSTEMS)
def test_empty_keys_of_a_site_are_as_if_it_had_none(kind, tmp_path):
    """A site may write ``scheduler-options:`` and nothing after it."""
    keys = ("scheduler-options", "job-script-prologue", "worker-extra-args", "job-extra-directives")
    with dask.config.set({f"jobqueue.{kind}.{key}": None for key in keys}):
        found = jobs(tmp_path, kind)
        assert "--nthreads 1" in found.script()
        found.start().close()


def test_what_dask_jobqueue_refuses_is_an_error_of_the_job(tmp_path):
    """And not one of the program, with a traceback."""
    (tmp_path / "file").write_text("")
    with (
        dask.config.set({"jobqueue.slurm.log-directory": str(tmp_path / "file" / "logs")}),
        pytest.raises(JobError, match=r"cannot make jobs of slurm .*logs"),
    ):
        jobs(tmp_path, "slurm").script()


def test_the_network_of_the_scheduler_is_what_is_checked(tmp_path):
    """Where the site gives it one of its own; workers have theirs on other machines."""
    with dask.config.set({"jobqueue.slurm.scheduler-options": {"interface": "lo"}}):
        found = jobs(tmp_path, "slurm", interface="ib0")
        assert found.listens == "lo"
        assert "--interface ib0" in found.script()
    with (
        dask.config.set({"jobqueue.slurm.scheduler-options": {"interface": "ib7"}}),
        pytest.raises(JobError, match="'ib7', and this machine has"),
    ):
        jobs(tmp_path, "slurm").script()


def test_sge_runs_the_workers_scripts_by_bash(tmp_path):
    """With the site's directives, and with those of the job file."""
    with dask.config.set({"jobqueue.sge.job-extra-directives": ["-pe smp 4"]}):
        text = jobs(tmp_path, "sge").script()
        assert {"#$ -S /bin/bash", "#$ -pe smp 4"} <= set(text.splitlines())
    section = batch_section("sge")
    text = jobs(tmp_path, "sge", jobs=section["jobs"] | {"directives": ["-R y"]}).script()
    assert {"#$ -S /bin/bash", "#$ -R y"} <= set(text.splitlines())


def test_a_run_folder_that_no_directive_can_hold_is_refused(tmp_path):
    folder = tmp_path / "north sea"
    folder.mkdir()
    with pytest.raises(JobError, match=r"north sea/.* cannot be named in the script of a pbs job"):
        jobs(folder, "pbs").script()


def listed(tmp_path, monkeypatch, answer: str) -> set[str] | None:
    """What a stand-in for squeue makes the driver believe."""
    (tmp_path / "squeue").write_text(f"#!/bin/sh\n{answer}\n")
    (tmp_path / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return asyncio.run(Tending(None, jobs(tmp_path, "slurm"), None)._listed())


def test_filters_of_a_user_hide_no_jobs(tmp_path, monkeypatch):
    """squeue obeys SQUEUE_STATES and the like; a job that is hidden would be submitted again."""
    monkeypatch.setenv("SQUEUE_STATES", "RUNNING")
    assert listed(tmp_path, monkeypatch, "echo 7 ${SQUEUE_STATES:-8}") == {"7", "8"}


def test_a_batch_system_that_does_not_answer_is_asked_later(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster_batch, "ANSWER", 0.5)
    began = time.monotonic()
    assert listed(tmp_path, monkeypatch, "exec sleep 20") is None
    assert time.monotonic() - began < 15


def test_the_log_of_another_job_is_not_shown(tmp_path):
    """Job 112 is not job 12."""
    found = Tending(None, jobs(tmp_path, "slurm"), None)
    folder = found._jobs.folder / "logs"
    folder.mkdir(parents=True)
    (folder / "dask-worker-12.err").write_text("ours")
    (folder / "dask-worker-112.err").write_text("theirs")
    found._lost = ["12"]
    assert "ours" in found._why_lost()
    (folder / "dask-worker-12.err").unlink()
    assert "theirs" not in found._why_lost()


def test_an_interruption_stays_one(tmp_path):
    """dask-jobqueue takes Ctrl-C when it is imported, to end the process as if all were well."""
    code = f"""
import signal
from wavepipe.pipeline.clusters.jobs import Jobs
from wavepipe.pipeline.job.cluster import ClusterSection
section = ClusterSection(kind="slurm", workers=1, interface="lo", threads_per_worker=1)
assert Jobs(section, {str(tmp_path)!r}).threads == 1 and Jobs(section, None).walltime
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_script_with_tls_connects_with_tls(tmp_path):
    assert "tls://<scheduler>" in jobs(tmp_path, "slurm", tls=True).script()


def test_oar_without_a_property_for_memory_is_warned_of(tmp_path):
    """By dask-jobqueue, whose warning users see."""
    with (
        dask.config.set({"jobqueue.oar.memory-per-core-property-name": None}),
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always")
        jobs(tmp_path, "oar").script()
    assert "memory_per_core_property_name" in str(caught[0].message)
