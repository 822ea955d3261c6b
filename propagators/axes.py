"""Names of axes and faces: z, (y,) x, and z0, z1, (y0, y1,) x0, x1."""

from functools import cache


def axis_name(axis: int, ndim: int) -> str:
    """Letter of an axis of a 2-D (z, x) or 3-D (z, y, x) grid."""
    return "zx"[axis] if ndim == 2 else "zyx"[axis]


@cache
def face_names(ndim: int) -> tuple[str, ...]:
    """Low and high face of every axis, in order."""
    return tuple(f"{axis_name(axis, ndim)}{side}" for axis in range(ndim) for side in (0, 1))
