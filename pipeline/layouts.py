"""Parametric acquisition layouts: surveys without data, for modelling.

A layout is a mapping with one key, the kind; positions are metres in the earth model's
coordinates, and a list of positions is given as a range or as numbers:

    {start: 100, stop: 900, step: 50}      # the stop included when a step ends on it
    {start: 100, step: 50, count: 17}
    [100, 150, 275.5]
    450                                    # one position
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wavepipe.pipeline.errors import SurveyError
from wavepipe.pipeline.layout_positions import (
    Positions,
    as_count,
    as_mapping,
    as_number,
    check_keys,
    position_grid,
    position_range,
)
from wavepipe.pipeline.layout_table import read_table
from wavepipe.pipeline.shots import Survey

Spread = tuple[Positions, list[Positions]]
"""Source positions (n_shots, ndim) and receiver positions (n_receivers, ndim) of each shot."""


def survey_from_layout(
    layout: Mapping[str, object],
    dt: float,
    nt: int,
    *,
    ndim: int,
    folder: Path | None = None,
) -> Survey:
    """Make a survey from a layout.

    Parameters
    ----------
    layout : mapping
        {kind: options}, with kind one of fixed_spread, towed, nodes and table.
    dt : float, s
    nt : int
    ndim : int
        2 or 3; y keys belong to 3-D.
    folder : path, optional
        Where a table's relative path starts.

    Raises
    ------
    SurveyError
        The layout has an unknown key, misses one, or gives no shot.

    Examples
    --------
    >>> survey = survey_from_layout(
    ...     {
    ...         "fixed_spread": {
    ...             "sources": {"x": {"start": 0, "stop": 100, "step": 50}, "depth": 5},
    ...             "receivers": {"x": {"start": 0, "step": 10, "count": 11}, "depth": 8},
    ...         }
    ...     },
    ...     dt=0.002, nt=500, ndim=2,
    ... )
    >>> survey.n_shots, survey.n_receivers(0), survey.source_positions[1].tolist()
    (3, 11, [5.0, 50.0])
    """
    if not isinstance(layout, Mapping) or len(layout) != 1:
        message = f"survey.layout needs one kind out of {', '.join(_NAMES)}; it has {layout!r}."
        raise SurveyError(message)
    kind, options = next(iter(layout.items()))
    if kind not in _NAMES:
        message = f"survey.layout {kind!r} does not exist; use one of {', '.join(_NAMES)}."
        raise SurveyError(message)
    if ndim not in (2, 3):
        message = f"a survey has 2 or 3 dimensions, not {ndim}."
        raise SurveyError(message)
    if not dt > 0 or nt < 1:
        message = f"a layout needs a positive dt and nt; got dt {dt!r} s and nt {nt!r}."
        raise SurveyError(message)
    if kind == "table":
        sources, receivers, records = read_table(options, ndim, folder)
    else:
        sources, receivers = _KINDS[kind](as_mapping(options, kind), ndim)
        records = np.arange(1, len(sources) + 1, dtype=np.int64)
    return make_survey(sources, receivers, dt=dt, nt=nt, field_records=records)


def make_survey(
    sources: Positions,
    receivers: Sequence[Positions],
    *,
    dt: float,
    nt: int,
    field_records: NDArray[np.int64] | None = None,
) -> Survey:
    """Make a survey without data from arrays of positions.

    Parameters
    ----------
    sources : float64 array, (n_shots, ndim), m
    receivers : sequence of float64 arrays, (n_receivers, ndim), m
        One per shot; their numbers may differ.
    dt : float, s
    nt : int
    field_records : int64 array, (n_shots,), optional
        Ascending; 1, 2, ... when absent.
    """
    counts = np.array([len(spread) for spread in receivers], dtype=np.int64)
    if len(counts) == 0 or not counts.all():
        what = "no shot" if len(counts) == 0 else f"no receiver for shot {int(np.argmin(counts))}"
        message = f"the layout gives {what}; check its ranges."
        raise SurveyError(message)
    n_traces = int(counts.sum())
    records = (
        np.arange(1, len(counts) + 1, dtype=np.int64) if field_records is None else field_records
    )
    return Survey(
        ndim=sources.shape[1],
        dt=float(dt),
        nt=int(nt),
        files=(),
        source_positions=np.ascontiguousarray(sources, dtype=np.float64),
        labels=np.column_stack([records, records]),
        original_index=np.arange(len(counts), dtype=np.int64),
        first_trace=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        receiver_positions=np.concatenate(list(receivers)).astype(np.float64),
        trace_file=np.full(n_traces, -1, dtype=np.int32),
        trace_number=np.full(n_traces, -1, dtype=np.int64),
        live=np.ones(n_traces, dtype=bool),
        delay=np.zeros(n_traces),
        component=np.zeros(n_traces, dtype=np.int8),
    )


def _fixed_spread(options: Mapping[str, object], ndim: int) -> Spread:
    """Receivers that stay while the source moves; in 3-D a patch of lines.

        fixed_spread:
          sources:   {x: {start: 0, stop: 9000, step: 300}, depth: 10}
          receivers: {x: {start: 0, stop: 9000, step: 25}, depth: 20}

    In 3-D every y is combined with every x; without y, `y: 0` is meant.
    """
    check_keys(options, "fixed_spread", required=("sources", "receivers"))
    sources = position_grid(options["sources"], "fixed_spread.sources", ndim)
    receivers = position_grid(options["receivers"], "fixed_spread.receivers", ndim)
    return sources, [receivers] * len(sources)


def _nodes(options: Mapping[str, object], ndim: int) -> Spread:
    """Ocean-bottom nodes: a fixed spread, with each node at a depth of its own.

        nodes:
          sources:   {x: {start: 0, stop: 9000, step: 50}, depth: 10}
          receivers: {x: [1000, 1400, 1800], depth: [452, 447, 455]}

    `depth` of sources and receivers is one number or one per position.
    """
    check_keys(options, "nodes", required=("sources", "receivers"))
    sources = position_grid(options["sources"], "nodes.sources", ndim)
    receivers = position_grid(options["receivers"], "nodes.receivers", ndim)
    return sources, [receivers] * len(sources)


def _towed(options: Mapping[str, object], ndim: int) -> Spread:
    """A streamer behind, or ahead of, a moving source.

        towed:
          sources: {x: {start: 3000, stop: 9000, step: 50}, depth: 6}
          near_offset: 150
          spacing: 12.5
          count: 240
          receiver_depth: 8
          side: left             # left (default): smaller x than the source; right; both
          streamers: {y: [-50, 50]}   # 3-D: lines beside the source

    Receivers may lie outside the model: `survey.outside` decides what happens to them.
    """
    check_keys(
        options,
        "towed",
        required=("sources", "near_offset", "spacing", "count", "receiver_depth"),
        optional=("side", "streamers"),
    )
    sources = position_grid(options["sources"], "towed.sources", ndim)
    near = as_number(options["near_offset"], "towed.near_offset")
    spacing = as_number(options["spacing"], "towed.spacing")
    count = as_count(options["count"], "towed.count")
    depth = as_number(options["receiver_depth"], "towed.receiver_depth")
    side = options.get("side", "left")
    if spacing <= 0:
        message = f"survey.layout.towed.spacing is {spacing:g} m; it must be positive."
        raise SurveyError(message)
    if side not in ("left", "right", "both"):
        message = f"survey.layout.towed.side {side!r} does not exist; use left, right or both."
        raise SurveyError(message)
    cable = near + spacing * np.arange(count)
    offsets = {"left": -cable, "right": cable, "both": np.concatenate([-cable[::-1], cable])}[side]
    lines = _streamer_lines(options.get("streamers"), ndim)
    receivers = []
    for source in sources:
        x = source[-1] + offsets
        if ndim == 2:
            receivers.append(np.stack([np.full_like(x, depth), x], axis=-1))
        else:
            y, x = np.meshgrid(source[1] + lines, x, indexing="ij")
            spread = np.stack([np.full_like(x, depth), y, x], axis=-1)
            receivers.append(spread.reshape(-1, 3))
    return sources, receivers


def _streamer_lines(given: object, ndim: int) -> Positions:
    if given is None:
        return np.zeros(1)
    if ndim == 2:
        message = "survey.layout.towed.streamers belongs to 3-D; leave it out of a 2-D job."
        raise SurveyError(message)
    options = as_mapping(given, "towed.streamers")
    check_keys(options, "towed.streamers", required=("y",))
    return position_range(options["y"], "towed.streamers.y")


_KINDS: dict[str, Callable[[Mapping[str, object], int], Spread]] = {
    "fixed_spread": _fixed_spread,
    "towed": _towed,
    "nodes": _nodes,
}
_NAMES = (*_KINDS, "table")
