"""The run folder: refusals, writes that are all or nothing, events and provenance."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from wavepipe.pipeline.durable import write_atomically, write_new
from wavepipe.pipeline.errors import DiskFullError, RunFolderError
from wavepipe.pipeline.provenance import collect_provenance, fingerprint
from wavepipe.pipeline.run_folder import RunFolder
from wavepipe.propagators.errors import is_full


def test_a_folder_is_made_with_its_parents_and_found_again(tmp_path):
    folder = RunFolder.create(tmp_path / "a" / "b")
    folder.write_text(folder.resolved_job, "kind: model\n")
    assert RunFolder.open(tmp_path / "a" / "b").resolved_job.read_text() == "kind: model\n"


def test_a_folder_that_holds_a_run_is_refused_and_left_alone(tmp_path):
    folder = RunFolder.create(tmp_path / "run")
    folder.write_text(folder.resolved_job, "kind: model\n")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(RunFolderError, match=r"run already holds a run.*--output"):
        RunFolder.create(tmp_path / "run")
    assert sorted(tmp_path.rglob("*")) == before
    assert RunFolder.create(tmp_path / "run", resume=True) == folder


def test_a_folder_with_other_files_is_accepted(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    RunFolder.create(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="is a file"):
        RunFolder.create(tmp_path / "file")
    with pytest.raises(RunFolderError, match="is a file"):
        RunFolder.create(tmp_path / "file" / "below")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(RunFolderError, match="cannot write"):
        RunFolder.create(tmp_path / "run")
    tmp_path.chmod(0o700)


def test_a_folder_without_a_run_cannot_be_opened(tmp_path):
    with pytest.raises(RunFolderError, match="not a run folder"):
        RunFolder.open(tmp_path)


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    target = tmp_path / "plan.json"
    write_atomically(target, b"old")

    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(DiskFullError, match=r"No space left on device"):
        write_atomically(target, b"new")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_an_existing_file_is_never_overwritten_by_a_new_one(tmp_path):
    write_new(tmp_path / "job.yaml", "a")
    with pytest.raises(RunFolderError, match="exists already"):
        write_new(tmp_path / "job.yaml", "b")
    with pytest.raises(RunFolderError, match="does not exist"):
        write_new(tmp_path / "absent" / "job.yaml", "b")


def test_json_takes_arrays_and_paths(tmp_path):
    folder = RunFolder.create(tmp_path / "run")
    folder.write_json(
        folder.plan, {"a": np.float32(0.5), "b": np.arange(2), "c": Path("x"), "d": {2, 1}}
    )
    assert json.loads(folder.plan.read_text()) == {"a": 0.5, "b": [0, 1], "c": "x", "d": [1, 2]}


def test_events_are_lines_in_order_and_a_cut_line_is_left_out(tmp_path):
    folder = RunFolder.create(tmp_path / "run")
    folder.log_event({"event": "start"})
    folder.log_event({"event": "end", "shots": np.int64(3)})
    with folder.events.open("a") as file:
        file.write('{"event": "cut')
    assert [(e["event"], e.get("shots")) for e in folder.read_events()] == [
        ("start", None),
        ("end", 3),
    ]


def test_an_event_that_is_written_in_part_is_a_full_disk_and_spoils_no_other(tmp_path, monkeypatch):
    folder = RunFolder.create(tmp_path / "run")
    folder.log_event({"event": "start"})
    original = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda descriptor, line: original(descriptor, line[:20]))
        with pytest.raises(OSError, match="No space left on device") as caught:
            folder.log_event({"event": "cut"})
    assert is_full(caught.value)
    folder.log_event({"event": "end"})
    assert [event["event"] for event in folder.read_events()] == ["start", "end"]


def test_a_fingerprint_changes_with_the_content_not_with_the_place(tmp_path):
    for name, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).write_bytes(content)
    hashes = [fingerprint(tmp_path / name)["sha256"] for name in "abc"]
    assert hashes[0] == hashes[1] != hashes[2]


def test_provenance_names_versions_machine_and_inputs(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    found = collect_provenance([tmp_path / "a"])
    text = json.dumps(found)
    for part in ("numpy", "wavepipe", "cpu", "compiler", "platform", '"bytes": 5'):
        assert part in text
