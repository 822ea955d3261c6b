"""Points of a sweep as CUDA kernels want them: entries of points and of cells, on the device."""

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wavepipe.propagators.backends.layout import ArrayLayout
from wavepipe.propagators.backends.sweep import Points, Sweep
from wavepipe.propagators.stencil.program import Box, Port


class OutputStruct(ctypes.Structure):
    """Mirror of `output_points` in the emitted code."""

    _fields_ = [
        *((n, ctypes.c_void_p) for n in ("rowptr", "offset", "shot", "weight", "data")),
        ("count", ctypes.c_int),
        ("first", ctypes.c_int),
    ]


class InputStruct(ctypes.Structure):
    """Mirror of `input_points`."""

    _fields_ = [
        *((n, ctypes.c_void_p) for n in ("rowptr", "offset", "shot", "weight", "data")),
        *((n, ctypes.c_void_p) for n in ("place", "column")),
        ("count", ctypes.c_int),
        ("first", ctypes.c_int),
        ("columns", ctypes.c_int),
        ("unused", ctypes.c_int),
    ]


@dataclass(frozen=True, slots=True)
class PortArrays:
    """Points of a port on the device."""

    count: int
    """Points of an output, cells of an input."""
    arrays: Mapping[str, Tensor]
    """By name in the struct."""
    columns: int = 0
    """Points of an input."""


def output_arrays(port: Port, sweep: Sweep, layout: ArrayLayout, recorded: Tensor) -> PortArrays:
    """Entries of every point, in the order in which they are given; those outside are left out."""
    points = sweep.outputs[port.name]
    owners, cells, weights = _inside(points, sweep.box_of(port.field))
    rowptr = np.searchsorted(owners, np.arange(points.count + 1))
    shots = np.searchsorted(points.first, np.arange(points.count), side="right") - 1
    found = {"rowptr": rowptr, "offset": _elements(cells, layout), "shot": shots}
    return PortArrays(points.count, _on_device(found, weights, sweep, recorded))


def input_arrays(
    port: Port, field: str, sweep: Sweep, layouts: Mapping[str, ArrayLayout]
) -> PortArrays:
    """Entries of every cell that points touch, in the order of the points of its shot."""
    injection = sweep.inputs[port.name]
    points, data = injection.points, injection.amplitudes.detach().contiguous()
    owners, cells, weights = _inside(points, sweep.box_of(port.field))
    shots = np.searchsorted(points.first, owners, side="right") - 1
    elements = _elements(cells, layouts[field])
    order = np.lexsort((owners, elements, shots))
    pairs = np.stack([shots, elements])[:, order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = np.any(np.diff(pairs), axis=0)
    starts = np.flatnonzero(new)
    grid = next((n for n, _ in port.factors), field)
    found = {
        "rowptr": np.append(starts, len(order)),
        "offset": pairs[1, starts],
        "shot": pairs[0, starts],
        "place": _elements(cells, layouts[grid])[order][starts],
        "column": owners[order],
    }
    return PortArrays(len(starts), _on_device(found, weights[order], sweep, data), points.count)


def _inside(
    points: Points, box: Box
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Point, cell and weight of the entries that lie in a box."""
    low, high = np.array(box).T
    inside = np.all((points.cells >= low) & (points.cells < high), axis=-1)
    owners = np.repeat(np.arange(points.count), np.diff(points.rowptr))
    return owners[inside], points.cells[inside].astype(np.int64), points.weights[inside]


def _elements(cells: NDArray[np.int64], layout: ArrayLayout) -> NDArray[np.int64]:
    found: NDArray[np.int64] = cells @ np.array(layout.strides, dtype=np.int64)
    return found


def _on_device(
    found: Mapping[str, NDArray[Any]], weights: NDArray[np.float64], sweep: Sweep, data: Tensor
) -> dict[str, Tensor]:
    arrays = {
        name: torch.from_numpy(np.ascontiguousarray(one, dtype=np.int32)).to(data.device)
        for name, one in found.items()
    }
    return {
        **arrays,
        "weight": torch.from_numpy(weights).to(device=data.device, dtype=sweep.dtype),
        "data": data,
    }
