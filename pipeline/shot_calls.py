"""From shots of a survey to one call of a propagator: windows, positions, arrays."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wavepipe.pipeline.evaluation import Evaluation, load_array
from wavepipe.pipeline.gathers import trace_weights, treat_gather
from wavepipe.pipeline.shots import Survey
from wavepipe.pipeline.windows import Window, face_widths, shot_window
from wavepipe.propagators import Boundary, Recording, Storage, scalar, scalar_born
from wavepipe.propagators.axes import face_names


@dataclass(frozen=True)
class WindowedShot:
    """One shot, moved to its window."""

    index: int
    """In the survey."""

    label: str
    """How the survey names it."""

    window: Window
    """The part of the earth model it is propagated through."""

    source: NDArray[np.float64]
    """(ndim,), m from the window's first node."""

    receivers: NDArray[np.float64]
    """(n_receivers, ndim), m from the window's first node; NaN where absent."""

    live: NDArray[np.bool_]
    """(n_receivers,), whether the trace has data."""

    delay: NDArray[np.float64]
    """(n_receivers,), when the trace starts after the shot, s."""


@dataclass(frozen=True)
class Call:
    """What a propagator returned, and what it may be differentiated for."""

    recording: Recording
    """Gathers of all shots, padded to the longest."""

    variable: Tensor | None = None
    """(n_shots, *grid): the earth model or the scatter, if a gradient is wanted."""

    inner: tuple[slice, ...] = ()
    """The window's part of the grid."""

    def illumination(self) -> NDArray[np.float32] | None:
        """Source illumination (n_shots, *window), where wanted."""
        found = self.recording.illumination
        return None if found is None else found.detach().numpy()[(slice(None), *self.inner)]


def place_shots(evaluation: Evaluation, shots: Sequence[int]) -> list[WindowedShot]:
    """Shots of the survey, each moved to its window."""
    survey = Survey.load(evaluation.survey)
    shape = load_array(evaluation.model["vp"]).shape
    return [place_shot(evaluation, survey, index, shape) for index in shots]


def place_shot(
    evaluation: Evaluation, survey: Survey, index: int, shape: tuple[int, ...]
) -> WindowedShot:
    """One shot, moved to its window."""
    shot = survey.shot(index)
    spacing = evaluation.propagation.spacing
    source = shot.source_position - evaluation.origin
    receivers = shot.receiver_positions - evaluation.origin
    window = shot_window(
        np.vstack([source[None], receivers]),
        shape,
        spacing,
        evaluation.aperture,
        face_widths(len(shape), evaluation.propagation.pml_width),
    )
    return WindowedShot(
        index=index,
        label=shot.label,
        window=window,
        source=window.shift(source, spacing),
        receivers=window.shift(receivers, spacing),
        live=shot.live,
        delay=survey.delay[survey.traces(index)],
    )


