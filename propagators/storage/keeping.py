"""Forward runs that keep their wavefield, and the adjoint runs that use it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from torch import Tensor

from wavepipe.propagators.backends.sweep import Backend, Execution, History, Sweep, SweepResult
from wavepipe.propagators.stencil.retrace import Retraced, retraced
from wavepipe.propagators.storage.archive import archive
from wavepipe.propagators.storage.boundary import backwards, boundary_shape, onwards
from wavepipe.propagators.storage.choice import choose, folder_of
from wavepipe.propagators.storage.history import HistoryShape, Look
from wavepipe.propagators.storage.policy import Storage
from wavepipe.propagators.storage.recomputation import Recomputed
from wavepipe.propagators.storage.ways import Choice


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
    history = HistoryShape(
        names,
        sweep.n_shots,
        shape,
        sweep.dtype,
        stride,
        sweep.n_steps,
        device=sweep.device,
        card=None if sweep.device.type == "cpu" else backend.card,
    )
    edges = partial(boundary_shape, sweep.program, sweep.sampled or sweep.program, history)
    on_card = history.card.free_memory if history.card else None
    choice = choose(storage, history, backend.state_bytes(sweep), edges, on_card=on_card)
    folder, way = folder_of(storage), None
    if choice.method == "boundary":
        history = edges().history
        way = retraced(sweep.program, sweep.sampled or sweep.program, names)
    keeper = _keeper(backend, history, choice, folder, way)
    try:
        return Kept(keeper.forward(sweep, look), keeper, choice)
    except BaseException:
        keeper.close()
        raise


def _keeper(
    backend: Backend, shape: HistoryShape, choice: Choice, folder: Path, way: Retraced | None
) -> Keeper:
    if choice.is_direct:
        return Direct(backend, shape)
    if choice.method == "recompute":
        return Recomputed(backend, shape, choice, folder)
    return Archived(backend, shape, choice, folder, way)


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
    """Slots that are encoded, or on disk: they pass through a window in memory.

    The threads that propagate also encode and decode, in turns: a codec in a thread of its own
    would take its core from one of them, for which the others wait. The disk has its own thread.

    Parameters
    ----------
    way
        By which the run is taken back, where that makes what the archive does not keep of a window
        before the adjoint gets there.
    """

    def __init__(
        self,
        backend: Backend,
        shape: HistoryShape,
        choice: Choice,
        folder: Path,
        way: Retraced | None = None,
    ) -> None:
        self._backend, self._shape, self._choice, self._way = backend, shape, choice, way
        self._sweep: Sweep | None = None
        self._end: Mapping[str, Tensor] = {}
        self._archive = archive(shape, choice, folder)

    def forward(self, sweep: Sweep, look: Look | None) -> SweepResult:
        """See `Keeper`."""
        memory = self._memory(zero=True)
        if self._way is not None:
            sweep = self._sweep = onwards(sweep, self._way)
        execution = self._backend.start(replace(sweep, history=memory))
        for window in self._shape.windows(self._choice.window):
            slots = replace(memory, first=window.first)
            execution.advance(window.begin, window.end, slots)
            if look is not None:
                look(slots, window.n_slots)
            self._archive.write(window, slots)
        result = execution.result()
        self._end = result.fields
        return result

    def backward(self, sweep: Sweep) -> SweepResult:
        """See `Keeper`."""
        memory = self._memory(zero=False)
        execution = self._backend.start(replace(sweep, history=memory))
        back = self._back(memory)
        for window in reversed(self._shape.windows(self._choice.window)):
            slots = replace(memory, first=window.first)
            self._archive.read(window, slots)
            if back is not None:
                back.advance(*window.backwards(sweep.n_steps), slots)
            execution.advance(*window.backwards(sweep.n_steps), slots)
        return execution.result()

    def close(self) -> None:
        """See `Keeper`."""
        self._archive.close()
        self._end = {}

    def _back(self, memory: History) -> Execution | None:
        """The run on its way back, if it is taken back."""
        if self._way is None or self._sweep is None or not self._way.is_possible:
            return None
        back = self._backend.start(backwards(self._sweep, self._way, self._end, memory))
        self._end = {}
        return back

    def _memory(self, *, zero: bool) -> History:
        """A window."""
        return self._shape.allocate(min(self._choice.window, self._shape.n_slots), zero=zero)
