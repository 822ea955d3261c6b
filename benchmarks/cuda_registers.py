"""Registers of the kernels of a forward step, and the bytes it moves; no card is needed.

    python -m benchmarks.cuda_registers [--physics scalar elastic] [--architecture sm_90]

Order 8 on 400^3 cells with layers of 20, as benchmarks.cuda_steps measures it: for each way to cut
the work what NVRTC's ptxas says of every kernel. Bytes are of a cell of the padded grid, each array
counted once where a kernel reads or writes it. A minute of one core for each physics.
"""

import argparse

from benchmarks.cuda_steps import bytes_of, program_of
from wavepipe.propagators.backends.cuda_compiler import build, nvrtc_version
from wavepipe.propagators.backends.emit_cuda import Tile, emit, tiles
from wavepipe.propagators.stencil.program import Program

CELLS = (400, 400, 400)

REGISTERS, THREADS, WARP = 65536, 2048, 32
"""Of a multiprocessor, from sm_80 to sm_100."""

GRAIN = 8
"""Registers that a thread gets at once."""


def warps(registers: int, tile: Tile) -> int:
    """Of a kernel that a multiprocessor holds."""
    each = -(-registers // GRAIN) * GRAIN * tile.threads
    blocks = min(REGISTERS // each, THREADS // tile.threads)
    return blocks * tile.threads // WARP


def lines(program: Program, tile: Tile, architecture: str) -> list[str]:
    """A line for each kernel."""
    found = build(emit(program, None, (), "float", tile).text, architecture)
    return [
        f"  {usage.kernel:24}{usage.registers:4} registers {usage.spilled:4} bytes spilled "
        f"{warps(usage.registers, tile):3} warps"
        for usage in sorted(found.usages, key=lambda usage: usage.kernel)
    ]


def main() -> None:
    """Print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--physics", nargs="+", default=["scalar", "elastic"])
    parser.add_argument("--architecture", default="sm_90")
    given = parser.parse_args()
    print("NVRTC", *nvrtc_version(), given.architecture)
    for physics in given.physics:
        program = program_of(physics, CELLS)
        print(f"{physics}: {bytes_of(program, 4):.1f} bytes a cell and step")
        for tile in tiles(3, "float"):
            print(tile, *lines(program, tile, given.architecture), sep="\n", flush=True)


if __name__ == "__main__":
    main()
