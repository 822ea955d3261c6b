"""Read a survey's geometry from SEG-Y headers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wavepipe.pipeline.errors import SurveyError
from wavepipe.pipeline.outside import apply_outside_policy
from wavepipe.pipeline.segy.file_format import SegyFile, open_segy
from wavepipe.pipeline.segy.geometry import (
    GEOMETRY_FIELDS,
    Depths,
    depths_below_datum,
    horizontal_points,
    length_factor,
)
from wavepipe.pipeline.segy.headers import (
    AUXILIARY_TRACE_KINDS,
    DEAD_TRACE_KINDS,
    STANDARD_SCALARS,
    TRACE_KINDS,
    apply_scalar,
)
from wavepipe.pipeline.segy.index import Headers, scan_headers
from wavepipe.pipeline.segy.line import choose_line
from wavepipe.pipeline.shots import Gather, Shot, Survey
from wavepipe.pipeline.survey_components import SAME_PLACE, check_same_places
from wavepipe.pipeline.survey_files import Files, component_of_file, expand_files
from wavepipe.pipeline.survey_notes import (
    file_notes,
    is_about_interval,
    note_doubts,
    note_offsets,
    note_shots,
)

__all__ = ["Gather", "Shot", "Survey", "apply_outside_policy", "read_survey"]

# No receiver is farther from its source than this, m.
_FARTHEST = 1e5


@dataclass(frozen=True, slots=True, eq=False)
class _Columns:
    """Headers of all traces of all files, one after the other."""

    headers: Headers
    file: NDArray[np.int32]
    number: NDArray[np.int64]
    component: NDArray[np.int8]
    components: tuple[str, ...]

    def keep(self, mask: NDArray[np.bool_]) -> "_Columns":
        headers = {name: values[mask] for name, values in self.headers.items()}
        return replace(
            self,
            headers=headers,
            file=self.file[mask],
            number=self.number[mask],
            component=self.component[mask],
        )


def read_survey(
    files: Files,
    *,
    ndim: int,
    depths: Depths = "auto",
    units: str | None = None,
    dt: float | None = None,
    line_origin: Sequence[float] | None = None,
    line_azimuth: float | None = None,
    folder: Path | None = None,
) -> Survey:
    """Read the geometry of SEG-Y files: headers only, no samples.

    Traces with the same field record *and* source position are one shot, so files that repeat
    field records do not mix, and neither do repeated positions.

    Parameters
    ----------
    files : path, glob, list, or mapping by component
    ndim : int
        2 or 3. In 2-D, positions are projected onto a straight line, the model's x axis.
    depths : {'auto', 'elevation', 'depth'} or {'source': m, 'receiver': m}
        How the elevation fields are read.
    units : {None, 'm', 'ft'}
        Unit of lengths in the headers; None believes the file.
    dt : float, s, optional
        Sample interval where the headers are wrong.
    line_origin : (X, Y), m, optional
        Map coordinates of x = 0 (and y = 0).
    line_azimuth : float, degrees clockwise from Y, optional
        Direction of the model's x axis on the map.
    folder : path, optional
        Where relative paths start.

    Raises
    ------
    SegyError
        A file is missing or is not SEG-Y.
    SurveyError
        The headers do not give a geometry, or components differ in theirs.
    """
    if ndim not in (2, 3):
        message = f"a survey has 2 or 3 dimensions, not {ndim}."
        raise SurveyError(message)
    paths, stated = expand_files(files, folder)
    opened = [open_segy(path) for path in paths]
    notes = file_notes(opened)
    columns = _read_columns(opened, stated, notes)
    interval = _common_interval(opened, dt, notes)
    source, receiver = _positions(
        columns, opened, ndim, depths, units, line_origin, line_azimuth, notes
    )
    delay = _delays(columns.headers, notes)
    nt = _record_length(opened, columns, delay, interval, notes)
    survey = _group_shots(columns, source, receiver, delay)
    survey = replace(
        survey,
        dt=interval,
        nt=nt,
        files=tuple(paths),
        components=columns.components,
    )
    survey = check_same_places(survey)
    note_shots(survey, notes)
    note_doubts(survey, opened, columns.file, columns.headers["interval"], notes)
    return replace(survey, assumptions=tuple(notes))


def _read_columns(
    opened: Sequence[SegyFile], stated: Sequence[str | None], notes: list[str]
) -> _Columns:
    scans = [scan_headers(file, GEOMETRY_FIELDS) for file in opened]
    counts = [file.n_traces for file in opened]
    held = [
        component_of_file(file, scan["trace_kind"], name)
        for file, scan, name in zip(opened, scans, stated, strict=True)
    ]
    components = tuple(name for name in TRACE_KINDS if name in held)
    columns = _Columns(
        headers={name: np.concatenate([scan[name] for scan in scans]) for name in GEOMETRY_FIELDS},
        file=np.repeat(np.arange(len(opened), dtype=np.int32), counts),
        number=np.concatenate([np.arange(count, dtype=np.int64) for count in counts]),
        component=np.repeat(np.array([components.index(c) for c in held], dtype=np.int8), counts),
        components=components,
    )
    auxiliary = np.isin(columns.headers["trace_kind"], AUXILIARY_TRACE_KINDS)
    if auxiliary.any() and not auxiliary.all():
        notes.append(
            f"{int(auxiliary.sum())} auxiliary traces (identification codes 4 to 9: time break, "
            "sweep, ...) are left out"
        )
        columns = columns.keep(~auxiliary)
    dead = np.isin(columns.headers["trace_kind"], DEAD_TRACE_KINDS)
    if dead.any():
        notes.append(f"{int(dead.sum())} traces are marked dead; their samples count as absent")
    return columns


def _common_interval(opened: Sequence[SegyFile], dt: float | None, notes: list[str]) -> float:
    if dt is not None:
        notes[:] = [note for note in notes if not is_about_interval(note)]
        notes.append(f"sample interval {dt:g} s, as asked")
        return dt
    first = opened[0]
    if first.dt <= 0:
        message = (
            f"{first.path} gives no sample interval: bytes 3217-3218 of the binary header and "
            "117-118 of the first trace header are 0. Set survey.dt, in s."
        )
        raise SurveyError(message)
    for file in opened[1:]:
        if abs(file.dt - first.dt) > 1e-9:
            message = (
                f"files of one survey must share a sample interval: {first.name} has "
                f"{first.dt:g} s, {file.name} has {file.dt:g} s. Resample one of them."
            )
            raise SurveyError(message)
    return first.dt


def _positions(
    columns: _Columns,
    opened: Sequence[SegyFile],
    ndim: int,
    depths: Depths,
    units: str | None,
    line_origin: Sequence[float] | None,
    line_azimuth: float | None,
    notes: list[str],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Source and receiver positions per trace, (n_traces, ndim), m."""
    headers = columns.headers
    system = opened[0].measurement_system
    for file in opened[1:]:
        if units is None and (file.measurement_system == 2) != (system == 2):
            message = (
                f"{opened[0].name} and {file.name} do not share a unit of length (bytes 3255-3256 "
                f"are {system} and {file.measurement_system}). Set survey.coordinate_units to m "
                "or ft."
            )
            raise SurveyError(message)
    points = horizontal_points(headers, system, units, notes)
    if points.geographic:
        message = (
            f"{opened[0].name} has coordinates in {points.geographic}; positions must be metres. "
            "Project them first, or set survey.coordinate_units: m if the units field is wrong."
        )
        raise SurveyError(message)
    if not points.source.any() and not points.receiver.any():
        message = (
            f"{opened[0].name} has no source or receiver coordinates: bytes 73-88 of all trace "
            "headers are 0."
        )
        raise SurveyError(message)
    _refuse_stack(opened[0], points.source, points.receiver)
    note_offsets(headers, points.source, points.receiver, notes)
    factor = length_factor(system, units, [])
    source_z, receiver_z = depths_below_datum(headers, depths, factor, notes)
    line = choose_line(
        np.concatenate([points.source, points.receiver]), ndim, line_origin, line_azimuth, notes
    )
    placed = []
    for horizontal, z in ((points.source, source_z), (points.receiver, receiver_z)):
        across = [line.across(horizontal)] if ndim == 3 else []
        placed.append(np.stack([z, *across, line.along(horizontal)], axis=-1))
    return placed[0], placed[1]


