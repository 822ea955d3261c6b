"""Pieces of a wavefield on their way between a card and the computer, beside the propagation."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wavepipe.propagators.backends.card import Card, Event

Piece = Callable[[NDArray[np.uint8]], None]
"""Takes a piece out of pinned memory, or puts one into it."""


class _Buffer:
    def __init__(self, card: Card, device: torch.device, size: int) -> None:
        self.there = torch.empty(size, dtype=torch.uint8, device=device)
        self.here = card.pinned(size)
        self.work: Future[Any] | None = None

    @property
    def memory(self) -> NDArray[np.uint8]:
        """The pinned half."""
        return np.asarray(self.here)


class Shuttle:
    """A few buffers on a card, each with a pinned one in the computer's memory.

    A stream copies between the two, a thread between the pinned one and the place where pieces are
    kept. The propagation waits for them only where all buffers are under way.

    Parameters
    ----------
    size
        Bytes of a piece.
    """

    def __init__(self, card: Card, device: torch.device, size: int, n_buffers: int) -> None:
        self._card, self._lane = card, card.lane()
        self._buffers = deque(_Buffer(card, device, size) for _ in range(n_buffers))
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="wavefield-card")

    @contextmanager
    def sending(self, keep: Piece) -> Iterator[Tensor]:
        """A buffer on the card to fill; what is in it then goes to `keep`, in another thread.

        What `keep` of an earlier piece has raised is raised here.
        """
        buffer = self._next()
        yield buffer.there
        event = self._lane.copy(buffer.there, buffer.here, self._card.mark())

        def deliver() -> None:
            event.wait()
            keep(buffer.memory)

        buffer.work = self._thread.submit(deliver)

    def receiving(self, pieces: Iterable[Piece]) -> Iterator[Tensor]:
        """Pieces on the card, in order; as many are fetched ahead as there are buffers.

        Each is there until the next one is asked for.
        """
        ahead: deque[tuple[_Buffer, Future[Event]]] = deque()
        for piece in pieces:
            if len(ahead) == len(self._buffers):
                yield self._arrived(*ahead.popleft())
            buffer = self._next()
            buffer.work = self._thread.submit(self._fetch, piece, buffer, self._card.mark())
            ahead.append((buffer, buffer.work))
        while ahead:
            yield self._arrived(*ahead.popleft())

    def settle(self) -> None:
        """Wait until everything that was sent is kept."""
        for buffer in self._buffers:
            _finish(buffer)

    def close(self) -> None:
        """Free everything; a second call does nothing."""
        for buffer in self._buffers:
            with suppress(Exception):  # of a piece that nobody needs any more
                _finish(buffer)
        self._thread.shutdown()
        self._buffers.clear()

    def _next(self) -> _Buffer:
        """The buffer that was used first, when it is free."""
        buffer = self._buffers[0]
        _finish(buffer)
        self._buffers.rotate(-1)
        return buffer

    def _fetch(self, piece: Piece, buffer: _Buffer, after: Event) -> Event:
        piece(buffer.memory)
        return self._lane.copy(buffer.here, buffer.there, after)

    def _arrived(self, buffer: _Buffer, work: "Future[Event]") -> Tensor:
        work.result().hold()
        return buffer.there


def _finish(buffer: _Buffer) -> None:
    """Wait for what a buffer takes part in: before that neither half may change."""
    if buffer.work is not None:
        event = buffer.work.result()
        if event is not None:  # a copy to the card, from the pinned half
            event.wait()
        buffer.work = None
