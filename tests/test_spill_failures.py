"""Records on disk when something fails: an error, no wrong bytes, nothing left behind."""

import errno
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from spill_disks import (
    PATIENCE,
    FlippedDisk,
    ForgetfulDisk,
    GatedDisk,
    SlowDisk,
    TruncatedDisk,
    check_nothing_left,
    failing,
    kept,
    open_files,
    put,
    read,
    some_records,
    threads,
)

from wavepipe.propagators.errors import StorageError
from wavepipe.propagators.storage import disk as disks
from wavepipe.propagators.storage.checksum import checksum
from wavepipe.propagators.storage.disk import BLOCK, Disk, check_space
from wavepipe.propagators.storage.spill import SpillFile


@pytest.fixture(autouse=True)
def nothing_left(tmp_path: Path) -> Iterator[None]:
    """No thread, no open file and no file in the folder after any test."""
    yield
    check_nothing_left(tmp_path)


@pytest.mark.parametrize("buffers", [1, 4])
@pytest.mark.parametrize(
    ("code", "says"), [(errno.ENOSPC, "disk is full"), (errno.EIO, "Input/output error")]
)
def test_a_disk_that_fails_while_written_stops_the_caller(
    tmp_path: Path, buffers: int, code: int, says: str
) -> None:
    def run() -> None:
        disk = failing("write", code, at=5)
        with closing(SpillFile(tmp_path, 30, BLOCK, buffers=buffers, disk=disk)) as file:
            for i, record in enumerate(some_records(30, BLOCK)):
                put(file, i, record)

    with pytest.raises(StorageError, match=says):
        run()


def test_a_disk_that_fails_at_the_last_record_says_so_in_close(tmp_path: Path) -> None:
    file = SpillFile(tmp_path, 1, BLOCK, disk=failing("write", errno.EIO, at=0))
    put(file, 0, some_records(1, BLOCK)[0])
    threads()[0].join(PATIENCE)
    with pytest.raises(StorageError, match="Input/output error"):
        file.close()
    file.close()


def test_an_error_is_raised_by_every_later_call(tmp_path: Path) -> None:
    record = some_records(1, BLOCK)[0]
    with closing(SpillFile(tmp_path, 3, BLOCK, disk=failing("write", errno.EIO, at=0))) as file:
        put(file, 0, record)
        threads()[0].join(PATIENCE)
        for _ in range(2):
            with pytest.raises(StorageError, match="is lost"):
                put(file, 1, record)
            with pytest.raises(StorageError, match="is lost"):
                read(file, 0)


@pytest.mark.parametrize("buffers", [1, 4])
def test_a_disk_that_fails_while_read_stops_the_caller(tmp_path: Path, buffers: int) -> None:
    records = some_records(30, BLOCK)
    disk = failing("read", errno.EIO, at=11)
    with closing(SpillFile(tmp_path, 30, BLOCK, buffers=buffers, disk=disk)) as file:
        for i, record in enumerate(records):
            put(file, i, record)
        right = []

        def back() -> None:
            for i in reversed(range(30)):
                np.testing.assert_array_equal(read(file, i), records[i])
                right.append(i)

        with pytest.raises(StorageError, match="Input/output error"):
            back()
    assert 11 not in right


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (FlippedDisk, "record 3 came back with other bytes"),
        (ForgetfulDisk, "came back with other bytes"),
        (TruncatedDisk, "the file ends too early"),
    ],
)
def test_wrong_bytes_on_disk_are_never_returned(
    tmp_path: Path, kind: type[Disk], says: str
) -> None:
    records = some_records(12, BLOCK)

    def run() -> None:
        with closing(SpillFile(tmp_path, 12, BLOCK, buffers=2, disk=kind)) as file:
            for i, record in enumerate(records):
                put(file, i, record)
            for i in reversed(range(12)):
                np.testing.assert_array_equal(read(file, i), records[i])

    with pytest.raises(StorageError, match=says):
        run()


def test_the_checksum_sees_lost_moved_and_stale_sectors() -> None:
    data = some_records(1, 1 << 20)[0]
    right = checksum(data)
    for sector in (512, 4096):
        blocks = data.reshape(-1, sector)
        for changed in (
            np.concatenate([blocks[1:2], blocks[:1], blocks[2:]]),  # swapped
            np.concatenate([blocks[:1], blocks[:-1]]),  # shifted
            np.concatenate([blocks[:-1], 0 * blocks[:1]]),  # lost
        ):
            assert checksum(changed.reshape(-1)) != right
    for position in (0, 4071, 4072, (1 << 20) - 1):
        data[position] ^= 1
        assert checksum(data) != right
        data[position] ^= 1
    assert checksum(data) == right