def _refuse_stack(
    file: SegyFile, source: NDArray[np.float64], receiver: NDArray[np.float64]
) -> None:
    """Refuse traces with a place for the source only: stacked sections are often written so."""
    if receiver.any() or not source.any():
        return
    distance = float(np.hypot(*source.T).min())
    if distance > _FARTHEST:
        message = (
            f"{file.name} has no receiver coordinates: bytes 81-88 of all trace headers are 0, "
            f"and the sources are {distance:.6g} m or more from there. It looks like a stacked "
            "section or volume, not like shots."
        )
        raise SurveyError(message)


def _delays(headers: Headers, notes: list[str]) -> NDArray[np.float64]:
    """Delay recording times per trace, s; their scalar is revision 1's bytes 215-216."""
    # Revision 0 leaves those bytes to anybody, so only powers of ten are believed.
    scalar = np.where(np.isin(np.abs(headers["time_scalar"]), STANDARD_SCALARS), 1, 0)
    delay = apply_scalar(headers["delay"], scalar * headers["time_scalar"]) / 1e3
    if delay.any():
        low, high = float(delay.min()), float(delay.max())
        span = f"{low:g} s" if low == high else f"{low:g} to {high:g} s"
        notes.append(f"delay recording time (bytes 109-110) {span} is applied: t = 0 is the shot")
    return delay


