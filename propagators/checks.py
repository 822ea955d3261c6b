"""What a user may get wrong in a call, found at the door."""

import math
import sys
import warnings
from collections.abc import Mapping, Sequence
from numbers import Integral
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from wavepipe.propagators.axes import axis_name, face_names
from wavepipe.propagators.boundary import Boundary
from wavepipe.propagators.devices import on_host
from wavepipe.propagators.errors import DispersionError, GeometryError, ModelError, OptionError
from wavepipe.propagators.interpolation import HALF_WIDTH, ON_GRID
from wavepipe.propagators.stability import DispersionWarning, Wave, check_dispersion
from wavepipe.propagators.time_resampling import TimeGrid, pass_band

_PACKAGE = str(Path(__file__).parent)
_TORCH = str(Path(torch.__file__).parent)


def to_the_user() -> int:
    """Stack level, for `warnings.warn` in the caller, of the line that called the propagators.

    Or that called `backward` of torch, which then calls them.
    """
    frame, level, found = sys._getframe(1), 1, 1
    while frame.f_back is not None:
        frame, level = frame.f_back, level + 1
        name = frame.f_code.co_filename
        if name.startswith(_PACKAGE) or (found == level - 1 and name.startswith(_TORCH)):
            found = level
    return found + 1


def as_positions(positions: ArrayLike, what: str) -> NDArray[np.float64]:
    """Positions as (n_shots, n, ndim) float64."""
    if isinstance(positions, Tensor) and positions.requires_grad:
        raise GeometryError(
            f"{what} positions require a gradient, and no gradient reaches them: use .detach()."
        )
    array = np.asarray(on_host(positions), dtype=np.float64)
    if array.ndim != 3 or array.shape[-1] not in (2, 3):
        raise GeometryError(
            f"{what} positions have shape {array.shape}; they must be (n_shots, n, ndim) in "
            "metres, with ndim 2 (z, x) or 3 (z, y, x)."
        )
    return array


def as_batch(model: Tensor, ndim: int, n_shots: int, name: str) -> Tensor:
    """A model as (n_shots or 1, *shape)."""
    if model.ndim == ndim:
        return model[None]
    if model.ndim == ndim + 1 and model.shape[0] == n_shots:
        return model
    raise ModelError(
        f"{name} has shape {tuple(model.shape)}; with {ndim}-D positions of {n_shots} shots it "
        f"must have {ndim} axes, or {ndim + 1} with n_shots = {n_shots} as the first."
    )


def checked_amplitudes(amplitudes: Tensor, n_shots: int, n_sources: int) -> Tensor:
    """Finite real amplitudes (n_shots, n_sources, nt)."""
    if not isinstance(amplitudes, Tensor) or amplitudes.shape[:2] != (n_shots, n_sources):
        raise GeometryError(
            f"source amplitudes are {described(amplitudes)}; with these source positions they must "
            f"be a tensor ({n_shots}, {n_sources}, nt)."
        )
    if amplitudes.is_complex():
        raise GeometryError(f"source amplitudes are {amplitudes.dtype}; they must be real.")
    if amplitudes.ndim != 3 or amplitudes.shape[2] < 2:
        raise GeometryError(
            f"source amplitudes have shape {tuple(amplitudes.shape)}; they need at least 2 samples."
        )
    finite = torch.isfinite(amplitudes.detach()).all(dim=-1)
    if not finite.all():
        shot, source = (int(i) for i in (~finite).nonzero()[0])
        raise GeometryError(f"shot {shot}: the amplitude of source {source} has NaN or infinity.")
    return amplitudes


def checked_nt(nt: int | None, nt_source: int) -> int:
    """Samples to record."""
    if nt is None:
        return nt_source
    if not isinstance(nt, Integral) or isinstance(nt, bool) or nt < 1:
        raise OptionError(f"nt is {nt!r}; it is a whole number of samples, at least 1.")
    return int(nt)


def judge_dispersion(
    earth: Mapping[str, Tensor],
    spacing: tuple[float, ...],
    frequency: float,
    order: int,
    *,
    staggered: bool,
) -> None:
    """Warn of frequencies the grid cannot carry; a test with noise is not refused, a job is."""
    slowest, wave = slowest_wave(earth)
    try:
        check_dispersion(
            slowest,
            spacing,
            frequency,
            order,
            staggered=staggered,
            wave=wave,
            stacklevel=to_the_user() + 1,  # through one more call
        )
    except DispersionError as error:
        warnings.warn(str(error), DispersionWarning, stacklevel=to_the_user())


def slowest_wave(earth: Mapping[str, Tensor]) -> tuple[float, Wave]:
    """Velocity of an earth model's slowest wave, m/s, and which it is; vs = 0 is no wave."""
    slowest = float(earth["vp"].detach().amin())
    if "vs" not in earth:
        return slowest, ""
    shear = earth["vs"].detach()
    slowest_shear = float(shear.amin())
    if slowest_shear == 0:
        slowest_shear = float(shear.masked_fill(shear == 0, math.inf).amin())
    return (slowest_shear, "S") if slowest_shear < slowest else (slowest, "P")


