"""Read one parameter of an earth model from a Zarr store, version 2 or 3."""

from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from wavepipe.pipeline.earth_model_files import StoredArray, check_axes
from wavepipe.pipeline.errors import JobError
from wavepipe.pipeline.job.earth_model import EarthParameter
from wavepipe.propagators.errors import ModelError

_LENGTHS = {"m": 1.0, "metre": 1.0, "meter": 1.0, "metres": 1.0, "meters": 1.0, "km": 1000.0}


def read_zarr(path: Path, parameter: EarthParameter, name: str, key: str) -> StoredArray:
    """A parameter and its grid from a Zarr array, or from an array inside a group.

    Axes come from the array's dimension names, the unit from its ``units`` attribute, spacing
    and origin from the coordinates of the same names; keys of the job fill what is not there.
    An array with a leading ``iteration`` axis is an inversion's result: its last iteration, or
    the one that the job names, is read. A run folder stands for its ``results.zarr``.
    """
    if (path / "results.zarr").is_dir():
        path = path / "results.zarr"
    array, group = _open(path, parameter, name, key)
    names = _dimension_names(array)
    unit = array.attrs.get("units", array.attrs.get("unit"))
    values, names, assumptions = _one_iteration(array, names, parameter, path, key)
    if names is not None and parameter.axes is not None and names != parameter.axes:
        msg = (
            f"{key}: axes are [{', '.join(parameter.axes)}], but {path} says "
            f"[{', '.join(names)}]. Leave axes out to use the file's."
        )
        raise JobError(msg)
    axes = names if names is not None else parameter.axes
    check_axes(axes, values.shape, key, path.name)
    if axes is None:  # pragma: no cover - check_axes has raised
        raise TypeError(axes)
    order = [axis for axis in ("z", "y", "x") if axis in axes]
    spacing: list[float] = []
    origin: list[float] = []
    for axis in order:
        found = _coordinate(group, axis, values.shape[axes.index(axis)], path)
        if found is not None:
            spacing.append(found[0])
            origin.append(found[1])
    complete = len(spacing) == len(order)
    return StoredArray(
        values,
        axes,
        str(unit) if unit is not None else None,
        tuple(spacing) if complete else None,
        tuple(origin) if complete else None,
        assumptions,
    )


def _open(
    path: Path, parameter: EarthParameter, name: str, key: str
) -> tuple["zarr.Array[Any]", zarr.Group | None]:
    """The array and the group it lies in."""
    for unused in ("shape", "dtype"):
        if getattr(parameter, unused) is not None:
            msg = f"{key}: '{unused}' is not for Zarr; {path.name} says its own. Remove it."
            raise JobError(msg)
    try:
        node = zarr.open(path, mode="r")
    except Exception as error:
        msg = f"{path} is a folder but not a readable Zarr store: {error}."
        raise ModelError(msg) from error
    if isinstance(node, zarr.Array):
        if parameter.name is not None:
            msg = (
                f"{key}: {path} is one array, so name {parameter.name!r} is not needed. Remove it."
            )
            raise JobError(msg)
        return node, None
    wanted = parameter.name or name
    arrays = dict(node.arrays())
    if wanted not in arrays:
        known = ", ".join(sorted(arrays)) or "no arrays"
        msg = f"{key}: {path} has no array {wanted!r}; it holds {known}. Set name to one of them."
        raise ModelError(msg)
    return arrays[wanted], node


def _dimension_names(array: "zarr.Array[Any]") -> tuple[str, ...] | None:
    """Names of the axes, from version 3 metadata or xarray's attribute of version 2."""
    names: Any = getattr(array.metadata, "dimension_names", None)
    names = names or array.attrs.get("_ARRAY_DIMENSIONS")
    if not names or any(name is None for name in names):
        return None
    return tuple(str(name) for name in names)


def _one_iteration(
    array: "zarr.Array[Any]",
    names: tuple[str, ...] | None,
    parameter: EarthParameter,
    path: Path,
    key: str,
) -> tuple[NDArray[np.generic], tuple[str, ...] | None, tuple[str, ...]]:
    """The values without an iteration axis."""
    if names is None or names[0] != "iteration":
        if parameter.iteration is not None:
            msg = f"{key}: {path} has no iteration axis, so leave 'iteration' out."
            raise JobError(msg)
        return np.asarray(array[...]), names, ()
    count = array.shape[0]
    written = [i for i in range(count) if bool(np.isfinite(np.asarray(array[i])).all())]
    wanted = parameter.iteration
    if wanted is None:
        if not written:
            msg = f"{path} holds no finished iteration of {key.split()[0]}. Run the inversion on."
            raise ModelError(msg)
        wanted = written[-1]
        assumptions: tuple[str, ...] = (f"{path.name}: iteration {wanted} of {count - 1} is used",)
    else:
        wanted, assumptions = wanted if wanted >= 0 else count + wanted, ()
    if wanted not in written:
        last = written[-1] if written else "none"
        msg = f"{key}: iteration {wanted} is not in {path}; the last finished one is {last}."
        raise ModelError(msg)
    return np.asarray(array[wanted]), names[1:], assumptions


def _coordinate(
    group: zarr.Group | None, axis: str, size: int, path: Path
) -> tuple[float, float] | None:
    """Spacing and first value in m of the coordinate `axis`, or None where there is none."""
    if group is None or axis not in group:
        return None
    array = group[axis]
    if not isinstance(array, zarr.Array) or array.shape != (size,) or size < 2:
        return None
    unit = str(array.attrs.get("units", array.attrs.get("unit", "m")))
    if unit not in _LENGTHS:
        msg = f"{path}: coordinate {axis!r} is in {unit!r}; m and km are read."
        raise ModelError(msg)
    values = np.asarray(array[...], dtype=np.float64) * _LENGTHS[unit]
    spacing = (values[-1] - values[0]) / (size - 1)
    if spacing <= 0 or np.abs(np.diff(values) - spacing).max() > 1e-3 * spacing:
        msg = (
            f"{path}: coordinate {axis!r} must increase in equal steps, and it goes from "
            f"{values[0]:g} to {values[-1]:g} m in steps of {np.diff(values).min():g} to "
            f"{np.diff(values).max():g} m. Resample the model."
        )
        raise ModelError(msg)
    return float(spacing), float(values[0])
