"""The size of a history, and how it is cut into windows of a few slots."""

from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
import torch
from torch import Tensor

from wavepipe.propagators.backends.sweep import History
from wavepipe.propagators.storage.codecs import Codec


@dataclass(frozen=True)
class HistoryShape:
    """Stored sums of a batch of shots at every `stride`-th step."""

    names: tuple[str, ...]
    """Of the sums."""
    n_shots: int
    shape: tuple[int, ...]
    """Of a slot, the last axis padded as the back-end asks."""
    dtype: torch.dtype
    stride: int
    n_steps: int

    @cached_property
    def n_slots(self) -> int:
        """Slots of the whole run."""
        return -(-self.n_steps // self.stride)

    @property
    def parts(self) -> int:
        """Arrays of one slot: every sum of every shot."""
        return len(self.names) * self.n_shots

    @cached_property
    def slot_bytes(self) -> int:
        """One slot of all sums and shots."""
        return self.parts * prod(self.shape) * self.dtype.itemsize

    @property
    def bytes(self) -> int:
        """The whole history."""
        return self.n_slots * self.slot_bytes

    def encoded_bytes(self, codec: Codec) -> int:
        """One slot of all sums and shots, encoded."""
        return self.parts * codec.size(self.shape, self.dtype.itemsize)

    def allocate(self, n_slots: int, first: int = 0, *, zero: bool = False) -> History:
        """Memory for some slots; `zero` where also what is never written is read."""
        make = zeros if zero else empty
        shape = (self.n_shots, n_slots, *self.shape)
        return History(self.stride, {name: make(shape, self.dtype) for name in self.names}, first)

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
class Window:
    """Steps ``begin ... end - 1``, which have the slots ``first ... first + n_slots - 1``."""

    first: int
    n_slots: int
    begin: int
    end: int

    def backwards(self, n_steps: int) -> tuple[int, int]:
        """Where an adjoint of `n_steps` steps begins and ends with this window."""
        return n_steps - self.end, n_steps - self.begin


def empty(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """An uninitialised tensor on the CPU; numpy asks the kernel for huge pages, torch does not."""
    return torch.from_numpy(np.empty(shape, dtype=_kind(dtype)))


def zeros(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """A tensor of zeros on the CPU."""
    return torch.from_numpy(np.zeros(shape, dtype=_kind(dtype)))


def _kind(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
