"""Clusters on this machine: who can reach them, how they stop, and what each kind refuses."""

import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
import torch
from cluster_jobs import cluster_job
from distributed import Client, LocalCluster
from distributed.security import Security
from summed_shots import expected, processes, summed
from toy_jobs import write_models

from wavepipe.pipeline.clusters import static as cluster_static
from wavepipe.pipeline.clusters.alike import TOPIC_REFUSED, Alike, Refusals
from wavepipe.pipeline.clusters.allocation import LAUNCHERS, Rank, find_rank
from wavepipe.pipeline.clusters.cluster import local_cluster
from wavepipe.pipeline.errors import ClusterError, JobError
from wavepipe.pipeline.job.cluster import ClusterSection
from wavepipe.pipeline.machine import Place, machine_of
from wavepipe.pipeline.modelling import model_survey
from wavepipe.pipeline.provenance import collect_provenance


def listening() -> set[str]:
    """Addresses where this process and those it has started accept connections."""
    family = [psutil.Process(), *psutil.Process().children(recursive=True)]
    found = [one for process in family for one in process.net_connections("tcp")]
    return {one.laddr.ip for one in found if one.status == psutil.CONN_LISTEN}


@pytest.mark.parametrize("tls", [False, True])
def test_nothing_listens_beyond_this_machine(tls, tmp_path):
    """Not the scheduler, the workers or Dask's dashboard."""
    if tls:
        pytest.importorskip("cryptography")
    with local_cluster(2, 1, settings=ClusterSection(tls=tls)) as cluster:
        address = cluster.client.scheduler.address
        assert listening() == {"127.0.0.1"}
        assert address.startswith("tls://" if tls else "tcp://")
        if tls:
            assert summed(cluster, tmp_path, 0.0, 3) == expected(tmp_path, 3)
            with pytest.raises((OSError, ssl.SSLError)):
                Client(address, security=Security.temporary(), timeout=2)


def test_batches_in_flight_end_when_a_run_is_stopped(tmp_path):
    """They are in the ledger; no others have begun."""
    with local_cluster(2, 1, settings=ClusterSection(grace=10.0)) as cluster:
        stop = threading.Timer(0.6, os.kill, (os.getpid(), signal.SIGINT))
        stop.start()
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            summed(cluster, tmp_path, 1.0, 12)
        assert time.monotonic() - began < 5.0
        assert len(processes(tmp_path)) == 2
    assert len(list((tmp_path / "ledger").glob("*.sum"))) == 2


def test_a_run_is_stopped_without_waiting_longer_than_the_grace(tmp_path):
    with local_cluster(1, 1, settings=ClusterSection(grace=0.5)) as cluster:
        stop = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
        stop.start()
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            summed(cluster, tmp_path, 3.0, 2)
        assert time.monotonic() - began < 2.5


def test_a_worker_whose_walltime_ends_finishes_its_batch_and_leaves(tmp_path):
    """It begins no other; those who are left do the rest."""
    with local_cluster(2, 1) as cluster:
        first, second = sorted(cluster.client.scheduler_info()["workers"])

        def leave(dask_worker):
            from wavepipe.pipeline.clusters.lifetime import Lifetime

            age = time.time() - psutil.Process(os.getppid()).create_time()
            Lifetime(age + 0.3, 0.0).setup(dask_worker)

        cluster.client.run(leave, workers=[first])
        found = summed(cluster, tmp_path, 0.8, 5)
        assert list(cluster.client.scheduler_info()["workers"]) == [second]
    assert found == expected(tmp_path, 5)
    done = processes(tmp_path)
    assert len(done) == 5  # none was done twice
    assert sorted(done.count(process) for process in set(done)) == [1, 4]


@pytest.mark.parametrize("differs", [False, True])
def test_a_worker_that_comes_late_must_be_alike(differs, tmp_path):
    """It leaves before it gets any work, and says why; after three the run stops."""
    write_models(tmp_path)
    here = collect_provenance()
    if differs:
        here = here | {"versions": here["versions"] | {"wavepipe": "0.0.1"}}
    plugin = Alike(here, cluster_job(tmp_path, {"kind": "local"}))
    with LocalCluster(
        n_workers=0, processes=False, threads_per_worker=1, dashboard_address="127.0.0.1:0"
    ) as cluster, Client(cluster) as client:  # fmt: skip
        refusals = Refusals(client)
        client.register_plugin(plugin)
        cluster.scale(1)
        if not differs:
            client.wait_for_workers(1, timeout=20)
            return
        deadline = time.monotonic() + 20
        while not client.get_events(TOPIC_REFUSED) and time.monotonic() < deadline:
            time.sleep(0.05)
        said = client.get_events(TOPIC_REFUSED)[0][1]
        assert "versions.wavepipe was 0.0.1, and is " in said
        refusals.check()
        refusals._said += [said, said]
        with pytest.raises(ClusterError, match="3 workers would give other bits"):
            refusals.check()