def _record_length(
    opened: Sequence[SegyFile],
    columns: _Columns,
    delay: NDArray[np.float64],
    dt: float,
    notes: list[str],
) -> int:
    """Samples from t = 0 that every trace has."""
    samples = np.array([file.n_samples for file in opened])[columns.file]
    ends = np.rint(delay / dt).astype(np.int64) + samples
    nt = int(ends.min())
    if nt < 1:
        message = (
            f"the traces of {opened[0].name} end before the time of the shot: delay recording "
            f"time down to {delay.min():g} s, {samples.min()} samples of {dt:g} s."
        )
        raise SurveyError(message)
    if nt < ends.max():
        notes.append(f"records differ in length; cut to the shortest, {nt} samples")
    return nt


def _group_shots(
    columns: _Columns,
    source: NDArray[np.float64],
    receiver: NDArray[np.float64],
    delay: NDArray[np.float64],
) -> Survey:
    """Sort traces into shots: field record, then source x, y, z; then component, file, number."""
    record = columns.headers["field_record"].astype(np.int64)
    place = np.rint(source / SAME_PLACE).astype(np.int64)
    keys = (columns.number, columns.file, columns.component, *place.T, record)
    order = np.lexsort(keys)
    identity = np.column_stack([record, place])[order]
    starts = np.flatnonzero(np.any(np.diff(identity, axis=0) != 0, axis=1)) + 1
    first_trace = np.concatenate([[0], starts, [len(order)]]).astype(np.int64)
    first = order[first_trace[:-1]]
    point = columns.headers["source_point"].astype(np.int64)
    return Survey(
        ndim=source.shape[1],
        dt=0.0,
        nt=0,
        files=(),
        source_positions=source[first],
        labels=np.column_stack([record[first], point[first]]),
        original_index=np.arange(len(first), dtype=np.int64),
        first_trace=first_trace,
        receiver_positions=receiver[order],
        trace_file=columns.file[order],
        trace_number=columns.number[order],
        live=~np.isin(columns.headers["trace_kind"][order], DEAD_TRACE_KINDS),
        delay=delay[order],
        component=columns.component[order],
    )
