"""From shots of a survey to one call of a propagator: windows, positions, arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wavepipe.pipeline.evaluation import Evaluation, load_array
from wavepipe.pipeline.gathers import trace_weights, treat_gather
from wavepipe.pipeline.shots import Survey
from wavepipe.pipeline.windows import Window, face_widths, shot_window
from wavepipe.propagators import Boundary, Recording, Storage
from wavepipe.propagators.axes import face_names
from wavepipe.propagators.waves import propagate


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
    """(n_traces, ndim), m from the window's first node; NaN where absent."""

    components: Mapping[str, slice]
    """Traces of each component, as they follow each other."""

    live: NDArray[np.bool_]
    """(n_traces,), whether the trace has data."""

    delay: NDArray[np.float64]
    """(n_traces,), when the trace starts after the shot, s."""


@dataclass(frozen=True)
class Call:
    """What a propagator returned, and what it may be differentiated for."""

    recording: Recording
    """Gathers of all shots, padded to the longest."""

    variables: Mapping[str, Tensor] = field(default_factory=dict)
    """(n_shots, *grid) each: what a gradient is wanted for."""

    inner: tuple[slice, ...] = ()
    """The window's part of the grid."""

    source_scale: float = 1.0
    """That wavelet and wavefield are multiplied with."""

    def gather(self, k: int, shot: WindowedShot) -> Tensor:
        """Modelled traces of the `k`-th shot (n_traces, nt), in the survey's order."""
        gathers = [
            self.recording[name][k, : rows.stop - rows.start]
            for name, rows in shot.components.items()
        ]
        return torch.cat(gathers) / self.source_scale

    def illumination(self) -> NDArray[np.float32] | None:
        """Source illumination (n_shots, *window) of the scaled wavefield, where wanted."""
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
        components=survey.component_traces(index),
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
    variables: Sequence[str] = (),
    *,
    born: bool = False,
) -> Call:
    """Propagate shots whose windows are alike.

    Parameters
    ----------
    evaluation
        What is wanted and how.
    shots
        With windows of one shape and the same faces inside the model.
    variables
        Parameters of the earth model whose gradient is wanted.
    born
        Take the gradient for perturbations around which the wavefield is linear (here zero: only
        their adjoint is of use) instead of for the earth model.
    """
    models = {
        name: np.stack([load_array(path)[shot.window.slices] for shot in shots])
        for name, path in evaluation.model.items()
    }
    shape = shots[0].window.shape
    boundary = _boundary(evaluation, shots[0].window)
    margins = [(0, 0)] * len(shape)
    if born:
        # Layers of cells of their own: the image would otherwise collect at the model's edges
        # what scatters in the layers beyond them.
        margins = list(boundary.margins(len(shape)))
        models = {
            name: np.pad(values, [(0, 0), *margins], mode="edge") for name, values in models.items()
        }
        boundary = replace(boundary, inside=_layered(boundary, len(shape)))
    inner = tuple(slice(low, low + n) for n, (low, _) in zip(shape, margins, strict=True))
    corner = np.array([low for low, _ in margins]) * evaluation.propagation.spacing
    options = _options(evaluation, shots, boundary, corner, bool(variables))
    options["contacts"] = _contacts(evaluation.propagation.contacts, shape[0], margins[0])
    tensors = {name: torch.from_numpy(values) for name, values in models.items()}
    if born:
        scatter = {name: torch.zeros_like(tensors[name]).requires_grad_() for name in variables}
        made = propagate(evaluation.physics, tensors, scatter=scatter, **options)
        return Call(made, scatter, inner, evaluation.source_scale)
    for name in variables:
        tensors[name].requires_grad_()
    with torch.set_grad_enabled(bool(variables)):
        made = propagate(evaluation.physics, tensors, **options)
    found = {name: tensors[name] for name in variables}
    return Call(made, found, inner, evaluation.source_scale)


def adjoint(
    call: Call,
    shots: Sequence[WindowedShot],
    adjoint_sources: Sequence[NDArray[Any]],
    result_scale: float,
) -> dict[str, NDArray[np.float32]]:
    """Adjoint of a call, times `result_scale`: gathers back to its variables.

    Parameters
    ----------
    call
        Made with variables.
    shots
        Of the call.
    adjoint_sources : each (n_traces, nt)
        One per shot.

    Returns
    -------
    dict of (n_shots, *window) arrays, by variable
    """
    if not call.variables:
        raise ValueError("the call was made without variables")
    outputs, factor = dict(call.recording), result_scale / call.source_scale
    padded = {name: torch.zeros_like(gathers) for name, gathers in outputs.items()}
    for k, (shot, samples) in enumerate(zip(shots, adjoint_sources, strict=True)):
        for name, rows in shot.components.items():
            traces = np.asarray(samples[rows], dtype=np.float64) * factor
            padded[name][k, : len(traces)] = torch.from_numpy(traces.astype(np.float32))
    gradients = torch.autograd.grad(
        list(outputs.values()), list(call.variables.values()), list(padded.values())
    )
    window = (slice(None), *call.inner)
    return {
        name: gradient.numpy()[window]
        for name, gradient in zip(call.variables, gradients, strict=True)
    }


def _boundary(evaluation: Evaluation, window: Window) -> Boundary:
    """Absorbing layers and free surfaces of a window."""
    p = evaluation.propagation
    return Boundary(p.pml_width, p.pml_frequency, p.free_surface, window.inside, p.sponge)


def _contacts(
    rows: tuple[int, int] | None, depth: int, margin: tuple[int, int]
) -> tuple[int, int] | None:
    """Rows where a solid touches water, in a window with more rows above and below it.

    A contact at the edge of the model goes on beyond it.
    """
    if rows is None or rows[0] == rows[1]:
        return rows
    (first, last), (low, high) = rows, margin
    return (low + first if first else 0, low + last + (high if last == depth else 0))


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
    receivers = {}
    for name in shots[0].components:
        places = [shot.receivers[shot.components[name]] + corner for shot in shots]
        padded = np.full((len(shots), max(map(len, places)), len(p.spacing)), np.nan)
        for k, points in enumerate(places):
            padded[k, : len(points)] = points
        receivers[name] = padded
    storage = Storage(mode="none")
    if keep:
        keeping = evaluation.keeping
        storage = keeping.storage(p.stride, p.max_gradient_error, evaluation.scratch)
    return {
        "spacing": p.spacing,
        "dt": p.dt,
        "nt": p.nt,
        "sources": {evaluation.source: _source(evaluation, shots, corner)},
        "receivers": receivers,
        "order": p.order,
        "boundary": boundary,
        "velocity_bound": p.velocity_bound,
        "time_step": p.time_step,
        "correct_time_dispersion": p.correct_time_dispersion,
        "reference_frequency": p.reference_frequency,
        "storage": storage,
        "backend": p.backend,
        "illumination": keep and evaluation.illumination,
    }


def _source(
    evaluation: Evaluation, shots: Sequence[WindowedShot], corner: NDArray[np.float64]
) -> tuple[Any, ...]:
    """Amplitudes, positions and, of a moment, its tensor."""
    scaled = evaluation.source_scale * np.asarray(load_array(evaluation.wavelet))
    wavelet = torch.from_numpy(scaled.astype(np.float32))
    amplitudes = wavelet.expand(len(shots), 1, -1).contiguous()
    positions = np.stack([shot.source[None] + corner for shot in shots])
    if evaluation.moment is None:
        return amplitudes, positions
    return amplitudes, positions, np.array(evaluation.moment)
