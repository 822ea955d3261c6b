"""From a user's arguments to a propagation: checks at the door, then plain tensors."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from wavepipe.propagators.backends import choose_backend
from wavepipe.propagators.boundary import Boundary
from wavepipe.propagators.domain import Domain, normalised_spacing
from wavepipe.propagators.errors import DispersionError, GeometryError, ModelError, OptionError
from wavepipe.propagators.interpolation import check_positions
from wavepipe.propagators.propagation import Propagation
from wavepipe.propagators.recording import Recording, RunInfo
from wavepipe.propagators.resampling import resampled
from wavepipe.propagators.stability import (
    DispersionWarning,
    check_dispersion,
    check_time_step,
    stable_time_step,
)
from wavepipe.propagators.stencil.linearise import SCATTERED, born
from wavepipe.propagators.stencil.page import Face, Page
from wavepipe.propagators.stencil.program import Program
from wavepipe.propagators.storage.policy import Storage
from wavepipe.propagators.time_resampling import (
    TimeGrid,
    bandwidth,
    pass_band,
    plan_time_grid,
    recording_operator,
    source_operator,
)
from wavepipe.propagators.wavelets import peak_frequency

SIGNIFICANT = 1e-2
"""Relative amplitude of the frequencies that dispersion is judged by."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to propagate; see `scalar`."""

    order: int
    boundary: Boundary
    velocity_bound: float | None
    time_step: float | None
    correct_time_dispersion: bool
    storage: Storage
    backend: str
    illumination: bool


@dataclass(frozen=True, slots=True)
class Shots:
    """Sources and receivers of a batch; see `scalar`."""

    amplitudes: Tensor
    source_positions: ArrayLike
    receiver_positions: ArrayLike
    nt: int | None


@dataclass
class Call:
    """A propagation ready to run, and the clocks and shapes around it."""

    domain: Domain
    grid: TimeGrid
    options: Options
    propagation: Propagation
    vp: Tensor
    """(n_shots or 1, *padded shape), m/s."""
    amplitudes: Tensor
    """(n_steps, n_sources of all shots), per cell volume."""
    n_shots: int
    n_receivers: int
    nt_recorded: int
    per_shot: bool

    @property
    def time_step(self) -> float:
        """Internal step, s."""
        return self.grid.time_step

    def extended(self, model: Tensor) -> Tensor:
        """Another model of the same call on the padded grid."""
        batch = as_batch(model, self.domain.ndim, self.n_shots, "scatter")
        if batch.shape != (len(self.vp), *self.domain.model_shape):
            raise ModelError(
                f"scatter has shape {tuple(model.shape)}; it must have the shape of vp, "
                f"{self.domain.model_shape}."
            )
        return self.domain.extended(batch.to(self.vp))

    def record(self, coefficients: Mapping[str, Tensor]) -> Recording:
        """Propagate and return the gathers."""
        rows = self.propagation.run(self.amplitudes, coefficients)
        matrix = recording_operator(self.grid, self.options.correct_time_dispersion)
        samples = resampled(matrix, rows)[: self.nt_recorded]
        gathers = samples.T.reshape(self.n_shots, self.n_receivers, self.nt_recorded)
        illumination = self.propagation.illumination
        if illumination is not None:
            illumination = self.domain.interior(illumination)
        return Recording({"pressure": gathers}, self._info(), illumination)

    def _info(self) -> RunInfo:
        run = self.propagation
        return RunInfo(
            time_step=self.time_step,
            n_steps=self.grid.n_steps,
            stride=run.stride,
            method="snapshots" if run.stride else "none",
            backend=run.backend.name,
            bytes=run.kept_bytes,
        )


