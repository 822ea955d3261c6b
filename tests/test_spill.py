"""Records on disk: the same bytes come back, moved behind the caller's back."""

import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from spill_disks import (
    PATIENCE,
    BufferedDisk,
    GatedDisk,
    ShortDisk,
    check_nothing_left,
    kept,
    put,
    read,
    some_records,
)

from wavepipe.propagators.storage import disk as disks
from wavepipe.propagators.storage.bandwidth import bandwidth, in_memory
from wavepipe.propagators.storage.buffers import Buffers
from wavepipe.propagators.storage.disk import BLOCK, Disk
from wavepipe.propagators.storage.spill import SpillFile, buffer_bytes, default_buffers, file_bytes


@pytest.fixture(autouse=True)
def nothing_left(tmp_path: Path) -> Iterator[None]:
    """No thread, no open file and no file in the folder after any test."""
    yield
    check_nothing_left(tmp_path)


@pytest.mark.parametrize("kind", [Disk, BufferedDisk, ShortDisk])
@pytest.mark.parametrize("buffers", [1, 2, 5, None])
@pytest.mark.parametrize("size", [1, 4096, 100_003])
@pytest.mark.parametrize("order", ["down", "up", "any"])
def test_records_come_back_bit_by_bit(
    tmp_path: Path, kind: Callable[[Path, int], Disk], buffers: int | None, size: int, order: str
) -> None:
    records = some_records(17, size)
    indices = {"down": range(16, -1, -1), "up": range(17), "any": [5, 16, 2, 2, 3, 4, 0, 9, 7, 5]}
    with closing(SpillFile(tmp_path, 17, size, buffers=buffers, disk=kind)) as file:
        for i, record in enumerate(records):
            put(file, i, record)
        for i in indices[order]:
            np.testing.assert_array_equal(read(file, i), records[i])


@pytest.mark.parametrize("buffers", [1, 2, 3, 8])
def test_any_sequence_of_puts_and_gets_is_that_of_a_table(tmp_path: Path, buffers: int) -> None:
    rng = np.random.default_rng(buffers)
    table: dict[int, NDArray[np.uint8]] = {}
    position = 0
    with closing(SpillFile(tmp_path, 12, 5000, buffers=buffers)) as file:
        for step in range(600):
            position = int(np.clip(position + rng.choice([-1, -1, 1, 1, 0, 5, -5]), 0, 11))
            if position in table and rng.random() < 0.6:
                np.testing.assert_array_equal(read(file, position), table[position])
            else:
                table[position] = some_records(1, 5000, step)[0]
                put(file, position, table[position])


def test_threads_share_files(tmp_path: Path) -> None:
    """Four threads on two files, each with records of its own, some overwritten."""
    failures: list[BaseException] = []

    def work(file: SpillFile, first: int) -> None:
        try:
            for turn in range(3):
                records = some_records(10, file.record_bytes, seed=first + turn)
                for i, record in enumerate(records):
                    put(file, first + i, record)
                for i in reversed(range(10)):
                    np.testing.assert_array_equal(read(file, first + i), records[i])
        except BaseException as failure:
            failures.append(failure)

    with (
        closing(SpillFile(tmp_path, 20, 9000, buffers=2)) as a,
        closing(SpillFile(tmp_path, 20, 700)) as b,
    ):
        workers = [threading.Thread(target=work, args=(f, n)) for f in (a, b) for n in (0, 10)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(PATIENCE)
        assert not any(worker.is_alive() for worker in workers)
    assert not failures


def test_records_are_filled_in_place_and_read_only_where_they_are(tmp_path: Path) -> None:
    record = some_records(1, 420)[0]
    with closing(SpillFile(tmp_path, 2, record.nbytes)) as file:
        put(file, 1, record)
        with file.reading(1) as memory:
            assert not memory.flags.writeable
            assert memory.tobytes() == record.tobytes()


def test_put_waits_for_the_disk_only_when_all_buffers_are_full(tmp_path: Path) -> None:
    made: list[GatedDisk] = []
    records = some_records(4, BLOCK)
    with closing(SpillFile(tmp_path, 4, BLOCK, buffers=3, disk=kept(GatedDisk, made))) as file:
        for i in range(3):
            put(file, i, records[i])  # returns, though nothing can be written
        last = threading.Thread(target=put, args=(file, 3, records[3]))
        last.start()
        last.join(0.05)
        assert last.is_alive()
        np.testing.assert_array_equal(read(file, 1), records[1])  # from its buffer
        made[0].writes.set()
        last.join(PATIENCE)
        assert not last.is_alive()


@pytest.mark.parametrize("step", [-1, 1])
@pytest.mark.parametrize("buffers", [1, 2, 4])
def test_the_next_records_are_read_before_they_are_asked_for(
    tmp_path: Path, step: int, buffers: int
) -> None:
    made: list[GatedDisk] = []
    records = some_records(12, BLOCK)
    first = 0 if step == 1 else 11
    with closing(
        SpillFile(tmp_path, 12, BLOCK, buffers=buffers, disk=kept(GatedDisk, made))
    ) as file:
        disk = made[0]
        disk.writes.set()
        disk.reads.set()
        for i, record in enumerate(records):
            put(file, i, record)
        read(file, first)
        read(file, first + step)
        expected = {(first + k * step) * BLOCK for k in range(2, buffers + 2)}
        in_buffers = set() if step == 1 else {i * BLOCK for i in range(12 - buffers, 12)}
        with disk.asked:
            assert disk.asked.wait_for(
                lambda: expected - in_buffers <= set(disk.read_offsets), PATIENCE
            )


def test_each_record_is_read_once_on_the_way_back(tmp_path: Path) -> None:
    """What is still in buffers is not read at all."""
    made: list[GatedDisk] = []
    records = some_records(20, BLOCK)
    with closing(SpillFile(tmp_path, 20, BLOCK, buffers=4, disk=kept(GatedDisk, made))) as file:
        made[0].writes.set()
        made[0].reads.set()
        for i, record in enumerate(records):
            put(file, i, record)
        for i in reversed(range(20)):
            np.testing.assert_array_equal(read(file, i), records[i])
        assert sorted(made[0].read_offsets) == [i * BLOCK for i in range(16)]


def test_a_filesystem_that_cannot_reserve_is_used_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disks, "_fallocate", lambda file, size: errno.EOPNOTSUPP)
    records = some_records(5, 3 * BLOCK)
    with closing(SpillFile(tmp_path, 5, 3 * BLOCK, buffers=1)) as file:
        for i in (3, 1, 0, 4):
            put(file, i, records[i])
        for i in (4, 3, 1, 0):
            np.testing.assert_array_equal(read(file, i), records[i])


