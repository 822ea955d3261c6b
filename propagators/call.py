"""From a user's arguments to a propagation: checks at the door, then plain tensors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from wavepipe.propagators.acquisition import Acquisition
from wavepipe.propagators.backends import choose_backend
from wavepipe.propagators.backends.sweep import Backend, Points
from wavepipe.propagators.bandwidths import bandwidth_there
from wavepipe.propagators.boundary import Boundary
from wavepipe.propagators.checks import (
    judge_damping,
    judge_dispersion,
    judge_free_faces,
    judge_interpolation,
    judge_pass_band,
)
from wavepipe.propagators.coefficients import MASS_UNIT, coefficients_of
from wavepipe.propagators.contact_masks import Rows, checked_contacts, contact_rows, short_rows
from wavepipe.propagators.contacts import judge_contacts
from wavepipe.propagators.devices import check_amplitudes
from wavepipe.propagators.domain import Domain, normalised_spacing
from wavepipe.propagators.earth_models import (
    checked_parameters,
    checked_scatter,
    step_velocity,
)
from wavepipe.propagators.errors import OptionError
from wavepipe.propagators.interpolation import check_positions
from wavepipe.propagators.physics.catalogue import Physics
from wavepipe.propagators.propagation import Propagation
from wavepipe.propagators.recording import Recording, RunInfo
from wavepipe.propagators.resampling import resampled
from wavepipe.propagators.sponges import NONE, judge_layers
from wavepipe.propagators.stability import accurate_time_step
from wavepipe.propagators.stencil.linearise import SCATTERED, born
from wavepipe.propagators.stencil.page import Page
from wavepipe.propagators.stencil.program import Port, Program
from wavepipe.propagators.stencil.surroundings import Face
from wavepipe.propagators.storage.policy import Storage, check_losses
from wavepipe.propagators.time_resampling import (
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
    """How to propagate; see `propagate`."""

    order: int
    boundary: Boundary
    velocity_bound: float | None
    time_step: float | None
    correct_time_dispersion: bool
    storage: Storage
    backend: str
    illumination: bool
    reference_frequency: float | None
    contacts: Rows | None


@dataclass
class Call:
    """A propagation ready to run, and the clocks and shapes around it."""

    domain: Domain
    grid: TimeGrid
    options: Options
    propagation: Propagation
    coefficients: Mapping[str, Tensor]
    amplitudes: Mapping[str, Tensor]
    """Input port -> (n_steps, n_sources of all shots), per cell volume."""
    acquisition: Acquisition
    pressure_unit: float
    """Pa; see `MASS_UNIT`."""

    def record(self) -> Recording:
        """Propagate and return the gathers."""
        run, asked = self.propagation, self.acquisition
        rows = run.run(self.amplitudes, self.coefficients)
        gathers = {}
        for name, positions in asked.receivers.items():
            shift = _port(run.program.outputs, name).shift
            matrix = recording_operator(self.grid, self.options.correct_time_dispersion, shift)
            samples = resampled(matrix, rows[name], run.backend.card)
            if name == "pressure":
                samples = samples * self.pressure_unit
            gathers[name] = samples.T.reshape(asked.n_shots, positions.shape[1], asked.nt)
        illumination = run.illumination
        if illumination is not None:
            illumination = self.domain.interior(illumination)
        return Recording(gathers, self._info(), illumination)

    def _info(self) -> RunInfo:
        run, kept = self.propagation, self.propagation.kept
        return RunInfo(
            time_step=self.grid.time_step,
            n_steps=self.grid.n_steps,
            stride=run.stride,
            mode=kept.mode if kept else "none",
            method=kept.method if kept else "none",
            compression=kept.compression if kept else "none",
            backend=run.backend.name,
            bytes=kept.memory if kept else 0,
            disk_bytes=kept.disk if kept else 0,
        )


def prepare(
    physics: Physics,
    models: Mapping[str, Tensor],
    spacing: float | Sequence[float],
    dt: float,
    acquisition: Acquisition,
    options: Options,
    scatter: Mapping[str, Tensor] | None = None,
) -> Call:
    """Check everything a user may get wrong and assemble the propagation."""
    n_shots, ndim = acquisition.n_shots, acquisition.ndim
    earth = checked_parameters(physics.name, models, ndim, n_shots)
    check_amplitudes(acquisition.amplitudes, earth["vp"], "vp")
    physics.judge(earth)
    check_losses(options.storage, physics.name, lossy=physics.lossy)
    vp = earth["vp"]
    domain = Domain(
        tuple(vp.shape[1:]),
        normalised_spacing(spacing, ndim),
        options.order,
        options.boundary,
        staggered=physics.staggered,
        solid=physics.solid,
        sponge=options.boundary.sponge or NONE,
    )
    if physics.solid and options.boundary.sponge is None:
        domain = replace(domain, sponge=judge_layers(domain, earth["vs"]))
    _judge_points(domain, acquisition, physics)
    samples = acquisition.samples()
    velocity = step_velocity(
        {**earth, "vp": physics.fastest(earth).detach()},
        options.velocity_bound,
        domain.spacing,
        domain.order,
        staggered=domain.staggered,
    )
    highest = bandwidth(samples, dt, SIGNIFICANT)
    slow = {**earth, "vp": physics.slowest(earth)}
    judge_dispersion(slow, domain.spacing, highest, domain.order, staggered=domain.staggered)
    if physics.lossy:
        options = replace(options, correct_time_dispersion=False)
    shifts = physics.shifts(ndim, tuple(acquisition.amplitudes), tuple(acquisition.receivers))
    uncorrected = highest if physics.lossy else 0.0
    step = _time_step(dt, domain, velocity, options, uncorrected)
    grid = plan_time_grid(dt, acquisition.nt, step, options.correct_time_dispersion, shifts)
    judge_pass_band(grid, highest, correct=options.correct_time_dispersion)
    perturbed = checked_scatter(scatter, earth, ndim, n_shots) if scatter is not None else {}
    linearised = physics.depending_on(tuple(perturbed), domain.free)
    rows = _contacts(physics, domain, earth, options.contacts)
    program = _program(
        physics,
        domain.shape,
        domain.order,
        domain.spacing,
        domain.faces,
        rows,
        linearised,
        tuple(acquisition.amplitudes),
        tuple(acquisition.receivers),
    )
    backend = choose_backend(options.backend, vp.dtype, vp.device)
    amplitudes = {
        name: _internal(one.to(vp.dtype), grid, domain, program, name, options, backend)
        for name, one in acquisition.amplitudes.items()
    }
    frequency = options.boundary.pml_frequency
    if frequency is None:
        frequency = peak_frequency(samples, dt)
    reference = _reference_frequency(physics, options, samples, dt)
    sources, receivers = (
        {name: _points(domain, program, name, where, source=entering) for name, where in by.items()}
        for by, entering in ((acquisition.sources, True), (acquisition.receivers, False))
    )
    if physics.solid:
        judge_contacts(domain, earth["vs"], sources, receivers)
    propagation = Propagation(
        program=program,
        backend=backend,
        storage=options.storage,
        time_step=grid.time_step,
        profiles=domain.profiles(program, grid.time_step, velocity, frequency, vp.dtype, vp.device),
        sources=sources,
        receivers=receivers,
        forward_bandwidth=max(
            bandwidth_there(rows.T, grid.time_step, options.storage.tolerance)
            for rows in amplitudes.values()
        ),
        illuminated=_illuminated(physics, program, options, linearised),
        silent=scatter is not None
        and not any(bool(one.detach().any()) for one in perturbed.values()),
    )
    return Call(
        domain=domain,
        grid=grid,
        options=options,
        propagation=propagation,
        coefficients=coefficients_of(
            physics, domain, earth, perturbed, linearised, grid.time_step, reference, rows
        ),
        amplitudes=amplitudes,
        acquisition=acquisition,
        pressure_unit=MASS_UNIT if "rho" in earth else 1.0,
    )


def _reference_frequency(
    physics: Physics, options: Options, samples: NDArray[np.float64], dt: float
) -> float:
    """At which a medium with losses has its velocity, Hz; the sources' peak unless given."""
    given = options.reference_frequency
    if given is None:
        return max(peak_frequency(samples, dt), 1e-6 / dt)
    if not physics.lossy:
        raise OptionError(
            f"reference_frequency is {given} Hz, but {physics.name} has no losses: leave it out."
        )
    if not 0 < given < float("inf"):
        raise OptionError(f"reference_frequency is {given} Hz; it must be positive.")
    return float(given)


