"""The Zarr store of results: arrays made up front, filled by workers and driver.

Every array has named dimensions, coordinates in metres or seconds, and units, so that
``xarray.open_zarr(folder / "results.zarr")`` shows a labelled dataset:

=================  ==============================  =========================================
kind               arrays                          dimensions
=================  ==============================  =========================================
model              gather                          (trace, time)
rtm                image, illumination             (z, [y], x)
fwi                vp; misfit, first_misfit,       (iteration, z, [y], x); (iteration,)
                   stage, max_frequency
all                status, label, failure          (shots,)
=================  ==============================  =========================================

Traces of all shots follow each other, so shots may have any number of receivers; ``shot``,
``source_*`` and ``receiver_*`` along ``trace`` say which is which.
"""

from __future__ import annotations

import fcntl
import math
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import zarr

from wavepipe.pipeline.errors import RunFolderError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    from wavepipe.pipeline.earth_model import EarthModel
    from wavepipe.pipeline.shots import Survey

PENDING, DONE, FAILED, DROPPED = "pending", "done", "failed", "dropped"
"""Status of a shot in a result."""

_CHUNK_BYTES = 32 * 2**20

_RELATIVE = {
    "image": (
        "RTM image, relative amplitude",
        "minus the gradient of half the data energy with respect to a velocity perturbation, "
        "divided by the illumination unless rtm.illumination is false: positive where velocity "
        "increases downwards; amplitudes compare within one image only",
    ),
    "illumination": (
        "source illumination, relative",
        "energy of the source wavefields, summed over shots; its scale depends on the wavelet and "
        "the grid",
    ),
}
"""Arrays without a physical scale: what they are, and what can be read from them."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """Dimensions of one array of the store."""

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    chunks: tuple[int, ...]


def create_results(
    path: Path,
    kind: Literal["model", "rtm", "fwi"],
    survey: Survey,
    model: EarthModel,
    *,
    n_iterations: int = 0,
    parameters: Sequence[str] = ("vp",),
    attributes: Mapping[str, Any] | None = None,
) -> None:
    """Make the store with every array of `kind`, filled with NaN.

    Parameters
    ----------
    path
        The store; must not exist.
    kind
        What will be in it.
    survey
        Shots and traces.
    model
        Grid of image and inverted parameters.
    n_iterations
        fwi: updates planned; iteration 0 is the starting model.
    parameters
        fwi: what is inverted for.
    attributes
        Added to the store's attributes.
    """
    if path.exists():
        msg = f"{path} already exists. Choose another folder with --output."
        raise RunFolderError(msg)
    group = zarr.create_group(path, zarr_format=3)
    group.attrs.update({"kind": kind, "title": f"wavepipe {kind}", **(attributes or {})})
    _create_shots(group, survey)
    if kind == "model":
        _create_gathers(group, survey)
    else:
        _create_space(group, model)
        grid = _Layout(model.axes, model.shape, _space_chunks(model.shape))
        if kind == "rtm":
            for name, (meaning, comment) in _RELATIVE.items():
                _create(group, name, grid, units="1", long_name=meaning, comment=comment)
        else:
            _create_iterations(group, model, n_iterations, parameters)
    _consolidate(path)


def write_grid(path: Path, name: str, values: ArrayLike) -> None:
    """Write a whole array of the store, such as ``image`` or ``illumination``."""
    array = _array(path, name)
    array[...] = np.asarray(values, dtype=array.dtype)


def write_iteration(
    path: Path, iteration: int, parameters: Mapping[str, ArrayLike], **numbers: float
) -> None:
    """Write one iteration of an inversion.

    Parameters
    ----------
    path
        The store.
    iteration
        0 is the starting model.
    parameters : (nz, [ny,] nx), SI
        Inverted parameters by name.
    numbers
        ``misfit`` of these parameters, ``stage`` and ``max_frequency`` they were computed in,
        ``first_misfit`` where that stage started.
    """
    for name, values in parameters.items():
        _array(path, name)[iteration] = np.asarray(values, dtype=np.float32)
    for name, number in numbers.items():
        _array(path, name)[iteration] = number


def keep_iterations(path: Path, count: int) -> None:
    """Cut the iteration axis to `count` entries, where an inversion ended early."""
    group = zarr.open_group(path, mode="r+", use_consolidated=False)
    for _, array in list(group.arrays()):
        names = getattr(array.metadata, "dimension_names", None) or ()
        if names and names[0] == "iteration":
            array.resize((count, *array.shape[1:]))
    _consolidate(path)


def write_gather(path: Path, first_trace: int, gather: ArrayLike) -> None:
    """Write the traces of one shot; several workers may do so at once.

    Parameters
    ----------
    path
        The store.
    first_trace
        Place of the shot's first trace: ``survey.first_trace[i]``.
    gather : (n_receivers, nt)
        The traces.
    """
    values = np.asarray(gather, dtype=np.float32)
    array = _array(path, "gather")
    stop = first_trace + values.shape[0]
    chunk = array.chunks[0]
    if first_trace % chunk == 0 and (stop % chunk == 0 or stop == array.shape[0]):
        array[first_trace:stop] = values
        return
    # Shots of different length share chunks, and a chunk is rewritten as a whole.
    with _lock(path):
        array[first_trace:stop] = values


def write_status(
    path: Path, shots: Sequence[int], status: str, failure: Sequence[str] | str = ""
) -> None:
    """Set the status, and the reason of a failure, of some shots.

    Parameters
    ----------
    path
        The store.
    shots
        Places in the survey, 0 ... n_shots - 1.
    status
        pending, done, failed or dropped.
    failure
        Why; one text for all or one each.
    """
    if not len(shots):
        return
    places = np.asarray(shots, dtype=np.int64)
    reasons = [failure] * len(places) if isinstance(failure, str) else list(failure)
    for name, values in (("status", [status] * len(places)), ("failure", reasons)):
        array = _array(path, name)
        current = np.asarray(array[...])
        current[places] = values
        array[...] = current


def update_attributes(path: Path, attributes: Mapping[str, Any]) -> None:
    """Add to the attributes of the store."""
    zarr.open_group(path, mode="r+", use_consolidated=False).attrs.update(attributes)
    _consolidate(path)


def _create_shots(group: zarr.Group, survey: Survey) -> None:
    """The table of shots."""
    n = survey.n_shots
    axes = ("z", "x") if survey.ndim == 2 else ("z", "y", "x")
    labels = [survey.shot(i).label for i in range(n)]
    table = _Layout(("shots",), (n,), (n,))
    index = np.asarray(survey.original_index)
    _fill(group, "shots", index, ("shots",), long_name="index of the shot in the survey")
    _fill(group, "label", np.array(labels, dtype=object), ("shots",), long_name="name of the shot")
    for column, axis in enumerate(axes):
        _fill(
            group,
            f"shots_source_{axis}",
            survey.source_positions[:, column],
            ("shots",),
            units="m",
            long_name=f"source {axis} of the shot",
        )
    extra = " ".join(["label", *(f"shots_source_{axis}" for axis in axes)])
    for name, fill, meaning in (
        ("status", PENDING, "what became of the shot: pending, done, failed or dropped"),
        ("failure", "", "why the shot failed or was dropped"),
    ):
        array = _create(group, name, table, dtype=str, long_name=meaning, coordinates=extra)
        array[...] = np.array([fill] * n, dtype=object)


def _create_gathers(group: zarr.Group, survey: Survey) -> None:
    """Gathers with their coordinates along the traces."""
    first = np.asarray(survey.first_trace, dtype=np.int64)
    counts = np.diff(first)
    n_traces = int(first[-1])
    axes = ("z", "x") if survey.ndim == 2 else ("z", "y", "x")
    shot = np.repeat(np.asarray(survey.original_index), counts)
    _fill(group, "shot", shot, ("trace",), long_name="index of the shot in the survey")
    for column, axis in enumerate(axes):
        source = np.repeat(survey.source_positions[:, column], counts)
        receiver = survey.receiver_positions[:, column]
        for name, values in (("source", source), ("receiver", receiver)):
            meaning = {"units": "m", "long_name": f"{axis} of the {name}"}
            _fill(group, f"{name}_{axis}", values, ("trace",), **meaning)
    _fill(group, "trace", np.arange(n_traces), ("trace",), long_name="trace number")
    time = survey.dt * np.arange(survey.nt)
    _fill(group, "time", time, ("time",), units="s", long_name="time")
    names = ["shot", *(f"{kind}_{axis}" for kind in ("source", "receiver") for axis in axes)]
    _create(
        group,
        "gather",
        _Layout(
            ("trace", "time"),
            (n_traces, survey.nt),
            (_trace_chunk(counts, survey.nt), survey.nt),
        ),
        units="Pa",
        long_name="pressure",
        comment=f"for a wavelet in {'Pa' if survey.ndim == 2 else 'Pa m'}",
        coordinates=" ".join(names),
    )


def _trace_chunk(counts: NDArray[np.int64], nt: int) -> int:
    """Traces per chunk: whole shots, or a common divisor, so that workers share no chunk."""
    if not counts.size or counts.max() == 0:
        return 1
    divisor = math.gcd(*(int(count) for count in np.unique(counts)))
    most = max(1, _CHUNK_BYTES // (4 * nt))
    if divisor < 8 and counts.max() > 8:
        # Too fine for one file each; such chunks are shared, and `write_gather` takes turns.
        return min(int(counts.max()), most)
    if divisor <= most:
        return divisor
    return next(size for size in range(most, 0, -1) if divisor % size == 0)


def _create_space(group: zarr.Group, model: EarthModel) -> None:
    """Coordinates of the model's axes."""
    for number, axis in enumerate(model.axes):
        name = "depth" if axis == "z" else axis
        _fill(group, axis, model.coordinates(number), (axis,), units="m", long_name=name)


