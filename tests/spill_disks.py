"""Disks that are slow, fail or forget, records to put on them, and folders left there."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wavepipe.propagators.storage import scratch_file
from wavepipe.propagators.storage.disk import BLOCK, Disk
from wavepipe.propagators.storage.scratch import Scratch
from wavepipe.propagators.storage.spill import SpillFile

PATIENCE = 10.0
"""s: after that something hangs."""


def check_nothing_left(folder: Path) -> None:
    """No thread, no open file and no file in a folder."""
    assert not threads()
    assert not open_files()
    assert not list(folder.iterdir())


def threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "wavefield-disk"]


def open_files() -> list[str]:
    links = []
    for name in Path("/proc/self/fd").iterdir():
        try:
            links.append(str(name.readlink()))
        except FileNotFoundError:  # the listing's own
            continue
    return [link for link in links if "wavefield-" in link]


def some_records(n: int, size: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (n, size), dtype=np.uint8)


def put(file: SpillFile, record: int, data: NDArray[np.uint8]) -> None:
    with file.writing(record) as memory:
        memory[:] = data


def read(file: SpillFile, record: int) -> NDArray[np.uint8]:
    with file.reading(record) as memory:
        return memory.copy()


def kept(kind: Callable[[Path, int], Disk], made: list[Any]) -> Callable[[Path, int], Disk]:
    """A maker of disks that keeps what it made, for tests to look at."""

    def make(folder: Path, size: int) -> Disk:
        made.append(kind(folder, size))
        return made[-1]  # type: ignore[no-any-return]

    return make


class GatedDisk(Disk):
    """Transfers wait until they are let through; what was asked for is counted."""

    def __init__(self, folder: Path, size: int) -> None:
        super().__init__(folder, size)
        self.writes, self.reads = threading.Event(), threading.Event()
        self.read_offsets: list[int] = []
        self.asked = threading.Condition()

    def pwrite(self, pieces: list[memoryview], offset: int) -> int:
        assert self.writes.wait(PATIENCE)
        return super().pwrite(pieces, offset)

    def pread(self, pieces: list[memoryview], offset: int) -> int:
        with self.asked:
            self.read_offsets += [offset + i * BLOCK for i in range(len(pieces))]
            self.asked.notify_all()
        assert self.reads.wait(PATIENCE)
        return super().pread(pieces, offset)


class ShortDisk(Disk):
    """At most a block and a bit in every call, as the system is free to do."""

    def pwrite(self, pieces: list[memoryview], offset: int) -> int:
        return super().pwrite([pieces[0][: BLOCK + 1000]], offset)

    def pread(self, pieces: list[memoryview], offset: int) -> int:
        return super().pread([pieces[0][: BLOCK + 1000]], offset)


class BufferedDisk(Disk):
    def __init__(self, folder: Path, size: int) -> None:
        super().__init__(folder, size, direct=False)


def failing(kind: str, code: int, at: int) -> type[Disk]:
    """A disk whose transfer to or from one record fails."""

    class FailingDisk(Disk):
        def pwrite(self, pieces: list[memoryview], offset: int) -> int:
            if kind == "write" and offset <= at * BLOCK < offset + BLOCK * len(pieces):
                raise OSError(code, os.strerror(code))
            return super().pwrite(pieces, offset)

        def pread(self, pieces: list[memoryview], offset: int) -> int:
            if kind == "read" and offset <= at * BLOCK < offset + BLOCK * len(pieces):
                raise OSError(code, os.strerror(code))
            return super().pread(pieces, offset)

    return FailingDisk


class FlippedDisk(Disk):
    """One bit of record 3 is wrong when it comes back."""

    def pread(self, pieces: list[memoryview], offset: int) -> int:
        done = super().pread(pieces, offset)
        if offset <= 3 * BLOCK < offset + BLOCK * len(pieces):
            pieces[3 - offset // BLOCK][1234] ^= 4
        return done


class ForgetfulDisk(Disk):
    """A write to record 3 is acknowledged and lost."""

    def pwrite(self, pieces: list[memoryview], offset: int) -> int:
        if offset <= 3 * BLOCK < offset + BLOCK * len(pieces):
            return sum(piece.nbytes for piece in pieces)
        return super().pwrite(pieces, offset)


class TruncatedDisk(Disk):
    """The file lost its end."""

    def pread(self, pieces: list[memoryview], offset: int) -> int:
        return (
            0
            if offset <= 3 * BLOCK < offset + BLOCK * len(pieces)
            else super().pread(pieces, offset)
        )


class SlowDisk(Disk):
    """A few milliseconds for every transfer."""

    def pwrite(self, pieces, offset):
        time.sleep(0.004)
        return super().pwrite(pieces[:1], offset)

    def pread(self, pieces, offset):
        time.sleep(0.004)
        return super().pread(pieces[:1], offset)


def failing_for_good(kind, code, after):
    """A disk that fails for good after some transfers of a kind."""

    class FailingDisk(Disk):
        left = after

        def fail(self, what):
            if what == kind:
                self.left -= 1
                if self.left < 0:
                    raise OSError(code, os.strerror(code))

        def pwrite(self, pieces, offset):
            self.fail("write")
            return super().pwrite(pieces, offset)

        def pread(self, pieces, offset):
            self.fail("read")
            return super().pread(pieces, offset)

    return FailingDisk


class AllFlippedDisk(Disk):
    """One bit of everything that comes back is wrong."""

    def pread(self, pieces, offset):
        done = super().pread(pieces, offset)
        np.frombuffer(pieces[0], np.uint8)[1234] ^= 4
        return done


def on_disks(monkeypatch, kind):
    """All files of wavefields on a kind of disk, with one buffer."""

    def spill_file(*arguments, buffers):
        return SpillFile(*arguments, buffers=1, disk=kind)

    monkeypatch.setattr(scratch_file, "SpillFile", spill_file)


def named(folder: Path, **parts: str) -> Path:
    """A folder with the name this process gives to its own, but for some parts."""
    with Scratch(folder) as scratch:
        _, host, kernel, pid, start, _ = scratch.path.name.split("-")
    own = {"host": host, "kernel": kernel, "pid": pid, "start": start, "end": "00000000"} | parts
    path = folder / "wavepipe-{host}-{kernel}-{pid}-{start}-{end}".format(**own)
    path.mkdir()
    (path / "left").write_bytes(bytes(1000))
    return path
