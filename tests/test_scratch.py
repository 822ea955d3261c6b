"""Scratch folders: those of dead owners go, all others stay."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from spill_disks import named

from wavepipe.propagators.errors import StorageError
from wavepipe.propagators.storage.scratch import Scratch, default_folder, sweep

OWNER = """
import os, sys
from pathlib import Path
from wavepipe.propagators.storage.scratch import Scratch, sweep
from wavepipe.propagators.storage.spill import SpillFile
scratch = Scratch(Path(sys.argv[1]))
(scratch.path / "left").write_bytes(bytes(1000))
file = SpillFile(scratch.path, 4, 1 << 20)
with file.writing(0) as memory: memory[:] = 0
print(scratch.path, flush=True)
"""


@contextmanager
def owner(folder: Path, then: str = "sys.stdin.read()") -> Iterator[tuple[Path, int]]:
    """A process that owns a scratch folder until its standard input closes."""
    command = [sys.executable, "-c", OWNER + then, str(folder)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        yield Path(process.stdout.readline().strip()), process.pid


def test_the_folder_names_its_owner_and_goes_with_it(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path)
    assert not list(tmp_path.iterdir())  # not before it is needed
    path = scratch.path
    assert path.parent == tmp_path
    assert path.is_dir()
    assert scratch.path == path
    assert f"-{os.getpid()}-" in path.name
    assert socket.gethostname()[:3] in path.name
    assert path.stat().st_mode & 0o077 == 0
    (path / "file").write_bytes(b"1")
    scratch.close()
    assert not path.exists()
    assert scratch.path != path  # a new one
    del scratch
    assert not list(tmp_path.iterdir())


def test_two_folders_of_one_process_are_apart(tmp_path: Path) -> None:
    with Scratch(tmp_path) as a, Scratch(tmp_path) as b:
        assert a.path != b.path
        assert sweep(tmp_path) == []
        assert a.path.is_dir()
        assert b.path.is_dir()


def test_the_next_run_removes_what_kill_9_left(tmp_path: Path) -> None:
    """Also while the dead process still waits for its parent."""
    with owner(tmp_path) as (path, pid):
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert {p.name for p in path.iterdir()} == {"left", "owner.lock"}  # no wavefield
        with Scratch(tmp_path) as scratch:
            own = scratch.path
            assert list(tmp_path.iterdir()) == [own]
    assert not list(tmp_path.iterdir())


def test_a_living_owner_keeps_its_folder(tmp_path: Path) -> None:
    with owner(tmp_path) as (path, _):
        assert sweep(tmp_path) == []
        assert (path / "left").exists()
    assert not path.exists()  # it ended, and took it along


def test_a_process_that_fails_takes_its_folder_along(tmp_path: Path) -> None:
    with owner(tmp_path, "sys.exit(3)") as (path, _):
        pass
    assert path.parent == tmp_path
    assert not path.exists()


def test_a_fork_leaves_its_parents_folder(tmp_path: Path) -> None:
    forked = (
        "child = os.fork()\n"
        "if child == 0: sys.exit(0)\n"
        "os.waitpid(child, 0)\n"
        "with file.writing(1) as memory: memory[:] = 1\n"
        "print(scratch.path.is_dir(), flush=True)"
    )
    command = [sys.executable, "-c", OWNER + forked, str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout.split()[-1] == "True"
    assert not list(tmp_path.iterdir())


def test_a_recycled_process_id_is_not_taken_for_the_owner(tmp_path: Path) -> None:
    path = named(tmp_path, start="1")
    assert sweep(tmp_path) == [path]
    assert not path.exists()


def test_a_living_process_is_enough_where_its_lock_got_lost(tmp_path: Path) -> None:
    path = named(tmp_path)
    assert sweep(tmp_path) == []
    assert path.exists()


def test_an_owner_in_another_container_is_known_by_its_lock(tmp_path: Path) -> None:
    """Its process id means nothing here."""
    path = named(tmp_path, kernel="01234567")
    with (path / "owner.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert sweep(tmp_path) == []
        assert path.exists()
    assert sweep(tmp_path) == [path]


@pytest.mark.parametrize("kernel", [None, "01234567"])
def test_without_locks_only_what_is_certain_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernel: str | None
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(37, "No locks available")

    path = named(tmp_path, start="1", **({"kernel": kernel} if kernel else {}))
    monkeypatch.setattr(fcntl, "flock", no_locks)
    assert sweep(tmp_path) == ([] if kernel else [path])
    with Scratch(tmp_path) as scratch:
        assert scratch.path.is_dir()
        assert sweep(tmp_path) == []
        assert scratch.path.is_dir()


def test_what_is_not_ours_stays(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_bytes(b"1")
    folder = tmp_path / "scratch"
    folder.mkdir()
    others = [named(folder, host="another", start="1"), folder / "wavepipe-notes", folder / "data"]
    link = named(folder, start="2")
    (link / "left").unlink()
    link.rmdir()
    link.symlink_to(elsewhere)
    file = named(folder, start="3")
    (file / "left").unlink()
    file.rmdir()
    file.write_bytes(b"1")
    for other in others[1:]:
        other.mkdir()
    if os.geteuid() == 0:
        foreign = named(folder, start="4")
        os.chown(foreign, 65534, 65534)
        others.append(foreign)
    assert sweep(folder) == []
    assert all(path.exists() for path in (*others, link, file, elsewhere / "precious"))


def test_janitors_at_once_remove_each_folder_once(tmp_path: Path) -> None:
    """While owners come and go."""
    dead = {named(tmp_path, start="1", end=f"{i:08x}") for i in range(30)}
    start = threading.Barrier(6)
    removed: list[Path] = []
    failures: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                start.wait()
                work()
            except BaseException as failure:
                failures.append(failure)

        return run

    def own() -> None:
        for _ in range(20):
            with Scratch(tmp_path) as scratch:
                assert scratch.path.is_dir()

    workers = [threading.Thread(target=guarded(w)) for w in (own, own)]
    workers += [
        threading.Thread(target=guarded(lambda: removed.extend(sweep(tmp_path)))) for _ in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(20)
    assert not failures
    assert set(removed) <= dead
    assert len(removed) == len(set(removed))
    assert not list(tmp_path.iterdir())


def test_a_missing_path_is_an_error_and_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"absent' does not exist\. Make the folder"):
        _ = Scratch(tmp_path / "absent").path
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="file' is a file"):
        _ = Scratch(tmp_path / "file").path
    assert sweep(tmp_path / "absent") == []


def test_an_unwritable_path_is_an_error() -> None:
    """Nobody makes files in /proc, root neither."""
    with pytest.raises(StorageError, match=r"storage path '/proc' cannot be written: .*another"):
        _ = Scratch(Path("/proc")).path


def test_the_default_is_the_folder_for_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert default_folder() == tmp_path
    with Scratch() as scratch:
        assert scratch.path.parent == tmp_path
    monkeypatch.delenv("TMPDIR")
    assert default_folder().is_dir()
