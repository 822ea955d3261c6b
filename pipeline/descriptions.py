"""Describe a SEG-Y file, an earth model, a result, a run folder or a job, with every assumption."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wavepipe.pipeline.errors import JobError, RunFolderError, SegyError
from wavepipe.pipeline.run_folder import RunFolder
from wavepipe.propagators.errors import ModelError

Described = dict[str, Any]
"""Plain values, ready for JSON; the key ``what`` says which kind of thing was found."""

KINDS = "a SEG-Y file, a .npy array, a Zarr store, a run folder or a job file (.yaml)"
"""What can be described."""

_ZARR_FILES = ("zarr.json", ".zgroup", ".zarray")
_SEGY_SUFFIXES = (".sgy", ".segy", ".seg", ".su")

_READ_BELOW = 256 * 2**20
"""Larger arrays are described without their range, which would need them read as a whole."""


def describe_path(path: Path) -> Described:
    """What lies at `path`: a segy, array, zarr, run or job.

    Raises
    ------
    WavepipeError
        Nothing is there, or it is none of these.
    """
    if not path.exists():
        msg = f"{path} does not exist. Name {KINDS}."
        raise RunFolderError(msg)
    if path.is_dir():
        folder = RunFolder(path.absolute())
        return _describe_run(folder) if folder.holds_run() else _describe_zarr(path)
    if path.suffix == ".npy":
        return _describe_npy(path)
    if path.suffix in (".yaml", ".yml"):
        return _describe_job(path)
    return _describe_segy(path)


def _describe_segy(path: Path) -> Described:
    """A SEG-Y file; what is not one by name nor by content is refused with the kinds there are."""
    from wavepipe.pipeline.segy.inspect import inspect_segy

    try:
        return {"what": "segy", **inspect_segy(path)}
    except SegyError as error:
        if path.suffix.lower() in _SEGY_SUFFIXES:
            raise
        msg = f"{path} is not {KINDS}. Read as SEG-Y: {error}"
        raise SegyError(msg) from error


def _describe_npy(path: Path) -> Described:
    """A .npy array, which says neither unit nor axes."""
    try:
        values = np.load(path, allow_pickle=False, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        msg = f"{path} is not a readable .npy file: {error}. Write it again with numpy.save."
        raise ModelError(msg) from error
    return {
        "what": "array",
        "path": str(path),
        "bytes": path.stat().st_size,
        "shape": list(values.shape),
        "dtype": str(values.dtype),
        **_range(values),
        "assumptions": ["a .npy file says neither its unit nor its axes: state both in the job"],
    }


def _describe_zarr(path: Path) -> Described:
    """A Zarr group or array."""
    import zarr

    if not any((path / name).exists() for name in _ZARR_FILES):
        content = "other files" if any(path.iterdir()) else "nothing"
        msg = f"folder {path} holds {content}: no run and no Zarr store. Name {KINDS}."
        raise RunFolderError(msg)
    try:
        node = zarr.open(path, mode="r")
    except Exception as error:
        msg = f"{path} is not a readable Zarr store: {error}. Write it again."
        raise ModelError(msg) from error
    if isinstance(node, zarr.Array):
        arrays, attributes = {path.name: node}, {}
    else:
        arrays, attributes = dict(node.arrays()), dict(node.attrs)
    return {
        "what": "zarr",
        "path": str(path),
        "zarr_format": node.metadata.zarr_format,
        "attributes": attributes,
        "arrays": {name: _describe_array(array) for name, array in sorted(arrays.items())},
    }


def _describe_array(array: Any) -> Described:
    """One array of a store."""
    names = getattr(array.metadata, "dimension_names", None)
    names = names or array.attrs.get("_ARRAY_DIMENSIONS") or [None] * array.ndim
    described: Described = {
        "dimensions": list(names),
        "shape": list(array.shape),
        "dtype": "text" if isinstance(array.dtype, np.dtypes.StringDType) else str(array.dtype),
        "units": array.attrs.get("units", array.attrs.get("unit")),
    }
    if np.dtype(array.dtype).kind in "fiu" and 0 < array.nbytes <= _READ_BELOW:
        described.update(_range(np.asarray(array[...])))
    return described


def _range(values: NDArray[Any]) -> Described:
    """Smallest and largest finite value, and how many are not finite."""
    if values.dtype.kind not in "fiu" or values.size == 0:
        return {}
    finite = np.isfinite(values)
    if not finite.any():
        return {"minimum": None, "maximum": None, "not_finite": int(values.size)}
    known = values[finite]
    return {
        "minimum": float(known.min()),
        "maximum": float(known.max()),
        "not_finite": int(values.size - finite.sum()),
    }


def _describe_run(folder: RunFolder) -> Described:
    """A run folder: what was run, how far it came, what is in it."""
    described: Described = {"what": "run", "path": str(folder.path)}
    for key, path in (("plan", folder.plan), ("provenance", folder.provenance)):
        if path.exists():
            described[key] = json.loads(path.read_text())
    events = folder.read_events()
    described["events"] = len(events)
    if events:
        described["first_event"], described["last_event"] = events[0], events[-1]
    if folder.results.exists():
        described["results"] = _describe_zarr(folder.results)
        described["shots"] = _count_status(folder.results)
    described["files"] = {
        str(path.relative_to(folder.path)): path.stat().st_size
        for path in sorted(folder.path.rglob("*"))
        if path.is_file() and folder.results not in path.parents
    }
    return described


def _count_status(store: Path) -> dict[str, int]:
    """How many shots have each status."""
    import zarr

    if not (store / "status").exists():
        return {}
    status = np.asarray(zarr.open_array(store / "status", mode="r")[...])
    return dict(Counter(str(value) for value in status))


def _describe_job(path: Path) -> Described:
    """A job file with its defaults, and the earth model it leads to."""
    from wavepipe.pipeline.earth_model import load_earth_model
    from wavepipe.pipeline.job import read_job

    job = read_job(path)
    described: Described = {"what": "job", "path": str(path), "assumptions": []}
    try:
        described["job"] = job.resolved()
        earth = load_earth_model(job)
    except (JobError, ModelError, ValueError) as error:
        described["problem"] = str(error)
        return described
    described["earth_model"] = {
        "axes": list(earth.axes),
        "shape": list(earth.shape),
        "spacing": list(earth.spacing),
        "origin": list(earth.origin),
        "parameters": {name: _range(values) for name, values in earth.parameters.items()},
    }
    described["assumptions"] = list(earth.assumptions)
    return described
