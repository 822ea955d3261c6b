"""Read one parameter of an earth model from .npy, raw binary, Zarr or SEG-Y."""

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wavepipe.pipeline.errors import JobError
from wavepipe.pipeline.job.earth_model import EarthParameter
from wavepipe.pipeline.units import QUANTITY_OF, SI_UNIT, parse_unit
from wavepipe.propagators.errors import ModelError

_NPY_START = b"\x93NUMPY"


@dataclass(frozen=True)
class StoredArray:
    """One parameter as a file holds it, or after `to_model` in SI units and model axes."""

    values: NDArray[np.generic] = field(repr=False)
    """As stored, in the order of `axes`."""

    axes: tuple[str, ...]
    """Names of the axes of `values`."""

    unit: str | None
    """What the file says."""

    spacing: tuple[float, ...] | None = None
    """m, in the order (z, [y], x), where the file carries coordinates."""

    origin: tuple[float, ...] | None = None
    """m, in the order (z, [y], x), where the file carries coordinates."""

    assumptions: tuple[str, ...] = ()
    """What the file did not say, one sentence each."""


@dataclass(frozen=True)
class ModelArray:
    """One parameter in SI units and model axes."""

    values: NDArray[np.float32] = field(repr=False)
    """(nz, [ny,] nx), m/s or kg/m3."""

    spacing: tuple[float, ...] | None
    origin: tuple[float, ...] | None
    assumptions: tuple[str, ...]


def read_array(path: Path, parameter: EarthParameter, name: str, key: str) -> ModelArray:
    """One parameter from its file.

    Parameters
    ----------
    path
        The file, absolute.
    parameter
        The job's keys beside ``path``.
    name
        vp, vs or rho.
    key
        The parameter in the job file, for messages.

    Raises
    ------
    JobError
        A key is missing or contradicts the file.
    ModelError
        The file is missing, damaged or of a kind that is not read.
    """
    if not path.exists():
        msg = f"{key}: {path} does not exist. Correct the path."
        raise ModelError(msg)
    try:
        stored = _read_stored(path, parameter, name, key)
    except OSError as error:
        msg = (
            f"{key}: cannot read {path}: {error.strerror or error}. Check the permissions of the "
            "file and its disk."
        )
        raise ModelError(msg) from error
    text = parameter.unit or stored.unit
    if text is None and QUANTITY_OF[name] == "number":
        text = "1"  # there is no other but the per cent, which is too large to be overlooked
    if text is None:
        example = SI_UNIT[QUANTITY_OF[name]]
        msg = f"{key}: {path.name} does not say its unit. Add unit: {example} (or another)."
        raise JobError(msg)
    unit = parse_unit(text, name, key)
    if stored.unit and parameter.unit and parse_unit(stored.unit, name, str(path)) != unit:
        msg = (
            f"{key}: unit is {parameter.unit!r}, but {path} says {stored.unit!r}. "
            "Leave unit out to use the file's."
        )
        raise JobError(msg)
    if stored.values.dtype.kind not in "fiu":
        msg = f"{path} holds {stored.values.dtype} numbers; an earth model needs real ones."
        raise ModelError(msg)
    values = _to_model_axes(stored.values, stored.axes).astype(np.float64)
    return ModelArray(
        unit.to_si(values).astype(np.float32), stored.spacing, stored.origin, stored.assumptions
    )


def _read_stored(path: Path, parameter: EarthParameter, name: str, key: str) -> StoredArray:
    """Choose the reader from what the file is."""
    if path.is_dir():
        from wavepipe.pipeline.earth_model_zarr import read_zarr

        return read_zarr(path, parameter, name, key)
    if parameter.name is not None or parameter.iteration is not None:
        unused = "name" if parameter.name is not None else "iteration"
        msg = f"{key}: '{unused}' belongs to a Zarr store, and {path} is none. Leave it out."
        raise JobError(msg)
    if path.suffix == ".npy":
        return _read_npy(path, parameter, key)
    if path.suffix.lower() in (".sgy", ".segy"):
        return _read_segy(path, parameter, name, key)
    if parameter.shape is not None or parameter.dtype is not None:
        return _read_binary(path, parameter, key)
    msg = (
        f"{key}: cannot tell what {path.name} is. Read are .npy, .sgy or .segy, Zarr folders, and "
        "raw binary with shape, dtype and axes beside path."
    )
    raise JobError(msg)


