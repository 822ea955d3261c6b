"""Where the fields of SEG-Y headers lie, as tables, and the scalars that apply to them.

Byte numbers count from 1, as in the SEG-Y standard: within the trace header for `TRACE_FIELDS`,
within the file for `BINARY_FIELDS`.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

TEXT_BYTES = 3200
BINARY_BYTES = 400
FILE_HEADER_BYTES = TEXT_BYTES + BINARY_BYTES
TRACE_HEADER_BYTES = 240

TRACE_FIELDS: dict[str, tuple[int, str]] = {
    "trace_in_line": (1, "i4"),
    "trace_in_file": (5, "i4"),
    "field_record": (9, "i4"),
    "trace_in_record": (13, "i4"),
    "source_point": (17, "i4"),
    "cdp": (21, "i4"),
    "trace_in_cdp": (25, "i4"),
    "trace_kind": (29, "i2"),
    "offset": (37, "i4"),
    "receiver_elevation": (41, "i4"),
    "source_elevation": (45, "i4"),
    "source_depth": (49, "i4"),
    "receiver_datum": (53, "i4"),
    "source_datum": (57, "i4"),
    "source_water_depth": (61, "i4"),
    "receiver_water_depth": (65, "i4"),
    "elevation_scalar": (69, "i2"),
    "coordinate_scalar": (71, "i2"),
    "source_x": (73, "i4"),
    "source_y": (77, "i4"),
    "receiver_x": (81, "i4"),
    "receiver_y": (85, "i4"),
    "coordinate_units": (89, "i2"),
    "delay": (109, "i2"),
    "n_samples": (115, "u2"),
    "interval": (117, "u2"),
    "cdp_x": (181, "i4"),
    "cdp_y": (185, "i4"),
    "inline": (189, "i4"),
    "crossline": (193, "i4"),
    "unit": (203, "i2"),
    "time_scalar": (215, "i2"),
}
"""Trace header: name -> (first byte, type)."""

BINARY_FIELDS: dict[str, tuple[int, str]] = {
    "job": (3201, "i4"),
    "line": (3205, "i4"),
    "reel": (3209, "i4"),
    "traces_per_ensemble": (3213, "i2"),
    "interval": (3217, "u2"),
    "interval_recorded": (3219, "u2"),
    "n_samples": (3221, "u2"),
    "n_samples_recorded": (3223, "u2"),
    "format": (3225, "i2"),
    "ensemble_fold": (3227, "i2"),
    "sorting": (3229, "i2"),
    "measurement_system": (3255, "i2"),
    "extended_n_samples": (3269, "i4"),
    "extended_interval": (3273, "f8"),
    "byte_order_mark": (3297, "u4"),
    "revision_major": (3501, "u1"),
    "revision_minor": (3502, "u1"),
    "fixed_length": (3503, "i2"),
    "n_extended_text": (3505, "i2"),
    "extra_trace_headers": (3507, "i4"),
    "n_traces": (3513, "u8"),
    "first_trace_offset": (3521, "u8"),
}
"""Binary file header, with the fields revision 2 adds: name -> (first byte in the file, type)."""

COORDINATE_FIELDS = ("source_x", "source_y", "receiver_x", "receiver_y", "cdp_x", "cdp_y")
ELEVATION_FIELDS = ("receiver_elevation", "source_elevation", "source_depth")

BYTE_ORDER_MARK = 0x01020304

STANDARD_SCALARS = (0, 1, 10, 100, 1000, 10000)
"""Sizes of scalars the standard allows."""

DEAD_TRACE_KINDS = (2, 3)
"""Trace identification codes of dead and dummy traces."""

AUXILIARY_TRACE_KINDS = (4, 5, 6, 7, 8, 9)
"""Trace identification codes of traces that are no seismic record: time break, sweep, ..."""

TRACE_KINDS = {"pressure": 11, "vz": 12, "vy": 13, "vx": 14}
"""Trace identification code written per component: hydrophone, vertical, cross-line, in-line."""


class Doubt(str):
    """An assumption that a user should see: jobs print it as a warning."""

    __slots__ = ()


ByteOrder = str
"""'>' for big-endian (most significant byte first, the standard's order), '<' for little."""


def trace_header_dtype(
    byte_order: ByteOrder, names: Iterable[str], trace_bytes: int = TRACE_HEADER_BYTES
) -> np.dtype[np.void]:
    """Make a structured type that lays `names` over a trace of `trace_bytes` bytes.

    Examples
    --------
    >>> trace_header_dtype(">", ["source_x"]).fields["source_x"][1]
    72
    """
    chosen = list(names)
    return np.dtype(
        {
            "names": chosen,
            "formats": [byte_order + TRACE_FIELDS[name][1] for name in chosen],
            "offsets": [TRACE_FIELDS[name][0] - 1 for name in chosen],
            "itemsize": trace_bytes,
        }
    )


def binary_header_dtype(byte_order: ByteOrder) -> np.dtype[np.void]:
    """Make a structured type of the 400-byte binary file header."""
    return np.dtype(
        {
            "names": list(BINARY_FIELDS),
            "formats": [byte_order + kind for _, kind in BINARY_FIELDS.values()],
            "offsets": [first - 1 - TEXT_BYTES for first, _ in BINARY_FIELDS.values()],
            "itemsize": BINARY_BYTES,
        }
    )


def apply_scalar(values: ArrayLike, scalar: ArrayLike) -> NDArray[np.float64]:
    """Apply SEG-Y scalars: 0 means 1, a positive one multiplies, a negative one divides.

    Examples
    --------
    >>> apply_scalar([125, 125, 125], [-10, 0, 10]).tolist()
    [12.5, 125.0, 1250.0]
    """
    scaled = np.asarray(values, dtype=np.float64)
    factor = np.asarray(scalar, dtype=np.float64)
    multiply = np.where(factor > 0, factor, 1.0)
    divide = np.where(factor < 0, -factor, 1.0)
    return np.asarray(scaled * multiply / divide)


def choose_scalar(values: ArrayLike, resolution: float = 1e-6) -> int:
    """Choose the SEG-Y scalar that stores `values` to `resolution`, or as finely as 4 bytes allow.

    Parameters
    ----------
    values : float array, m
    resolution : float, m

    Returns
    -------
    int
        1, -10, ... -10000 (to divide by), or 10, 100, ... where the values are too large.
    """
    finite = np.abs(np.asarray(values, dtype=np.float64)).ravel()
    largest = float(finite.max(initial=0.0))
    limit = float(np.iinfo(np.int32).max)
    for multiplier in (10, 100, 1000, 10000):
        if limit * (multiplier // 10) < largest <= limit * multiplier:
            return multiplier
    for divisor in (1, 10, 100, 1000, 10000):
        if largest * divisor > limit:
            return -(divisor // 10) if divisor > 10 else 1
        scaled = finite * divisor
        if np.all(np.abs(scaled - np.rint(scaled)) <= resolution * divisor):
            return -divisor if divisor > 1 else 1
    return -10000


def to_header_integers(values: ArrayLike, scalar: int) -> NDArray[np.int32]:
    """Return the integers that `apply_scalar` turns back into `values` (m)."""
    factor = float(scalar) if scalar > 0 else 1.0 / float(-scalar or 1)
    return np.rint(np.asarray(values, dtype=np.float64) / factor).astype(np.int32)
