"""What back-ends share whose arrays have rows of whole vectors."""

from abc import ABC, abstractmethod

from wavepipe.propagators.backends.card import Card
from wavepipe.propagators.backends.layout import rounded, state_bytes
from wavepipe.propagators.backends.sweep import Execution, Sweep, SweepResult


class Vectorised(ABC):
    """A back-end that runs emitted code.

    Parameters
    ----------
    itemsize
        Bytes of a value.
    """

    name: str
    card: Card | None = None

    def __init__(self, itemsize: int) -> None:
        self._itemsize = itemsize

    @abstractmethod
    def start(self, sweep: Sweep) -> Execution:
        """A sweep in front of its first step."""

    def run(self, sweep: Sweep) -> SweepResult:
        """All steps of a sweep."""
        execution = self.start(sweep)
        execution.advance(0, sweep.n_steps)
        return execution.result()

    def padded(self, cells: int) -> int:
        """Rows of a history slot are whole vectors."""
        return rounded(cells, self._itemsize)

    def state_bytes(self, sweep: Sweep) -> int:
        """Lasting fields with their halos, in whole cache lines."""
        return state_bytes(sweep.programs, sweep.n_shots, self._itemsize)
