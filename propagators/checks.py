"""What a user may get wrong in a call, found at the door."""

import warnings
from numbers import Integral

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from wavepipe.propagators.boundary import Boundary
from wavepipe.propagators.errors import DispersionError, GeometryError, ModelError, OptionError
from wavepipe.propagators.interpolation import HALF_WIDTH, ON_GRID
from wavepipe.propagators.stability import DispersionWarning, check_dispersion
from wavepipe.propagators.time_resampling import TimeGrid, pass_band

TO_THE_USER = 5
"""Calls between a warning given here and the line of the user it points at."""


def as_positions(positions: ArrayLike, what: str) -> NDArray[np.float64]:
    """Positions as (n_shots, n, ndim) float64."""
    array = np.asarray(positions, dtype=np.float64)
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


def checked_velocity(vp: Tensor) -> Tensor:
    """A velocity model that can be propagated."""
    if not isinstance(vp, Tensor) or vp.dtype not in (torch.float32, torch.float64):
        raise ModelError(f"vp must be a torch tensor of float32 or float64, not {_kind(vp)}.")
    if vp.device.type != "cpu":
        raise OptionError(f"vp is on device {vp.device}; propagation runs on the CPU: vp.cpu().")
    values = vp.detach()
    slowest, fastest = torch.aminmax(values)  # NaN in either if there is one
    if not (slowest > 0 and fastest < float("inf")):
        bad = ~(values > 0) | ~torch.isfinite(values)
        cell = tuple(int(i) for i in bad.nonzero()[0])
        raise ModelError(
            f"vp is {float(values[cell]):.6g} m/s at cell {cell} ({int(bad.sum())} such cells); "
            "velocities must be finite and positive."
        )
    return vp


def checked_amplitudes(amplitudes: Tensor, n_shots: int, n_sources: int) -> Tensor:
    """Finite real amplitudes (n_shots, n_sources, nt)."""
    if not isinstance(amplitudes, Tensor) or amplitudes.shape[:2] != (n_shots, n_sources):
        raise GeometryError(
            f"source amplitudes have shape {_kind(amplitudes)}; with these source positions they "
            f"must be a tensor ({n_shots}, {n_sources}, nt)."
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


def velocity_bound(models: Tensor, bound: float | None) -> float:
    """The bound given, or the fastest velocity."""
    fastest = float(models.detach().max())
    if bound is None:
        return fastest
    if not bound >= fastest:
        raise ModelError(
            f"vp reaches {fastest:.6g} m/s, beyond velocity_bound = {bound:.6g} m/s that fixes the "
            "time step. Raise velocity_bound or bound the model."
        )
    return float(bound)


def checked_scatter(scatter: Tensor, like: Tensor, ndim: int, n_shots: int) -> Tensor:
    """A perturbation with the shape, batch and dtype of a model; a shared one serves every shot."""
    if not isinstance(scatter, Tensor):
        raise ModelError(f"scatter must be a torch tensor, not {_kind(scatter)}.")
    batch = as_batch(scatter, ndim, n_shots, "scatter")
    if batch.shape[1:] != like.shape[1:]:
        raise ModelError(
            f"scatter has shape {tuple(scatter.shape)}; it must have the shape of vp, "
            f"{tuple(like.shape[1:])}."
        )
    if not torch.isfinite(batch.detach()).all():
        raise ModelError("scatter has NaN or infinite values; it is a perturbation in m/s.")
    return batch.to(like).expand(max(len(batch), len(like)), *batch.shape[1:])


def checked_nt(nt: int | None, nt_source: int) -> int:
    """Samples to record."""
    if nt is None:
        return nt_source
    if not isinstance(nt, Integral) or isinstance(nt, bool) or nt < 1:
        raise OptionError(f"nt is {nt!r}; it is a whole number of samples, at least 1.")
    return int(nt)


def judge_dispersion(
    slowest: float, spacing: tuple[float, ...], frequency: float, order: int
) -> None:
    """Warn of frequencies the grid cannot carry; a test with noise is not refused, a job is."""
    try:
        check_dispersion(slowest, spacing, frequency, order, stacklevel=TO_THE_USER + 1)
    except DispersionError as error:
        warnings.warn(str(error), DispersionWarning, stacklevel=TO_THE_USER)


def judge_pass_band(grid: TimeGrid, frequency: float, *, correct: bool) -> None:
    """Warn of frequencies that the change of clocks takes out of the sources."""
    edge = pass_band(grid, correct)
    if frequency > edge:
        warnings.warn(
            f"the sources reach {frequency:.4g} Hz; with time_step {grid.time_step:.3g} s and dt "
            f"{grid.dt:.3g} s only frequencies up to {edge:.4g} Hz are kept unchanged. Filter the "
            "sources or use a shorter time_step and dt.",
            DispersionWarning,
            stacklevel=TO_THE_USER,
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
                    stacklevel=TO_THE_USER,
                )


def judge_interpolation(
    positions: NDArray[np.float64],
    spacing: tuple[float, ...],
    shape: tuple[int, ...],
    boundary: Boundary,
    what: str,
) -> None:
    """Warn of points between nodes whose interpolation is cut by a face without a layer."""
    for axis, margin in enumerate(boundary.margins(len(shape))):
        cells = positions[..., axis] / spacing[axis]
        between = np.abs(cells - np.rint(cells)) > ON_GRID
        for side, beyond in enumerate(margin):
            if boundary.is_free(axis, side, len(shape)):
                continue
            room = cells if side == 0 else shape[axis] - 1 - cells
            cut = between & (room + beyond < HALF_WIDTH - 1)
            if cut.any():
                shot, point = (int(i) for i in np.argwhere(cut)[0])
                warnings.warn(
                    f"shot {shot}: {what} {point} lies between nodes, {room[shot, point]:.2g} "
                    f"cells from a face with {beyond} cells of layer beyond the model: its "
                    f"interpolation over {HALF_WIDTH} cells is cut, and its amplitude is wrong by "
                    "up to a fifth. Put it on a node, or give that face a layer.",
                    stacklevel=TO_THE_USER,
                )
                return


def _kind(value: object) -> str:
    shape = getattr(value, "shape", None)
    return f"{type(value).__name__} of {getattr(value, 'dtype', '?')} {tuple(shape or ())}"
