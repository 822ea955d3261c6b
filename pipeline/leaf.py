"""Leaves of the graph: one batch of shots, as plain functions of plain arguments.

A shot's bits do not depend on the shots beside it: each has its own window, its own earth model
and its own gradient, and what a call of the propagator could choose by itself is fixed by the
plan.
"""

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from wavepipe.pipeline import results_gathers
from wavepipe.pipeline.errors import DiskFullError, SegyError, SurveyError
from wavepipe.pipeline.evaluation import Evaluation, Wanted, load_evaluation
from wavepipe.pipeline.filters import band_limit, end_taper
from wavepipe.pipeline.gathers import band_limited
from wavepipe.pipeline.graph import Leaf, tree_sum
from wavepipe.pipeline.left_out import LeftOut, left_out_scalars
from wavepipe.pipeline.misfits import MISFITS
from wavepipe.pipeline.partial import Failure, Partial, add
from wavepipe.pipeline.segy import writer as segy_writer
from wavepipe.pipeline.shot_calls import (
    Call,
    WindowedShot,
    adjoint,
    call,
    observed_gather,
    place_shots,
)
from wavepipe.pipeline.shots import Survey
from wavepipe.pipeline.survey_components import load_component
from wavepipe.propagators.contacts import ContactWarning
from wavepipe.propagators.earth_models import ModelWarning
from wavepipe.propagators.errors import StorageError, WavefieldError, is_full
from wavepipe.propagators.stability import DispersionWarning

logger = logging.getLogger(__name__)

SHOT_ERRORS = (WavefieldError, SegyError, SurveyError, OSError)
"""What may go wrong with one shot while the others are fine."""

Shots = Sequence[WindowedShot]
Compute = Callable[[Evaluation, Shots], list[Partial]]


def sum_batch(argument: str, shots: tuple[int, ...], halvings: int, *, compute: Compute) -> Partial:
    """Sum over a batch in the order of the tree.

    Parameters
    ----------
    argument
        Path of the evaluation.
    shots
        Indices in the survey.
    halvings
        How often the number of shots in one call of a propagator is halved, where calls as large
        as planned ended their worker; no bit depends on it.
    compute
        What is made of the shots of a call.
    """
    evaluation = load_evaluation(argument)
    calls = max(1, evaluation.call_shots >> halvings)
    evaluation = replace(evaluation, call_shots=calls)
    placed = place_shots(evaluation, shots)
    before = torch.get_num_threads()
    torch.set_num_threads(evaluation.threads)
    try:
        return tree_sum(_partials(evaluation, placed, compute), add)
    finally:
        torch.set_num_threads(before)


def _partials(evaluation: Evaluation, shots: Shots, compute: Compute) -> Iterator[Partial]:
    """One partial per shot, in order; neighbours whose windows are alike share a call."""
    for _, alike in groupby(shots, key=lambda shot: (shot.window.shape, shot.window.inside)):
        group = list(alike)
        for first in range(0, len(group), evaluation.call_shots):
            yield from _attempt(evaluation, group[first : first + evaluation.call_shots], compute)


def _attempt(evaluation: Evaluation, shots: Shots, compute: Compute) -> Iterator[Partial]:
    """Compute shots together; halves where memory is short, one by one to find one at fault."""
    partials, again = list[Partial](), list[Shots]()
    try:
        with warnings.catch_warnings():
            # The plan has judged the grid and the earth model, once for the run.
            for kind in (DispersionWarning, ModelWarning, ContactWarning):
                warnings.simplefilter("ignore", kind)
            partials = compute(evaluation, shots)
    except StorageError as error:
        # The plan has judged what was asked for: the scratch disk fails, as it does for others.
        raise DiskFullError(
            f"the wavefield of shot {shots[0].label} cannot be kept: {error}"
        ) from error
    except (MemoryError, RuntimeError) as error:
        if not _is_of_memory(error):
            raise
        if len(shots) == 1:
            partials = [_failed(shots[0], "there is too little memory for it, even alone")]
        else:
            logger.warning("too little memory for %d shots in one call: halved", len(shots))
            half = len(shots) // 2
            again = [shots[:half], shots[half:]]
    except SHOT_ERRORS as error:
        if isinstance(error, OSError) and is_full(error):
            # No fault of the shot, and every other would meet it too.
            raise DiskFullError(
                f"no room left on the disk while working on shot {shots[0].label}: {error}. "
                "Make room, or set output.folder to another disk."
            ) from error
        if len(shots) == 1:
            logger.info("shot %s failed", shots[0].label, exc_info=error)
            partials = [_failed(shots[0], str(error))]
        else:
            again = [[shot] for shot in shots]
    # Only here is free what the failed call has allocated: its traceback holds it.
    yield from partials
    for some in again:
        yield from _attempt(evaluation, some, compute)


