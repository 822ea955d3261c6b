"""A disk or a run that fails is an error, never a gradient, and leaves nothing."""

import errno
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from kept_surveys import made, on, same
from spill_disks import AllFlippedDisk, SlowDisk, failing_for_good, on_disks

from wavepipe.propagators import Storage
from wavepipe.propagators.errors import StorageError
from wavepipe.propagators.storage import codecs


@pytest.mark.parametrize("method", ["snapshots", "recompute"])
def test_a_slow_disk_changes_no_bit(method, scratch_disk, monkeypatch):
    """Transfers are waited for in both directions."""
    on_disks(monkeypatch, SlowDisk)
    one, expected = made("acoustic", 2)
    assert same(one.gradients(on(scratch_disk, "disk", method))[0], expected)


@pytest.mark.parametrize("method", ["snapshots", "recompute"])
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (failing_for_good("write", errno.ENOSPC, 0), "the disk is full"),
        (failing_for_good("write", errno.EIO, 1), "does not work"),
        (failing_for_good("read", errno.EIO, 0), "does not work"),
        (AllFlippedDisk, "other bytes than were written"),
    ],
    ids=["full", "write", "read", "flipped"],
)
def test_a_disk_that_fails_is_an_error_and_never_a_gradient(
    kind, message, method, scratch_disk, monkeypatch
):
    """In the forward run or in backward, whichever thread met it; nothing is left."""
    on_disks(monkeypatch, kind)
    one, _ = made("acoustic", 2)
    with pytest.raises(StorageError, match=message):
        one.gradients(on(scratch_disk, "disk", method))


@pytest.mark.parametrize("when", ["forward", "backward"])
@pytest.mark.parametrize(("mode", "method"), [("disk", "snapshots"), ("disk", "recompute")])
def test_an_exception_in_the_middle_leaves_nothing(when, mode, method, scratch_disk, monkeypatch):
    """Threads, files and folders go with it."""
    from wavepipe.propagators.backends import c

    one, _ = made("acoustic", 2)
    original, count = c.CompiledExecution.advance, 0

    def advance(self, begin, end, history=None):
        nonlocal count
        if self._sweep.backwards is (when == "backward"):
            count += 1
            if count == 3:
                raise KeyboardInterrupt
        return original(self, begin, end, history)

    monkeypatch.setattr(c.CompiledExecution, "advance", advance)
    with pytest.raises(KeyboardInterrupt):
        one.gradients(on(scratch_disk, mode, method))


def test_a_codec_that_fails_in_its_thread_is_seen(scratch_disk, monkeypatch):
    """Neither swallowed nor hanging."""

    def encode(self, slots, out, threads=1):
        raise MemoryError("none left")

    monkeypatch.setattr(codecs.CosineCodec, "encode", encode)
    one, _ = made("scalar", 2)
    for mode in ("device", "disk"):
        with pytest.raises(MemoryError, match="none left"):
            one.gradients(on(scratch_disk, mode, compression="cosine4"))


def test_a_recording_without_backward_leaves_nothing(scratch_disk):
    """The file goes with the recording."""
    one, _ = made("scalar", 2)
    _, arguments = one.given()
    recording = one.record(**arguments, storage=on(scratch_disk))
    assert list(scratch_disk.iterdir())
    assert recording.info.disk_bytes > 0
    del recording, arguments, _


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
from kept_surveys import STRIDE, KeptSurvey
from wavepipe.propagators.backends.c import CompiledExecution as Execution
from wavepipe.propagators import Storage

original = Execution.advance

def advance(self, begin, end, history=None):
    original(self, begin, end, history)
    if begin:
        os.kill(os.getpid(), signal.SIGKILL)

Execution.advance = advance
KeptSurvey("scalar", 2, "z0", nt=50).gradients(Storage("disk", stride=STRIDE, path=sys.argv[1]))
"""


@pytest.mark.slow
def test_what_a_killed_run_left_goes_with_the_next(scratch_disk):
    """The file has no name and goes at once; its folder has no owner."""
    command = [sys.executable, "-c", KILLED, str(scratch_disk), str(Path(__file__).parent)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    (left,) = scratch_disk.iterdir()
    assert [file.name for file in left.iterdir()] == ["owner.lock"]
    one, expected = made("scalar", 2)
    assert same(one.gradients(on(scratch_disk))[0], expected)


def test_a_path_that_cannot_be_used_is_an_error_before_the_run(tmp_path):
    """Missing, a file, or read-only."""
    one, _ = made("scalar", 2)
    with pytest.raises(StorageError, match="does not exist"):
        one.gradients(on(tmp_path / "missing"))
    with pytest.raises(StorageError, match="does not exist"):
        one.gradients(Storage(path=tmp_path / "missing"))
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="is a file"):
        one.gradients(on(tmp_path / "file"))
    with pytest.raises(StorageError, match="cannot be written"):
        one.gradients(on("/proc"))


def test_a_disk_without_room_is_an_error_before_the_run(scratch_disk, monkeypatch):
    """It says how much is needed and what is free."""
    from wavepipe.propagators.storage import disk as module

    free = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(module.shutil, "disk_usage", lambda folder: free)
    one, _ = made("scalar", 2)
    with pytest.raises(StorageError, match=r"takes .* on disk; .* free"):
        one.gradients(on(scratch_disk))
