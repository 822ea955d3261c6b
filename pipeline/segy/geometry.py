"""From header integers to coordinates and depths in metres: scalars, units, elevations.

Every choice is returned as a sentence, so that nothing is assumed in silence.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wavepipe.pipeline.errors import SurveyError
from wavepipe.pipeline.segy.headers import STANDARD_SCALARS, apply_scalar
from wavepipe.pipeline.segy.index import Headers

METRES_PER_FOOT = 0.3048
_FEET = 2
_SECONDS_OF_ARC = 2
_DEGREES = 3
_LARGEST_ANGLE = {_SECONDS_OF_ARC: (360 * 3600.0, 90 * 3600.0), _DEGREES: (360.0, 90.0)}
_ANGLE_NAMES = {_SECONDS_OF_ARC: "seconds of arc", _DEGREES: "degrees"}

GEOMETRY_FIELDS = (
    "field_record",
    "source_point",
    "trace_kind",
    "offset",
    "receiver_elevation",
    "source_elevation",
    "source_depth",
    "receiver_datum",
    "source_datum",
    "elevation_scalar",
    "coordinate_scalar",
    "source_x",
    "source_y",
    "receiver_x",
    "receiver_y",
    "coordinate_units",
    "delay",
    "time_scalar",
    "interval",
)
"""Trace header fields that geometry needs."""

Depths = str | Mapping[str, float]
"""'auto', 'elevation', 'depth', or depths in m: {'source': 6, 'receiver': 10}."""

Notes = list[str]


@dataclass(frozen=True, slots=True)
class Points:
    """Horizontal coordinates of sources and receivers, per trace, m."""

    source: NDArray[np.float64]
    """(n_traces, 2): X, Y."""

    receiver: NDArray[np.float64]
    """(n_traces, 2): X, Y."""

    geographic: str
    """'degrees' or 'seconds of arc' where the coordinates are angles, else ''."""


def horizontal_points(
    headers: Headers, measurement_system: int, units: str | None, notes: Notes
) -> Points:
    """Turn coordinate fields into metres.

    Parameters
    ----------
    headers : dict of int32 arrays, (n_traces,)
    measurement_system : int
        Binary header's unit of length: 1 metres, 2 feet.
    units : {None, 'm', 'ft'}
        Overrides what the headers say.
    notes : list of str
        Receives what was assumed.
    """
    scalar = headers["coordinate_scalar"]
    _note_scalar("coordinate scalar (bytes 71-72)", scalar, notes)
    source = _scaled_pair(headers, "source_x", "source_y", scalar)
    receiver = _scaled_pair(headers, "receiver_x", "receiver_y", scalar)
    geographic = "" if units else _geographic_unit(headers, source, receiver, notes)
    factor = 1.0 if geographic else length_factor(measurement_system, units, notes)
    return Points(factor * source, factor * receiver, geographic)


def length_factor(measurement_system: int, units: str | None, notes: Notes) -> float:
    """Return metres per unit of length of a file, noting feet and overrides."""
    if units == "m":
        notes.append("lengths are metres, as asked")
        return 1.0
    if units == "ft":
        notes.append("lengths are feet, as asked, converted to metres")
        return METRES_PER_FOOT
    if units is not None:
        message = f"survey.coordinate_units {units!r} does not exist; use 'm' or 'ft'."
        raise SurveyError(message)
    if measurement_system == _FEET:
        notes.append("lengths are feet (bytes 3255-3256 are 2), converted to metres")
        return METRES_PER_FOOT
    return 1.0


def _scaled_pair(
    headers: Headers, x: str, y: str, scalar: NDArray[np.int32]
) -> NDArray[np.float64]:
    return np.stack([apply_scalar(headers[x], scalar), apply_scalar(headers[y], scalar)], axis=-1)


def _note_scalar(what: str, scalar: NDArray[np.int32], notes: Notes) -> None:
    values = np.unique(scalar)
    if len(values) == 1 and values[0] == 0:
        notes.append(f"{what} is 0, read as 1")
    elif len(values) > 1:
        listed = ", ".join(str(value) for value in values[:6])
        notes.append(f"{what} differs between traces ({listed}); each trace's own is applied")
    odd = [int(value) for value in values if abs(value) not in STANDARD_SCALARS]
    if odd:
        notes.append(f"{what} {odd[0]} is not a power of ten; applied as it is")


def _geographic_unit(
    headers: Headers,
    source: NDArray[np.float64],
    receiver: NDArray[np.float64],
    notes: Notes,
) -> str:
    """Believe a geographic unit only where the values can be angles."""
    stated = np.unique(headers["coordinate_units"])
    angles = [int(unit) for unit in stated if int(unit) in _LARGEST_ANGLE]
    if not angles:
        return ""
    unit = angles[0]
    points = np.concatenate([source, receiver])
    largest = np.abs(points).max(axis=0)
    fits = (largest[0] <= _LARGEST_ANGLE[unit][0]) and (largest[1] <= _LARGEST_ANGLE[unit][1])
    distance = np.hypot(*(receiver - source).T)
    offset = np.abs(headers["offset"])
    known = (offset > 0) & (distance > 0)
    metric = bool(known.any()) and bool(
        np.median(np.abs(distance[known] - offset[known]) / offset[known]) < 0.1
    )
    if fits and largest.min() > 0 and not metric:
        notes.append(
            f"coordinates are {_ANGLE_NAMES[unit]} (bytes 89-90 are {unit} and the values fit)"
        )
        return _ANGLE_NAMES[unit]
    notes.append(
        f"coordinate units field (bytes 89-90) is {unit} ({_ANGLE_NAMES[unit]}) but the values "
        f"are not angles (|X| up to {largest[0]:g}, |Y| up to {largest[1]:g}); read as metres"
    )
    return ""


def depths_below_datum(
    headers: Headers, depths: Depths, factor: float, notes: Notes
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Depths of sources and receivers below the datum, positive down.

    Parameters
    ----------
    headers : dict of int32 arrays, (n_traces,)
    depths : str or mapping
        'auto', 'elevation', 'depth', or {'source': m, 'receiver': m}.
    factor : float
        Metres per unit of length.
    notes : list of str
        Receives the choice made.

    Returns
    -------
    source, receiver : float64 arrays, (n_traces,), m

    Notes
    -----
    With surface elevation E (bytes 45-48 or 41-44) and source depth D below the surface (bytes
    49-52), z = D - E. Marine files often leave D at 0 and put the depth in the elevation fields,
    as a negative elevation or as a positive depth; 'auto' tells these apart by their signs.
    """
    n_traces = len(headers["elevation_scalar"])
    if isinstance(depths, Mapping):
        return _given_depths(depths, n_traces, notes)
    if depths not in ("auto", "elevation", "depth"):
        message = (
            f"survey.depths {depths!r} does not exist; use auto, elevation, depth, or "
            "{source: 6, receiver: 10} in m."
        )
        raise SurveyError(message)
    scalar = headers["elevation_scalar"]
    _note_scalar("elevation scalar (bytes 69-70)", scalar, notes)
    below, source, receiver = (
        factor * apply_scalar(headers[name], scalar)
        for name in ("source_depth", "source_elevation", "receiver_elevation")
    )
    # A positive value beside a depth below the surface, a datum, or a negative value elsewhere is
    # an elevation, of the ground say. Without any of these, positive values are depths.
    surface = (
        bool(np.any((below != 0) & (source > 0)))
        or bool(np.any(headers["source_datum"]) or np.any(headers["receiver_datum"]))
        or min(float(source.min()), float(receiver.min())) < 0
    )
    source_sign = _sign(source, "source", "45-48", depths, surface, notes)
    receiver_z = receiver * _sign(receiver, "receiver", "41-44", depths, surface, notes)
    used = below != 0
    source_z = np.where(used, below, source_sign * source)
    if used.any():
        ground = np.zeros_like(headers["source_elevation"])
        if surface or depths == "elevation":
            ground = np.maximum(headers["source_elevation"], 0)
        # Subtracted before scaling, so that whole units stay exact.
        below_datum = factor * apply_scalar(headers["source_depth"] - ground, scalar)
        source_z = np.where(used, below_datum, source_z)
        share = "" if used.all() else f" in the {int(used.sum())} of {n_traces} traces that have it"
        reference = ", below the source's surface elevation" if np.any(ground) else ""
        notes.append(f"source depths from bytes 49-52{share}{reference}")
    return source_z + 0.0, receiver_z + 0.0


