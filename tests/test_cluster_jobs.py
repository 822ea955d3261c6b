"""Jobs of batch systems, by the text of their scripts: no scheduler is needed."""

import re
import subprocess
import sys
import warnings
from importlib.util import find_spec

import dask
import pytest
from cluster_jobs import batch_section, cluster_job

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
    ("walltime", "seconds"), [("30", 1800), ("90:00", 5400), ("2-00:00:00", 172800), (None, None)]
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
    """With both values; a tenth of a short walltime is to spare."""
    found = jobs(tmp_path, "slurm", jobs={"memory": "1 GB", "walltime": "0:05:00"})
    found.check(batch_seconds=269.0)
    with pytest.raises(JobError, match=r"after 00:05:00 .* leaves 270 s .* takes about 300 s"):
        found.check(batch_seconds=300.0)


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
