"""A wavefield computed again from checkpoints, window by window, while the adjoint runs back."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from wavepipe.propagators.backends.card import Card
from wavepipe.propagators.backends.sweep import Backend, Execution, Sweep, SweepResult
from wavepipe.propagators.errors import StorageError
from wavepipe.propagators.storage.history import HOST, HistoryShape, Look, Window, empty
from wavepipe.propagators.storage.reversal import START, Action, reversal
from wavepipe.propagators.storage.scratch_file import ScratchFile
from wavepipe.propagators.storage.shelves import DiskShelf, MemoryShelf, Shelf
from wavepipe.propagators.storage.shuttle import Shuttle
from wavepipe.propagators.storage.ways import STATES, Choice


class Recomputed:
    """One window of slots and the states in front of some others.

    The forward run is the first part of the reversal, up to the last window, whose slots stay.
    """

    def __init__(self, backend: Backend, shape: HistoryShape, choice: Choice, folder: Path) -> None:
        self._backend, self._shape = backend, shape
        self._windows = shape.windows(choice.window)
        self._actions: Iterator[Action] = reversal(len(self._windows), choice.checkpoints)
        self._memory = shape.allocate(min(choice.window, shape.n_slots))
        self._checkpoints = _checkpoints(choice, folder, shape)
        self._sweep: Sweep | None = None

    def forward(self, sweep: Sweep, look: Look | None) -> SweepResult:
        """See `Keeper`."""
        self._sweep = replace(sweep, history=self._memory)
        execution = self._backend.start(self._sweep)
        for action in self._actions:
            self._follow(action, execution, look)
            if action.kind == "turn":
                break
        return execution.result()

    def backward(self, sweep: Sweep) -> SweepResult:
        """See `Keeper`."""
        if self._sweep is None:
            raise StorageError("there is no forward run to compute again.")
        adjoint = self._backend.start(replace(sweep, history=self._memory))
        self._turn(adjoint, sweep, self._windows[-1])
        again: Execution | None = None
        for action in self._actions:
            again = again or self._backend.start(self._sweep)
            self._follow(action, again, None)
            if action.kind == "turn":
                self._turn(adjoint, sweep, self._windows[action.window])
        return adjoint.result()

    def close(self) -> None:
        """See `Keeper`."""
        self._memory.slots.clear()
        self._checkpoints.close()

    def _turn(self, adjoint: Execution, sweep: Sweep, window: Window) -> None:
        slots = replace(self._memory, first=window.first)
        adjoint.advance(*window.backwards(sweep.n_steps), slots)

    def _follow(
        self,
        action: Action,
        execution: Execution,
        look: Look | None,
    ) -> None:
        """Do to the forward run what an action says."""
        if action.kind == "restore":
            step = self._windows[action.window].begin
            if action.checkpoint == START:
                execution.restore(None, step)
                return
            self._checkpoints.restore(action.checkpoint, execution, step)
        elif action.kind == "keep":
            self._checkpoints.save(action.checkpoint, execution)
        else:
            end = action.window + 1 if action.kind == "turn" else action.end
            for window in self._windows[action.window : end]:
                slots = replace(self._memory, first=window.first)
                execution.advance(window.begin, window.end, slots)
                if look is not None:
                    look(slots, window.n_slots)


class Checkpoints:
    """States of an execution, in memory or in a file.

    Raises
    ------
    StorageError
        The folder cannot be written or has no room.
    """

    def __init__(self, choice: Choice, folder: Path, device: torch.device) -> None:
        self._file: ScratchFile | None = None
        in_memory = choice.checkpoints
        if choice.mode == "disk" and choice.checkpoints:
            self._file = ScratchFile(folder, choice.checkpoints, choice.state, choice.buffers)
            in_memory = 0
        place = device if choice.mode == "device" else HOST
        self._memory = empty((in_memory, choice.state), torch.uint8, place)

    def save(self, number: int, execution: Execution) -> None:
        """Keep the state of an execution as checkpoint `number`."""
        if self._file is not None:
            with self._file.writing(number) as memory:
                execution.save(memory)
        else:
            execution.save(self._memory[number])

    def restore(self, number: int, execution: Execution, step: int) -> None:
        """Put an execution back in front of a step."""
        if self._file is not None:
            with self._file.reading(number) as memory:
                execution.restore(memory, step)
        else:
            execution.restore(self._memory[number], step)

    def close(self) -> None:
        """Free everything; a second call does nothing."""
        self._memory = self._memory[:0].clone()
        if self._file is not None:
            self._file.close()


class ShuttledCheckpoints:
    """States of an execution on a card, in the computer's memory or in a file.

    Raises
    ------
    StorageError
        See `Checkpoints`.
    """

    def __init__(self, choice: Choice, folder: Path, device: torch.device, card: Card) -> None:
        size = (choice.checkpoints, choice.state)
        self._shelf: Shelf
        if choice.mode == "disk":
            self._shelf = DiskShelf(folder, *size, choice.buffers)
        else:
            self._shelf = MemoryShelf(*size)
        self._shuttle = Shuttle(card, device, choice.state, STATES)

    def save(self, number: int, execution: Execution) -> None:
        """Keep the state of an execution as checkpoint `number`, while it goes on."""
        with self._shuttle.sending(partial(self._shelf.put, number)) as there:
            execution.save(there)

    def restore(self, number: int, execution: Execution, step: int) -> None:
        """See `Checkpoints`."""
        self._shuttle.settle()
        for there in self._shuttle.receiving([partial(self._shelf.get, number)]):
            execution.restore(there, step)

    def close(self) -> None:
        """See `Checkpoints`."""
        self._shuttle.close()
        self._shelf.close()


def _checkpoints(
    choice: Choice, folder: Path, shape: HistoryShape
) -> Checkpoints | ShuttledCheckpoints:
    if shape.card is None or choice.mode == "device" or not choice.checkpoints:
        return Checkpoints(choice, folder, shape.device)
    return ShuttledCheckpoints(choice, folder, shape.device, shape.card)
