"""Where arrays lie in memory: halos of zeros, whole vectors in every row.

A row starts at a vector boundary behind a vector of zeros, which is also the halo after the row
before; its length is a whole number of vectors. So a loop over a row may run on to the end of its
last vector, and a stencil may read beyond a box: both meet zeros. Only the slots of a history have
no halo and start undefined; what reads them stays within what was written.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from wavepipe.propagators.stencil.program import Box, Program, lasting, reach

LINE = 64
"""Bytes of a cache line, and of the widest vector."""


@dataclass(frozen=True, slots=True)
class ArrayLayout:
    """One array of one shot: element (i, j) is at ``origin + i strides[0] + j strides[1]``."""

    box: Box
    strides: tuple[int, ...]
    """Elements; 0 along axes the array does not vary along."""
    origin: int
    """Element of index (0, 0, ...), which may lie outside the array."""
    size: int
    """Elements of one shot."""

    def view(self, flat: NDArray[np.generic]) -> NDArray[np.generic]:
        """The box as a writable view of (n_shots, size) memory."""
        start = self.origin + sum(lo * s for (lo, _), s in zip(self.box, self.strides, strict=True))
        shape = (flat.shape[0], *(hi - lo for lo, hi in self.box))
        item = flat.itemsize
        strides = (flat.strides[0], *(s * item for s in self.strides))
        return np.ndarray(shape, flat.dtype, flat, start * item, strides)


def vector_length(itemsize: int) -> int:
    """Elements in a cache line."""
    return LINE // itemsize


def rounded(cells: int, itemsize: int) -> int:
    """`cells` rounded up to whole vectors."""
    vector = vector_length(itemsize)
    return -(-cells // vector) * vector


def field_layout(box: Box, halo: tuple[tuple[int, int], ...], itemsize: int) -> ArrayLayout:
    """Layout of a wavefield or coefficient on `box`, with `halo` rows of zeros around it."""
    vector = vector_length(itemsize)
    lo, hi = box[-1]
    lo = lo // vector * vector  # vectors of a slab are those of the grid
    pitch = vector + rounded(hi - lo, itemsize)
    if len(box) > 1 and pitch * itemsize % 4096 == 0:
        pitch += vector  # rows a page apart would share cache sets
    strides, extent = [1], pitch
    origin = 2 * vector - lo
    for (first, last), (before, after) in zip(box[-2::-1], halo[-2::-1], strict=True):
        strides.insert(0, extent)
        origin += (before - first) * extent
        extent *= last - first + before + after
    return ArrayLayout(box, tuple(strides), origin, extent + 4 * vector)


def profile_layout(cells: int, axis: int, ndim: int, itemsize: int) -> ArrayLayout:
    """Layout of a coefficient that varies along one axis."""
    line = field_layout(((0, cells),), ((0, 0),), itemsize)
    box = tuple((0, cells if a == axis else 1) for a in range(ndim))
    strides = tuple(int(a == axis) for a in range(ndim))
    return ArrayLayout(box, strides, line.origin, line.size)


def slot_layout(shape: tuple[int, ...], itemsize: int) -> ArrayLayout:
    """Layout of one shot's slot of a history: no halo, rows of whole vectors."""
    extents = (*shape[:-1], rounded(shape[-1], itemsize))
    return _packed(tuple((0, n) for n in shape), extents)


def strip_layout(box: Box) -> ArrayLayout:
    """Layout of one shot's strip in a history: its cells and nothing else."""
    return _packed(box, tuple(hi - lo for lo, hi in box))


def _packed(box: Box, extents: tuple[int, ...]) -> ArrayLayout:
    strides = tuple(int(np.prod(extents[a + 1 :])) for a in range(len(box)))
    origin = -sum(lo * stride for (lo, _), stride in zip(box, strides, strict=True))
    return ArrayLayout(box, strides, origin, int(np.prod(extents)))


def layouts(
    programs: Iterable[Program], slots: Iterable[str], itemsize: int
) -> Mapping[str, ArrayLayout]:
    """Layouts of every array of some programs that share them.

    All arrays on the grid get one layout, so that an offset into one serves all of them.
    """
    return _layouts(tuple(programs), tuple(slots), itemsize)


@lru_cache(maxsize=64)
def _layouts(
    programs: tuple[Program, ...], slots: tuple[str, ...], itemsize: int
) -> Mapping[str, ArrayLayout]:
    shape, ndim = programs[0].shape, programs[0].ndim
    found: dict[str, ArrayLayout] = {}
    halo = tuple((n, n) for n in (farthest(programs, axis) for axis in range(ndim)))
    grid = field_layout(programs[0].box, halo, itemsize)
    for program in programs:
        for name, axes in program.coefficients.items():
            if len(axes) < ndim:
                found[name] = profile_layout(shape[axes[0]], axes[0], ndim, itemsize)
            else:
                found[name] = grid
        for name, box in program.fields.items():
            if name in program.strips:
                found[name] = strip_layout(box)
            elif name in program.vanishing:
                found[name] = field_layout(box, _halo(name, box, programs), itemsize)
            else:
                found[name] = grid
    return found | {name: slot_layout(shape, itemsize) for name in slots if name in found}


def state_bytes(programs: Sequence[Program], n_shots: int, itemsize: int) -> int:
    """Fields that live between the steps of some programs that share them, of all shots."""
    layout = layouts(programs, (), itemsize)
    return sum(rounded(layout[n].size, itemsize) for n in lasting(programs)) * n_shots * itemsize


def farthest(programs: Iterable[Program], axis: int) -> int:
    """Cells that any update reads away from its point along an axis."""
    return max(
        (
            abs(offset[axis])
            for program in programs
            for update in program.updates
            for term in update.terms
            for offset in term.offsets
        ),
        default=0,
    )


def _halo(name: str, box: Box, programs: Iterable[Program]) -> tuple[tuple[int, int], ...]:
    """How far beyond its box the programs read a field, per axis and side."""
    halo = [[0, 0] for _ in box]
    for term, update in ((t, u) for p in programs for u in p.updates for t in u.terms):
        if term.field == name:
            read = reach(update.box, term.offsets)
            for sides, (lo, hi), (first, last) in zip(halo, box, read, strict=True):
                sides[0], sides[1] = max(sides[0], lo - first), max(sides[1], last - hi)
    return tuple((low, high) for low, high in halo)
