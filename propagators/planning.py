"""What a call will cost, from the code that will run it, before anything is allocated."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import prod

import torch

from wavepipe.propagators.backends.layout import layouts, rounded, state_bytes
from wavepipe.propagators.boundary import Boundary
from wavepipe.propagators.contact_masks import NOWHERE, Rows, short_rows
from wavepipe.propagators.domain import Domain, normalised_spacing
from wavepipe.propagators.physics.catalogue import known_physics
from wavepipe.propagators.stencil.adjoint import adjoint
from wavepipe.propagators.stencil.inline import inlined
from wavepipe.propagators.stencil.linearise import SCATTERED, stored_name
from wavepipe.propagators.stencil.linearise import born as linearised
from wavepipe.propagators.stencil.program import Program
from wavepipe.propagators.stencil.retrace import retraced
from wavepipe.propagators.stencil.storing import storing
from wavepipe.propagators.storage.boundary import boundary_shape
from wavepipe.propagators.storage.choice import choose
from wavepipe.propagators.storage.history import HistoryShape
from wavepipe.propagators.storage.policy import (
    ADJOINT_ALLOWANCE,
    Storage,
    check_losses,
    largest_stride,
)
from wavepipe.propagators.storage.ways import Choice
from wavepipe.propagators.time_resampling import operator_bytes, plan_time_grid


@dataclass(frozen=True, slots=True)
class CallPlan:
    """Sizes of one call of a propagator."""

    time_step: float
    """Internal step, s."""
    n_steps: int
    """Internal steps."""
    stride: int
    """Steps between snapshots; 0 without a gradient."""
    cells: int
    """Grid cells of one shot, absorbing layers included."""
    history_bytes: int
    """Memory of the kept wavefield of all shots, buffers included."""
    disk_bytes: int
    """What it takes on disk."""
    bytes: int
    """Peak memory of the call beyond the caller's own tensors."""
    clock_bytes: int = 0
    """Of it, what later calls of a process find there: matrices that change clocks."""
    kept: Choice | None = None
    """How the wavefield is kept; None without a gradient."""

    @property
    def updates(self) -> int:
        """Cell updates of one forward run of one shot."""
        return self.cells * self.n_steps


def plan_call(
    shape: Sequence[int],
    spacing: float | Sequence[float],
    dt: float,
    nt: int,
    n_shots: int,
    n_receivers: int,
    *,
    velocity_bound: float,
    physics: str = "scalar",
    wanted: Sequence[str] = ("vp",),
    order: int = 4,
    boundary: Boundary = Boundary(),
    time_step: float | None = None,
    correct_time_dispersion: bool = True,
    storage: Storage = Storage(),
    dtype: str = "float32",
    gradient: bool,
    n_models: int | None = None,
    born: bool = False,
    sources: Sequence[str] | None = None,
    receivers: Sequence[str] | None = None,
    max_frequency: float,
    adjoint_frequency: float | None = None,
    contacts: Rows = NOWHERE,
) -> CallPlan:
    """Time step, stride and memory of a call.

    Parameters
    ----------
    shape : cells
        The model's, without absorbing layers.
    spacing : m
    dt : s
    nt
        Samples of `dt`.
    n_receivers
        Of a shot, all components together.
    velocity_bound : m/s
    wanted
        Parameters of the earth model whose gradient is wanted.
    gradient
        Whether it is.
    n_models
        Earth models: one of all shots, or one for each, which None stands for.
    born
        Whether it is that of their perturbation, as for migration: nothing is scattered forward.
    sources, receivers
        Their components, on which the number of steps depends a little; any if None.
    max_frequency, adjoint_frequency : Hz
        Highest frequency of the sources and of the adjoint sources; 1.5 times the sources'
        if None.
    contacts : rows
        Of a solid's model where it touches water, see `propagate`.

    Raises
    ------
    OptionError, ModelError, StorageError
        As the propagator would.
    """
    found = known_physics(physics)
    check_losses(storage, physics, lossy=found.lossy)
    shape = tuple(shape)
    domain = Domain(
        shape,
        normalised_spacing(spacing, len(shape)),
        order,
        boundary,
        staggered=found.staggered,
        solid=found.solid,
    )
    step = time_step or min(dt, domain.stable_time_step(velocity_bound))
    shifts = found.shifts(len(shape), sources, receivers)
    grid = plan_time_grid(dt, nt, step, correct_time_dispersion, shifts)
    sheet = domain.page(short_rows(domain, contacts))
    found.page(sheet)
    program = sheet.program()
    turned = program
    arrays = found.depending_on(tuple(wanted), domain.free)
    if born:
        turned = linearised(program, arrays)
        arrays = tuple(name + SCATTERED for name in arrays)
    itemsize = {"float32": 4, "float64": 8}[dtype]
    cells = prod(domain.shape)
    traces = grid.n_steps * n_shots * (n_receivers + 1) * itemsize
    models = n_models or n_shots
    memory_of = partial(
        _array_bytes,
        shots=n_shots,
        models=models,
        itemsize=itemsize,
        repeated=found.repeated(domain.free),
    )
    # Beside a sweep's own arrays, coefficients remain as torch made them, and how it did so.
    followed = tuple(wanted) if gradient else ()
    made = int(found.chain(followed, domain.free) * cells) * models * itemsize
    # Of sources, of receivers, and a transpose.
    clocks = (3 if gradient else 2) * operator_bytes(grid, correct_time_dispersion)
    if not gradient:
        total = memory_of(inlined(program)) + made + 2 * traces
        return CallPlan(step, grid.n_steps, 0, cells, 0, 0, total + clocks, clocks)
    reaches = adjoint_frequency or ADJOINT_ALLOWANCE * max_frequency
    stride = storage.stride
    if stride == "auto":
        stride = largest_stride(step, max_frequency, reaches)
    run = storing(turned, arrays, silent=born)
    forward = memory_of(run.step, run.sampled)
    slot = (*domain.shape[:-1], rounded(domain.shape[-1], itemsize))
    history = HistoryShape(run.sums, n_shots, slot, getattr(torch, dtype), stride, grid.n_steps)
    edges = partial(boundary_shape, run.step, run.sampled, history)
    choice = choose(storage, history, state_bytes([program], n_shots, itemsize), edges)
    backward = memory_of(adjoint(turned, arrays, sources=False).program)
    backward += (len(arrays) + born) * cells * n_shots * itemsize
    if choice.method == "recompute":
        backward += forward
    elif choice.method == "boundary":
        way = retraced(run.step, run.sampled, run.sums)
        backward += memory_of(way.back_sampled)
    peak = choice.memory + max(forward, backward) + made + 3 * traces + clocks
    return CallPlan(
        step, grid.n_steps, stride, cells, choice.memory, choice.disk, peak, clocks, choice
    )


def _array_bytes(
    *programs: Program, shots: int, models: int, itemsize: int, repeated: frozenset[str]
) -> int:
    """Memory of the fields and coefficients of a sweep's steps; stored sums are the history's."""
    coefficients = {name for program in programs for name in program.coefficients}
    return sum(
        layout.size * (models if name in coefficients else shots) * itemsize
        for name, layout in layouts(programs, (), itemsize).items()
        if not name.startswith(stored_name(""))
        and all(name not in program.strips for program in programs)
        and name not in repeated
    )