def prepare(
    vp: Tensor,
    spacing: float | Sequence[float],
    dt: float,
    shots: Shots,
    options: Options,
    page: Callable[[Page], None],
    coefficient_of_born: str | None = None,
) -> Call:
    """Check everything a user may get wrong and assemble the propagation."""
    sources = as_positions(shots.source_positions, "source")
    receivers = as_positions(shots.receiver_positions, "receiver")
    n_shots, n_sources, ndim = sources.shape
    if receivers.shape[0] != n_shots or receivers.shape[2] != ndim:
        raise GeometryError(
            f"receiver positions have shape {receivers.shape}; with sources of shape "
            f"{sources.shape} they must be ({n_shots}, n_receivers, {ndim})."
        )
    amplitudes = _checked_amplitudes(shots.amplitudes, n_shots, n_sources)
    models = as_batch(_checked_velocity(vp), ndim, n_shots, "vp")
    domain = Domain(
        tuple(models.shape[1:]), normalised_spacing(spacing, ndim), options.order, options.boundary
    )
    free = tuple(options.boundary.free_surface)
    for positions, what in ((sources, "source"), (receivers, "receiver")):
        check_positions(positions, domain.spacing, domain.model_shape, what, free)

    nt_source = amplitudes.shape[-1]
    nt = nt_source if shots.nt is None else int(shots.nt)
    samples = amplitudes.detach().cpu().numpy()
    velocity = _velocity_bound(models, options.velocity_bound)
    _judge_dispersion(models, domain, bandwidth(samples, dt, SIGNIFICANT))
    grid = _clock(dt, max(nt, nt_source), domain, velocity, options)
    _judge_pass_band(samples, grid, options)
    internal = _internal(amplitudes.to(models.dtype), grid, options) / domain.cell_volume
    program = _program(
        page, domain.shape, domain.order, domain.spacing, domain.faces, coefficient_of_born
    )
    like = torch.zeros((), dtype=models.dtype)
    frequency = options.boundary.pml_frequency
    if frequency is None:
        frequency = peak_frequency(samples.reshape(-1, nt_source).sum(axis=0), dt)
    propagation = Propagation(
        program=program,
        backend=choose_backend(options.backend, models.dtype),
        storage=options.storage,
        time_step=grid.time_step,
        profiles=domain.profiles(program, grid.time_step, velocity, frequency, like),
        sources=domain.points(sources),
        receivers=domain.points(receivers),
        port="pressure",
        forward_bandwidth=bandwidth(
            internal.detach().T.numpy(), grid.time_step, options.storage.tolerance
        ),
        illuminated=_illuminated(options, coefficient_of_born),
    )
    return Call(
        domain=domain,
        grid=grid,
        options=options,
        propagation=propagation,
        vp=domain.extended(models),
        amplitudes=internal,
        n_shots=n_shots,
        n_receivers=receivers.shape[1],
        nt_recorded=nt,
        per_shot=len(models) > 1,
    )


def as_positions(positions: ArrayLike, what: str) -> NDArray[np.float64]:
    """Positions as (n_shots, n, ndim) float64."""
    array = np.asarray(positions, dtype=np.float64)
    if array.ndim != 3 or array.shape[-1] not in (2, 3):
        raise GeometryError(
            f"{what} positions have shape {array.shape}; they must be (n_shots, n, ndim) in "
            "metres, with ndim 2 (z, x) or 3 (z, y, x)."
        )
    return array


def as_batch(model: Tensor, ndim: int, n_shots: int, name: str) -> Tensor:
    """A model as (n_shots or 1, *shape)."""
    if model.ndim == ndim:
        return model[None]
    if model.ndim == ndim + 1 and model.shape[0] == n_shots:
        return model
    raise ModelError(
        f"{name} has shape {tuple(model.shape)}; with {ndim}-D positions of {n_shots} shots it "
        f"must have {ndim} axes, or {ndim + 1} with n_shots = {n_shots} as the first."
    )


def _checked_velocity(vp: Tensor) -> Tensor:
    if not isinstance(vp, Tensor) or vp.dtype not in (torch.float32, torch.float64):
        raise ModelError(f"vp must be a torch tensor of float32 or float64, not {_kind(vp)}.")
    if vp.device.type != "cpu":
        raise OptionError(f"vp is on device {vp.device}; propagation runs on the CPU: vp.cpu().")
    values = vp.detach()
    slowest, fastest = torch.aminmax(values)  # NaN in either if there is one
    if not (slowest > 0 and fastest < float("inf")):
        bad = ~(values > 0) | ~torch.isfinite(values)
        cell = tuple(int(i) for i in bad.nonzero()[0])
        raise ModelError(
            f"vp is {float(values[cell]):.6g} m/s at cell {cell} ({int(bad.sum())} such cells); "
            "velocities must be finite and positive."
        )
    return vp


