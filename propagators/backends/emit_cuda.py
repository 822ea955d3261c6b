"""CUDA C++ for a pair of programs: a plain step and one that meets a slot of the history.

A step is a list of kernels: points that are read, a kernel for each phase of the updates, points
that are added. Sizes, strides, boxes and how they are cut into blocks are arguments, so one source
serves every window of a survey; weights, dimension, order and the structure of boundaries are in
the source.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from wavepipe.propagators.backends.emit_cuda_cells import Bounds, RegionCode
from wavepipe.propagators.backends.emit_cuda_points import (
    STRUCTS,
    NumberedPort,
    adding,
    reading,
    rounds,
)
from wavepipe.propagators.backends.emit_cuda_regions import Region, everywhere, launches
from wavepipe.propagators.backends.emit_cuda_values import CellValues, Columns, columns
from wavepipe.propagators.backends.emit_points import after, before
from wavepipe.propagators.backends.layout import ArrayLayout, layouts
from wavepipe.propagators.stencil.program import Box, Port, Program, Update
from wavepipe.propagators.stencil.schedule import phases

ITEMSIZE = {"float": 4, "double": 8}

GROUP = 32
"""Threads that read one point; it decides the order of a sum."""


@dataclass(frozen=True, slots=True)
class Tile:
    """How a kernel's work is cut. It is fixed with a plan: a compiler may round differently."""

    lanes: int
    """Cells of a thread along x: 1, 2 or 4, at most 16 bytes."""
    threads: int
    """Of a block; a multiple of `GROUP`."""
    blocks: int = 1
    """Blocks that a multiprocessor should at least hold: bounds the registers of a thread."""
    across: int = 32
    """Threads along x, a power of two; the others are lines, whose stencils share cells."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """One launch of a step, and what it has to be given."""

    name: str
    arrays: tuple[str, ...]
    """Pointers, then elements between shots."""
    slots: tuple[str, ...] = ()
    """Those of the arrays that are slots: elements between slots."""
    strided: tuple[str, ...] = ()
    """Arrays whose strides stand for all of their layout."""
    bounds: tuple[int, ...] = ()
    boxes: tuple[Box, ...] = ()
    """Regions that have blocks of their own."""
    beside: bool = False
    """Whether blocks go to regions in turn."""
    ports: tuple[tuple[Port, str], ...] = ()
    """Points that it meets, with the arrays they meet."""
    reads: bool = False
    """Whether the points are outputs."""


@dataclass
class CudaSource:
    """Emitted text, and the kernels of the plain step and of the one that meets a slot."""

    text: str
    tile: Tile
    steps: list[list[Kernel]] = field(default_factory=list)


def tiles(ndim: int, dtype: str) -> tuple[Tile, ...]:
    """Ways to cut the work, the fastest first where no register spills.

    A 2-D grid has few cells for the threads of a card.
    """
    widest = 16 // ITEMSIZE[dtype]
    if ndim == 2:
        return Tile(1, 256, 2), Tile(1, 128, 3), Tile(1, 128, 2)
    cuts = ((4, 3), (2, 3), (2, 2), (1, 3), (1, 2))
    return tuple(Tile(lanes, 128, blocks, 16) for lanes, blocks in cuts if lanes <= widest)


@lru_cache(maxsize=64)
def emit(
    plain: Program, sampled: Program | None, slots: tuple[str, ...], dtype: str, tile: Tile
) -> CudaSource:
    """The source for a sweep; see `emit_c.emit`."""
    programs = [plain] if sampled is None else [plain, sampled]
    emitter = _Emitter(layouts(programs, slots, ITEMSIZE[dtype]), slots, dtype)
    source = CudaSource("", tile)
    for index, program in enumerate(programs):
        sums = [p for p in program.sum_inputs if p.field in slots] if index else []
        source.steps.append(emitter.step(program, f"step{index}", plain, sums))
    source.text = "\n".join([prelude(dtype, tile, plain.ndim), STRUCTS, *emitter.text])
    return source


def prelude(dtype: str, tile: Tile, ndim: int) -> str:
    """What stands in front of every kernel."""
    head = [f"typedef {dtype} real;"]
    head += [f"#define {n.upper()} {getattr(tile, n)}" for n in ("lanes", "threads", "blocks")]
    head += [f"#define GROUP {GROUP}", f"#define NDIM {ndim}"]
    return "\n".join([*head, Path(__file__).with_name("cuda_cells.h").read_text()])


class _Emitter:
    def __init__(self, places: Mapping[str, ArrayLayout], slots: Sequence[str], dtype: str) -> None:
        self.places, self.slots, self.dtype = places, slots, dtype
        first: dict[ArrayLayout, str] = {}
        self.alike = {name: first.setdefault(places[name], name) for name in sorted(places)}
        self.text: list[str] = []

    def step(
        self, program: Program, name: str, ports: Program, sums: Sequence[Port]
    ) -> list[Kernel]:
        """Kernels of one step in order."""
        self.program, self.name = program, name
        found = phases(program.updates, range(program.ndim))
        kernels = self._points("outputs", [p for p in ports.outputs if not p.inner], before)
        kernels += self._points("inner_inputs", [p for p in ports.inputs if p.inner], before)
        for number, updates in enumerate(found):
            later = [u for phase in found[number + 1 :] for u in phase]
            kernels += self._phase(f"{name}_phase{number}", updates, later)
        kernels += self._points("inner_outputs", [p for p in ports.outputs if p.inner], after)
        outer = [*(p for p in ports.inputs if not p.inner), *sums]
        return kernels + self._points("inputs", outer, after)

    def _fresh(self) -> frozenset[str]:
        """Locals whose first update in a step forgets what they were, and which stay inside it."""
        program, first = self.program, dict[str, Update]()
        for update in program.updates:
            first.setdefault(update.target, update)
        forgets = {
            name
            for name, update in first.items()
            if update.keep.number == 0.0 and update.box == program.fields[name]
        }
        seen = {p.field for p in (*program.inputs, *program.outputs)} | {*self.slots}
        return frozenset(forgets & program.local - seen - program.strips)

    def _points(self, kind: str, ports: Sequence[Port], name: object) -> list[Kernel]:
        """The kernels for the ports of one kind, if there are any."""
        assert callable(name)
        pairs = [(port, name(port, self.program)) for port in ports]
        reads = kind.endswith("outputs")
        kernels = []
        for number, together in enumerate([pairs] if reads and pairs else rounds(pairs)):
            kernel = f"{self.name}_{kind}{number}"
            arrays = sorted({n for p, f in together for n in (f, *(c for c, _ in p.factors))})
            slots = tuple(n for n in arrays if n in self.slots)
            struct = "output_points" if reads else "input_points"
            self._arguments(kernel, arrays, slots, [f"{struct} points[{len(together)}];"])
            numbered = [NumberedPort(i, p, f) for i, (p, f) in enumerate(together)]
            self.text += reading(kernel, numbered) if reads else adding(kernel, numbered, slots)
            kernels.append(Kernel(kernel, tuple(arrays), slots, ports=tuple(together), reads=reads))
        return kernels

    def _phase(self, name: str, updates: Sequence[Update], later: Sequence[Update]) -> list[Kernel]:
        """The kernels of updates that do not depend on each other across cells."""
        passing = self._passing(updates, later)
        found = launches(updates, self._values({}, Bounds()))
        return [
            self._kernel(f"{name}_{number}" if number else name, of_kernel, beside, passing)
            for number, (of_kernel, beside) in enumerate(found)
        ]

    def _kernel(
        self, name: str, found: Sequence[Region], beside: bool, passing: frozenset[str]
    ) -> Kernel:
        """The kernel of some regions."""
        bounds, body = Bounds(), list[str]()
        values, updates = self._values({}, bounds), [u for r in found for u in r.updates]
        used = {n for u in updates for n in (u.target, *u.reads())} - passing
        arrays, targets = sorted(used), {u.target for u in updates}
        for number, region in enumerate(found):
            own = {n for u in region.updates for n in (u.target, *u.reads())} - passing
            kept = columns(everywhere(region), values)
            kept = {n: planes for n, planes in kept.items() if n not in targets}
            code = RegionCode(region, self._values(kept, bounds), bounds, passing)
            body += [
                f"DEVICE void {name}_region{number}(const {name}_arguments &a)",
                "{",
                "  place at;",
                f"  if (!find(a.regions[{number}], at)) return;",
                "  const long long shot = blockIdx.y;",
                *(self._pointer(n, n in targets) for n in sorted(own)),
                *code.lines("  "),
                "}",
                "",
            ]
        body += [f"DEVICE void {name}_cells(const {name}_arguments &a)", "{"]
        for number in range(len(found) - 1):
            test = f"blockIdx.x < (unsigned) a.regions[{number + 1}].first"
            if beside:
                test = f"blockIdx.x % {len(found)} == {number}"
            body.append(f"  if ({test}) return {name}_region{number}(a);")
        body += [f"  {name}_region{len(found) - 1}(a);", "}", "", f"ONE_PHASE({name})"]
        slots = tuple(n for n in arrays if n in {*self.slots, *self.program.strips})
        strided = tuple(sorted({self.alike[n] for n in used if values.varies_on_grid(n)}))
        axes = range(self.program.ndim - 1)
        ints = [f"int {n}_s{axis};" for n in strided for axis in axes]
        ints += [f"int bounds[{max(1, len(bounds.values))}];", f"region regions[{len(found)}];"]
        self._arguments(name, arrays, slots, ints)
        self.text += body
        boxes = tuple(region.box for region in found)
        return Kernel(
            name, tuple(arrays), slots, strided, tuple(bounds.values or [0]), boxes, beside
        )

    def _passing(self, updates: Sequence[Update], later: Sequence[Update]) -> frozenset[str]:
        """Locals that a phase writes and nothing else reads."""
        read = {n for u in later for n in (u.target, *u.reads())}
        return frozenset({u.target for u in updates} & self._fresh() - read)

    def _values(self, kept: Columns, bounds: Bounds) -> CellValues:
        return CellValues(self.program, self.alike, self.dtype, kept, bounds.pair)

    def _pointer(self, name: str, written: bool) -> str:
        kind = "real" if written else "const real"
        slot = ""
        if name in self.slots:
            slot = f" + slot_of(a.clock, a.k) * a.{name}_slot"
        if name in self.program.strips:
            slot = f" + strip_of(a.clock, a.k) * a.{name}_slot"
        return f"  {kind} *__restrict__ {name} = a.{name} + shot * a.{name}_shot{slot};"

    def _arguments(
        self, kernel: str, arrays: Sequence[str], slots: Sequence[str], more: Sequence[str]
    ) -> None:
        """What a kernel is given: pointers, distances in elements, the clock, and numbers."""
        self.text += [
            f"struct {kernel}_arguments {{",
            *(f"  real *{n};" for n in arrays),
            *(f"  long long {n}_shot;" for n in arrays),
            *(f"  long long {n}_slot;" for n in slots),
            "  const int *clock;",
            "  int k;",
            *(f"  {line}" for line in more),
            "};",
            "",
        ]
