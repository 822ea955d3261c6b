"""The clock of a run: the velocity that fixes its time step, and the step.

Both are fixed before the work starts and hold for all of it, so that an inversion never changes
the step while it changes the earth model.
"""

from collections.abc import Iterator, Mapping
from itertools import product

import numpy as np
import torch

from wavepipe.pipeline.errors import JobError
from wavepipe.pipeline.inputs import Inputs
from wavepipe.pipeline.inverted_parameters import allowed, changes
from wavepipe.propagators.boundary import Boundary
from wavepipe.propagators.contact_masks import contact_rows
from wavepipe.propagators.contrasts import contrast_velocity
from wavepipe.propagators.domain import Domain
from wavepipe.propagators.earth_models import step_velocity
from wavepipe.propagators.physics.catalogue import known_physics
from wavepipe.propagators.physics.names import PARAMETERS
from wavepipe.propagators.sponges import NONE, needed_sponge, too_shallow
from wavepipe.propagators.stability import SAFETY, accurate_time_step

HEADROOM = 1.25
"""Velocity bound of an inversion without bounds, relative to the starting model's fastest."""

JUMP_HEADROOM = 1.05
"""On the velocity that jumps of the earth model need: they grow in an inversion, and at the edge of
a window, where its last cells go on."""


def earth_tensors(inputs: Inputs) -> dict[str, torch.Tensor]:
    """Parameters of the physics, as propagators take them."""
    names = PARAMETERS[inputs.job.physics]
    return {name: torch.from_numpy(inputs.earth.parameters[name]) for name in names}


def velocity_bound(inputs: Inputs) -> float:
    """Velocity that no wave of the run exceeds, m/s: it fixes the time step.

    Raises
    ------
    JobError, ModelError
        The job's is lower than the earth model, or what may become of it, needs.
    """
    job, models = inputs.job, earth_tensors(inputs)
    physics = known_physics(job.physics)
    place = (inputs.earth.spacing, job.propagator.order)
    start = float(physics.fastest(models).max())
    highest = max(float(physics.fastest(one).max()) for one in _extremes(inputs, models))
    asked = job.propagator.velocity_bound
    moving = {**models, "vp": physics.fastest(models)}
    if isinstance(asked, str):
        headroom = HEADROOM if changes(job, "vp") and allowed(job, "vp") is None else 1.0
        bound = max(start, highest) * headroom
        bound = max(bound, float(np.float32(bound)))  # models are float32
        if not physics.staggered:
            return bound
        return max(
            bound, JUMP_HEADROOM * SAFETY * contrast_velocity(moving, *place) * bound / start
        )
    given = max(float(asked), float(np.float32(asked)))
    if given < max(start, highest):
        reached = f"the fastest wave reaches {start:g}"
        if highest > start:
            reached = f"fwi.parameters with their bounds allow {highest:g}"
        raise JobError(
            f"propagator.velocity_bound is {asked:g} m/s, but {reached} m/s. Raise it, or leave "
            "it at auto."
        )
    step_velocity(moving, given, *place, staggered=physics.staggered)
    return given


def highest_vp(inputs: Inputs, bound: float) -> float:
    """Highest vp at which no wave exceeds a velocity, whatever else an inversion changes, m/s.

    Parameters
    ----------
    inputs
        What the run starts from.
    bound : m/s
        From `velocity_bound`.
    """
    fastest, unit = known_physics(inputs.job.physics).fastest, torch.ones((), dtype=torch.float64)
    extremes = _extremes(inputs, earth_tensors(inputs))
    return bound / max(float(fastest({**one, "vp": unit}).max()) for one in extremes)


def _extremes(
    inputs: Inputs, models: Mapping[str, torch.Tensor]
) -> Iterator[dict[str, torch.Tensor]]:
    """Earth models with what an inversion changes at its bounds, every combination of them."""
    choices = []
    for name, values in models.items():
        bounds = allowed(inputs.job, name) if changes(inputs.job, name) else None
        at_bounds = [torch.tensor(one, dtype=torch.float64) for one in bounds or ()]
        choices.append(at_bounds or [values.double()])
    for combination in product(*choices):
        yield dict(zip(models, combination, strict=True))


def time_step(inputs: Inputs, bound: float, max_frequency: float) -> float:
    """Internal step for the whole run, s.

    Parameters
    ----------
    inputs
        What the run starts from.
    bound : m/s
        From `velocity_bound`.
    max_frequency : Hz
        Of the run's waves; the step is short for it where time dispersion is not corrected.

    Raises
    ------
    StabilityError
        The job's step is too long.
    """
    section, lossy = inputs.job.propagator, known_physics(inputs.job.physics).lossy
    domain = whole_domain(inputs)
    if section.time_step == "auto":
        step = min(domain.stable_time_step(bound), inputs.survey.dt)
        return min(step, accurate_time_step(max_frequency)) if lossy else step
    domain.check_time_step(section.time_step, bound)
    return float(section.time_step)


def whole_domain(inputs: Inputs) -> Domain:
    """The grid of the whole earth model."""
    section, physics = inputs.job.propagator, known_physics(inputs.job.physics)
    return Domain(
        inputs.earth.shape,
        inputs.earth.spacing,
        section.order,
        Boundary(section.pml_width, 1.0, tuple(section.free_surface)),
        staggered=physics.staggered,
        solid=physics.solid,
    )


def contacts(inputs: Inputs) -> tuple[int, int] | None:
    """Rows of a solid where it touches water; water stays water in an inversion."""
    if not known_physics(inputs.job.physics).solid:
        return None
    return contact_rows(_shear(inputs))


def sponge(inputs: Inputs) -> tuple[float, float]:
    """Damping that the absorbing layers need."""
    if not known_physics(inputs.job.physics).solid:
        return NONE
    return needed_sponge(whole_domain(inputs), _shear(inputs))


def shallow_water(inputs: Inputs) -> str:
    """What to say of water too shallow for the usual damping; empty if there is none."""
    if not known_physics(inputs.job.physics).solid:
        return ""
    return too_shallow(whole_domain(inputs), _shear(inputs))


def _shear(inputs: Inputs) -> torch.Tensor:
    """Velocity of shear waves, (1, *model), m/s."""
    return earth_tensors(inputs)["vs"].reshape(1, *inputs.earth.shape)
