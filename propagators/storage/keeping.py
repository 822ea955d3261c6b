"""Forward runs that keep their wavefield, and the adjoint runs that use it."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from wavepipe.propagators.backends.sweep import Backend, History, Sweep, SweepResult
from wavepipe.propagators.storage.archive import archive
from wavepipe.propagators.storage.choice import Choice, choose, folder_of
from wavepipe.propagators.storage.history import HistoryShape, Window
from wavepipe.propagators.storage.policy import Storage
from wavepipe.propagators.storage.recomputation import Recomputed

Look = Callable[[History, int], None]
"""What sees the slots of each window as they are made: where they are, and how many."""


class Keeper(Protocol):
    """Keeps the wavefield of one forward run for one adjoint run."""

    def forward(self, sweep: Sweep, look: Look | None) -> SweepResult:
        """All steps of a sweep whose history this object decides."""

    def backward(self, sweep: Sweep) -> SweepResult:
        """All steps of the adjoint sweep."""

    def close(self) -> None:
        """Give back memory and disk; a second call does nothing."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A forward run whose wavefield is kept."""

    result: SweepResult
    keeper: Keeper
    choice: Choice


def keep(
    backend: Backend,
    sweep: Sweep,
    names: tuple[str, ...],
    stride: int,
    storage: Storage,
    look: Look | None = None,
) -> Kept:
    """Run a sweep forward and keep stored sums at every `stride`-th step.

    Parameters
    ----------
    names
        Of the sums, as its `sampled` program stores them.

    Raises
    ------
    StorageError
        What was asked for does not fit, or the folder for it cannot be written or has no room.
    """
    shape = (*sweep.program.shape[:-1], backend.padded(sweep.program.shape[-1]))
    history = HistoryShape(names, sweep.n_shots, shape, sweep.dtype, stride, sweep.n_steps)
    choice = choose(storage, history, backend.state_bytes(sweep))
    keeper = _keeper(backend, history, choice, folder_of(storage))
    try:
        return Kept(keeper.forward(sweep, look), keeper, choice)
    except BaseException:
        keeper.close()
        raise


def _keeper(backend: Backend, shape: HistoryShape, choice: Choice, folder: Path) -> Keeper:
    if choice.is_direct:
        return Direct(backend, shape)
    if choice.method == "recompute":
        return Recomputed(backend, shape, choice, folder)
    return Archived(backend, shape, choice, folder)


class Direct:
    """The whole history in memory, where the back-end writes and reads it."""

    def __init__(self, backend: Backend, shape: HistoryShape) -> None:
        self._backend = backend
        self._history = shape.allocate(shape.n_slots)

    def forward(self, sweep: Sweep, look: Look | None) -> SweepResult:
        """See `Keeper`."""
        result = self._backend.run(replace(sweep, history=self._history))
        if look is not None:
            look(self._history, next(iter(self._history.slots.values())).shape[1])
        return result

    def backward(self, sweep: Sweep) -> SweepResult:
        """See `Keeper`."""
        return self._backend.run(replace(sweep, history=self._history))

    def close(self) -> None:
        """See `Keeper`."""
        self._history.slots.clear()


class Archived:
    """Slots that are encoded, or on disk: they pass through two windows in memory.

    While the back-end works on one window a thread archives the one before it, or brings the next.
    """

    def __init__(self, backend: Backend, shape: HistoryShape, choice: Choice, folder: Path) -> None:
        self._backend, self._shape, self._choice = backend, shape, choice
        self._archive = archive(shape, choice, folder)

    def forward(self, sweep: Sweep, look: Look | None) -> SweepResult:
        """See `Keeper`."""

        def store(window: Window, slots: History) -> None:
            if look is not None:
                look(slots, window.n_slots)
            self._archive.write(window, slots)

        memory = self._memory(zero=True)
        execution = self._backend.start(replace(sweep, history=memory[0]))
        waiting: list[Future[None]] = []
        with self._thread() as thread:
            for number, window in enumerate(self._shape.windows(self._choice.window)):
                if number >= len(memory):
                    waiting.pop(0).result()
                slots = replace(memory[number % len(memory)], first=window.first)
                execution.advance(window.begin, window.end, slots)
                waiting.append(thread.submit(store, window, slots))
            for one in waiting:
                one.result()
        return execution.result()

    def backward(self, sweep: Sweep) -> SweepResult:
        """See `Keeper`."""
        memory = self._memory(zero=False)
        windows = self._shape.windows(self._choice.window)[::-1]

        def load(number: int) -> History:
            slots = replace(memory[number % len(memory)], first=windows[number].first)
            self._archive.read(windows[number], slots)
            return slots

        execution = self._backend.start(replace(sweep, history=memory[0]))
        with self._thread() as thread:
            ahead = thread.submit(load, 0)
            for number, window in enumerate(windows):
                slots = ahead.result()
                if number + 1 < len(windows):
                    ahead = thread.submit(load, number + 1)
                execution.advance(*window.backwards(sweep.n_steps), slots)
        return execution.result()

    def close(self) -> None:
        """See `Keeper`."""
        self._archive.close()

    @contextmanager
    def _thread(self) -> Iterator[ThreadPoolExecutor]:
        """A thread beside the propagation, which after an exception waits for no disk."""
        with ThreadPoolExecutor(1, "wavefield-codec") as thread:
            try:
                yield thread
            except BaseException:
                self.close()
                raise

    def _memory(self, *, zero: bool) -> list[History]:
        """Two windows, or one for a history that is no longer."""
        n_slots = min(self._choice.window, self._shape.n_slots)
        count = 2 if n_slots < self._shape.n_slots else 1
        return [self._shape.allocate(n_slots, zero=zero) for _ in range(count)]
