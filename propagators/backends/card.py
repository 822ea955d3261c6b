"""What a back-end, and what keeps its wavefields, ask of a card.

All of it is enqueued on the stream that is the caller's current one, but for copies, which have a
stream of their own; nothing here waits for the whole card.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from torch import Tensor

if TYPE_CHECKING:
    from wavepipe.propagators.backends.cuda_launches import Launch
    from wavepipe.propagators.backends.emit_cuda import CudaSource, Tile

Emitted = Callable[["Tile"], "CudaSource"]
"""A source, given how its work is cut."""


class Module(Protocol):
    """Emitted source, compiled."""

    @property
    def source(self) -> "CudaSource":
        """With the way of cutting the work that was taken."""

    def launch(self, launches: Sequence["Launch"]) -> None:
        """Enqueue kernels, in order."""

    def recorded(self, block: Callable[[], None]) -> Callable[[], None]:
        """Enqueue what `block` enqueues, and return what does it again."""


class Event(Protocol):
    """A point in what was enqueued."""

    def wait(self) -> None:
        """Return when everything before it is done."""

    def hold(self) -> None:
        """Let what is enqueued from now on begin only then."""


class Lane(Protocol):
    """A stream of copies beside the caller's, between the card and pinned memory."""

    def copy(self, source: Tensor, target: Tensor, after: Event) -> Event:
        """Copy after an event; who calls keeps both until that is done."""


class Card(Protocol):
    """A device with memory of its own."""

    def __hash__(self) -> int:
        """What is on it is cached by it."""

    def module(self, ndim: int, dtype: str, emitted: Emitted) -> Module:
        """The compiled source, from a cache where it is there."""

    def lane(self) -> Lane:
        """A new one."""

    def pinned(self, size: int) -> Tensor:
        """(size,) bytes of the computer's memory that a card copies from and to."""

    def mark(self) -> Event:
        """After everything that was enqueued until now."""

    def stream(self) -> int:
        """Number of the stream that is the caller's current one."""

    def free_memory(self) -> int:
        """Bytes of the card's memory that can still be taken."""