def observed_gather(
    evaluation: Evaluation, shot: WindowedShot
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Observed gather in the run's band, and the weights of its samples.

    Returns
    -------
    gather, weights : (n_receivers, nt) arrays of float32
    """
    p, treatment = evaluation.propagation, evaluation.treatment
    recorded = Survey.load(evaluation.survey).read_gather(shot.index)
    velocity = np.nan
    if treatment.point_source is not None:
        node = np.rint(shot.source / p.spacing).astype(int) + shot.window.start
        velocity = float(load_array(treatment.point_source.velocity)[tuple(node)])
    gather = treat_gather(recorded.samples, p.dt, treatment, velocity)
    weights = trace_weights(
        shot.source,
        shot.receivers,
        shot.live & recorded.live,
        p.nt,
        p.dt,
        treatment,
        shot.delay,
    )
    return gather, weights


def call(
    evaluation: Evaluation,
    shots: Sequence[WindowedShot],
    variable: Literal["vp", "scatter"] | None = None,
) -> Call:
    """Propagate shots whose windows are alike.

    Parameters
    ----------
    evaluation
        What is wanted and how.
    shots
        With windows of one shape and the same faces inside the model.
    variable
        What a gradient is wanted for: the earth model (``vp``), or a perturbation of it around
        which the wavefield is linear (``scatter``, here zero: only its adjoint is of use).
    """
    stored = load_array(evaluation.model["vp"])
    vp = np.stack([stored[shot.window.slices] for shot in shots])
    boundary = _boundary(evaluation, shots[0].window)
    margins = [(0, 0)] * (vp.ndim - 1)
    if variable == "scatter":
        # Layers of cells of their own: the image would otherwise collect at the model's edges
        # what scatters in the layers beyond them.
        margins = list(boundary.margins(vp.ndim - 1))
        vp = np.pad(vp, [(0, 0), *margins], mode="edge")
        boundary = replace(boundary, inside=_layered(boundary, vp.ndim - 1))
    inner = tuple(
        slice(low, low + n) for n, (low, _) in zip(shots[0].window.shape, margins, strict=True)
    )
    corner = np.array([low for low, _ in margins]) * evaluation.propagation.spacing
    options = _options(evaluation, shots, boundary, corner, variable is not None)
    model = torch.from_numpy(vp)
    if variable == "scatter":
        scatter = torch.zeros_like(model).requires_grad_()
        return Call(scalar_born(model, scatter, **options), scatter, inner)
    if variable == "vp":
        model.requires_grad_()
        return Call(scalar(model, **options), model, inner)
    with torch.no_grad():
        return Call(scalar(model, **options))


def adjoint(call: Call, adjoint_sources: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
    """Adjoint of a call: gathers back to its variable.

    Parameters
    ----------
    call
        Made with a variable.
    adjoint_sources : each (n_receivers, nt)
        One per shot.

    Returns
    -------
    (n_shots, *window) array
    """
    if call.variable is None:
        raise ValueError("the call was made without a variable")
    pressure = call.recording["pressure"]
    padded = torch.zeros_like(pressure)
    for k, samples in enumerate(adjoint_sources):
        padded[k, : len(samples)] = torch.from_numpy(np.asarray(samples, dtype=np.float32))
    (gradient,) = torch.autograd.grad(pressure, call.variable, padded)
    return gradient.numpy()[(slice(None), *call.inner)]


def _boundary(evaluation: Evaluation, window: Window) -> Boundary:
    """Absorbing layers and free surfaces of a window."""
    p = evaluation.propagation
    return Boundary(p.pml_width, p.pml_frequency, p.free_surface, window.inside)


def _layered(boundary: Boundary, ndim: int) -> tuple[str, ...]:
    """Every face but the free ones."""
    return tuple(face for face in face_names(ndim) if face not in boundary.free_surface)


def _options(
    evaluation: Evaluation,
    shots: Sequence[WindowedShot],
    boundary: Boundary,
    corner: NDArray[np.float64],
    keep: bool,
) -> dict[str, Any]:
    """Arguments of the propagator besides earth models; positions move by `corner` (m)."""
    p = evaluation.propagation
    wavelet = np.asarray(load_array(evaluation.wavelet), dtype=np.float32)
    longest = max(len(shot.receivers) for shot in shots)
    receivers = np.full((len(shots), longest, len(p.spacing)), np.nan)
    for k, shot in enumerate(shots):
        receivers[k, : len(shot.receivers)] = shot.receivers + corner
    storage = Storage(mode="none")
    if keep:
        storage = Storage(
            mode=p.storage_mode,
            method=p.storage_method,
            stride=p.stride,
            max_gradient_error=p.max_gradient_error,
        )
    return {
        "spacing": p.spacing,
        "dt": p.dt,
        "nt": p.nt,
        "source_amplitudes": torch.from_numpy(wavelet).expand(len(shots), 1, -1).contiguous(),
        "source_positions": np.stack([shot.source[None] + corner for shot in shots]),
        "receiver_positions": receivers,
        "order": p.order,
        "boundary": boundary,
        "velocity_bound": p.velocity_bound,
        "time_step": p.time_step,
        "correct_time_dispersion": p.correct_time_dispersion,
        "storage": storage,
        "backend": p.backend,
        "illumination": keep and evaluation.illumination,
    }
