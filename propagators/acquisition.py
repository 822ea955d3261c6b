"""Sources and receivers of a batch of shots: from a user's mappings to ports of a program."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from wavepipe.propagators.axes import axis_name
from wavepipe.propagators.checks import as_positions, checked_amplitudes, checked_nt
from wavepipe.propagators.errors import GeometryError
from wavepipe.propagators.physics.names import receiver_names, source_names
from wavepipe.propagators.ports import checked_moment, checked_ports
from wavepipe.propagators.time_kernel import HALF_WIDTH

Sources = Mapping[str, tuple[Any, ...]]
"""Name -> (amplitudes (n_shots, n, nt), positions (n_shots, n, ndim)), and the tensors of
``moment``: (n_shots, n, ndim, ndim) or (ndim, ndim)."""

Receivers = Mapping[str, ArrayLike]
"""Component -> positions (n_shots, n, ndim), m."""


REACH = 6 * HALF_WIDTH
"""Samples after the last recorded one that the change of clocks, there and back, may still reach:
up to 2.8 times `HALF_WIDTH` each way."""


@dataclass(frozen=True)
class Acquisition:
    """What enters and what is recorded, port by port."""

    n_shots: int
    ndim: int
    nt: int
    """Samples to record."""
    amplitudes: Mapping[str, Tensor]
    """Input port -> (n_shots, n, nt)."""
    sources: Mapping[str, NDArray[np.float64]]
    """Input port -> (n_shots, n, ndim), m."""
    receivers: Mapping[str, NDArray[np.float64]]
    """Output port -> (n_shots, n, ndim), m."""

    def samples(self) -> NDArray[np.float64]:
        """All amplitudes, (n, nt)."""
        rows = [a.detach().cpu().double().flatten(0, 1) for a in self.amplitudes.values()]
        found: NDArray[np.float64] = torch.cat(rows).numpy()
        return found


def acquire(physics: str, sources: Sources, receivers: Receivers, nt: int | None) -> Acquisition:
    """Check sources and receivers and give them to the ports they belong to.

    Raises
    ------
    OptionError
        A component that the physics lacks, or none.
    GeometryError
        Shapes that do not fit, amplitudes that are not finite, a moment that is not symmetric.
    """
    checked_ports(sources, None, "source")
    first = as_positions(next(iter(sources.values()))[1], "source")
    n_shots, _, ndim = first.shape
    checked_ports(sources, source_names(physics, ndim), "source", physics)
    checked_ports(receivers, receiver_names(physics, ndim), "receiver", physics)
    amplitudes: dict[str, Tensor] = {}
    positions: dict[str, NDArray[np.float64]] = {}
    for name, (signals, where, *tensors) in sources.items():
        placed = as_positions(where, "source")
        _agree(placed, n_shots, ndim, "source")
        checked = checked_amplitudes(signals, n_shots, placed.shape[1])
        by_port = {name: checked}
        if name == "moment":
            moment = checked_moment(tensors[0], n_shots, placed.shape[1], ndim)
            by_port = _moments(checked, moment, ndim)
        for port, one in by_port.items():
            amplitudes[port], positions[port] = one, placed
    lengths = {name: one.shape[-1] for name, one in amplitudes.items()}
    if len(set(lengths.values())) > 1:
        raise GeometryError(f"source amplitudes differ in their number of samples: {lengths}.")
    recorded = {name: as_positions(where, "receiver") for name, where in receivers.items()}
    for placed in recorded.values():
        _agree(placed, n_shots, ndim, "receiver", first.shape)
    samples = checked_nt(nt, next(iter(lengths.values())))
    kept = samples + REACH
    return Acquisition(
        n_shots,
        ndim,
        samples,
        {name: one[..., :kept] for name, one in amplitudes.items()},
        positions,
        recorded,
    )


def _agree(
    positions: NDArray[np.float64],
    n_shots: int,
    ndim: int,
    what: str,
    sources: tuple[int, ...] | None = None,
) -> None:
    if positions.shape[0] != n_shots or positions.shape[2] != ndim:
        given = f"with sources of shape {sources} " if sources else ""
        raise GeometryError(
            f"{what} positions have shape {positions.shape}; {given}"
            f"they must be ({n_shots}, n_{what}s, {ndim})."
        )


def _moments(amplitudes: Tensor, tensors: Tensor, ndim: int) -> dict[str, Tensor]:
    """Moment rate of each component of a symmetric tensor, where there is any."""
    found = {}
    for i in range(ndim):
        for j in range(i, ndim):
            part = tensors[..., i, j].to(amplitudes)
            if bool(part.any()):
                name = f"moment_{axis_name(i, ndim)}{axis_name(j, ndim)}"
                found[name] = amplitudes * part[..., None]
    if not found:
        raise GeometryError("the moment tensor is zero: the source radiates nothing.")
    return found
