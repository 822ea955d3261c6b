"""Bounded buffers between those who make and use records and the thread that moves them to disk."""

import os
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto

import numpy as np
from numpy.typing import NDArray

from wavepipe.propagators.errors import StorageError
from wavepipe.propagators.storage.checksum import checksum
from wavepipe.propagators.storage.disk import Disk, page_aligned, reason

_RUN_BYTES = 8 << 20
"""Neighbouring records are moved together up to that size: small transfers are slow."""


class _State(Enum):
    EMPTY = auto()
    FILLING = auto()
    """A caller writes to it."""
    DIRTY = auto()
    """Waits to be written, or is being written."""
    LOADING = auto()
    """Waits to be read, or is being read."""
    CLEAN = auto()
    """Holds what is on disk."""


class _Buffer:
    __slots__ = ("age", "memory", "pins", "record", "state", "sum", "wanted")

    def __init__(self, memory: NDArray[np.uint8]) -> None:
        self.memory = memory
        self.state = _State.EMPTY
        self.record = -1
        self.age = 0
        self.pins = 0
        """Callers that read from it."""
        self.sum: int | None = None
        """What a record read from disk must add up to, until that is checked."""
        self.wanted = False
        """Somebody waits for it to be loaded."""


class Buffers:
    """Page-aligned buffers, reused, and one thread that writes them behind and reads ahead.

    A buffer keeps its record until another needs the room: what was written last is read first,
    and from memory.

    Parameters
    ----------
    disk
        Record i lies at ``i * record_bytes``; closed by the thread when it ends.
    n_records, record_bytes
        Size of the file; `record_bytes` in whole blocks.
    n_buffers
        At least 1.
    """

    def __init__(self, disk: Disk, n_records: int, record_bytes: int, n_buffers: int) -> None:
        self._disk, self._n_records, self._record_bytes = disk, n_records, record_bytes
        memory = page_aligned(n_buffers * record_bytes).reshape(n_buffers, record_bytes)
        self._buffers = [_Buffer(row) for row in memory]
        self._of: dict[int, _Buffer] = {}
        self._writes: deque[_Buffer] = deque()
        self._reads: deque[_Buffer] = deque()
        self._sums: dict[int, int] = {}
        self._clock = 0
        self._last, self._step = -1, 0
        self._failure: BaseException | None = None
        self._told = False
        self._closed = False
        self._changed = threading.Condition()
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._move, name="wavefield-disk", daemon=True)
        self._thread.start()

    @contextmanager
    def writing(self, record: int) -> Iterator[NDArray[np.uint8]]:
        """A buffer to fill; handed to the thread at the end, dropped after an exception."""
        with self._changed:
            buffer = self._take()
            buffer.state = _State.FILLING
            self._step = 0
        try:
            yield buffer.memory
        except BaseException:
            with self._changed:
                buffer.state = _State.EMPTY
                self._changed.notify_all()
            raise
        total = checksum(buffer.memory)
        with self._changed:
            buffer.state = _State.EMPTY
            self._changed.notify_all()
            self._check()
            old = self._of.get(record)
            if old is not None and old in self._reads and not old.wanted:
                self._cancel(old)
            buffer.record, buffer.state = record, _State.DIRTY
            self._of[record], self._sums[record] = buffer, total
            self._writes.append(buffer)

    @contextmanager
    def reading(self, record: int) -> Iterator[NDArray[np.uint8]]:
        """The buffer that holds a record, which stays there until the end."""
        with self._changed:
            buffer = self._find(record)
            buffer.pins += 1
            try:
                self._turn(record)
                self._read_ahead()
                self._changed.wait_for(lambda: buffer.state is not _State.LOADING or self._ended)
                self._check()
            except BaseException:
                self._unpin(buffer)
                raise
        try:
            self._verify(buffer)
            yield buffer.memory
        finally:
            with self._changed:
                self._unpin(buffer)
                self._read_ahead()

    def stop(self) -> None:
        """End the thread, which closes the disk; what is not written yet is dropped."""
        if os.getpid() != self._process:
            return  # after a fork there is no thread, and the file is the parent's
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is not threading.current_thread():  # which may collect garbage
            self._thread.join()
        with self._changed:
            self._buffers = []
            for held in (self._of, self._reads, self._writes):
                held.clear()

    def untold(self) -> StorageError | None:
        """The thread's error, if no call has raised it yet."""
        if self._failure is None or self._told:
            return None
        self._told = True
        return self._error(self._failure)

    @property
    def _ended(self) -> bool:
        return self._closed or self._failure is not None

    def _check(self) -> None:
        if self._failure is not None:
            self._told = True
            raise self._error(self._failure) from self._failure
        if self._closed:
            raise StorageError("the file of the wavefield is closed; run the propagator again.")

    def _error(self, failure: BaseException) -> StorageError:
        why = reason(failure) if isinstance(failure, OSError) else str(failure)
        return StorageError(f"the wavefield on disk in {self._disk.folder} is lost: {why}")

    def _verify(self, buffer: _Buffer) -> None:
        """Compare a record that was read with the one that was written, here and not in the thread.

        The disk goes on meanwhile.
        """
        expected = buffer.sum  # another caller may verify the same record
        if expected is not None and checksum(buffer.memory) != expected:
            with self._changed:
                self._failure = StorageError(
                    f"record {buffer.record} came back with other bytes than were written. "
                    "Name another folder as storage path."
                )
                self._changed.notify_all()
                self._check()
        buffer.sum = None

    def _take(self) -> _Buffer:
        """An empty buffer; the one that was not used for the longest time if there is none."""
        while True:
            self._check()
            free = [b for b in self._buffers if _is_free(b)]
            if not free and (ahead := [b for b in self._reads if not b.wanted and not b.pins]):
                self._cancel(ahead[-1])
                continue
            if free:
                buffer = min(free, key=lambda b: b.age)
                self._forget(buffer)
                return buffer
            self._changed.wait()

    def _find(self, record: int) -> _Buffer:
        """The buffer of a record, which the thread is told to read if it is on disk only."""
        self._check()
        buffer = self._of.get(record)
        if buffer is None:
            if record not in self._sums:
                raise StorageError(f"record {record} of the wavefield was never written.")
            taken = self._take()  # may wait, and another caller may have read the record
            buffer = self._of.get(record)
            if buffer is None:
                self._load(taken, record)
                buffer = taken
        if buffer.state is _State.LOADING and not buffer.wanted:
            buffer.wanted = True
            if buffer in self._reads:
                self._reads.remove(buffer)
                self._reads.appendleft(buffer)
        self._changed.notify_all()
        return buffer

    def _load(self, buffer: _Buffer, record: int) -> None:
        self._forget(buffer)
        buffer.record, buffer.state, buffer.wanted = record, _State.LOADING, False
        buffer.sum = self._sums[record]
        self._of[record] = buffer
        self._reads.append(buffer)

    def _cancel(self, buffer: _Buffer) -> None:
        self._reads.remove(buffer)
        self._forget(buffer)

    def _forget(self, buffer: _Buffer) -> None:
        if self._of.get(buffer.record) is buffer:
            del self._of[buffer.record]
        buffer.record, buffer.state, buffer.age, buffer.sum = -1, _State.EMPTY, 0, None

    def _unpin(self, buffer: _Buffer) -> None:
        buffer.pins -= 1
        self._age(buffer)
        self._changed.notify_all()

    def _age(self, buffer: _Buffer) -> None:
        self._clock += 1
        buffer.age = self._clock

    def _turn(self, record: int) -> None:
        """Guess which record is read next: gradients read backwards, others forwards."""
        if self._last < 0:
            self._step = 1 if record == 0 else -1
        elif abs(record - self._last) == 1:
            self._step = record - self._last
        elif record != self._last:
            self._step = 0
        self._last = record

    def _read_ahead(self) -> None:
        """Ask for the records that come next, as far as there are buffers without a use."""
        if self._step == 0 or self._ended:
            return
        ahead = range(
            self._last + self._step, self._n_records if self._step > 0 else -1, self._step
        )
        ahead = ahead[: len(self._buffers)]
        missing = [i for i in ahead if i not in self._of and i in self._sums]
        if not missing:
            return
        free = [b for b in self._buffers if _is_free(b) and not self._is_next(b, ahead)]
        for record, buffer in zip(missing, free, strict=False):
            self._load(buffer, record)
        self._changed.notify_all()

    def _is_next(self, buffer: _Buffer, ahead: range) -> bool:
        return buffer.record in ahead and self._of.get(buffer.record) is buffer

    def _move(self) -> None:
        """What the thread does until it is told to end, or the disk fails."""
        try:
            while run := self._next_run():
                self._transfer(run)
        except BaseException as error:
            with self._changed:
                self._failure = error
        finally:
            self._disk.close()
            with self._changed:
                self._changed.notify_all()

    def _next_run(self) -> list[_Buffer]:
        """Buffers of neighbouring records: wanted reads, then writes, then reads ahead."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._reads or self._writes)
            if self._ended:
                return []
            urgent = bool(self._reads) and self._reads[0].wanted
            queue = self._reads if urgent or not self._writes else self._writes
            run = [queue.popleft()]
            most = max(1, min(len(self._buffers) // 2, _RUN_BYTES // self._record_bytes))
            while queue and len(run) < most:
                step = queue[0].record - run[-1].record
                if step != (run[1].record - run[0].record if len(run) > 1 else step):
                    break
                if step != 1 and (step != -1 or queue is self._writes):
                    break
                run.append(queue.popleft())
            return run if run[0].record <= run[-1].record else run[::-1]

    def _transfer(self, run: list[_Buffer]) -> None:
        pieces = [buffer.memory for buffer in run]
        offset = run[0].record * self._record_bytes
        if run[0].state is _State.DIRTY:
            self._disk.write(pieces, offset)
        else:
            self._disk.read(pieces, offset)
        with self._changed:
            for buffer in run:
                buffer.state, buffer.wanted = _State.CLEAN, False
                self._age(buffer)
            self._read_ahead()
            self._changed.notify_all()


def _is_free(buffer: _Buffer) -> bool:
    return not buffer.pins and buffer.state in (_State.EMPTY, _State.CLEAN)