def test_records_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    with closing(SpillFile(tmp_path, 2, 80)) as file:
        with pytest.raises(IndexError, match="record 2 does not exist; there are 2"):
            put(file, 2, np.zeros(80, np.uint8))
        with pytest.raises(IndexError, match="record -1"):
            read(file, -1)
    for bad in ((0, 8, 1), (1, 0, 1), (1, 8, 0)):
        with pytest.raises(ValueError, match="above zero"):
            SpillFile(tmp_path, bad[0], bad[1], buffers=bad[2])


def test_sizes_are_those_of_the_file(tmp_path: Path) -> None:
    made: list[Disk] = []
    with closing(SpillFile(tmp_path, 3, 5000, disk=kept(Disk, made))):
        assert made[0].size == file_bytes(3, 5000) == 3 * 2 * BLOCK
    assert buffer_bytes(5000, 3) == 3 * 2 * BLOCK
    assert default_buffers(1 << 30) == 4
    assert buffer_bytes(1000) <= 1 << 20


def test_blocks_larger_than_ours_are_written_through_the_cache(tmp_path: Path) -> None:
    """A filesystem may refuse direct access at the first transfer only."""

    class PickyDisk(Disk):
        def pwrite(self, pieces: list[memoryview], offset: int) -> int:
            if self.direct:
                raise OSError(errno.EINVAL, "alignment")
            return super().pwrite(pieces, offset)

    made: list[Disk] = []
    record = some_records(1, BLOCK)[0]
    disk = PickyDisk(tmp_path, BLOCK)
    disk.direct = True
    made.append(disk)
    buffers = Buffers(disk, 1, BLOCK, 1)
    with buffers.writing(0) as memory:
        memory[:] = record
    with buffers.reading(0) as memory:
        np.testing.assert_array_equal(memory, record)
    buffers.stop()
    assert buffers.untold() is None


def test_a_file_in_memory_works_too() -> None:
    """Also where direct access does not exist, as on some kernels."""
    folder = Path("/dev/shm")
    if not (os.access(folder, os.W_OK) and in_memory(folder)):
        pytest.skip("no /dev/shm")
    records = some_records(6, 5000)
    with closing(SpillFile(folder, 6, 5000, buffers=1)) as file:
        for i, record in enumerate(records):
            put(file, i, record)
        for i in reversed(range(6)):
            np.testing.assert_array_equal(read(file, i), records[i])


def test_bandwidth_is_measured_once_for_a_folder(tmp_path: Path) -> None:
    measured = bandwidth(tmp_path)
    assert measured.write > 1e6
    assert measured.read > 1e6
    assert bandwidth(tmp_path) is measured
