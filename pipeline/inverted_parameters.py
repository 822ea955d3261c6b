"""What an inversion changes: the job's choice of parameters, checked against the earth model."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from wavepipe.pipeline.errors import JobError
from wavepipe.pipeline.parameter_space import Limit, ParameterSpace
from wavepipe.pipeline.quantities import with_unit
from wavepipe.pipeline.ties import tie_of
from wavepipe.propagators.physics.names import PARAMETERS, UNITS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wavepipe.pipeline.earth_model import EarthModel
    from wavepipe.pipeline.job import Job
    from wavepipe.pipeline.ties import Tie

logger = logging.getLogger(__name__)

DEFAULT_BOUNDS = (0.5, 2.0)
"""Bounds where the job gives none, relative to the lowest and highest value of the start."""


def changes(job: Job, name: str) -> bool:
    """Whether an inversion changes a parameter of the earth model."""
    if job.kind != "fwi" or job.fwi is None:
        return False
    return name in job.fwi.parameters.inverted or name in job.fwi.parameters.ties


def allowed(job: Job, name: str) -> tuple[float, float] | None:
    """Bounds that the job gives a parameter, itself or through its tie; None for none."""
    if job.kind != "fwi" or job.fwi is None:
        return None
    parameters = job.fwi.parameters
    tie = parameters.ties.get(name)
    if tie is None:
        update = parameters.inverted.get(name)
        return None if update is None else update.bounds
    followed = allowed(job, tie.of)
    if followed is None:
        return None
    # As the model will be: rounded before and after.
    low, high = (float(value) for value in tie.values(np.array(followed, dtype=np.float32)))
    return low, high


def parameter_space(
    job: Job, earth: EarthModel, mask: NDArray[np.bool_], highest_vp: float
) -> ParameterSpace:
    """Space that the job inverts in.

    A step of one in the vector changes a parameter by ``step_scale`` times the mean of its
    starting values (where it may change): with equal scales all change by the same part of their
    means. The reference is at least 1 for a parameter without unit.

    Parameters
    ----------
    job
        Of kind ``fwi``.
    earth
        Starting model.
    mask
        Where it may change.
    highest_vp : m/s
        That the time step allows for.

    Raises
    ------
    JobError
        A parameter without unit has no bounds.
    """
    if job.fwi is None:
        raise JobError("an inversion needs a section fwi in the job file.")
    start = {name: earth.parameters[name] for name in PARAMETERS[job.physics]}
    parameters = job.fwi.parameters
    plain = ParameterSpace(start, mask, dict.fromkeys(parameters.inverted, (0.0, 0.0)), {})
    bounds, scales = {}, {}
    for name, update in parameters.inverted.items():
        values = start[name][plain.where(name)]
        least = 1.0 if UNITS[name] == "1" else 0.0
        reference = max(float(np.abs(values).mean(dtype=np.float64)), least)
        scales[name] = update.step_scale * reference
        most = _at_vp(name, parameters.ties.get("vp"), highest_vp)
        bounds[name] = update.bounds or _default_bounds(job, name, values, most)
    return ParameterSpace(start, mask, bounds, scales, parameters.ties)


def _at_vp(name: str, tie: Tie | None, vp: float) -> float:
    """Value of a parameter at which vp reaches a velocity; infinite where vp does not follow it."""
    if name == "vp":
        return vp
    if tie is None or tie.of != name:
        return np.inf
    value = (vp / tie.factor) ** (1.0 / tie.power)
    return float(np.nextafter(np.float32(value), np.float32(0.0)))


def _default_bounds(
    job: Job, name: str, values: NDArray[np.float32], most: float
) -> tuple[float, float]:
    """Bounds of a parameter that the job gives none."""
    if UNITS[name] == "1":
        msg = f"fwi.parameters.{name} of {job.path.name} needs bounds: [lowest, highest]."
        raise JobError(msg)
    low, high = DEFAULT_BOUNDS[0] * float(values.min()), DEFAULT_BOUNDS[1] * float(values.max())
    return low, min(high, most)


def starting_model(job: Job, earth: EarthModel, mask: NDArray[np.bool_]) -> EarthModel:
    """Earth model that an inversion starts from: that of the job, made to obey its ties.

    Other kinds of job keep theirs as it is.

    Raises
    ------
    JobError
        The model contradicts the bounds or the ties: naming the key, the values and the place.
    """
    if job.kind != "fwi" or job.fwi is None:
        return earth
    parameters = job.fwi.parameters
    start = {name: earth.parameters[name] for name in PARAMETERS[job.physics]}
    space = ParameterSpace(start, mask, dict.fromkeys(parameters.inverted, (0.0, 0.0)), {})
    for name, update in parameters.inverted.items():
        where = space.where(name)
        if not where.any():
            raise JobError(
                f"fwi.parameters of {job.path.name} inverts for {name}, but vs is 0 everywhere "
                "outside fwi.mask: a fluid. Leave it out, or start from another vs."
            )
        if update.bounds is not None:
            _check_bounds(job, earth, name, update.bounds, where)
    tied = ParameterSpace(start, mask, space.bounds, {}, parameters.ties)
    for limit in tied.limits:
        _check_limit(job, earth, tied, limit)
    _say_what_is_tied(job, start, tied)
    return replace(earth, parameters={**earth.parameters, **tied.start})


def _check_bounds(
    job: Job,
    earth: EarthModel,
    name: str,
    bounds: tuple[float, float],
    where: NDArray[np.bool_],
) -> None:
    """Refuse bounds that the starting model breaks where it may change."""
    low, high = bounds
    values = earth.parameters[name]
    # Models are float32: a value on a bound may lie a rounding beyond it.
    slack = 1e-6 * max(abs(low), abs(high))
    excess = np.where(where, np.maximum(low - values, values - high), -np.inf)
    if not float(excess.max()) > slack:
        return
    worst = int(excess.argmax())
    share = 100.0 * float((excess > slack).mean())
    raise JobError(
        f"fwi.parameters.{name}.bounds of {job.path.name} are {low:g} to "
        f"{with_unit(name, high)}, but the starting model has "
        f"{with_unit(name, float(values.flat[worst]))} at {_place(earth, worst)} ({share:.3g} % of "
        "its cells are outside). Widen the bounds, or start from a model within them."
    )


def _check_limit(job: Job, earth: EarthModel, space: ParameterSpace, limit: Limit) -> None:
    """Refuse parameters too near to each other: of the start with its ties, and of the bounds."""
    lesser, greater = limit.lesser, limit.greater
    rule = f"{lesser} at or below {limit.factor:g} {greater} ({limit.reason})"
    values, most = space.start[lesser].astype(np.float64), limit.most(space.start)
    excess = np.where(space.mask, values - most, -np.inf)
    if float(excess.max()) > 1e-6 * float(np.abs(most).max()):
        worst = int(excess.argmax())
        raise JobError(
            f"the starting model of {job.path.name} has {lesser} "
            f"{with_unit(lesser, float(values.flat[worst]))} beside {greater} "
            f"{with_unit(greater, float(space.start[greater].flat[worst]))} at "
            f"{_place(earth, worst)}; an inversion keeps {rule}. Lower {lesser} there."
        )
    bounds = allowed(job, lesser)
    if bounds is None:
        return
    other = allowed(job, greater)
    lowest = float(space.start[greater][space.where(lesser)].min()) if other is None else other[0]
    if bounds[0] > limit.factor * lowest:
        raise JobError(
            f"fwi.parameters.{lesser}.bounds of {job.path.name} start at "
            f"{with_unit(lesser, bounds[0])}, but {greater} may be {with_unit(greater, lowest)}, "
            f"and an inversion keeps {rule}. Lower that bound, or raise the one of {greater}."
        )


def _say_what_is_tied(
    job: Job, start: dict[str, NDArray[np.float32]], space: ParameterSpace
) -> None:
    """Log what follows what, and what does not although the earth model made it so."""
    for name, tie in space.ties.items():
        change = float(np.abs(space.start[name] - start[name]).max())
        moved = f"; it starts up to {with_unit(name, change, 3)} from earth_model.{name}"
        logger.info("fwi: %s is tied: %s%s", name, tie, moved if change > 0.0 else "")
    for name, given in job.earth_model.given.items():
        made = tie_of(given)
        if made is not None and made.of in space.changing and name not in space.changing:
            logger.info(
                "fwi: %s starts as %s and then stays as it is while %s changes; "
                "fwi.parameters.%s.tied would keep it so",
                name,
                made,
                made.of,
                name,
            )


def _place(earth: EarthModel, index: int) -> str:
    """Position of a cell, counted in the flat array."""
    nodes = np.unravel_index(index, earth.shape)
    return ", ".join(
        f"{axis} = {earth.coordinates(i)[node]:g} m"
        for i, (axis, node) in enumerate(zip(earth.axes, nodes, strict=True))
    )
