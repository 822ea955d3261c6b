"""Observed gathers as the jobs use them: read, brought to the run's band, weighted."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wavepipe.pipeline.evaluation import Treatment
from wavepipe.pipeline.filters import band_limit, end_taper, line_source, low_pass
from wavepipe.pipeline.mutes import direct_mute


def treat_gather(
    gather: NDArray[Any], dt: float, treatment: Treatment, velocity: float
) -> NDArray[np.float32]:
    """Observed gather with the run's spreading and frequency band.

    Parameters
    ----------
    gather : (n_receivers, nt)
        As recorded; zero where dead.
    dt : s
        Sample interval.
    treatment
        What is done.
    velocity : m/s
        At the source, for the amplitude of a point source seen as a line.
    """
    traces = np.asarray(gather, dtype=np.float64)
    if treatment.point_source is not None:
        traces = line_source(traces, dt, velocity, start=treatment.point_source.centre)
    return low_pass(traces, dt, treatment.max_frequency).astype(np.float32)


def trace_weights(
    source: NDArray[np.float64],
    receivers: NDArray[np.float64],
    live: NDArray[np.bool_],
    nt: int,
    dt: float,
    treatment: Treatment,
    delay: NDArray[np.float64] | None = None,
) -> NDArray[np.float32]:
    """Weights (n_receivers, nt) of a gather's samples: dead traces, mute, tapers at both ends.

    Parameters
    ----------
    source : (ndim,), m
    receivers : (n_receivers, ndim), m
        NaN where absent.
    live : (n_receivers,)
        Whether the trace has data.
    nt
        Samples.
    dt : s
        Sample interval.
    treatment
        What is done.
    delay : (n_receivers,), s
        Start of each trace after the shot: nothing before it was recorded, so nothing before it
        is compared.
    """
    present = live & np.isfinite(receivers).all(axis=-1)
    weights = present[:, None] * end_taper(nt, dt, treatment.taper_end)[None, :]
    if delay is not None and (delay > 0).any():
        since = np.arange(nt) * dt - delay[:, None]
        ramp = np.clip(since / max(treatment.taper_end, dt), 0.0, 1.0)
        started = np.where(delay[:, None] > 0, np.sin(0.5 * np.pi * ramp) ** 2, 1.0)
        weights = weights * started
    if treatment.mute is not None:
        velocity, flat, taper = treatment.mute
        offsets = np.linalg.norm(np.where(present[:, None], receivers, source) - source, axis=-1)
        weights *= direct_mute(offsets, nt, dt, velocity=velocity, flat=flat, taper=taper)
    return weights.astype(np.float32)


def band_limited(traces: Tensor, dt: float, band: float | None) -> Tensor:
    """`band_limit` of traces (n_receivers, nt), as a differentiable operation."""
    limited: Tensor = _BandLimit.apply(traces, dt, band)  # type: ignore[no-untyped-call]
    return limited


class _BandLimit(torch.autograd.Function):
    """A symmetric filter is its own transpose."""

    @staticmethod
    def forward(ctx: Any, traces: Tensor, dt: float, band: float | None) -> Tensor:
        """Filter along time."""
        ctx.dt, ctx.band = dt, band
        return torch.from_numpy(band_limit(traces.detach().numpy(), dt, band)).to(traces.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """Filter along time again."""
        limited = band_limit(gradient.numpy(), ctx.dt, ctx.band)
        return torch.from_numpy(limited).to(gradient.dtype), None, None
