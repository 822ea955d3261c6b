"""The earth model of a job: named parameters on one grid, in SI units, axes (z, [y], x).

Units and axis order are stated in the job or by the file, never guessed; what a file carries
(coordinates, units) must agree with what the job says. Every value is checked here, once.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from wavepipe.pipeline.errors import JobError
from wavepipe.pipeline.job.section import listed
from wavepipe.pipeline.ties import tie_of
from wavepipe.pipeline.units import check_values
from wavepipe.propagators.errors import ModelError
from wavepipe.propagators.physics.names import PARAMETERS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wavepipe.pipeline.job import Job
    from wavepipe.pipeline.job.earth_model import EarthModelSection, EarthParameter

logger = logging.getLogger(__name__)

AXES = {2: ("z", "x"), 3: ("z", "y", "x")}
"""Axis order by number of dimensions."""


@dataclass(frozen=True)
class EarthModel:
    """Parameters of the medium on one regular grid."""

    parameters: dict[str, NDArray[np.float32]] = field(repr=False)
    """By name (vp, vs, rho), each (nz, [ny,] nx), SI units, C order."""

    spacing: tuple[float, ...]
    """Cell size per axis, m."""

    origin: tuple[float, ...]
    """Position of the first node, m."""

    assumptions: tuple[str, ...] = ()
    """What was taken for granted while reading, one sentence each."""

    @property
    def vp(self) -> NDArray[np.float32]:
        """P-wave velocity (nz, [ny,] nx), m/s."""
        return self.parameters["vp"]

    @property
    def ndim(self) -> int:
        """Number of dimensions, 2 or 3."""
        return len(self.spacing)

    @property
    def axes(self) -> tuple[str, ...]:
        """Axis names in order."""
        return AXES[self.ndim]

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of nodes per axis."""
        return self.vp.shape

    @property
    def extent(self) -> tuple[tuple[float, float], ...]:
        """First and last node per axis, m."""
        return tuple(
            (o, o + (n - 1) * h)
            for o, n, h in zip(self.origin, self.shape, self.spacing, strict=True)
        )

    def coordinates(self, axis: int) -> NDArray[np.float64]:
        """Positions of the nodes along `axis`, m."""
        steps = np.arange(self.shape[axis], dtype=np.float64)
        return self.origin[axis] + self.spacing[axis] * steps


@dataclass(frozen=True)
class Grid:
    """Shape and place of an earth model; spacing and origin may still be unknown."""

    shape: tuple[int, ...]
    spacing: tuple[float, ...] | None
    origin: tuple[float, ...] | None
    owner: str
    """What set the grid, for messages."""


def load_earth_model(job: Job) -> EarthModel:
    """The earth model that `job` describes.

    Returns
    -------
    EarthModel
        Parameters (nz, [ny,] nx) as float32.

    Raises
    ------
    JobError
        A key that is needed is missing, or contradicts the file.
    ModelError
        A file cannot be read, or holds NaN or values no rock has, with value and place.
    """
    section = job.earth_model
    assumptions: list[str] = []
    files: dict[str, NDArray[np.float32]] = {}
    by_files: Grid | None = None
    for name, parameter in section.given.items():
        if parameter.path is None:
            continue
        files[name], file_grid = _read_parameter(job, name, parameter, assumptions)
        by_files = file_grid if by_files is None else _same_grid(by_files, file_grid)
    grid = _complete_grid(by_files, section, job.path.name, assumptions)
    values: dict[str, NDArray[np.float32]] = {}
    for name in _in_order(section):
        parameter = section.given[name]
        array = files[name] if name in files else _formula(parameter, grid, values)
        check_values(array, name, _source(job, name, section), grid.spacing, grid.origin)
        values[name] = _smoothed(array, parameter.smoothing, grid.spacing)
    used = PARAMETERS[job.physics]
    extra = [name for name in values if name not in used]
    if extra:
        logger.warning(
            "physics %s uses %s only; %s: read and checked, not used",
            job.physics,
            listed(used),
            listed(extra),
        )
    ordered = {name: np.ascontiguousarray(values[name]) for name in section.given}
    return EarthModel(ordered, grid.spacing, grid.origin, tuple(assumptions))


def _read_parameter(
    job: Job, name: str, parameter: EarthParameter, assumptions: list[str]
) -> tuple[NDArray[np.float32], Grid]:
    """One parameter from its file, in SI units and model axes, and the grid the file gives."""
    from wavepipe.pipeline.earth_model_files import read_array

    section = job.earth_model
    path = job.resolve(parameter.path or "")
    found = read_array(path, parameter, name, f"earth_model.{name} of {job.path.name}")
    assumptions.extend(found.assumptions)
    for key, by_file in (("spacing", found.spacing), ("origin", found.origin)):
        by_job = getattr(section, key)
        if by_file is None or by_job is None:
            continue
        if len(by_job) == len(by_file) and np.allclose(by_job, by_file, rtol=1e-4, atol=1e-3):
            continue
        carried = [round(float(value), 6) for value in by_file]
        if key == "origin" and len(by_job) == len(by_file):
            # A file in map coordinates may be moved; one with another cell size is another model.
            assumptions.append(
                f"{name}: origin {list(by_job)} m of the job replaces {carried} m of {path.name}"
            )
        else:
            msg = (
                f"earth_model.{key} of {job.path.name} is {list(by_job)} m, but {path} carries "
                f"{carried} m. Leave {key} out to use the file's."
            )
            raise JobError(msg)
    if section.shape is not None and section.shape != found.values.shape:
        msg = (
            f"earth_model.shape of {job.path.name} is {list(section.shape)}, but {path} has "
            f"{list(found.values.shape)} in axis order (z, [y], x). Leave shape out."
        )
        raise JobError(msg)
    grid = Grid(found.values.shape, found.spacing, found.origin, str(path))
    return found.values, grid


