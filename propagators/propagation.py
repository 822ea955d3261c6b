"""Many steps of a program as one differentiable torch operation.

Forward runs the program and keeps what the gradient needs; backward runs its exact adjoint.
Everything before (models to coefficients, samples to internal steps) and after is plain torch, so
autograd carries the chain rule to the user's variables.
"""

import math
import warnings
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wavepipe.propagators.backends.sweep import Backend, Injection, Points, Sweep
from wavepipe.propagators.checks import to_the_user
from wavepipe.propagators.errors import StorageError
from wavepipe.propagators.illumination import Illumination
from wavepipe.propagators.stencil.adjoint import adjoint, pruned
from wavepipe.propagators.stencil.inline import inlined
from wavepipe.propagators.stencil.linearise import (
    SCATTERED,
    gradient_name,
    renamed,
    stored_name,
    with_sums,
)
from wavepipe.propagators.stencil.program import Monomial, Program
from wavepipe.propagators.storage.choice import Choice
from wavepipe.propagators.storage.keeping import Keeper, Kept, keep
from wavepipe.propagators.storage.policy import ADJOINT_ALLOWANCE, Storage, largest_stride
from wavepipe.propagators.time_resampling import bandwidth


@dataclass
class Propagation:
    """One call: what is propagated, where it enters and is read, and how it is kept."""

    program: Program
    backend: Backend
    storage: Storage
    time_step: float
    profiles: Mapping[str, Tensor]
    """Absorbing-layer profiles, (n,) along one axis."""
    sources: Mapping[str, Points]
    """By input port."""
    receivers: Mapping[str, Points]
    """By output port."""
    forward_bandwidth: float
    """Hz; of the sources on the internal clock."""
    illuminated: tuple[str, ...] = ()
    """Coefficients whose stored sums make the illumination."""
    silent: bool = False
    """A Born program whose perturbations are zero: nothing is scattered."""
    stride: int = 0
    kept: Choice | None = None
    """How the forward wavefield was kept, if it was."""
    illumination: Tensor | None = field(default=None, repr=False)

    def run(
        self, amplitudes: Mapping[str, Tensor], coefficients: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Recorded values (n_steps, n_points) by output port.

        Parameters
        ----------
        amplitudes : each (n_steps, n_sources)
            By input port.
        coefficients : each (n_shots or 1, *grid)

        Raises
        ------
        StorageError
            A gradient of the earth model is wanted but nothing may be kept, or it does not fit.
        """
        rows: tuple[Tensor, ...] = _Propagate.apply(  # type: ignore[no-untyped-call]
            self,
            tuple(amplitudes),
            tuple(coefficients),
            *amplitudes.values(),
            *coefficients.values(),
        )
        return dict(zip(self.receivers, rows, strict=True))


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


class _Propagate(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        call: Propagation,
        ports: tuple[str, ...],
        names: tuple[str, ...],
        *tensors: Tensor,
    ) -> tuple[Tensor, ...]:
        amplitudes = dict(zip(ports, tensors, strict=False))
        coefficients = dict(zip(names, tensors[len(ports) :], strict=True))
        needed = ctx.needs_input_grad[3 + len(ports) :]
        wanted = tuple(n for n, needs in zip(names, needed, strict=True) if needs)
        sweep = _forward_sweep(call, amplitudes, coefficients)
        unseen = call.silent and all(name.endswith(SCATTERED) for name in wanted)
        result, kept = None, None
        if wanted:
            kept = _kept(call, sweep, wanted, ADJOINT_ALLOWANCE * call.forward_bandwidth)
            result = kept.result
        elif not unseen:
            result = call.backend.run(sweep)
        recorded = {
            name: torch.zeros(sweep.n_steps, points.count, dtype=sweep.dtype)
            if result is None or unseen
            else result.recorded[name]
            for name, points in call.receivers.items()
        }
        ctx.call, ctx.ports, ctx.names, ctx.wanted = call, ports, names, wanted
        ctx.sweep, ctx.keeper = sweep, kept and kept.keeper
        ctx.save_for_backward(*tensors[len(ports) :])
        return tuple(recorded[name] for name in call.receivers)

    @staticmethod
    def backward(ctx: Any, *residuals: Tensor) -> tuple[Tensor | None, ...]:
        call, sweep = ctx.call, ctx.sweep
        if torch.is_grad_enabled():  # create_graph=True
            raise RuntimeError(
                "second derivatives through a propagator do not exist; use create_graph=False."
            )
        if sweep is None:
            raise RuntimeError(
                "the forward wavefield was freed by the first backward; run the propagator again."
            )
        keeper = ctx.keeper
        if ctx.wanted:
            ctx.sweep, ctx.keeper = None, None
        coefficients = dict(zip(ctx.names, ctx.saved_tensors, strict=True))
        # Tiny products of tiny fields would be flushed to zero. Shot by shot, since what is
        # flushed decides bits, and those of a shot must not depend on the others.
        named = dict(zip(call.receivers, residuals, strict=True))
        units = _powers_of_two(call.receivers, named)
        residual = {
            name: (rows / _by_point(units, call.receivers[name])).contiguous()
            for name, rows in named.items()
        }
        asked = ctx.needs_input_grad[3 : 3 + len(ctx.ports)]
        turned = adjoint(call.program, ctx.wanted, sources=any(asked))
        back = _adjoint_sweep(call, sweep, turned.program, residual)
        with ExitStack() as stack:
            if keeper is not None:
                stack.callback(keeper.close)
                keeper = _with_enough_snapshots(call, sweep, keeper, ctx.wanted, named)
                stack.callback(keeper.close)
            result = call.backend.run(back) if keeper is None else keeper.backward(back)
        gradients = {
            name: _gradient(
                result.fields[gradient_name(name)],
                turned.gradients[name],
                coefficients,
                name,
                call.stride * units,
            )
            for name in ctx.wanted
        }
        sources = [
            result.recorded[name] * _by_point(units, call.sources[name]) if needs else None
            for name, needs in zip(ctx.ports, asked, strict=True)
        ]
        return (None, None, None, *sources, *(gradients.get(name) for name in ctx.names))


def _powers_of_two(points: Mapping[str, Points], rows: Mapping[str, Tensor]) -> Tensor:
    """The power of two nearest the largest value of each shot, (n_shots,); 1 for zeros.

    Parameters
    ----------
    points, rows
        Receivers, and what they hold: (n_steps, n_points of all shots), by name.
    """
    n_shots = len(next(iter(points.values())).first) - 1
    units = torch.ones(n_shots, dtype=next(iter(rows.values())).dtype)
    for shot in range(n_shots):
        largest = 0.0
        for name, values in rows.items():
            first, last = points[name].first[shot : shot + 2]
            if last > first:
                largest = max(largest, float(values[:, first:last].abs().max()))
        if 0.0 < largest < math.inf:
            units[shot] = 2.0 ** math.frexp(largest)[1]
    return units


def _by_point(units: Tensor, points: Points) -> Tensor:
    """A value of each shot, (n_shots,), for each of its points."""
    return units.repeat_interleave(torch.from_numpy(np.diff(points.first)))


def _forward_sweep(
    call: Propagation, amplitudes: Mapping[str, Tensor], coefficients: Mapping[str, Tensor]
) -> Sweep:
    first = next(iter(coefficients.values()))
    n_steps = {rows.shape[0] for rows in amplitudes.values()}
    n_shots = len(next(iter(call.sources.values())).first) - 1
    return Sweep(
        program=inlined(call.program),
        n_shots=n_shots,
        n_steps=n_steps.pop(),
        coefficients={**coefficients, **call.profiles},
        inputs={
            name: Injection(call.sources[name], rows.contiguous())
            for name, rows in amplitudes.items()
        },
        outputs=call.receivers,
        dtype=first.dtype,
    )


def _kept(
    call: Propagation, sweep: Sweep, wanted: tuple[str, ...], adjoint_bandwidth: float
) -> Kept:
    """The forward run, keeping the sums that the wanted coefficients multiply."""
    if call.storage.mode == "none":
        raise StorageError(
            "storage mode 'none' keeps nothing of the forward wavefield, but the earth model "
            "requires a gradient. Use another mode, or detach the model."
        )
    stride = call.storage.stride
    if stride == "auto":
        stride = largest_stride(call.time_step, call.forward_bandwidth, adjoint_bandwidth)
    sums, sampled = _storing(call.program, wanted)
    sweep = replace(sweep, sampled=sampled)
    if call.silent and all(name.endswith(SCATTERED) for name in wanted):
        sweep = _background(sweep, sums)
    illumination = _illumination(call, sweep, sums)
    look = illumination.look if illumination else None
    kept = keep(call.backend, sweep, sums, stride, call.storage, look)
    call.stride, call.kept = stride, kept.choice
    if illumination is not None:
        call.illumination = illumination.over(stride * call.time_step)
    return kept


@lru_cache(maxsize=64)
def _storing(program: Program, wanted: tuple[str, ...]) -> tuple[tuple[str, ...], Program]:
    """Names of the stored sums that wanted coefficients multiply, and the step that stores them."""
    kept = inlined(with_sums(program, wanted))
    sums = tuple(dict.fromkeys(name for (c, _), name in kept.sums.items() if c in wanted))
    stored = {name: stored_name(name) for name in sums}
    return tuple(stored.values()), renamed(kept, stored)


@lru_cache(maxsize=64)
def _without_accumulation(program: Program) -> Program:
    """The adjoint step where the history has no slot."""
    return program.with_updates(
        u for u in program.updates if not u.target.startswith(gradient_name(""))
    )


def _background(sweep: Sweep, sums: tuple[str, ...]) -> Sweep:
    """The sweep without scattered fields: the same sums are stored, nothing is recorded."""
    sampled = sweep.sampled or sweep.program
    plain = frozenset(name.removeprefix(stored_name("")) for name in sums)
    return replace(
        sweep,
        program=_upstream(sweep.program, plain),
        sampled=_upstream(sampled, frozenset(sums)),
        outputs={},
    )


@lru_cache(maxsize=64)
def _upstream(program: Program, wanted: frozenset[str]) -> Program:
    """The part of a program that some fields depend on."""
    return pruned(program, set(wanted))


def _with_enough_snapshots(
    call: Propagation,
    sweep: Sweep,
    keeper: Keeper,
    wanted: tuple[str, ...],
    residual: Mapping[str, Tensor],
) -> Keeper:
    """The same, or that of the forward run again where the adjoint source needs a finer stride.

    Only now is the adjoint's bandwidth known: a residual that is noisy, or cut in the middle of
    an arrival, has a wider spectrum than the source.
    """
    stride = call.stride
    if stride == 1:
        return keeper
    found = max(
        bandwidth(
            rows.numpy().T[np.diff(call.receivers[name].rowptr) > 0],
            call.time_step,
            call.storage.tolerance,
        )
        for name, rows in residual.items()
    )
    allowed = largest_stride(call.time_step, call.forward_bandwidth, found)
    if allowed >= stride:
        return keeper
    reason = (
        f"the adjoint source reaches {found:.4g} Hz and the source {call.forward_bandwidth:.4g} "
        f"Hz: snapshots every {stride} steps of {call.time_step:.3g} s would alias"
    )
    if call.storage.stride != "auto":
        warnings.warn(
            f"{reason}, so the gradient is inaccurate; stride {allowed} would do.",
            stacklevel=to_the_user(),
        )
        return keeper
    warnings.warn(
        f"{reason}. The forward run is repeated with stride {allowed}. Taper the ends of the "
        f"traces, or set storage stride={allowed}, to avoid that.",
        stacklevel=to_the_user(),
    )
    keeper.close()  # before a larger one is made
    return _kept(call, sweep, wanted, found).keeper


def _adjoint_sweep(
    call: Propagation, forward: Sweep, program: Program, residual: Mapping[str, Tensor]
) -> Sweep:
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


def _gradient(
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


def _illumination(call: Propagation, sweep: Sweep, sums: tuple[str, ...]) -> Illumination | None:
    """What adds up the energy of the illuminated sums, if they are stored."""
    names = {
        stored_name(s)
        for (c, _), s in with_sums(call.program, call.illuminated).sums.items()
        if c in call.illuminated
    }
    if not names or not names <= set(sums):
        return None
    return Illumination(tuple(names), sweep.sampled or sweep.program, sweep.n_shots, sweep.dtype)
