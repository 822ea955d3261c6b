"""What a back-end is asked to do: many steps of one program, with points and a history."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wavepipe.propagators.stencil.program import Program


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
    """Stored sums of the forward wavefield, one slot for every `stride`-th step."""

    stride: int
    slots: dict[str, Tensor]
    """Name -> (n_shots, n_slots, *shape), the last axis padded to whole vectors."""


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


@dataclass(frozen=True, slots=True)
class SweepResult:
    """What a sweep returns."""

    recorded: Mapping[str, Tensor]
    """Field -> (n_steps, n_points)."""
    fields: Mapping[str, Tensor]
    """Field -> (n_shots, *shape), zero outside its box."""


class Backend(Protocol):
    """Executes sweeps."""

    name: str

    def run(self, sweep: Sweep) -> SweepResult:
        """All steps of a sweep."""

    def padded(self, cells: int) -> int:
        """Length of the last axis of a history slot."""