def _is_of_memory(error: Exception) -> bool:
    """Whether there was too little memory, on the computer or on a device."""
    kinds = (MemoryError, torch.OutOfMemoryError)
    return isinstance(error, kinds) or "can't allocate memory" in str(error)


def _failed(shot: WindowedShot, reason: str) -> Partial:
    return Partial(failures=(Failure(shot.index, shot.label, reason),))


def _model(evaluation: Evaluation, shots: Shots) -> list[Partial]:
    """Gathers, written where the evaluation says."""
    gathers = _gathers(call(evaluation, shots), shots)
    for shot, gather in zip(shots, gathers, strict=True):
        for name, rows in shot.components.items():
            _write(evaluation, shot.index, name, gather[rows].numpy())
    return [Partial(shots=(shot.index,)) for shot in shots]


def _write(evaluation: Evaluation, shot: int, name: str, traces: NDArray[Any]) -> None:
    """Write one component of a shot."""
    survey = load_component(evaluation.survey, name)
    if evaluation.segy is not None:
        segy_writer.write_gather(evaluation.segy[name], survey, shot, traces)
    if evaluation.store is not None:
        array = results_gathers.gather_name(name, Survey.load(evaluation.survey).components)
        first = int(survey.first_trace[shot])
        results_gathers.write_gather(Path(evaluation.store), first, traces, array)


def _migrate(evaluation: Evaluation, shots: Shots) -> list[Partial]:
    """Born adjoint of the weighted data."""
    observed = [_observed(evaluation, shot) for shot in shots]
    made = call(evaluation, shots, ("vp",), born=True)
    sources = [_migrated(evaluation, shot, one) for shot, one in zip(shots, observed, strict=True)]
    images = {"image": adjoint(made, shots, sources, evaluation.result_scale)["vp"]}
    partials = _on_windows(shots, made, images)
    return [
        replace(image, scalars=dict(one.left_out))
        for image, one in zip(partials, observed, strict=True)
    ]


def _differentiate(evaluation: Evaluation, shots: Shots) -> list[Partial]:
    """Misfit and gradient."""
    made = call(evaluation, shots, evaluation.variables)
    scalars, sources = [], []
    for shot, gather in zip(shots, _gathers(made, shots), strict=True):
        synthetic = gather.detach().requires_grad_()
        observed = _observed(evaluation, shot)
        misfit = _misfit(evaluation, shot, observed, synthetic)
        sources.append(torch.autograd.grad(misfit, synthetic)[0].numpy())
        scalars.append({"misfit": float(misfit.detach()), **observed.left_out})
    gradients = adjoint(made, shots, sources, evaluation.result_scale)
    partials = _on_windows(shots, made, gradients)
    return [replace(one, scalars=found) for one, found in zip(partials, scalars, strict=True)]


def _compare(evaluation: Evaluation, shots: Shots) -> list[Partial]:
    """Misfit alone."""
    gathers = _gathers(call(evaluation, shots), shots)
    partials = []
    for shot, gather in zip(shots, gathers, strict=True):
        observed = _observed(evaluation, shot)
        misfit = float(_misfit(evaluation, shot, observed, gather))
        partials.append(
            Partial(shots=(shot.index,), scalars={"misfit": misfit, **observed.left_out})
        )
    return partials