def _checked_amplitudes(amplitudes: Tensor, n_shots: int, n_sources: int) -> Tensor:
    if not isinstance(amplitudes, Tensor) or amplitudes.shape[:2] != (n_shots, n_sources):
        raise GeometryError(
            f"source amplitudes have shape {_kind(amplitudes)}; with these source positions they "
            f"must be a tensor ({n_shots}, {n_sources}, nt)."
        )
    if amplitudes.ndim != 3 or amplitudes.shape[2] < 2:
        raise GeometryError(
            f"source amplitudes have shape {tuple(amplitudes.shape)}; they need at least 2 samples."
        )
    finite = torch.isfinite(amplitudes.detach()).all(dim=-1)
    if not finite.all():
        shot, source = (int(i) for i in (~finite).nonzero()[0])
        raise GeometryError(f"shot {shot}: the amplitude of source {source} has NaN or infinity.")
    return amplitudes


def _velocity_bound(models: Tensor, bound: float | None) -> float:
    fastest = float(models.detach().max())
    if bound is None:
        return fastest
    if not bound >= fastest:
        raise ModelError(
            f"vp reaches {fastest:.6g} m/s, beyond velocity_bound = {bound:.6g} m/s that fixes the "
            "time step. Raise velocity_bound or bound the model."
        )
    return float(bound)


def _judge_dispersion(models: Tensor, domain: Domain, frequency: float) -> None:
    """Warn of frequencies the grid cannot carry; a test with noise is not refused, a job is."""
    slowest = float(models.detach().min())
    try:
        check_dispersion(slowest, domain.spacing, frequency, domain.order)
    except DispersionError as error:
        warnings.warn(str(error), DispersionWarning, stacklevel=4)


def _judge_pass_band(samples: NDArray[np.floating], grid: TimeGrid, options: Options) -> None:
    """Warn of frequencies that the change of clocks takes out of the sources."""
    highest = bandwidth(samples, grid.dt, SIGNIFICANT)
    edge = pass_band(grid, options.correct_time_dispersion)
    if highest > edge:
        warnings.warn(
            f"the sources reach {highest:.4g} Hz; with time_step {grid.time_step:.3g} s and dt "
            f"{grid.dt:.3g} s only frequencies up to {edge:.4g} Hz are kept unchanged. Filter the "
            "sources or use a shorter time_step and dt.",
            DispersionWarning,
            stacklevel=4,
        )


def _clock(dt: float, nt: int, domain: Domain, velocity: float, options: Options) -> TimeGrid:
    step = options.time_step
    if step is None:
        step = min(dt, stable_time_step(domain.spacing, velocity, options.order))
    elif step > dt * (1 + 1e-9):
        raise OptionError(f"time_step {step:.6g} s is longer than dt {dt:.6g} s; use at most dt.")
    else:
        check_time_step(step, domain.spacing, velocity, options.order)
    return plan_time_grid(dt, nt, step, options.correct_time_dispersion)


@lru_cache(maxsize=64)
def _program(
    page: Callable[[Page], None],
    shape: tuple[int, ...],
    order: int,
    spacing: tuple[float, ...],
    faces: tuple[tuple[Face, Face], ...],
    linearised: str | None,
) -> Program:
    """One program object per grid and physics: what is derived from it is cached by identity."""
    sheet = Page(shape, order, spacing, faces)
    page(sheet)
    program = sheet.program()
    return born(program, linearised) if linearised else program


def _illuminated(options: Options, linearised: str | None) -> str | None:
    if not options.illumination:
        return None
    return linearised + SCATTERED if linearised else "c2"


def _internal(amplitudes: Tensor, grid: TimeGrid, options: Options) -> Tensor:
    """Amplitudes on the internal clock, (n_steps, n_sources of all shots)."""
    rows = amplitudes.flatten(0, 1).T
    if rows.shape[0] < grid.nt:
        rows = torch.nn.functional.pad(rows, (0, 0, 0, grid.nt - rows.shape[0]))
    return resampled(source_operator(grid, options.correct_time_dispersion), rows)


def _kind(value: object) -> str:
    shape = getattr(value, "shape", None)
    return f"{type(value).__name__} of {getattr(value, 'dtype', '?')} {tuple(shape or ())}"
