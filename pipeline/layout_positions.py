"""Positions and numbers of a layout, checked where they are read.

Errors name the key, counted from `survey.layout`.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from wavepipe.pipeline.errors import SurveyError

Positions = NDArray[np.float64]
"""(n, ndim) or, along one axis, (n,); m."""

_RANGE_KEYS = ({"start", "stop", "step"}, {"start", "step", "count"}, {"start", "stop", "count"})


def position_grid(given: object, where: str, ndim: int) -> Positions:
    """Combine x, y and depth into positions (n, ndim), x running fastest."""
    options = as_mapping(given, where)
    optional = ("y",) if ndim == 3 else ()
    if ndim == 2 and "y" in options:
        message = f"survey.layout.{where}.y belongs to 3-D; leave it out of a 2-D job."
        raise SurveyError(message)
    check_keys(options, where, required=("x", "depth"), optional=optional)
    x = position_range(options["x"], f"{where}.x")
    if ndim == 2:
        horizontal = [x]
    else:
        y = position_range(options.get("y", 0.0), f"{where}.y")
        horizontal = [part.ravel() for part in np.meshgrid(y, x, indexing="ij")]
    n = len(horizontal[0])
    depth = position_range(options["depth"], f"{where}.depth")
    if len(depth) not in (1, n):
        message = (
            f"survey.layout.{where}.depth has {len(depth)} values for {n} positions; give one, or "
            "one for each."
        )
        raise SurveyError(message)
    return np.stack([np.broadcast_to(depth, (n,)), *horizontal], axis=-1)


def position_range(given: object, where: str) -> Positions:
    """Turn a number, a list or a range into positions, (n,), m.

    Examples
    --------
    >>> position_range({"start": 0, "stop": 1, "step": 0.25}, "x").tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    if isinstance(given, Mapping):
        return _from_range(given, where)
    if isinstance(given, Sequence) and not isinstance(given, str):
        if not given:
            message = f"survey.layout.{where} is an empty list; give at least one position in m."
            raise SurveyError(message)
        return np.array([as_number(value, where) for value in given])
    return np.array([as_number(given, where)])


def _from_range(given: Mapping[str, object], where: str) -> Positions:
    keys = set(given)
    if keys not in _RANGE_KEYS:
        message = (
            f"survey.layout.{where} has keys {sorted(keys)}; a range needs start, stop and step, "
            "or start, step and count, or start, stop and count."
        )
        raise SurveyError(message)
    start = as_number(given["start"], f"{where}.start")
    if "step" not in keys:
        stop = as_number(given["stop"], f"{where}.stop")
        return np.linspace(
            start, stop, as_count(given["count"], f"{where}.count"), dtype=np.float64
        )
    step = as_number(given["step"], f"{where}.step")
    if "count" in keys:
        return _steps(start, step, as_count(given["count"], f"{where}.count"))
    stop = as_number(given["stop"], f"{where}.stop")
    if step == 0 or (stop - start) * step < 0:
        message = (
            f"survey.layout.{where} goes from {start:g} to {stop:g} m in steps of {step:g} m, "
            "which never arrives; check the sign of step."
        )
        raise SurveyError(message)
    # The tolerance keeps a stop that rounding puts just beyond the last step.
    return _steps(start, step, int(np.floor((stop - start) / step + 1e-9)) + 1)


def _steps(start: float, step: float, count: int) -> Positions:
    return np.asarray(start + step * np.arange(count), dtype=np.float64)


def as_mapping(given: object, where: str) -> Mapping[str, object]:
    """Return `given`, which must be keys and values."""
    if not isinstance(given, Mapping):
        message = f"survey.layout.{where} needs keys and values; it has {given!r}."
        raise SurveyError(message)
    return given


def check_keys(
    options: Mapping[str, object],
    where: str,
    required: Sequence[str],
    optional: Sequence[str] = (),
) -> None:
    """Refuse keys that are unknown or missing."""
    known = (*required, *optional)
    unknown = [key for key in options if key not in known]
    missing = [key for key in required if key not in options]
    if unknown or missing:
        wrong = f"does not know {unknown[0]!r}" if unknown else f"lacks {missing[0]!r}"
        message = f"survey.layout.{where} {wrong}; its keys are {', '.join(known)}."
        raise SurveyError(message)


def as_number(given: object, where: str) -> float:
    """Return `given`, which must be a finite number."""
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not np.isfinite(given):
        message = f"survey.layout.{where} is {given!r}; a number in m is needed."
        raise SurveyError(message)
    return float(given)


def as_count(given: object, where: str) -> int:
    """Return `given`, which must be a whole number of at least 1."""
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        message = f"survey.layout.{where} is {given!r}; a whole number of at least 1 is needed."
        raise SurveyError(message)
    return given