def _same_grid(first: Grid, second: Grid) -> Grid:
    """The grid of two files; ModelError if they differ."""
    for key, unit in (("shape", "cells"), ("spacing", "m"), ("origin", "m")):
        a, b = getattr(first, key), getattr(second, key)
        if a is None or b is None:
            continue
        if len(a) != len(b) or not np.allclose(a, b, rtol=1e-4, atol=1e-3):
            msg = (
                f"the parameters of the earth model differ in {key}: {list(a)} {unit} in "
                f"{first.owner} and {list(b)} {unit} in {second.owner}. Put them on one grid."
            )
            raise ModelError(msg)
    spacing = first.spacing if first.spacing is not None else second.spacing
    origin = first.origin if first.origin is not None else second.origin
    return Grid(first.shape, spacing, origin, first.owner)


@dataclass(frozen=True)
class _FullGrid:
    """A grid with everything known."""

    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    origin: tuple[float, ...]


def _complete_grid(
    grid: Grid | None, section: EarthModelSection, file: str, assumptions: list[str]
) -> _FullGrid:
    """Shape, spacing and origin from the files and the job together."""
    if grid is None:
        if section.shape is None:
            msg = (
                f"no parameter of earth_model in {file} comes from a file, so its size is unknown. "
                "Add shape: [nz, nx] or [nz, ny, nx]."
            )
            raise JobError(msg)
        grid = Grid(section.shape, None, None, file)
    ndim = len(grid.shape)
    spacing = section.spacing if section.spacing is not None else grid.spacing
    if spacing is None:
        msg = (
            f"earth_model of {file} has no spacing, and {grid.owner} carries none. "
            f"Add spacing: [{', '.join('d' + axis for axis in AXES[ndim])}] in m."
        )
        raise JobError(msg)
    origin = section.origin if section.origin is not None else grid.origin
    if origin is None:
        origin = (0.0,) * ndim
        assumptions.append("the first node is at 0 m on every axis (no origin given)")
    for key, value in (("spacing", spacing), ("origin", origin)):
        if len(value) != ndim:
            msg = (
                f"earth_model.{key} of {file} has {len(value)} numbers, but the model is "
                f"{ndim}-D with shape {list(grid.shape)}. Give one number per axis."
            )
            raise JobError(msg)
    if min(grid.shape) < 2:
        msg = f"{grid.owner} has shape {list(grid.shape)}; every axis needs at least 2 nodes."
        raise ModelError(msg)
    return _FullGrid(tuple(grid.shape), tuple(map(float, spacing)), tuple(map(float, origin)))


def _in_order(section: EarthModelSection) -> list[str]:
    """Names of the parameters, each after the one it is made from."""
    order: list[str] = []
    waiting = dict(section.given)
    while waiting:
        ready = [name for name, p in waiting.items() if _base(p) is None or _base(p) in order]
        if not ready:
            name, parameter = next(iter(waiting.items()))
            missing = _base(parameter)
            why = "waits for it in turn" if missing in waiting else "is not given"
            msg = (
                f"earth_model.{name} is made from {missing!r}, which {why}. "
                f"Give {missing} a file or a number."
            )
            raise JobError(msg)
        order += ready
        for name in ready:
            del waiting[name]
    return order


def _base(parameter: EarthParameter) -> str | None:
    """The parameter that `parameter` is computed from, if any."""
    tie = tie_of(parameter)
    return None if tie is None else tie.of


def _formula(
    parameter: EarthParameter, grid: _FullGrid, values: dict[str, NDArray[np.float32]]
) -> NDArray[np.float32]:
    """A parameter that is made from numbers or from another parameter."""
    tie = tie_of(parameter)
    if tie is not None:
        return tie.values(values[tie.of])
    depth = grid.origin[0] + grid.spacing[0] * np.arange(grid.shape[0])
    if parameter.gradient is not None:
        column = parameter.gradient.top + parameter.gradient.per_metre * depth
    elif parameter.layers is not None:
        # A node on a top belongs to the layer below it, to rounding.
        tops = np.asarray(parameter.layers.tops) - 1e-6 * grid.spacing[0]
        index = np.searchsorted(tops, depth, side="right") - 1
        column = np.asarray(parameter.layers.values)[np.maximum(index, 0)]
    else:
        column = np.full(grid.shape[0], parameter.constant)
    full = np.broadcast_to(column.reshape((-1,) + (1,) * (len(grid.shape) - 1)), grid.shape)
    return full.astype(np.float32)


def _smoothed(
    values: NDArray[np.float32], width: float | None, spacing: tuple[float, ...]
) -> NDArray[np.float32]:
    """`values` after a Gaussian of standard deviation `width` m; edges are continued."""
    if not width:
        return values
    from scipy.ndimage import gaussian_filter

    cells = [width / h for h in spacing]
    smooth: NDArray[np.float64] = gaussian_filter(values.astype(np.float64), cells, mode="nearest")
    return smooth.astype(np.float32)


def _source(job: Job, name: str, section: EarthModelSection) -> str:
    """Where a parameter came from, for messages."""
    parameter = section.given[name]
    if parameter.path is not None:
        return str(job.resolve(parameter.path))
    return f"earth_model.{name} of {job.path.name}"
