"""From a user's arguments to a propagation: checks at the door, then plain tensors."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from wavepipe.propagators.backends import choose_backend
from wavepipe.propagators.boundary import Boundary
from wavepipe.propagators.checks import (
    as_batch,
    as_positions,
    checked_amplitudes,
    checked_nt,
    checked_scatter,
    checked_velocity,
    judge_dispersion,
    judge_free_faces,
    judge_interpolation,
    judge_pass_band,
    velocity_bound,
)
from wavepipe.propagators.domain import Domain, normalised_spacing
from wavepipe.propagators.errors import GeometryError, OptionError
from wavepipe.propagators.interpolation import check_positions
from wavepipe.propagators.propagation import Propagation
from wavepipe.propagators.recording import Recording, RunInfo
from wavepipe.propagators.resampling import resampled
from wavepipe.propagators.stability import check_time_step, stable_time_step
from wavepipe.propagators.stencil.linearise import SCATTERED, born
from wavepipe.propagators.stencil.page import Face, Page
from wavepipe.propagators.stencil.program import Program
from wavepipe.propagators.storage.policy import Storage
from wavepipe.propagators.time_resampling import (
    HALF_WIDTH,
    TimeGrid,
    bandwidth,
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

    @property
    def time_step(self) -> float:
        """Internal step, s."""
        return self.grid.time_step

    def extended(self, scatter: Tensor) -> Tensor:
        """A perturbation of the model on the padded grid."""
        inner = self.domain.interior(self.vp)
        return self.domain.extended(checked_scatter(scatter, inner, self.domain.ndim, self.n_shots))

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
    amplitudes = checked_amplitudes(shots.amplitudes, n_shots, n_sources)
    models = as_batch(checked_velocity(vp), ndim, n_shots, "vp")
    domain = Domain(
        tuple(models.shape[1:]), normalised_spacing(spacing, ndim), options.order, options.boundary
    )
    free = tuple(options.boundary.free_surface)
    for positions, what in ((sources, "source"), (receivers, "receiver")):
        check_positions(positions, domain.spacing, domain.model_shape, what, free)
        judge_interpolation(positions, domain.spacing, domain.model_shape, options.boundary, what)
    judge_free_faces(receivers, domain.spacing, domain.model_shape, options.boundary)

    nt = checked_nt(shots.nt, amplitudes.shape[-1])
    amplitudes = amplitudes[..., : nt + 2 * HALF_WIDTH]  # what comes later is not recorded
    nt_source = amplitudes.shape[-1]
    samples = amplitudes.detach().cpu().numpy()
    velocity = velocity_bound(models, options.velocity_bound)
    highest = bandwidth(samples, dt, SIGNIFICANT)
    judge_dispersion(float(models.detach().min()), domain.spacing, highest, domain.order)
    grid = _clock(dt, max(nt, nt_source), domain, velocity, options)
    judge_pass_band(grid, highest, correct=options.correct_time_dispersion)
    internal = _internal(amplitudes.to(models.dtype), grid, options) / domain.cell_volume
    program = _program(
        page, domain.shape, domain.order, domain.spacing, domain.faces, coefficient_of_born
    )
    like = torch.zeros((), dtype=models.dtype)
    frequency = options.boundary.pml_frequency
    if frequency is None:
        frequency = peak_frequency(samples, dt)
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