def _contacts(
    physics: Physics, domain: Domain, earth: Mapping[str, Tensor], given: Rows | None
) -> Rows | None:
    """Rows of the grid where differences of shear may be short."""
    if given is None:
        return short_rows(domain, contact_rows(earth["vs"])) if physics.solid else None
    if not physics.solid:
        raise OptionError(f"contacts is given, but {physics.name} has no shear: leave it out.")
    return short_rows(domain, checked_contacts(given, domain.model_shape))


def _judge_points(domain: Domain, acquisition: Acquisition, physics: Physics) -> None:
    """Refuse positions where no point can be, warn of those where it is of little use."""
    free = tuple(domain.boundary.free_surface)
    grid = (domain.spacing, domain.model_shape)
    for named, what in ((acquisition.sources, "source"), (acquisition.receivers, "receiver")):
        for positions in named.values():
            check_positions(positions, *grid, what, free)
            judge_damping(positions, *grid, domain.boundary, what)
    if "pressure" in acquisition.receivers and not physics.solid:
        judge_free_faces(acquisition.receivers["pressure"], *grid, domain.boundary)


def _points(
    domain: Domain, program: Program, name: str, where: NDArray[np.float64], *, source: bool
) -> Points:
    port = _port(program.inputs if source else program.outputs, name)
    half = program.halves[port.field]
    what = "source" if source else "receiver"
    judge_interpolation(where, domain.spacing, domain.model_shape, domain.boundary, what, half)
    enters = ("velocity" if port.inner else "stress") if source else ""
    return domain.points(where, half, enters=enters)


