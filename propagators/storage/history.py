"""The size of a history, and how it is cut into windows of a few slots."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
import torch
from torch import Tensor

from wavepipe.propagators.backends.card import Card
from wavepipe.propagators.backends.sweep import History, numpy_type
from wavepipe.propagators.stencil.program import Box
from wavepipe.propagators.storage.codecs import Codec
from wavepipe.propagators.storage.codecs_library import whole_lines

HOST = torch.device("cpu")

Look = Callable[[History, int], None]
"""What sees the slots of each window as they are made: where they are, and how many."""


@dataclass(frozen=True)
class HistoryShape:
    """Stored sums of a batch of shots at every `stride`-th step, and strips at every step."""

    names: tuple[str, ...]
    """Of the sums."""
    n_shots: int
    shape: tuple[int, ...]
    """Of a slot, the last axis padded as the back-end asks."""
    dtype: torch.dtype
    stride: int
    n_steps: int
    boxes: tuple[Box, ...] | None = None
    """Disjoint parts of a slot that are archived; None: all of it."""
    strips: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """Name and cells of each strip of a step."""
    device: torch.device = HOST
    """Where it is made and used."""
    card: Card | None = None
    """What has kernels there, if that is not the CPU."""

    @cached_property
    def n_slots(self) -> int:
        """Slots of the whole run."""
        return -(-self.n_steps // self.stride)

    @property
    def apart(self) -> bool:
        """Whether it is made in another memory than the computer's."""
        return self.device.type != "cpu"

    @property
    def bare(self) -> bool:
        """Whether nothing there encodes it or brings it away: the reference back-end on a card."""
        return self.apart and self.card is None

    @property
    def part_shapes(self) -> list[tuple[int, ...]]:
        """Of the parts of a sum that are archived."""
        if self.boxes is None:
            return [self.shape]
        return [tuple(hi - lo for lo, hi in box) for box in self.boxes]

    @property
    def part_bytes(self) -> int:
        """The largest of them, of one shot."""
        return max(map(prod, self.part_shapes), default=0) * self.dtype.itemsize

    @cached_property
    def slot_bytes(self) -> int:
        """One slot of all sums and shots, and the strips of its steps."""
        cells = len(self.names) * prod(self.shape)
        cells += self.stride * sum(prod(strip) for _, strip in self.strips)
        return self.n_shots * cells * self.dtype.itemsize

    @property
    def bytes(self) -> int:
        """The whole history."""
        return self.n_slots * self.slot_bytes

    def encoded_bytes(self, codec: Codec) -> int:
        """One slot as it is archived: sums encoded, and the strips of its steps as they are.

        At least a line, where faces without layers leave nothing to archive.
        """
        item = self.dtype.itemsize
        sums = sum(codec.size(shape, item) for shape in self.part_shapes)
        strips = sum(whole_lines(self.stride * prod(cells) * item) for _, cells in self.strips)
        return max(self.n_shots * (len(self.names) * sums + strips), whole_lines(1))

    def allocate(self, n_slots: int, first: int = 0, *, zero: bool = False) -> History:
        """Memory for some slots; `zero` where also what is never written is read."""
        make = zeros if zero else empty
        shape = (self.n_shots, n_slots, *self.shape)
        steps = (self.n_shots, n_slots * self.stride)
        return History(
            self.stride,
            {name: make(shape, self.dtype, self.device) for name in self.names},
            first,
            {name: make((*steps, *cells), self.dtype, self.device) for name, cells in self.strips},
        )

    def windows(self, n_slots: int) -> list["Window"]:
        """The run in stretches that have some slots each, the last one perhaps fewer."""
        return [
            Window(
                first,
                min(n_slots, self.n_slots - first),
                first * self.stride,
                min((first + n_slots) * self.stride, self.n_steps),
            )
            for first in range(0, self.n_slots, n_slots)
        ]


@dataclass(frozen=True, slots=True)
class BoundaryShape:
    """What is kept of a run that is taken back."""

    history: HistoryShape
    """Of strips, and of the sums that are not made again."""
    state_bytes: int
    """Of the fields with which the way back begins, all shots."""
    again: float
    """Cost of the way back, in forward runs: the part of the grid on which it is made."""


@dataclass(frozen=True, slots=True)
class Window:
    """Steps ``begin ... end - 1``, which have the slots ``first ... first + n_slots - 1``."""

    first: int
    n_slots: int
    begin: int
    end: int

    def backwards(self, n_steps: int) -> tuple[int, int]:
        """Where an adjoint of `n_steps` steps begins and ends with this window."""
        return n_steps - self.end, n_steps - self.begin

    def records(self, group: int) -> Iterator[tuple[int, range]]:
        """Records of `group` slots, and which of the window's slots are in them."""
        for index in range(0, self.n_slots, group):
            last = min(index + group, self.n_slots)
            yield (self.first + index) // group, range(index, last)


def empty(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device = HOST) -> Tensor:
    """An uninitialised tensor; on the CPU numpy asks for huge pages, torch does not."""
    if device.type != "cpu":
        return torch.empty(shape, dtype=dtype, device=device)
    return torch.from_numpy(np.empty(shape, dtype=numpy_type(dtype)))


def zeros(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device = HOST) -> Tensor:
    """A tensor of zeros."""
    if device.type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device)
    return torch.from_numpy(np.zeros(shape, dtype=numpy_type(dtype)))
