"""The Zarr store of results: arrays made up front, filled by workers and driver.

Every array has named dimensions, coordinates in metres or seconds, and units, so that
``xarray.open_zarr(folder / "results.zarr")`` shows a labelled dataset:

=================  ==============================  =========================================
kind               arrays                          dimensions
=================  ==============================  =========================================
model              gather; of several components   (trace, time)
                   gather_vz, gather_vx, ...
rtm                image, illumination             (z, [y], x)
fwi                vp, vs, rho as they change;     (iteration, z, [y], x); (iteration,)
                   misfit, first_misfit, stage,
                   max_frequency
all                status, label, failure          (shots,)
=================  ==============================  =========================================

Traces of all shots follow each other, so shots may have any number of receivers; ``shot``,
``source_*`` and ``receiver_*`` along ``trace`` say which is which.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import zarr

from wavepipe.pipeline.errors import RunFolderError
from wavepipe.pipeline.quantities import component_unit
from wavepipe.pipeline.results_gathers import create_gathers
from wavepipe.pipeline.results_store import (
    CHUNK_BYTES,
    Layout,
    consolidate,
    create_array,
    fill_array,
    open_array,
)
from wavepipe.propagators.physics.names import UNITS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import ArrayLike

    from wavepipe.pipeline.earth_model import EarthModel
    from wavepipe.pipeline.shots import Survey

PENDING, DONE, FAILED, DROPPED = "pending", "done", "failed", "dropped"
"""Status of a shot in a result."""

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


def create_results(
    path: Path,
    kind: Literal["model", "rtm", "fwi"],
    survey: Survey,
    model: EarthModel,
    *,
    n_iterations: int = 0,
    parameters: Sequence[str] = ("vp",),
    attributes: Mapping[str, Any] | None = None,
    wavelet_unit: str = "",
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
        fwi: what changes, inverted for or tied.
    attributes
        Added to the store's attributes.
    wavelet_unit
        model: of the source time function for which the gathers have their units.
    """
    if path.exists():
        msg = f"{path} already exists. Choose another folder with --output."
        raise RunFolderError(msg)
    group = zarr.create_group(path, zarr_format=3)
    group.attrs.update({"kind": kind, "title": f"wavepipe {kind}", **(attributes or {})})
    _create_shots(group, survey)
    if kind == "model":
        create_gathers(group, survey, wavelet_unit)
    else:
        _create_space(group, model)
        grid = Layout(model.axes, model.shape, _space_chunks(model.shape))
        if kind == "rtm":
            for name, (meaning, comment) in _RELATIVE.items():
                create_array(group, name, grid, units="1", long_name=meaning, comment=comment)
        else:
            _create_iterations(group, model, n_iterations, parameters, survey.components)
    consolidate(path)


def write_grid(path: Path, name: str, values: ArrayLike) -> None:
    """Write a whole array of the store, such as ``image`` or ``illumination``."""
    array = open_array(path, name)
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
        open_array(path, name)[iteration] = np.asarray(values, dtype=np.float32)
    for name, number in numbers.items():
        open_array(path, name)[iteration] = number


def keep_iterations(path: Path, count: int) -> None:
    """Cut the iteration axis to `count` entries, where an inversion ended early; or lengthen it."""
    group = zarr.open_group(path, mode="r+", use_consolidated=False)
    for _, array in list(group.arrays()):
        names = getattr(array.metadata, "dimension_names", None) or ()
        if names and names[0] == "iteration":
            array.resize((count, *array.shape[1:]))
    open_array(path, "iteration")[...] = np.arange(count)
    consolidate(path)


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
        array = open_array(path, name)
        current = np.asarray(array[...])
        current[places] = values
        array[...] = current


def update_attributes(path: Path, attributes: Mapping[str, Any]) -> None:
    """Add to the attributes of the store."""
    zarr.open_group(path, mode="r+", use_consolidated=False).attrs.update(attributes)
    consolidate(path)


def _create_shots(group: zarr.Group, survey: Survey) -> None:
    """The table of shots."""
    n = survey.n_shots
    axes = ("z", "x") if survey.ndim == 2 else ("z", "y", "x")
    labels = [survey.shot(i).label for i in range(n)]
    table = Layout(("shots",), (n,), (n,))
    index = np.asarray(survey.original_index)
    fill_array(group, "shots", index, ("shots",), long_name="index of the shot in the survey")
    fill_array(
        group, "label", np.array(labels, dtype=object), ("shots",), long_name="name of the shot"
    )
    for column, axis in enumerate(axes):
        fill_array(
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
        array = create_array(group, name, table, dtype=str, long_name=meaning, coordinates=extra)
        array[...] = np.array([fill] * n, dtype=object)


def _create_space(group: zarr.Group, model: EarthModel) -> None:
    """Coordinates of the model's axes."""
    for number, axis in enumerate(model.axes):
        name = "depth" if axis == "z" else axis
        fill_array(group, axis, model.coordinates(number), (axis,), units="m", long_name=name)


def _create_iterations(
    group: zarr.Group,
    model: EarthModel,
    n_iterations: int,
    parameters: Sequence[str],
    components: Sequence[str],
) -> None:
    """What an inversion writes once per iteration."""
    count = n_iterations + 1
    dims = ("iteration", *model.axes)
    for name in parameters:
        create_array(
            group,
            name,
            Layout(dims, (count, *model.shape), (1, *_space_chunks(model.shape))),
            units=UNITS.get(name, "1"),
            long_name=f"{name} after each iteration; 0 is the starting model",
        )
    numbers = Layout(("iteration",), (count,), (1,))
    energy = _misfit_unit(components)
    for name, meaning in (
        ("misfit", "misfit of each iteration's earth model"),
        ("first_misfit", "misfit where the iteration's stage started, in the same band"),
    ):
        create_array(group, name, numbers, dtype=np.float64, long_name=meaning, **energy)
    create_array(group, "stage", numbers, dtype=np.float64, long_name="stage, from 0")
    create_array(
        group,
        "max_frequency",
        numbers,
        dtype=np.float64,
        units="Hz",
        long_name="upper end of the band",
    )
    fill_array(group, "iteration", np.arange(count), ("iteration",), long_name="iteration")


def _misfit_unit(components: Sequence[str]) -> dict[str, str]:
    """Unit of the misfit, and for which data it holds."""
    units = {component_unit(name) for name in components}
    if len(units) > 1:
        comment = "weighted sum over components: square of the unit of each, times s"
        return {"units": "1", "comment": comment}
    (unit,) = units
    squared = {"Pa": "Pa2 s", "m/s": "m2/s"}[unit]
    return {
        "units": squared,
        "comment": f"of data in {unit}; else the square of their unit, times s",
    }


def _space_chunks(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Whole planes along the first axis, at most about 32 MiB."""
    plane = 4 * math.prod(shape[1:])
    return (max(1, min(shape[0], CHUNK_BYTES // max(plane, 1))), *shape[1:])
