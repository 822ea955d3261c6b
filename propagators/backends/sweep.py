"""What a back-end is asked to do: many steps of one program, with points and a history."""

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wavepipe.propagators.stencil.program import Box, Program

if TYPE_CHECKING:
    from wavepipe.propagators.backends.card import Card


def numpy_type(dtype: torch.dtype) -> np.dtype[np.generic]:
    """The type of numpy that is one of torch."""
    return np.dtype(str(dtype).removeprefix("torch."))


C_NAMES = {torch.float32: "float", torch.float64: "double"}
"""The types that waves propagate in, as emitted code says them."""

Memory = NDArray[np.uint8] | Tensor
"""Bytes: of numpy, or of torch on any device."""


def as_tensor(memory: Memory) -> Tensor:
    """Bytes as a tensor that shares them, read-only ones too, which torch does not know."""
    if isinstance(memory, Tensor):
        return memory
    raw = (ctypes.c_uint8 * memory.nbytes).from_address(memory.ctypes.data)
    return torch.frombuffer(raw, dtype=torch.uint8)


@dataclass(frozen=True, slots=True)
class Points:
    """Weighted grid points of the sources or receivers of a batch of shots."""

    first: NDArray[np.int64]
    """(n_shots + 1,): shot s has the points ``first[s]:first[s + 1]``."""
    rowptr: NDArray[np.int64]
    """(n_points + 1,): point i has the entries ``rowptr[i]:rowptr[i + 1]``."""
    cells: NDArray[np.int32]
    """(n_entries, ndim), grid indices, absorbing layers counted."""
    weights: NDArray[np.float64]
    """(n_entries,)."""

    @property
    def count(self) -> int:
        """Number of points of all shots together."""
        return len(self.rowptr) - 1


@dataclass(frozen=True, slots=True)
class History:
    """Stored sums of the forward wavefield at every `stride`-th step, and strips at every step."""

    stride: int
    slots: dict[str, Tensor]
    """Name -> (n_shots, n_slots, *shape), the last axis padded to whole vectors."""
    first: int = 0
    """Number of the first slot that is here, where others are elsewhere."""
    strips: dict[str, Tensor] = field(default_factory=dict)
    """Name -> (n_shots, n_slots * stride, *cells) of the steps from the first slot's on."""

    def check(self, times: range) -> None:
        """ValueError if a step of `times`, ascending, has a slot that is not here."""
        stride = self.stride
        needed = range(-(-times.start // stride), (times.stop - 1) // stride + 1)
        n_slots = next(iter(self.slots.values())).shape[1] if self.slots else 0
        if needed and not self.first <= needed[0] <= needed[-1] < self.first + n_slots:
            raise ValueError(
                f"steps {times.start} to {times.stop - 1} need the slots {needed[0]} to "
                f"{needed[-1]}; here are {n_slots} from {self.first} on."
            )


@dataclass(frozen=True, slots=True)
class Injection:
    """Amplitudes entering through a port at points."""

    points: Points
    amplitudes: Tensor
    """(n_steps, n_points)."""


@dataclass(frozen=True)
class Sweep:
    """Steps 0 ... n_steps - 1 of a program, or the same steps backwards for an adjoint."""

    program: Program
    n_shots: int
    n_steps: int
    coefficients: Mapping[str, Tensor]
    """Name -> (n_shots or 1, *shape) on the grid, or (n,) along one axis."""
    inputs: Mapping[str, Injection]
    """Field -> what enters there."""
    outputs: Mapping[str, Points]
    """Field -> where it is read."""
    dtype: torch.dtype
    backwards: bool = False
    history: History | None = None
    sampled: Program | None = None
    """The step to use where the history has a slot; it writes or reads the slots."""
    results: tuple[str, ...] = field(default=())
    """Fields wanted at the end."""
    initial: Mapping[str, Tensor] = field(default_factory=dict)
    """Field -> what it is before the first step, (n_shots, *shape); the others are zero."""

    def times(self, begin: int, end: int) -> range:
        """Steps in time that the sweep's own steps ``begin ... end - 1`` are, ascending."""
        if self.backwards:
            return range(self.n_steps - end, self.n_steps - begin)
        return range(begin, end)

    def box_of(self, name: str) -> Box:
        """The box of a field of either program."""
        return next(one.fields[name] for one in self.programs if name in one.fields)

    @property
    def device(self) -> torch.device:
        """Where it is run, and everything it is given on the grid is."""
        return next(iter(self.coefficients.values())).device

    @property
    def programs(self) -> tuple[Program, ...]:
        """The step, and the one that meets a slot if there is one."""
        return (self.program,) if self.sampled is None else (self.program, self.sampled)


@dataclass(frozen=True, slots=True)
class SweepResult:
    """What a sweep returns."""

    recorded: Mapping[str, Tensor]
    """Field -> (n_steps, n_points)."""
    fields: Mapping[str, Tensor]
    """Field -> (n_shots, *shape), zero outside its box."""


class Execution(Protocol):
    """A sweep on its way, in memory of its own. How it is cut changes no bits."""

    def advance(self, begin: int, end: int, history: History | None = None) -> None:
        """Make steps in the sweep's direction; an adjoint's first is the last in time.

        Parameters
        ----------
        begin, end
            Steps ``begin ... end - 1``; `begin` is where the last call ended, or `restore` put it.
        history
            Where the slots of these steps are, if not in the sweep's own history.
        """

    @property
    def state_bytes(self) -> int:
        """Size of what `save` writes."""

    def save(self, memory: Memory) -> None:
        """Copy the fields that live between steps, of all shots, to (state_bytes,) memory."""

    def restore(self, memory: Memory | None, step: int) -> None:
        """Go on from what was saved in front of a step, or from zeros if there is nothing."""

    def result(self) -> SweepResult:
        """What the sweep has recorded, and its fields at the end."""


class Backend(Protocol):
    """Executes sweeps."""

    name: str

    @property
    def card(self) -> "Card | None":
        """Where it runs, if not on the CPU."""

    def run(self, sweep: Sweep) -> SweepResult:
        """All steps of a sweep."""

    def start(self, sweep: Sweep) -> Execution:
        """A sweep in front of its first step."""

    def padded(self, cells: int) -> int:
        """Length of the last axis of a history slot."""

    def state_bytes(self, sweep: Sweep) -> int:
        """The size of an execution's saved state, before anything is allocated."""