def test_an_exception_in_the_caller_leaves_nothing(tmp_path: Path) -> None:
    """Also with writes that wait for the disk."""

    def run() -> None:
        with closing(SpillFile(tmp_path, 9, BLOCK, disk=SlowDisk)) as file:
            for i, record in enumerate(some_records(9, BLOCK)):
                put(file, i, record)
                if i == 3:
                    raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run()
    assert not threads()
    assert not open_files()


def test_an_exception_while_a_record_is_filled_gives_the_buffer_back(tmp_path: Path) -> None:
    with closing(SpillFile(tmp_path, 2, BLOCK, buffers=1)) as file:
        for _ in range(3):
            with pytest.raises(ZeroDivisionError), file.writing(0):
                raise ZeroDivisionError
        with pytest.raises(StorageError, match="never written"):
            read(file, 0)
        for _ in range(3):
            put(file, 1, some_records(1, BLOCK)[0])
            with pytest.raises(ZeroDivisionError), file.reading(1):
                raise ZeroDivisionError
        np.testing.assert_array_equal(read(file, 1), some_records(1, BLOCK)[0])


def test_a_file_without_references_is_gone(tmp_path: Path) -> None:
    file = SpillFile(tmp_path, 3, BLOCK)
    put(file, 0, some_records(1, BLOCK)[0])
    assert threads()
    assert len(open_files()) == 1
    del file
    assert not threads()
    assert not open_files()


def test_a_closed_file_says_so_also_to_those_who_wait(tmp_path: Path) -> None:
    made: list[GatedDisk] = []
    record, errors = some_records(1, BLOCK)[0], []
    file = SpillFile(tmp_path, 3, BLOCK, buffers=1, disk=kept(GatedDisk, made))
    put(file, 0, record)

    def wait() -> None:
        try:
            put(file, 1, record)
        except StorageError as error:
            errors.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    closing = threading.Thread(target=file.close)
    closing.start()
    waiting.join(PATIENCE)
    made[0].writes.set()
    closing.join(PATIENCE)
    assert "closed" in str(errors[0])
    with pytest.raises(StorageError, match="closed"):
        read(file, 0)
    file.close()


def test_too_little_space_is_known_before_the_run(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"takes 1e\+06 TB on disk; .* GB free.*storage path"):
        SpillFile(tmp_path, 10**9, 10**9)
    with pytest.raises(StorageError, match="GB free"):
        check_space(tmp_path, 10**18)
    check_space(tmp_path, 1)


def test_a_filesystem_that_is_fuller_than_it_said_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with quotas: only the reservation tells."""
    monkeypatch.setattr(disks, "check_space", lambda folder, size: None)
    with pytest.raises(StorageError, match=r"cannot reserve 4e\+05 TB in .*"):
        SpillFile(tmp_path, 10**8, 4 * 10**9)


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot make a file in .*No such file"):
        SpillFile(tmp_path / "absent", 1, 1)


CHILD = """
import resource, sys
from pathlib import Path
import numpy as np
from wavepipe.propagators.storage.spill import SpillFile
"""


def child(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", CHILD + code, str(folder)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_limit_on_the_size_of_files_is_known_before_the_run(tmp_path: Path) -> None:
    ended = child(
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
        "SpillFile(Path(sys.argv[1]), 2, 1 << 20)",
        tmp_path,
    )
    assert "StorageError: cannot reserve 2.1 MB" in ended.stderr
    assert "ulimit -f" in ended.stderr


@pytest.mark.parametrize(
    "end", ["", "raise ZeroDivisionError", "import os; os.kill(os.getpid(), 9)"]
)
def test_a_process_that_ends_in_any_way_leaves_no_file(tmp_path: Path, end: str) -> None:
    ended = child(
        "file = SpillFile(Path(sys.argv[1]), 9, 1 << 20)\n"
        "for i in range(9):\n"
        "    with file.writing(i) as memory: memory[:] = 0\n" + end,
        tmp_path,
    )
    assert (ended.returncode == 0) == (end == "")
    assert not list(tmp_path.iterdir())