def _time_step(
    dt: float, domain: Domain, velocity: float, options: Options, uncorrected: float
) -> float:
    """Internal step, s; short for frequencies (Hz) whose time dispersion is not corrected."""
    step = options.time_step
    if step is None:
        return min(dt, domain.stable_time_step(velocity), accurate_time_step(uncorrected))
    if step > dt * (1 + 1e-9):
        raise OptionError(f"time_step {step:.6g} s is longer than dt {dt:.6g} s; use at most dt.")
    domain.check_time_step(step, velocity)
    return step


@lru_cache(maxsize=64)
def _program(
    physics: Physics,
    shape: tuple[int, ...],
    order: int,
    spacing: tuple[float, ...],
    faces: tuple[tuple[Face, Face], ...],
    contacts: Rows | None,
    linearised: tuple[str, ...],
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
) -> Program:
    """One program object per grid, physics and ports: what is derived from it is cached by it."""
    page = Page(shape, order, spacing, faces, contacts)
    physics.page(page)
    program = page.program().with_ports(inputs, outputs)
    return born(program, linearised) if linearised else program


def _illuminated(
    physics: Physics, program: Program, options: Options, linearised: tuple[str, ...]
) -> tuple[str, ...]:
    if not options.illumination:
        return ()
    names = tuple(name for name in physics.illuminated if name in program.coefficients)
    return tuple(f"{name}{SCATTERED}" for name in names) if linearised else names


def _internal(
    amplitudes: Tensor,
    grid: TimeGrid,
    domain: Domain,
    program: Program,
    name: str,
    options: Options,
    backend: Backend,
) -> Tensor:
    """Amplitudes of a port on the internal clock, (n_steps, n_sources of all shots)."""
    port = _port(program.inputs, name)
    rows = amplitudes.flatten(0, 1).T
    matrix = source_operator(grid, options.correct_time_dispersion, port.shift, rows.shape[0])
    per_step = 1.0 if port.factors else grid.time_step
    if port.inner or not port.factors:  # a force or a stress
        per_step /= MASS_UNIT
    return resampled(matrix, rows, backend.card) * (per_step / domain.cell_volume)


def _port(ports: Sequence[Port], name: str) -> Port:
    """The first port of a name: they agree in where and when they act."""
    return next(port for port in ports if port.name == name)
