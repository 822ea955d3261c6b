"""Arrays of a Zarr store of results: named dimensions, units, NaN where nothing was written yet."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

from wavepipe.pipeline.durable import flush

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

CHUNK_BYTES = 32 * 2**20
"""Largest chunk, in memory."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Dimensions of one array of the store."""

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    chunks: tuple[int, ...]


def create_array(
    group: zarr.Group,
    name: str,
    layout: Layout,
    *,
    dtype: Any = np.float32,
    **attributes: str,
) -> zarr.Array[Any]:
    """One array with named dimensions; NaN where nothing was written yet."""
    floating = dtype is not str and np.issubdtype(dtype, np.floating)
    return group.create_array(
        name,
        shape=layout.shape,
        chunks=tuple(max(1, chunk) for chunk in layout.chunks),
        dtype=dtype,
        fill_value=np.nan if floating else None,
        dimension_names=list(layout.dims),
        attributes=dict(attributes),
    )


def fill_array(
    group: zarr.Group, name: str, values: NDArray[Any], dims: Sequence[str], **attributes: str
) -> None:
    """One array that is known from the start."""
    values = np.asarray(values)
    dtype = str if values.dtype == object else values.dtype
    layout = Layout(tuple(dims), values.shape, values.shape)
    array = create_array(group, name, layout, dtype=dtype, **attributes)
    array[...] = values


def open_array(path: Path, name: str) -> zarr.Array[Any]:
    """An array of the store, to write."""
    return zarr.open_array(path / name, mode="r+")


def flush_store(path: Path, since: float) -> None:
    """Make what was written since some time (s since the epoch) outlive a loss of power."""
    for written in (path, *path.rglob("*")):
        if written.stat().st_mtime >= since:
            flush(written)


def consolidate(path: Path) -> None:
    """Gather the metadata of all arrays, so that opening reads one file."""
    with warnings.catch_warnings():
        # zarr points out that other readers may not know this part; they read on without it.
        warnings.filterwarnings("ignore", message="Consolidated metadata")
        zarr.consolidate_metadata(path)
