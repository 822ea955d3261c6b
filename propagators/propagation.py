"""Many steps of a program as one differentiable torch operation.

Forward runs the program and keeps what the gradient needs; backward runs its exact adjoint.
Everything before (models to coefficients, samples to internal steps) and after is plain torch, so
autograd carries the chain rule to the user's variables.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from wavepipe.propagators.adjoint_run import adjoint_sweep, by_point, gradient, powers_of_two
from wavepipe.propagators.backends.sweep import Backend, Points
from wavepipe.propagators.forward_run import forward_sweep, keep_wavefield, with_enough_snapshots
from wavepipe.propagators.stencil.adjoint import adjoint
from wavepipe.propagators.stencil.linearise import SCATTERED, gradient_name
from wavepipe.propagators.stencil.program import Program
from wavepipe.propagators.storage.policy import ADJOINT_ALLOWANCE, Storage
from wavepipe.propagators.storage.ways import Choice


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
        sweep = forward_sweep(call, amplitudes, coefficients)
        unseen = call.silent and all(name.endswith(SCATTERED) for name in wanted)
        result, kept = None, None
        if wanted:
            kept = keep_wavefield(call, sweep, wanted, ADJOINT_ALLOWANCE * call.forward_bandwidth)
            result = kept.result
        elif not unseen:
            result = call.backend.run(sweep)
        recorded = {
            name: torch.zeros(sweep.n_steps, points.count, dtype=sweep.dtype, device=sweep.device)
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
        units = powers_of_two(call.receivers, named)
        residual = {
            name: (rows / by_point(units, call.receivers[name])).contiguous()
            for name, rows in named.items()
        }
        asked = ctx.needs_input_grad[3 : 3 + len(ctx.ports)]
        turned = adjoint(call.program, ctx.wanted, sources=any(asked))
        back = adjoint_sweep(call, sweep, turned.program, residual)
        with ExitStack() as stack:
            if keeper is not None:
                stack.callback(keeper.close)
                keeper = with_enough_snapshots(call, sweep, keeper, ctx.wanted, named)
                stack.callback(keeper.close)
            result = call.backend.run(back) if keeper is None else keeper.backward(back)
        gradients = {
            name: gradient(
                result.fields[gradient_name(name)],
                turned.gradients[name],
                coefficients,
                name,
                call.stride * units,
            )
            for name in ctx.wanted
        }
        sources = [
            result.recorded[name] * by_point(units, call.sources[name]) if needs else None
            for name, needs in zip(ctx.ports, asked, strict=True)
        ]
        return (None, None, None, *sources, *(gradients.get(name) for name in ctx.names))