def test_workers_have_their_part_of_their_host():
    """Of its cores and its memory; the poorest one counts, since all do the same."""
    roomy = Place("a", tuple(range(16)), 64 << 30)
    small = [Place("b", tuple(range(8)), 24 << 30), Place("b", tuple(range(8)), 23 << 30)]
    found = machine_of([roomy, *small], None)
    assert (found.n_workers, found.threads, found.cores) == (3, 4, 12)
    assert found.memory == 3 * (23 << 30) // 2
    assert machine_of([roomy], 5).threads == 5
    limited = Place("a", (0,), 64 << 30, 2 << 30)
    assert machine_of([limited], None).memory == 2 << 30
    apart = [Place("c", (0, 1), 8 << 30), Place("c", (2, 3), 8 << 30)]
    assert machine_of(apart, None).threads == 2  # each is bound to cores of its own


@pytest.mark.skipif(torch.cuda.is_available(), reason="is about machines without a GPU")
def test_a_machine_without_a_gpu_is_told_so(tmp_path):
    write_models(tmp_path)
    job = cluster_job(tmp_path, {"kind": "cuda"})
    with pytest.raises(ClusterError, match="a worker for each CUDA device, and this machine shows"):
        model_survey(job)


def test_a_scheduler_file_that_leads_nowhere_is_refused(tmp_path):
    write_models(tmp_path)
    job = cluster_job(tmp_path, {"kind": "address", "scheduler_file": "scheduler.json"})
    for text, said in ((None, "FileNotFoundError"), ("{}", "KeyError"), ("...", "JSONDecodeError")):
        if text is not None:
            (tmp_path / "scheduler.json").write_text(text)
        with pytest.raises(ClusterError, match=f"scheduler.json names no scheduler .{said}"):
            model_survey(job)


@pytest.fixture
def _alone(monkeypatch):
    """As if nothing had started several processes."""
    for number, count in LAUNCHERS:
        monkeypatch.delenv(number, raising=False)
        monkeypatch.delenv(count, raising=False)


@pytest.mark.usefixtures("_alone")
def test_launchers_say_which_process_this_is(monkeypatch):
    assert find_rank() is None
    monkeypatch.setenv("SLURM_PROCID", "0")  # of the batch script that calls mpirun
    monkeypatch.setenv("SLURM_NTASKS", "4")
    assert find_rank() == Rank(0, 4)
    monkeypatch.setenv("PMI_RANK", "3")
    monkeypatch.setenv("PMI_SIZE", "4")
    assert find_rank() == Rank(3, 4)


@pytest.mark.usefixtures("_alone")
def test_a_static_allocation_of_one_process_is_refused(tmp_path, monkeypatch):
    write_models(tmp_path)
    job = cluster_job(tmp_path, {"kind": "static", "interface": "lo"})
    with pytest.raises(ClusterError, match=r"srun --ntasks=5 wavepipe model model\.yaml"):
        model_survey(job)
    monkeypatch.setenv("PMI_RANK", "0")
    monkeypatch.setenv("PMI_SIZE", "3")
    monkeypatch.setattr(cluster_static, "JOIN_TIMEOUT", 0.3)
    with pytest.raises(ClusterError, match="none of the other 2 processes"):
        model_survey(job)
    assert not (job.output_folder / "scheduler.json").exists()
    with pytest.raises(JobError, match=r"name the network as cluster\.interface"):
        model_survey(cluster_job(tmp_path, {"kind": "static"}))


@pytest.mark.slow
@pytest.mark.usefixtures("_alone")
def test_processes_that_a_launcher_starts_become_driver_and_workers(tmp_path):
    """The same command three times, with certificates; the bits are those of one process."""
    pytest.importorskip("cryptography")
    write_models(tmp_path)
    job = cluster_job(tmp_path, {"kind": "static", "interface": "lo", "tls": True})
    stale = job.output_folder / "scheduler.json"  # of a run that was killed
    stale.parent.mkdir(parents=True)
    stale.write_text('{"address": "tcp://127.0.0.1:1", "security": {}}')
    command = [sys.executable, "-m", "wavepipe.cli", "model", str(job.path)]
    ranks = [
        subprocess.Popen(
            command,
            env=os.environ | {"PMI_RANK": str(number), "PMI_SIZE": "3"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for number in (1, 2, 0)
    ]
    said = [rank.communicate(timeout=100)[0] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0, 0], said
    assert "2 workers of" in said[-1]
    assert not stale.exists()
    alone = cluster_job(tmp_path, {"kind": "local", "workers": 1}, output={"folder": "alone"})
    model_survey(alone)
    assert _gathers(job.output_folder) == _gathers(alone.output_folder)


def _gathers(folder: Path) -> bytes:
    return (folder / "shots.sgy").read_bytes()
