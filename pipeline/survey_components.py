"""Components of a survey: the traces of each, and that all of them have the same places.

The traces of a shot lie component after component, each with the same receivers in the same order.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from wavepipe.pipeline.errors import SurveyError
from wavepipe.pipeline.shots import Survey

SAME_PLACE = 1e-3
"""Positions closer than this are one position, m: header integers seldom resolve more."""


def one_component(survey: Survey, name: str) -> Survey:
    """Return the traces of one component, as a survey of its own."""
    if survey.components == (name,):
        return survey
    kept = survey.keep_traces(survey.component == survey.components.index(name))
    return replace(kept, components=(name,), component=np.zeros_like(kept.component))


@lru_cache(maxsize=8)
def load_component(path: str, name: str) -> Survey:
    """One component of a saved survey; a process makes each once."""
    return one_component(Survey.load(path), name)


def record(survey: Survey, names: Sequence[str]) -> Survey:
    """Survey without data that records `names` where `survey` records its first component.

    What records them already is returned as it is.

    Examples
    --------
    >>> from wavepipe.pipeline.layouts import make_survey
    >>> places = make_survey(np.zeros((1, 2)), [np.ones((3, 2))], dt=1e-3, nt=5)
    >>> record(places, ("vz", "vx")).component.tolist()
    [0, 0, 0, 1, 1, 1]
    """
    if survey.components == tuple(names):
        return survey
    alone = one_component(survey, survey.components[0])
    counts = np.diff(alone.first_trace)
    blocks = [np.arange(a, b) for a, b in pairwise(alone.first_trace)]
    rows = np.concatenate([np.tile(block, len(names)) for block in blocks])
    return replace(
        alone,
        files=(),
        first_trace=alone.first_trace * len(names),
        receiver_positions=alone.receiver_positions[rows],
        trace_file=np.full(len(rows), -1, dtype=np.int32),
        trace_number=np.full(len(rows), -1, dtype=np.int64),
        live=alone.live[rows],
        delay=np.zeros(len(rows)),
        component=np.concatenate(
            [np.repeat(np.arange(len(names), dtype=np.int8), count) for count in counts]
        ),
        components=tuple(names),
    )


def check_same_places(survey: Survey) -> Survey:
    """Refuse components whose shots or receivers differ, naming the first difference.

    Positions in the headers of dead traces are often blank: they are taken from a component whose
    trace is live.

    Raises
    ------
    SurveyError
        A component has other receivers than the first.
    """
    n = len(survey.components)
    if n == 1:
        return survey
    shot = np.repeat(np.arange(survey.n_shots), np.diff(survey.first_trace))
    counts = np.bincount(shot * n + survey.component, minlength=survey.n_shots * n).reshape(-1, n)
    differs = counts != counts[:, :1]
    if differs.any():
        i, c = (int(k) for k in np.argwhere(differs)[0])
        message = (
            f"shot {survey.label(i)}: {_named(survey, 0)} has {_traces(counts[i, 0])} and "
            f"{_named(survey, c)} {_traces(counts[i, c])}. All components need the same shots and "
            "receivers: choose shots that all have (survey.shots counts those of all files), or "
            "complete the files with dead traces."
        )
        raise SurveyError(message)
    rows = np.stack([np.flatnonzero(survey.component == c) for c in range(n)])
    places, live = survey.receiver_positions[rows], survey.live[rows]
    first_live = np.argmax(live, axis=0)  # the first component where none is
    expected = np.take_along_axis(places, first_live[None, :, None], axis=0)
    apart = np.linalg.norm(places - expected, axis=-1) > SAME_PLACE
    wrong = apart & live
    if wrong.any():
        trace, c = (int(k) for k in np.argwhere(wrong.T)[0])
        i = int(shot[rows[c, trace]])
        receiver = int(rows[c, trace] - survey.first_trace[i]) - c * int(counts[i, 0])
        message = (
            f"shot {survey.label(i)}: receiver {receiver} of {_named(survey, c)} is at "
            f"{_place(places[c, trace])}, that of {_named(survey, int(first_live[trace]))} at "
            f"{_place(expected[0, trace])}. All components need the same receivers in the same "
            "order; sort the files alike, or correct their headers."
        )
        raise SurveyError(message)
    if not apart.any():
        return survey
    positions = survey.receiver_positions.copy()
    positions[rows] = expected
    return replace(survey, receiver_positions=positions)


def _named(survey: Survey, component: int) -> str:
    """A component and its file."""
    of_component = survey.trace_file[survey.component == component]
    files = [survey.files[k] for k in np.unique(of_component) if k >= 0]
    name = survey.components[component]
    return f"{name} ({files[0]})" if len(files) == 1 else name


def _traces(count: int) -> str:
    return "1 trace" if count == 1 else f"{count} traces"


def _place(position: NDArray[np.float64]) -> str:
    return "(" + ", ".join(f"{value:.10g}" for value in position) + ") m"
