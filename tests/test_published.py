"""What a run has published is on the disk before its sums go, and its beginnings before work."""

import os
from pathlib import Path

import pytest
from whole_runs import RUNS, job_of, uninterrupted

from wavepipe.pipeline import execution
from wavepipe.pipeline.clusters.cluster import InProcess
from wavepipe.pipeline.errors import DiskFullError
from wavepipe.pipeline.run_folder import RunFolder

Seen = set[tuple[int, int]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Uninterrupted runs of each kind, in runs/<kind>."""
    return uninterrupted(tmp_path_factory.mktemp("published"))


@pytest.fixture
def flushed(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """Every file and folder that is flushed, as `state` has it then."""
    found, original = set(), os.fsync

    def fsync(descriptor: int) -> None:
        status = os.fstat(descriptor)
        found.add((status.st_ino, status.st_mtime_ns))
        original(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    return found


def state(path: Path) -> tuple[int, int]:
    """Which file it is, and when it was changed last: one that changes again is another."""
    status = path.stat()
    return status.st_ino, status.st_mtime_ns


@pytest.mark.parametrize("kind", RUNS)
def test_all_that_is_published_is_flushed_before_a_run_says_that_it_ends(
    kind, folder, flushed, monkeypatch
):
    """Files as they are then, and the folders that name them."""
    original, unsafe, looked = RunFolder.log_event, [], []

    def log_event(self, event):
        if event.get("event") == "end":
            results = [self.results, *self.results.rglob("*")]
            beside = [p for p in self.path.iterdir() if p.suffix in (".sgy", ".npy")]
            looked.extend([self.path, *results, *beside])
            unsafe.extend(path for path in looked if state(path) not in flushed)
            assert self.ledger.exists()
        original(self, event)

    monkeypatch.setattr(RunFolder, "log_event", log_event)
    job = job_of(folder, kind, f"flushed-{kind}", output__segy=True)
    assert RUNS[kind](job, cluster=InProcess()).accepted
    assert any(path.suffix == ".sgy" for path in looked)
    assert len(looked) > 10
    assert unsafe == []


def test_the_names_of_what_a_run_begins_with_are_flushed_before_its_work(
    folder, flushed, monkeypatch
):
    original, checked = execution.describe_run, []

    def describe_run(inputs, plan):
        run = RunFolder(inputs.job.output_folder)
        checked.extend(state(path) in flushed for path in (*run.beginnings, run.path))
        return original(inputs, plan)

    monkeypatch.setattr(execution, "describe_run", describe_run)
    RUNS["model"](job_of(folder, "model", "begun"), cluster=InProcess())
    assert checked == [True] * 5


def test_results_that_cannot_be_flushed_keep_their_sums(folder, monkeypatch):
    """They do not count as published, and the run can go on."""
    original = execution.flush_published

    def full(_):
        raise OSError(28, "No space left on device")

    def flush_published(run):
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            original(run)

    job = job_of(folder, "rtm", "unflushed")
    with monkeypatch.context() as patch:
        patch.setattr(execution, "flush_published", flush_published)
        with pytest.raises(DiskFullError, match=r"cannot be made safe.*--resume"):
            RUNS["rtm"](job, cluster=InProcess())
    run = RunFolder(job.output_folder)
    assert not any(event.get("event") == "end" for event in run.read_events())
    assert list(run.ledger.glob("*/*.sum"))
    assert RUNS["rtm"](job, cluster=InProcess(), resume=True).accepted