def _create_iterations(
    group: zarr.Group, model: EarthModel, n_iterations: int, parameters: Sequence[str]
) -> None:
    """What an inversion writes once per iteration."""
    count = n_iterations + 1
    dims = ("iteration", *model.axes)
    units = {"vp": "m/s", "vs": "m/s", "rho": "kg/m3"}
    for name in parameters:
        _create(
            group,
            name,
            _Layout(dims, (count, *model.shape), (1, *_space_chunks(model.shape))),
            units=units[name],
            long_name=f"{name} after each iteration; 0 is the starting model",
        )
    numbers = _Layout(("iteration",), (count,), (1,))
    energy = {"units": "Pa2 s", "comment": "of data in Pa; else the square of their unit, times s"}
    for name, meaning in (
        ("misfit", "misfit of each iteration's earth model"),
        ("first_misfit", "misfit where the iteration's stage started, in the same band"),
    ):
        _create(group, name, numbers, dtype=np.float64, long_name=meaning, **energy)
    _create(group, "stage", numbers, dtype=np.float64, long_name="stage, from 0")
    _create(
        group,
        "max_frequency",
        numbers,
        dtype=np.float64,
        units="Hz",
        long_name="upper end of the band",
    )
    _fill(group, "iteration", np.arange(count), ("iteration",), long_name="iteration")


