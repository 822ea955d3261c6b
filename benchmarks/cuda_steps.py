"""Steps of forward sweeps on a card, against what a copy of its memory reaches.

    python -m benchmarks.cuda_steps [--cells 400] [--physics scalar elastic] [--json FILE]

Each row is a grid, order 8, absorbing layers of 20 cells on all faces, and a way to cut the work;
cells are those of the padded grid. It has not run on a card yet.
"""

import argparse
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter

import torch

from wavepipe.propagators.backends.card import Emitted
from wavepipe.propagators.backends.cuda import Cuda
from wavepipe.propagators.backends.cuda_compiler import nvrtc_version
from wavepipe.propagators.backends.cuda_device import CudaDevice, CudaModule
from wavepipe.propagators.backends.cuda_execution import CudaExecution
from wavepipe.propagators.backends.emit_cuda import Tile
from wavepipe.propagators.backends.sweep import Sweep
from wavepipe.propagators.errors import BackendError
from wavepipe.propagators.physics.catalogue import PHYSICS
from wavepipe.propagators.stencil.inline import inlined
from wavepipe.propagators.stencil.page import Page
from wavepipe.propagators.stencil.program import Program
from wavepipe.propagators.stencil.schedule import phases
from wavepipe.propagators.stencil.surroundings import Face

ORDER, LAYER = 8, 20

TILES = {
    2: [Tile(1, 128), Tile(1, 256), Tile(2, 128), Tile(4, 128)],
    3: [
        *(Tile(4, 128, 3, across) for across in (8, 16, 32)),
        *(Tile(2, 256, 2, across) for across in (16, 32)),
        *(Tile(1, 256, 3, across) for across in (16, 32)),
    ],
}


class Cut(CudaDevice):
    """A card with one tile, which it refuses where a kernel spills."""

    def __init__(self, device: torch.device, tile: Tile) -> None:
        super().__init__(device)
        self._tile = tile

    def module(self, ndim: int, dtype: str, emitted: Emitted) -> CudaModule:
        """With the tile that was chosen, whatever is asked for."""
        return super().module(ndim, dtype, lambda _: emitted(self._tile))


def program_of(physics: str, cells: tuple[int, ...]) -> Program:
    """The forward step on a grid of `cells` and layers."""
    slab = LAYER + ORDER // 2
    shape = tuple(n + 2 * LAYER for n in cells)
    page = Page(shape, ORDER, (10.0,) * len(cells), ((Face(slab), Face(slab)),) * len(cells))
    PHYSICS[physics].page(page)
    return inlined(page.program())


def bytes_of(program: Program, itemsize: int) -> float:
    """Bytes a cell and step if every kernel reads and writes each of its arrays once."""
    total = 0.0
    for updates in phases(program.updates, range(program.ndim)):
        boxes: dict[tuple[str, bool], set[tuple[tuple[int, int], ...]]] = {}
        for update in updates:
            boxes.setdefault((update.target, True), set()).add(update.box)
            for name in update.reads():
                if len(program.coefficients.get(name, program.shape)) == program.ndim:
                    boxes.setdefault((name, False), set()).add(update.box)
        whole = math.prod(program.shape)
        for found in boxes.values():
            total += min(1.0, sum(math.prod(h - lo for lo, h in b) for b in found) / whole)
    return total * itemsize


def sweep_of(program: Program, steps: int, place: str) -> Sweep:
    """Steps of noise: zeros take less power, and run at a higher clock."""
    program = program.with_ports((), ())
    coefficients = {}
    for name, axes in program.coefficients.items():
        on_grid = len(axes) == program.ndim
        shape = (1, *program.shape) if on_grid else (program.shape[axes[0]],)
        coefficients[name] = torch.full(shape, 0.1, device=place)
    lasting = program.fields.keys() - program.vanishing - program.local
    noise = {name: torch.randn(1, *program.shape, device=place) for name in sorted(lasting)}
    return Sweep(program, 1, steps, coefficients, {}, {}, torch.float32, initial=noise)


def seconds(work: Callable[[], object], place: str, times: int = 3) -> float:
    """Of the fastest run."""
    found = []
    for _ in range(times + 1):  # the first is a rehearsal
        synchronise(place)
        start = perf_counter()
        work()
        synchronise(place)
        found.append(perf_counter() - start)
    return min(found[1:])


def synchronise(place: str) -> None:
    """Wait until the device has done what it was told."""
    if place != "cpu":
        torch.cuda.synchronize(place)


def copy_bandwidth(place: str, size: int) -> float:
    """Bytes read and written in a second."""
    source = torch.randn(size, device=place)
    target = torch.empty_like(source)
    return 2 * source.nbytes / seconds(lambda: target.copy_(source), place)


def rows(
    physics: str, cells: tuple[int, ...], steps: int, place: str
) -> Iterator[dict[str, object]]:
    """A row for each way to cut the work."""
    program = program_of(physics, cells)
    bandwidth = copy_bandwidth(place, math.prod(program.shape))
    needed = bytes_of(program, 4)
    for tile in TILES[len(cells)]:
        row = {"physics": physics, "cells": program.shape, "tile": repr(tile)}
        try:
            sweep = sweep_of(program, 8 * steps, place)
            execution = Cuda(4, Cut(torch.device(place), tile)).start(sweep)
        except BackendError as error:
            yield {**row, "refused": str(error)}
            continue
        at = iter(range(0, sweep.n_steps, steps))

        def some(execution: CudaExecution = execution, at: Iterator[int] = at) -> None:
            begin = next(at)
            execution.advance(begin, begin + steps)

        rate = steps * math.prod(program.shape) / seconds(some, place)
        yield {
            **row,
            "cells_per_second": rate,
            "copy_bytes_per_second": bandwidth,
            "bytes_needed": needed,
            "part_of_16_bytes": rate * 16 / bandwidth,
            "part_of_bytes_needed": rate * needed / bandwidth,
        }


def main() -> None:
    """Print the table, and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=400, help="along each axis, without layers")
    parser.add_argument("--axes", type=int, default=3)
    parser.add_argument("--steps", type=int, default=64)
    parser.add_argument("--physics", nargs="+", default=["scalar", "elastic"])
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = []
    print(torch.cuda.get_device_name(given.device), torch.__version__, "NVRTC", nvrtc_version())
    for physics in given.physics:
        for row in rows(physics, (given.cells,) * given.axes, given.steps, given.device):
            found.append(row)
            print(*(f"{v:.3g}" if isinstance(v, float) else v for v in row.values()), flush=True)
    if given.json:
        given.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
