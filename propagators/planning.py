"""What a call will cost, from the code that will run it, before anything is allocated."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from wavepipe.propagators.backends.layout import layouts, rounded
from wavepipe.propagators.boundary import Boundary
from wavepipe.propagators.domain import Domain, normalised_spacing
from wavepipe.propagators.errors import OptionError
from wavepipe.propagators.physics.scalar import scalar
from wavepipe.propagators.stability import stable_time_step
from wavepipe.propagators.stencil.adjoint import adjoint
from wavepipe.propagators.stencil.linearise import SCATTERED, with_sums
from wavepipe.propagators.stencil.linearise import born as linearised
from wavepipe.propagators.stencil.page import Page
from wavepipe.propagators.stencil.program import Program
from wavepipe.propagators.storage.policy import ADJOINT_ALLOWANCE, Storage, largest_stride
from wavepipe.propagators.time_resampling import plan_time_grid

PHYSICS: dict[str, tuple[Callable[[Page], None], tuple[str, ...]]] = {"scalar": (scalar, ("c2",))}
"""Name -> page, and the coefficients whose gradient an inversion wants."""


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
    """Kept wavefield of all shots."""
    bytes: int
    """Peak memory of the call beyond the caller's own tensors."""

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
    order: int = 4,
    boundary: Boundary = Boundary(),
    time_step: float | None = None,
    correct_time_dispersion: bool = True,
    storage: Storage = Storage(),
    dtype: str = "float32",
    gradient: bool,
    born: bool = False,
    max_frequency: float,
    adjoint_frequency: float | None = None,
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
    velocity_bound : m/s
    gradient
        Whether the earth model's gradient is wanted.
    born
        Whether it is that of a perturbation, as for migration: nothing is scattered forward.
    max_frequency, adjoint_frequency : Hz
        Highest frequency of the sources and of the adjoint sources; 1.5 times the sources'
        if None.

    Raises
    ------
    OptionError, ModelError
        As the propagator would.
    """
    if physics not in PHYSICS:
        raise OptionError(f"physics {physics!r} does not exist; use {', '.join(PHYSICS)}.")
    shape = tuple(shape)
    domain = Domain(shape, normalised_spacing(spacing, len(shape)), order, boundary)
    step = time_step or min(dt, stable_time_step(domain.spacing, velocity_bound, order))
    grid = plan_time_grid(dt, nt, step, correct_time_dispersion)
    page, wanted = PHYSICS[physics]
    sheet = domain.page()
    page(sheet)
    program = sheet.program()
    turned = program
    if born:
        turned = linearised(program, wanted[0])
        wanted = (wanted[0] + SCATTERED,)
    itemsize = {"float32": 4, "float64": 8}[dtype]
    cells = _product(domain.shape)
    traces = grid.n_steps * n_shots * (n_receivers + 1) * itemsize
    models = 3 * cells * n_shots * itemsize  # vp continued into the layers, c2 and their chain
    forward = _array_bytes(program, n_shots, itemsize)
    if not gradient:
        return CallPlan(step, grid.n_steps, 0, cells, 0, forward + models + 2 * traces)
    reaches = adjoint_frequency or ADJOINT_ALLOWANCE * max_frequency
    stride = storage.stride
    if stride == "auto":
        stride = largest_stride(step, max_frequency, reaches)
    kept = {name for (c, _), name in with_sums(turned, wanted).sums.items() if c in wanted}
    slot = _product((*domain.shape[:-1], rounded(domain.shape[-1], itemsize)))
    history = len(kept) * n_shots * -(-grid.n_steps // stride) * slot * itemsize
    backward = _array_bytes(adjoint(turned, wanted, sources=False).program, n_shots, itemsize)
    backward += (2 * cells * n_shots * itemsize if born else 0) + 2 * len(
        wanted
    ) * cells * n_shots * itemsize
    peak = history + max(forward, backward) + models + 3 * traces
    return CallPlan(step, grid.n_steps, stride, cells, history, peak)


def _array_bytes(program: Program, n_shots: int, itemsize: int) -> int:
    """Memory of a sweep's fields and coefficients; stored sums are the history's."""
    sizes = layouts([program], (), itemsize)
    return sum(
        layout.size * n_shots * itemsize
        for name, layout in sizes.items()
        if not name.startswith("stored_")
    )


def _product(values: Sequence[int]) -> int:
    total = 1
    for value in values:
        total *= value
    return total
