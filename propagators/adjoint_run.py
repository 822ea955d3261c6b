"""The adjoint run of a propagation: its sweep, its units, and gradients from what it adds up."""

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from wavepipe.propagators.backends.sweep import Injection, Points, Sweep
from wavepipe.propagators.stencil.linearise import gradient_name
from wavepipe.propagators.stencil.program import Monomial, Program

if TYPE_CHECKING:
    from wavepipe.propagators.propagation import Propagation


def adjoint_sweep(
    call: "Propagation", forward: Sweep, program: Program, residual: Mapping[str, Tensor]
) -> Sweep:
    """All steps of the adjoint run, driven by residuals at the receivers."""
    gradients = tuple(name for name in program.fields if name.startswith(gradient_name("")))
    return Sweep(
        program=_without_accumulation(program),
        sampled=program,
        n_shots=forward.n_shots,
        n_steps=forward.n_steps,
        coefficients=forward.coefficients,
        inputs={name: Injection(call.receivers[name], rows) for name, rows in residual.items()},
        outputs={port.name: call.sources[port.name] for port in program.outputs},
        dtype=forward.dtype,
        backwards=True,
        results=gradients,
    )


@lru_cache(maxsize=64)
def _without_accumulation(program: Program) -> Program:
    """The adjoint step where the history has no slot."""
    return program.with_updates(
        u for u in program.updates if not u.target.startswith(gradient_name(""))
    )


def powers_of_two(points: Mapping[str, Points], rows: Mapping[str, Tensor]) -> Tensor:
    """The power of two nearest the largest value of each shot, (n_shots,); 1 for zeros.

    Parameters
    ----------
    points, rows
        Receivers, and what they hold: (n_steps, n_points of all shots), by name.
    """
    n_shots = len(next(iter(points.values())).first) - 1
    largest = np.zeros(n_shots)
    for name, values in rows.items():
        shots = np.repeat(np.arange(n_shots), np.diff(points[name].first))
        if len(shots):
            np.fmax.at(largest, shots, values.abs().amax(dim=0).cpu().double().numpy())
    counts = (largest > 0.0) & (largest < math.inf)
    units = np.where(counts, 2.0 ** np.frexp(np.where(counts, largest, 1.0))[1], 1.0)
    return torch.from_numpy(units).to(next(iter(rows.values())))


def by_point(units: Tensor, points: Points) -> Tensor:
    """A value of each shot, (n_shots,), for each of its points."""
    repeats = torch.from_numpy(np.diff(points.first)).to(units.device)
    return units.repeat_interleave(repeats, output_size=points.count)


def gradient(
    accumulated: Tensor,
    factors: Monomial,
    coefficients: Mapping[str, Tensor],
    name: str,
    times: Tensor,
) -> Tensor:
    """The gradient of a coefficient from its accumulated products, times a number of each shot.

    Summed over shots if they share the coefficient.
    """
    gradient = accumulated * times.reshape(-1, *(1,) * (accumulated.ndim - 1))
    for factor, power in factors:
        gradient = gradient / coefficients[factor] ** power
    if coefficients[name].shape[0] == 1:
        gradient = tree_sum(gradient)[None]
    return gradient


def tree_sum(values: Tensor) -> Tensor:
    """Sum over the first axis in the order of a binary tree over aligned blocks.

    The sum over shots must not depend on how shots are batched: block 2^k is always summed as
    its two halves.
    """
    while values.shape[0] > 1:
        pairs, rest = values[0::2], values[1::2]
        joined = pairs[: rest.shape[0]] + rest
        values = torch.cat([joined, pairs[rest.shape[0] :]])
    return values[0]