def check_axes(axes: tuple[str, ...] | None, shape: tuple[int, ...], key: str, file: str) -> None:
    """JobError unless `axes` names each axis of an array of `shape` once."""
    valid = {2: {"z", "x"}, 3: {"z", "y", "x"}}
    example = "[z, x]" if len(shape) == 2 else "[z, y, x]"
    if axes is None:
        msg = (
            f"{key}: {file} does not say the order of its axes. Add axes: {example}, in the order "
            f"of its shape {list(shape)}."
        )
        raise JobError(msg)
    if set(axes) != valid.get(len(shape)) or len(axes) != len(shape):
        msg = (
            f"{key}: axes [{', '.join(axes)}] do not fit {file} with shape {list(shape)}. "
            "Name each axis once: z and x in 2-D; z, y and x in 3-D."
        )
        raise JobError(msg)


def _to_model_axes(values: NDArray[np.generic], axes: tuple[str, ...]) -> NDArray[np.generic]:
    """`values` transposed to (z, [y], x)."""
    order = [axes.index(axis) for axis in ("z", "y", "x") if axis in axes]
    return np.ascontiguousarray(np.transpose(values, order))


def _read_npy(path: Path, parameter: EarthParameter, key: str) -> StoredArray:
    """A .npy file."""
    for unused in ("shape", "dtype"):
        if getattr(parameter, unused) is not None:
            msg = f"{key}: '{unused}' belongs to raw binary; {path.name} says its own. Remove it."
            raise JobError(msg)
    with path.open("rb") as file:
        start = file.read(len(_NPY_START))
    if start != _NPY_START:
        msg = (
            f"{path} is not a .npy file: it does not start as one. Write it with numpy.save; "
            "for raw binary use another suffix, and give shape, dtype and axes."
        )
        raise ModelError(msg)
    try:
        values = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        why = "it holds Python objects" if "allow_pickle" in str(error) else str(error)
        msg = f"{path} is not a readable .npy file: {why}. Write it again with numpy.save."
        raise ModelError(msg) from error
    check_axes(parameter.axes, values.shape, key, path.name)
    return StoredArray(values, tuple(parameter.axes or ()), None)


def _read_binary(path: Path, parameter: EarthParameter, key: str) -> StoredArray:
    """Raw numbers without a header."""
    if parameter.shape is None or parameter.dtype is None:
        missing = "shape" if parameter.shape is None else "dtype"
        msg = f"{key}: raw binary {path.name} needs {missing} too (shape: [nz, nx], dtype: <f4)."
        raise JobError(msg)
    try:
        dtype = np.dtype(parameter.dtype)
    except TypeError as error:
        msg = f"{key}: dtype {parameter.dtype!r} is no number format. Write for example <f4 or >f8."
        raise JobError(msg) from error
    if dtype.kind not in "fiu":
        msg = f"{key}: dtype {parameter.dtype!r} is not real numbers. Write for example <f4 or >f8."
        raise JobError(msg)
    check_axes(parameter.axes, parameter.shape, key, path.name)
    needed = math.prod(parameter.shape) * dtype.itemsize
    size = path.stat().st_size
    if size != needed:
        shape = " x ".join(map(str, parameter.shape))
        msg = (
            f"{key}: {path} has {size} bytes, but {shape} numbers of {parameter.dtype} are "
            f"{needed} bytes. Correct shape or dtype."
        )
        raise ModelError(msg)
    values = np.fromfile(path, dtype=dtype).reshape(parameter.shape)
    native: NDArray[np.generic] = values.astype(dtype.newbyteorder("="))
    return StoredArray(native, tuple(parameter.axes or ()), None)


def _read_segy(path: Path, parameter: EarthParameter, name: str, key: str) -> StoredArray:
    """A SEG-Y model, one trace per position, in depth."""
    from wavepipe.pipeline.segy.images import read_model_segy

    for unused in ("shape", "dtype", "axes"):
        if getattr(parameter, unused) is not None:
            msg = f"{key}: '{unused}' is not for SEG-Y; {path.name} says its own. Remove it."
            raise JobError(msg)
    values, spacing, origin = read_model_segy(path)
    axes = ("z", "x") if values.ndim == 2 else ("z", "y", "x")
    si = SI_UNIT[QUANTITY_OF[name]]
    assumed = () if parameter.unit else (f"{name} in {path.name} is taken to be in {si}",)
    return StoredArray(
        values, axes, None if parameter.unit else si, tuple(spacing), tuple(origin), assumed
    )
