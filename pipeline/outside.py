"""What happens to sources and receivers that lie outside the earth model."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wavepipe.pipeline.errors import SurveyError
from wavepipe.pipeline.shots import Survey


def apply_outside_policy(
    survey: Survey, extent: Sequence[tuple[float, float]], policy: str
) -> tuple[Survey, list[str]]:
    """Deal with sources and receivers outside the model.

    Parameters
    ----------
    survey : Survey
    extent : ((z0, z1), [(y0, y1),] (x0, x1)), m
        First and last node of the model per axis, origin included.
    policy : {'error', 'drop'}
        'error' refuses, naming the shot and the position; 'drop' leaves out receivers outside and
        shots whose source is outside or that have no receiver left. Dead traces outside are
        always left out: their headers are often blank.

    Returns
    -------
    survey : Survey
    dropped : list of str
        A line for every shot that lost something.
    """
    if policy not in ("error", "drop"):
        message = f"survey.outside {policy!r} does not exist; use error or drop."
        raise SurveyError(message)
    low = np.array([axis[0] for axis in extent], dtype=np.float64)
    high = np.array([axis[1] for axis in extent], dtype=np.float64)
    # Positions and the model's last node may differ by rounding, not by a part of a cell.
    slack = 1e-9 * np.maximum(high - low, 1.0)
    source_out = _outside(survey.source_positions, low - slack, high + slack)
    trace_out = _outside(survey.receiver_positions, low - slack, high + slack)
    if policy == "error":
        _refuse_outside(survey, source_out, trace_out & survey.live, low, high)
    if not source_out.any() and not trace_out.any():
        return survey, []
    counts = np.diff(survey.first_trace)
    shot_of_trace = np.repeat(np.arange(survey.n_shots), counts)
    lost = np.bincount(shot_of_trace[trace_out], minlength=survey.n_shots)
    counts, lost = (numbers // len(survey.components) for numbers in (counts, lost))
    dropped = []
    for i in np.flatnonzero(source_out | (lost > 0)).tolist():
        if source_out[i]:
            reason = f"left out: its source at {_place(survey.source_positions[i])} is outside"
        elif lost[i] == counts[i]:
            reason = f"left out: all its {counts[i]} receivers are outside"
        else:
            reason = f"{lost[i]} of {counts[i]} receivers are outside and left out"
        dropped.append(f"shot {survey.label(i)} (index {survey.original_index[i]}): {reason}")
    kept = ~trace_out & ~source_out[shot_of_trace]
    if not kept.any():
        message = (
            f"no shot of the survey lies in the model ({_span(low, high)}); the survey spans "
            f"{_span(*np.array(survey.extent()).T)}. Check earth_model.origin and the coordinates."
        )
        raise SurveyError(message)
    return survey.keep_traces(kept), dropped


def _outside(
    points: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]
) -> NDArray[np.bool_]:
    return np.asarray(~np.all((points >= low) & (points <= high), axis=1))


def _refuse_outside(
    survey: Survey,
    source_out: NDArray[np.bool_],
    trace_out: NDArray[np.bool_],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
) -> None:
    remedy = (
        f"is outside the model ({_span(low, high)}). Set survey.outside: drop to leave it out, or "
        "check earth_model.origin and survey.depths."
    )
    if source_out.any():
        i = int(np.flatnonzero(source_out)[0])
        message = (
            f"shot {survey.label(i)} (index {i}): source at {_place(survey.source_positions[i])} "
            f"{remedy} {int(source_out.sum())} of {survey.n_shots} sources are outside."
        )
        raise SurveyError(message)
    if trace_out.any():
        row = int(np.flatnonzero(trace_out)[0])
        i = int(np.searchsorted(survey.first_trace, row, side="right")) - 1
        n = len(survey.components)
        receiver = (row - int(survey.first_trace[i])) % (survey.n_receivers(i) // n)
        message = (
            f"shot {survey.label(i)} (index {i}): receiver {receiver} at "
            f"{_place(survey.receiver_positions[row])} {remedy} {int(trace_out.sum()) // n} of "
            f"{survey.n_traces // n} receiver positions are outside."
        )
        raise SurveyError(message)


def _place(position: NDArray[np.float64]) -> str:
    return "(" + ", ".join(f"{value:.10g}" for value in position) + ") m"


def _span(low: NDArray[np.float64], high: NDArray[np.float64]) -> str:
    names = "zx" if len(low) == 2 else "zyx"
    return ", ".join(
        f"{name} from {a:.10g} to {b:.10g} m" for name, a, b in zip(names, low, high, strict=True)
    )