def _space_chunks(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Whole planes along the first axis, at most about 32 MiB."""
    plane = 4 * math.prod(shape[1:])
    return (max(1, min(shape[0], _CHUNK_BYTES // max(plane, 1))), *shape[1:])


def _create(
    group: zarr.Group,
    name: str,
    layout: _Layout,
    *,
    dtype: Any = np.float32,
    **attributes: str,
) -> zarr.Array[Any]:
    """One array with named dimensions; NaN where nothing was written yet."""
    floating = dtype is not str and np.issubdtype(dtype, np.floating)
    return group.create_array(
        name,
        shape=layout.shape,
        chunks=tuple(max(1, chunk) for chunk in layout.chunks),
        dtype=dtype,
        fill_value=np.nan if floating else None,
        dimension_names=list(layout.dims),
        attributes=dict(attributes),
    )


def _fill(
    group: zarr.Group, name: str, values: NDArray[Any], dims: Sequence[str], **attributes: str
) -> None:
    """One array that is known from the start."""
    values = np.asarray(values)
    dtype = str if values.dtype == object else values.dtype
    layout = _Layout(tuple(dims), values.shape, values.shape)
    array = _create(group, name, layout, dtype=dtype, **attributes)
    array[...] = values


def _array(path: Path, name: str) -> zarr.Array[Any]:
    """An array of the store, to write."""
    return zarr.open_array(path / name, mode="r+")


def _consolidate(path: Path) -> None:
    """Gather the metadata of all arrays, so that opening reads one file."""
    with warnings.catch_warnings():
        # zarr points out that other readers may not know this part; they read on without it.
        warnings.filterwarnings("ignore", message="Consolidated metadata")
        zarr.consolidate_metadata(path)


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Take turns with other processes that write to shared chunks of the store."""
    # No file of its own: the array's metadata lie still while its chunks are written.
    with (path / "gather" / "zarr.json").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)
