"""Clusters on this machine: who can reach them, how they stop, and what each kind refuses."""

import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import torch
from cluster_jobs import cluster_job
from distributed import Client, LocalCluster
from distributed.security import Security
from summed_shots import expected, processes, summed
from toy_jobs import write_models

from wavepipe.pipeline import run_start
from wavepipe.pipeline.clusters import static as cluster_static
from wavepipe.pipeline.clusters import workers
from wavepipe.pipeline.clusters.alike import TOPIC_REFUSED, Alike, Refusals
from wavepipe.pipeline.clusters.allocation import LAUNCHERS, Rank, find_rank
from wavepipe.pipeline.clusters.cluster import DaskCluster, _is_busy, local_cluster
from wavepipe.pipeline.errors import ClusterError, JobError, RunFolderError
from wavepipe.pipeline.job.cluster import ClusterSection
from wavepipe.pipeline.machine import Place, machine_of
from wavepipe.pipeline.modelling import model_survey
from wavepipe.pipeline.provenance import collect_provenance
from wavepipe.pipeline.run_folder import RunFolder


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


@contextmanager
def interrupted_at_work(cluster: DaskCluster) -> Iterator[list[float]]:
    """Ctrl-C as soon as all workers are at work; when that was, by `time.monotonic`."""
    ended, when = threading.Event(), []

    def interrupt() -> None:
        while not ended.wait(0.05):
            if all(cluster.everywhere(_is_busy).values()):
                when.append(time.monotonic())
                signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
                return

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        yield when
    finally:  # never later, when it would end the tests
        ended.set()
        thread.join()


def test_batches_in_flight_end_when_a_run_is_stopped(tmp_path):
    """They are in the ledger; no others have begun."""
    with local_cluster(2, 1, settings=ClusterSection(grace=60.0)) as cluster:
        with interrupted_at_work(cluster) as when, pytest.raises(KeyboardInterrupt):
            summed(cluster, tmp_path, 2.0, 12)
        assert time.monotonic() - when[0] < 60.0
        assert len(processes(tmp_path)) == 2
    assert len(list((tmp_path / "ledger").glob("*.sum"))) == 2


def test_a_run_is_stopped_without_waiting_longer_than_the_grace(tmp_path):
    """Its workers are ended where they are."""
    with local_cluster(1, 1, settings=ClusterSection(grace=0.5)) as cluster:
        with interrupted_at_work(cluster), pytest.raises(KeyboardInterrupt):
            summed(cluster, tmp_path, 20.0, 2)
        assert not (tmp_path / "notes").exists()


def test_the_grace_is_all_that_a_worker_has_that_does_not_answer():
    """As one whose node is gone: its silence must not hold up the end of a run."""

    class Silent:
        """A client whose scheduler waits for an answer."""

        def run(self, function, *arguments, callback_timeout=60.0, **options):
            time.sleep(callback_timeout)
            raise TimeoutError

    class Future:
        def cancel(self) -> None:
            pass

    began = time.monotonic()
    DaskCluster(Silent(), grace=0.3)._drain(Future())
    assert time.monotonic() - began < 30.0


@pytest.mark.usefixtures("_alone")
def test_a_static_run_in_a_folder_that_is_in_use_leaves_its_scheduler_alone(tmp_path, monkeypatch):
    """Or the workers of the one that is at work would come to the other."""
    write_models(tmp_path)
    job = cluster_job(tmp_path, {"kind": "static", "interface": "lo"})
    monkeypatch.setenv("PMI_RANK", "0")
    monkeypatch.setenv("PMI_SIZE", "3")
    folder = RunFolder.create(job.output_folder)
    file = cluster_static.scheduler_file(job)
    file.write_text("of another")
    with folder.locked(), pytest.raises(RunFolderError, match="is at work in"):
        model_survey(job)
    assert file.read_text() == "of another"


@pytest.mark.usefixtures("_alone")
def test_the_scheduler_of_an_allocation_is_there_before_data_are_read(tmp_path, monkeypatch):
    """However long reading takes, the other processes find it."""
    job = cluster_job(tmp_path, {"kind": "static", "interface": "lo"})  # its models are missing
    monkeypatch.setenv("PMI_RANK", "0")
    monkeypatch.setenv("PMI_SIZE", "2")
    monkeypatch.setattr(cluster_static, "_joined", lambda client, rank: 0)
    seen = []

    def read(job):
        seen.append(cluster_static.scheduler_file(job).exists())
        raise JobError("enough")

    monkeypatch.setattr(run_start, "read_inputs", read)
    monkeypatch.setattr(workers, "_check_alike", lambda job, running: None)
    monkeypatch.setattr(workers, "machine_of", lambda places, threads: None)
    with pytest.raises(JobError, match="enough"):
        model_survey(job)
    assert seen == [True]


def test_workers_of_an_allocation_that_come_late_are_compared_too(tmp_path, monkeypatch):
    """They are sent away, and the run hears of it while it computes."""
    write_models(tmp_path)
    here = collect_provenance()
    odd = here | {"versions": here["versions"] | {"wavepipe": "0.0.1"}}
    monkeypatch.setattr(cluster_static, "collect_provenance", lambda: odd)
    job = cluster_job(tmp_path, {"kind": "local"})
    with LocalCluster(
        n_workers=0, processes=False, threads_per_worker=1, dashboard_address="127.0.0.1:0"
    ) as cluster, Client(cluster) as client:  # fmt: skip
        running = cluster_static.kept_alike(DaskCluster(client), job)
        cluster.scale(1)
        _until(lambda: client.get_events(TOPIC_REFUSED))
        running.tend()  # one may be bad luck
        for _ in range(3):
            client.log_event(TOPIC_REFUSED, "the same of another")
        with pytest.raises(ClusterError, match="workers would give other bits than this process"):
            _until(running.tend)


def _until(condition: Callable[[], object]) -> None:
    """Wait until something holds, or raises."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_no_workers_are_started_for_a_folder_in_which_a_run_is_at_work(tmp_path, monkeypatch):
    """Jobs of a batch system would be submitted for nothing."""
    write_models(tmp_path)
    job = cluster_job(tmp_path, {"kind": "local", "workers": 1})
    folder = RunFolder.create(job.output_folder)
    monkeypatch.setattr(workers.Workers, "ready", lambda self, plan: pytest.fail("started"))
    with folder.locked(), pytest.raises(RunFolderError, match="is at work in"):
        model_survey(job)


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
        _until(lambda: client.get_events(TOPIC_REFUSED))
        [(_, said)] = client.get_events(TOPIC_REFUSED)
        assert "versions.wavepipe was 0.0.1, and is " in said
        refusals.check()
        for _ in range(2):
            client.log_event(TOPIC_REFUSED, said)
        with pytest.raises(ClusterError, match="3 workers would give other bits"):
            _until(refusals.check)


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
