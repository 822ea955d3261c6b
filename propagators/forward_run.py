"""The forward run of a propagation: its sweep, and what of it is kept for a gradient."""

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from wavepipe.propagators.backends.sweep import Injection, Points, Sweep
from wavepipe.propagators.bandwidths import bandwidth_there
from wavepipe.propagators.checks import to_the_user
from wavepipe.propagators.errors import StorageError
from wavepipe.propagators.illumination import Illumination
from wavepipe.propagators.stencil.inline import inlined
from wavepipe.propagators.stencil.linearise import SCATTERED, stored_name, with_sums
from wavepipe.propagators.stencil.storing import storing
from wavepipe.propagators.storage.keeping import Keeper, Kept, keep
from wavepipe.propagators.storage.policy import largest_stride

if TYPE_CHECKING:
    from wavepipe.propagators.propagation import Propagation


def forward_sweep(
    call: "Propagation", amplitudes: Mapping[str, Tensor], coefficients: Mapping[str, Tensor]
) -> Sweep:
    """All steps of a run, of which nothing is kept."""
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


def keep_wavefield(
    call: "Propagation", sweep: Sweep, wanted: tuple[str, ...], adjoint_bandwidth: float
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
    silent = call.silent and all(name.endswith(SCATTERED) for name in wanted)
    run = storing(call.program, wanted, silent=silent)
    sweep = replace(sweep, program=run.step, sampled=run.sampled)
    if silent:
        sweep = replace(sweep, outputs={})
    seen = call.illumination is not None  # by a run that is repeated
    illumination = None if seen else _illumination(call, sweep, run.sums)
    look = illumination.look if illumination else None
    kept = keep(call.backend, sweep, run.sums, stride, call.storage, look)
    call.stride, call.kept = stride, kept.choice
    if illumination is not None:
        call.illumination = illumination.over(stride * call.time_step)
    return kept


def with_enough_snapshots(
    call: "Propagation",
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
        bandwidth_there(
            present(rows, call.receivers[name]).T,
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
    return keep_wavefield(call, sweep, wanted, found).keeper


def present(rows: Tensor, points: Points) -> Tensor:
    """Columns of the points that are on the grid, (n_steps, n)."""
    there = torch.from_numpy(np.flatnonzero(np.diff(points.rowptr)))
    return rows[:, there.to(rows.device)]


def _illumination(call: "Propagation", sweep: Sweep, sums: tuple[str, ...]) -> Illumination | None:
    """What adds up the energy of the illuminated sums, if they are stored."""
    names = {
        stored_name(s)
        for (c, _), s in with_sums(call.program, call.illuminated).sums.items()
        if c in call.illuminated
    }
    if not names or not names <= set(sums):
        return None
    return Illumination(tuple(names), sweep.sampled or sweep.program, sweep)