def _sign(
    values: NDArray[np.float64],
    what: str,
    where: str,
    depths: str,
    surface: bool,
    notes: Notes,
) -> float:
    """Decide whether values point up (-1: elevations) or down (+1: depths)."""
    field = f"{what} elevation field (bytes {where})"
    if not values.any():
        notes.append(f"{field} is 0 in all traces")
        return 1.0
    if depths != "auto":
        notes.append(f"{field} read as {depths}, as asked")
        return 1.0 if depths == "depth" else -1.0
    if values.max() <= 0:
        notes.append(f"{field} is negative: elevations, so depths are {_range(-values)}")
        return -1.0
    if values.min() < 0:
        notes.append(f"{field} has both signs: elevations, so depths are {_range(-values)}")
        return -1.0
    if surface:
        notes.append(
            f"{field} is positive beside source depths, datum or negative elevations: surface "
            f"elevations, so depths are {_range(-values)} (negative is above the datum)"
        )
        return -1.0
    notes.append(
        f"{field} is positive and nothing else speaks of surface elevations: depths, "
        f"{_range(values)}"
    )
    return 1.0


def _range(values: NDArray[np.float64]) -> str:
    low, high = float(values.min()) + 0.0, float(values.max()) + 0.0
    return f"{low:g} m" if low == high else f"{low:g} to {high:g} m"


def _given_depths(
    depths: Mapping[str, float], n_traces: int, notes: Notes
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if set(depths) != {"source", "receiver"}:
        message = (
            f"survey.depths has keys {sorted(depths)}; it needs exactly source and receiver, in m."
        )
        raise SurveyError(message)
    notes.append(
        f"depths as asked: sources {depths['source']:g} m, receivers {depths['receiver']:g} m"
    )
    return (
        np.full(n_traces, float(depths["source"])),
        np.full(n_traces, float(depths["receiver"])),
    )
