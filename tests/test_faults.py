"""Faults that are put into whole runs: each ends with the bits of a run without them, or says why
not."""

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
import zarr
from click.testing import CliRunner
from toy_jobs import settings, toy_job, write_job
from whole_runs import (
    RUNS,
    SMALL,
    Stopped,
    command,
    job_of,
    same_results,
    uninterrupted,
    worker_processes,
)

from wavepipe.cli.main import cli
from wavepipe.pipeline import graph, shot_calls
from wavepipe.pipeline.clusters.cluster import InProcess
from wavepipe.pipeline.errors import DiskFullError
from wavepipe.pipeline.job import read_job
from wavepipe.pipeline.run_folder import RunFolder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of each kind without faults, in runs/<kind>."""
    return uninterrupted(tmp_path_factory.mktemp("faults"))


@contextmanager
def scheduler_with_workers(folder: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A Dask scheduler of its own with two workers; its address and its process."""
    file = folder / "scheduler.json"
    file.unlink(missing_ok=True)
    start = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    line = ["--host", "127.0.0.1", "--port", "0", "--dashboard-address", "127.0.0.1:0"]
    processes = [
        subprocess.Popen(
            [*start, *line, "--scheduler-file", str(file)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True,
        )
    ]  # fmt: skip
    try:
        deadline = time.monotonic() + 60.0
        while not file.exists() or not file.read_text():
            assert time.monotonic() < deadline, "the scheduler does not start"
            time.sleep(0.05)
        address = json.loads(file.read_text())["address"]
        worker = [sys.executable, "-m", "distributed.cli.dask_worker", address]
        processes += [
            subprocess.Popen(
                [*worker, "--nthreads", "1", "--dashboard-address", "127.0.0.1:0"],
                cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True,
            )
            for _ in range(2)
        ]  # fmt: skip
        yield address, processes[0]
    finally:
        for process in processes:
            process.kill()
            process.wait()


@pytest.mark.parametrize(
    "kind", ["rtm", *(pytest.param(k, marks=pytest.mark.slow) for k in ("model", "fwi"))]
)
def test_a_run_whose_scheduler_is_killed_goes_on_with_another(kind, folder):
    """Exit code 75, how to go on, and then the same bits."""
    name = f"orphan-{kind}"
    ledger = folder / "runs" / name / "ledger"
    with scheduler_with_workers(folder) as (address, scheduler):
        run = command(folder, kind, name, "--scheduler", address)
        while run.poll() is None and not list(ledger.glob("*/*.sum")):
            time.sleep(0.001)
        scheduler.send_signal(signal.SIGKILL)
        said = run.communicate(timeout=90)[0]
    assert run.returncode == 75, said
    assert "the scheduler was lost" in said
    assert "--resume" in said
    with scheduler_with_workers(folder) as (address, _):
        run = command(folder, kind, name, "--scheduler", address)
        said = run.communicate(timeout=90)[0]
    assert run.returncode == 0, said
    assert same_results(folder / "runs" / name, folder / "runs" / kind)


@pytest.mark.slow
@pytest.mark.parametrize("kind", RUNS)
def test_a_run_whose_workers_are_killed_all_the_time_has_the_same_bits(kind, folder):
    """One of them after every batch, of a back-end so slow that there is time for it."""
    slow = {"propagator__backend": "reference"}
    whole = job_of(folder, kind, f"calm-{kind}", **slow)
    assert RUNS[kind](whole, cluster=InProcess()).accepted
    name, rng, kills = f"storm-{kind}", random.Random(kind), 0
    more = ("--workers", "2", "--set", "cluster.threads_per_worker=1")
    run = command(folder, kind, name, *more, "--set", "propagator.backend=reference")
    place, driver, done = RunFolder(folder / "runs" / name), psutil.Process(run.pid), 0
    while run.poll() is None:
        time.sleep(0.1)
        batches = sum(event.get("event") == "batch" for event in place.read_events())
        workers = worker_processes(driver) if batches > done and kills < 20 else []
        if workers:
            done, kills = batches, kills + 1
            with suppress(psutil.Error):
                rng.choice(workers).kill()
    said = run.communicate()[0]
    assert run.returncode == 0, said
    assert kills >= 3
    assert same_results(folder / "runs" / name, whole.output_folder)


@pytest.fixture
def unstable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The source of the fourth shot is so strong that its wavefield overflows."""
    original = shot_calls._source

    def source(evaluation, shots, corner):
        amplitudes, *rest = original(evaluation, shots, corner)
        for k, shot in enumerate(shots):
            if shot.label == "4":
                amplitudes[k] = 3e38
        return (amplitudes, *rest)

    monkeypatch.setattr(shot_calls, "_source", source)
    monkeypatch.setattr(
        "wavepipe.pipeline.clusters.cluster.local_cluster",
        lambda *_, **__: nullcontext(InProcess()),
    )


@pytest.mark.parametrize("kind", RUNS)
@pytest.mark.parametrize(("allowed", "code"), [(0, 3), (1, 0)])
def test_a_shot_with_nan_has_failed_is_named_and_is_in_no_result(
    kind, allowed, code, folder, unstable
):
    name = f"nan-{kind}-{allowed}"
    line = [kind, str(folder / f"{kind}.yaml"), "--output", str(folder / "runs" / name)]
    result = CliRunner().invoke(cli, [*line, "--set", f"run.max_failed_shots={allowed}"])
    assert result.exit_code == code, result.output
    assert "shot 4 failed" in result.output
    assert "finite" in result.output
    group = zarr.open_group(folder / "runs" / name / "results.zarr", mode="r")
    status = list(np.asarray(group["status"][...]))
    assert [n for n, one in enumerate(status) if one != "done"] == [3]
    assert status[3] == "failed"
    assert "finite" in np.asarray(group["failure"][...])[3]
    if allowed:
        results = {"model": "gather", "rtm": "image", "fwi": "vp"}[kind]
        values = np.asarray(group[results][...])
        if kind == "model":
            theirs = np.asarray(group["shot"][...]) == 3
            assert np.isnan(values[theirs]).all()
            values = values[~theirs]
        assert np.isfinite(values).all()
        whole = zarr.open_group(folder / "runs" / kind / "results.zarr", mode="r")
        assert kind == "model" or not np.array_equal(values, np.asarray(whole[results][...]))


@pytest.mark.parametrize("kind", RUNS)
def test_a_ledger_file_that_rots_while_a_run_rests_is_noticed(kind, folder, monkeypatch, caplog):
    """It is computed again."""
    kept, original = [], graph.Ledger.keep

    def keep(self, node, partial):
        original(self, node, partial)
        kept.append(self._path(node))
        if len(kept) == 6:
            raise Stopped

    name = f"rotten-{kind}"
    with monkeypatch.context() as patch:
        patch.setattr(graph.Ledger, "keep", keep)
        with pytest.raises(Stopped):
            RUNS[kind](job_of(folder, kind, name), cluster=InProcess())
    for path in (path for path in kept if path.exists()):
        content = bytearray(path.read_bytes())
        content[random.Random(str(path)).randrange(len(content))] ^= 16
        path.write_bytes(content)
    assert RUNS[kind](job_of(folder, kind, name), cluster=InProcess(), resume=True).accepted
    assert "other bytes than were written: it is computed again" in caplog.text
    assert same_results(folder / "runs" / name, folder / "runs" / kind)


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[Path]:
    """A filesystem of some bytes."""
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)  # arrays may be mapped


def fill(disk: Path) -> Path:
    """Leave no room on a disk."""
    filler = disk / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    return filler


@pytest.mark.parametrize("kind", RUNS)
def test_a_full_disk_of_results_stops_a_run_which_goes_on_with_room(
    kind, folder, tmp_path, monkeypatch
):
    """Filled by others after some batches; what there is stays good."""
    kept, original = [], graph.Ledger.keep
    with small_disk(tmp_path / "disk", "4m") as disk:

        def keep(self, node, partial):
            original(self, node, partial)
            kept.append(node)
            if len(kept) == 4:
                fill(disk)

        job = toy_job(folder, kind, output__folder=disk / "run", **SMALL)
        with monkeypatch.context() as patch:
            patch.setattr(graph.Ledger, "keep", keep)
            with pytest.raises(DiskFullError, match="No space left"):
                RUNS[kind](job, cluster=InProcess())
        (disk / "filler").unlink()
        assert RUNS[kind](job, cluster=InProcess(), resume=True).accepted
        assert same_results(disk / "run", folder / "runs" / kind)


@pytest.mark.filterwarnings("ignore:storage path .* is a filesystem in memory")
@pytest.mark.parametrize("kind", ["rtm", "fwi"])
def test_a_full_scratch_disk_stops_a_run_which_goes_on_with_room(kind, folder, tmp_path):
    """It is filled when the plan has been made; no shot is blamed."""
    with small_disk(tmp_path / "scratch", "4m") as disk:
        content = settings(kind)
        content["storage"] = {"mode": "disk", "method": "snapshots", "path": str(disk)}
        content["cluster"] = {"batch_shots": 1}
        write_job(folder, content, f"scratch-{kind}.yaml")
        job = read_job(folder / f"scratch-{kind}.yaml", [f"output.folder=runs/scratch-{kind}"])
        with pytest.raises(DiskFullError, match="cannot be kept"):
            RUNS[kind](job, cluster=InProcess(), started=lambda _: fill(disk))
        (disk / "filler").unlink()
        assert RUNS[kind](job, cluster=InProcess(), resume=True).accepted
        assert not list(disk.iterdir())
    assert same_results(folder / "runs" / f"scratch-{kind}", folder / "runs" / kind)