def _gathers(made: Call, shots: Shots) -> list[torch.Tensor]:
    """Gather of each shot, without the padding; a WavefieldError if one is not finite."""
    gathers = [made.gather(k, shot) for k, shot in enumerate(shots)]
    for shot, gather in zip(shots, gathers, strict=True):
        if not bool(torch.isfinite(gather).all()):
            raise WavefieldError(f"shot {shot.label}: the modelled gather is not finite.")
    return gathers


@dataclass(frozen=True)
class _Observed:
    """What is known of one shot's data."""

    gather: NDArray[Any]
    """(n_receivers, nt), in the run's band."""

    weights: NDArray[Any]
    """(n_receivers, nt), of its samples."""

    left_out: Mapping[str, float]
    """Traces with nothing to use, as sums of a partial."""


def _observed(evaluation: Evaluation, shot: WindowedShot) -> _Observed:
    """Observed gather of a shot, its weights, and what is left out of it."""
    gather, weights = observed_gather(evaluation, shot)
    silent = shot.live & ~gather.any(axis=1)
    if not silent.any():
        return _Observed(gather, weights, {})
    # Read once more, which few shots need, to tell NaN from zeros.
    finite = Survey.load(evaluation.survey).read_gather(shot.index).finite
    found = LeftOut(int((silent & ~finite).sum()), int((silent & finite).sum()))
    return _Observed(gather, weights, left_out_scalars(shot.index, found))


def _misfit(
    evaluation: Evaluation, shot: WindowedShot, data: _Observed, synthetic: torch.Tensor
) -> torch.Tensor:
    """Misfit of one gather, weighted and then limited to the band, alike on both sides.

    The weights come first, so that the adjoint source ends with the taper of the traces.
    Components are summed with the factors of the job.
    """
    dt, band = evaluation.propagation.dt, evaluation.treatment.band
    observed, weights = (torch.from_numpy(a) for a in (data.gather, data.weights))
    left, right = (band_limited(weights * side, dt, band) for side in (synthetic, observed))
    factors = evaluation.treatment.component_weights
    misfits = [
        factors.get(name, 1.0) * MISFITS[evaluation.misfit](left[rows], right[rows], dt)
        for name, rows in shot.components.items()
    ]
    return sum(misfits[1:], start=misfits[0])


def _migrated(evaluation: Evaluation, shot: WindowedShot, data: _Observed) -> NDArray[Any]:
    """Observed gather as the adjoint source of an image."""
    p, treatment = evaluation.propagation, evaluation.treatment
    limited = band_limit(data.gather * data.weights, p.dt, treatment.band)
    # Again, because the filter reaches beyond the end.
    tapered = limited * end_taper(p.nt, p.dt, treatment.taper_end)
    for name, factor in treatment.component_weights.items():
        tapered[shot.components[name]] *= factor
    return tapered


def _on_windows(shots: Shots, made: Call, arrays: Mapping[str, NDArray[Any]]) -> list[Partial]:
    """One partial per shot; a WavefieldError if one is not finite."""
    partials, illumination = [], made.illumination()
    for k, shot in enumerate(shots):
        values = {name: np.ascontiguousarray(array[k]) for name, array in arrays.items()}
        for name, array in values.items():
            if not np.isfinite(array).all():
                raise WavefieldError(f"shot {shot.label}: {name} of the shot is not finite.")
        if illumination is not None:
            values["illumination"] = np.ascontiguousarray(illumination[k])
        partials.append(Partial(shots=(shot.index,), window=shot.window, arrays=values))
    return partials


LEAVES: dict[Wanted, Leaf] = {
    "gathers": partial(sum_batch, compute=_model),
    "image": partial(sum_batch, compute=_migrate),
    "gradient": partial(sum_batch, compute=_differentiate),
    "misfit": partial(sum_batch, compute=_compare),
}
"""The leaf of each kind of evaluation."""