def judge_pass_band(grid: TimeGrid, frequency: float, *, correct: bool) -> None:
    """Warn of frequencies that the change of clocks takes out of the sources."""
    edge = pass_band(grid, correct)
    if frequency > edge:
        warnings.warn(
            f"the sources reach {frequency:.4g} Hz; with time_step {grid.time_step:.3g} s and dt "
            f"{grid.dt:.3g} s only frequencies up to {edge:.4g} Hz are kept unchanged. Filter the "
            "sources or use a shorter time_step and dt.",
            DispersionWarning,
            stacklevel=to_the_user(),
        )


def judge_free_faces(
    receivers: NDArray[np.float64],
    spacing: tuple[float, ...],
    shape: tuple[int, ...],
    boundary: Boundary,
) -> None:
    """Warn of receivers on a free surface: the pressure there is zero."""
    for axis in range(len(shape)):
        for side, node in ((0, 0), (1, shape[axis] - 1)):
            if not boundary.is_free(axis, side, len(shape)):
                continue
            on_face = np.abs(receivers[..., axis] / spacing[axis] - node) < ON_GRID
            if on_face.any():
                shot, receiver = (int(i) for i in np.argwhere(on_face)[0])
                warnings.warn(
                    f"shot {shot}: receiver {receiver} and {int(on_face.sum()) - 1} others lie on "
                    "a free surface, where the pressure is zero: so are their traces. Put them "
                    "at their depth below it.",
                    stacklevel=to_the_user(),
                )


def judge_interpolation(
    positions: NDArray[np.float64],
    spacing: tuple[float, ...],
    shape: tuple[int, ...],
    boundary: Boundary,
    what: str,
    half: Sequence[int] = (),
) -> None:
    """Warn of points between nodes whose interpolation is cut by a face without a layer.

    Parameters
    ----------
    positions : (n_shots, n, ndim), m
    what
        The points, as in ``"source"``.
    half
        Axes along which their component's nodes lie half a cell after the grid's.
    """
    widths = boundary.widths(len(shape))
    for axis, margin in enumerate(boundary.margins(len(shape))):
        staggered = axis in half
        cells = positions[..., axis] / spacing[axis] - 0.5 * staggered
        between = np.abs(cells - np.rint(cells)) > ON_GRID
        for side, beyond in enumerate(margin):
            if boundary.is_free(axis, side, len(shape)):
                continue
            last = shape[axis] - 1 - (staggered and not widths[axis][side])
            room = cells if side == 0 else last - cells
            cut = between & (room + beyond < HALF_WIDTH - 1)
            if cut.any():
                shot, point = (int(i) for i in np.argwhere(cut)[0])
                nodes = "the nodes of its component (half a cell beside the model's)"
                wrong = "half" if float(room[cut].min()) + beyond < 0 else "a fifth"
                warnings.warn(
                    f"shot {shot}: {what} {point} lies between {nodes if staggered else 'nodes'}, "
                    f"{room[shot, point]:.2g} cells from the last beside a face with {beyond} "
                    f"cells of layer beyond the model: its interpolation over {HALF_WIDTH} cells "
                    f"is cut, and its amplitude is wrong by up to {wrong}. Put it on a node, or "
                    "give that face a layer.",
                    stacklevel=to_the_user(),
                )
                return


def judge_damping(
    positions: NDArray[np.float64],
    spacing: tuple[float, ...],
    shape: tuple[int, ...],
    boundary: Boundary,
    what: str,
) -> None:
    """Warn of points in an absorbing layer that is made of the model's own cells.

    Parameters
    ----------
    positions : (n_shots, n, ndim), m
    what
        The points, as in ``"source"``.
    """
    ndim = len(shape)
    for number, face in enumerate(face_names(ndim)):
        axis, side = divmod(number, 2)
        if face not in boundary.inside:
            continue
        width, last = boundary.widths(ndim)[axis][side], shape[axis] - 1
        cells = positions[..., axis] / spacing[axis]
        damped = (last - cells if side else cells) < width - ON_GRID
        if not damped.any():
            continue
        shot, point = (int(i) for i in np.argwhere(damped)[0])
        letters = ", ".join(axis_name(a, ndim) for a in range(ndim))
        place = ", ".join(f"{x:.10g}" for x in positions[shot, point])
        edge = (last - width if side else width) * spacing[axis]
        warnings.warn(
            f"shot {shot}: {what} {point} at ({letters}) = ({place}) m and "
            f"{int(damped.sum()) - 1} others lie in the absorbing layer {face}, which takes the "
            f"model's own cells {'from' if side else 'up to'} {axis_name(axis, ndim)} = {edge:g} "
            "m: waves are damped there, and amplitudes wrong. Move them out of it, or leave "
            f"{face} out of the boundary's inside.",
            stacklevel=to_the_user(),
        )


def described(value: object) -> str:
    """What a value is, for a message: its type, and its dtype and shape if it has them."""
    kind = type(value).__name__
    if not hasattr(value, "shape") or not hasattr(value, "dtype"):
        return kind
    return f"{kind} of {value.dtype} {tuple(value.shape)}"
