"""C source for a pair of programs: a plain step and one that meets a slot of the history.

The source knows dimension, order, spacing, dtype and the structure of boundaries; sizes, strides
and the bounds of boxes are arguments, so one library serves every window of a survey.
"""

from collections.abc import Mapping
from functools import lru_cache

from wavepipe.propagators.backends.emit_driver import header, time_loop
from wavepipe.propagators.backends.emit_points import Part, adding, after, before, reading
from wavepipe.propagators.backends.emit_rows import ITEMSIZE, Ahead, RowLoop, blocks, grouped, loops
from wavepipe.propagators.backends.emit_strips import copied
from wavepipe.propagators.backends.emit_values import Values
from wavepipe.propagators.backends.emit_vectors import vectors
from wavepipe.propagators.backends.layout import LINE, ArrayLayout, farthest, layouts
from wavepipe.propagators.backends.source import Source
from wavepipe.propagators.stencil.program import Program, Update
from wavepipe.propagators.stencil.schedule import access, phases


@lru_cache(maxsize=64)
def emit(plain: Program, sampled: Program | None, slots: tuple[str, ...], dtype: str) -> Source:
    """The library for a sweep.

    Parameters
    ----------
    plain, sampled
        The step, and the step where the history has a slot.
    slots
        Arrays that are slots of the history.
    dtype
        ``float`` or ``double``.
    """
    programs = [plain] if sampled is None else [plain, sampled]
    names = sorted({n for p in programs for n in (*p.fields, *p.coefficients)})
    source = Source("", tuple(names))
    places = layouts(programs, slots, ITEMSIZE[dtype])
    emitter = _Emitter(source, names, places, dtype)
    source.inputs, source.outputs = plain.inputs, plain.outputs
    if sampled is not None:
        source.sum_inputs = tuple(p for p in sampled.sum_inputs if p.field in slots)
    kinds = [emitter.step(program, index) for index, program in enumerate(programs)]
    source.text = "\n".join(
        [
            header(dtype, names),
            vectors(dtype, max(farthest(programs, axis=-1), 1)),
            *emitter.functions,
            time_loop(source, plain, slots, kinds),
        ]
    )
    return source


class _Emitter:
    def __init__(
        self,
        source: Source,
        names: list[str],
        places: Mapping[str, ArrayLayout],
        dtype: str,
    ) -> None:
        self.source, self.names, self.dtype = source, names, dtype
        first: dict[ArrayLayout, str] = {}
        self.alike = {name: first.setdefault(places[name], name) for name in names}
        self.ndim = len(places[names[0]].box)
        self.functions: list[str] = []

    def step(self, program: Program, index: int) -> list[Part]:
        """Functions of one step, points included, in order."""
        self.program, self.values = program, Values(program, self.alike, self.dtype)
        parts = self._points(index, inner=False, outputs=True)
        parts += self._points(index, inner=True, outputs=False)
        rows = range(self.ndim - 1)
        for number, phase in enumerate(phases(program.updates, rows)):
            name = f"step{index}_phase{number}"
            self.functions.append(self._phase(name, phase))
            parts.append(Part(name, access(phase, rows)))
        parts += self._points(index, inner=True, outputs=True)
        parts += self._points(index, inner=False, outputs=False)
        return parts

    def _points(self, index: int, *, inner: bool, outputs: bool) -> list[Part]:
        """The function for the ports of one kind, if there are any."""
        first = 0 if outputs else len(self.source.outputs)
        ports = list(self.source.outputs if outputs else self.source.inputs)
        if not outputs and not inner and index == 1:
            ports += self.source.sum_inputs
        name = before if inner is not outputs else after
        numbered = [
            (number, port, name(port, self.program))
            for number, port in enumerate(ports, start=first)
            if port.inner is inner
        ]
        if not numbered:
            return []
        kind = f"{'inner' if inner else 'outer'}_{'outputs' if outputs else 'inputs'}"
        make = reading if outputs else adding
        part, text = make(f"step{index}_{kind}", numbered, self.program, self.names)
        self.functions.append(text)
        return [part]

    def _phase(self, name: str, updates: list[Update]) -> str:
        lines = [
            f"static void {name}(const frame *f, "
            "long z_begin, long z_end, long y_begin, long y_end)",
            "{",
            "  const long *S = f->S, *B = f->B;",
            *self._arrays(updates),
            "  for (long z = z_begin; z < z_end; z++)",
        ]
        if self.ndim == 3:
            lines.append("  for (long y = y_begin; y < y_end; y++)")
        lines.append("  {")
        fetched: list[Ahead] = []
        for together in phases(updates, (self.ndim - 1,)):
            strips = self.program.strips
            copies = [u for u in together if strips & {u.target, *u.field_reads()}]
            others = [u for u in together if u not in copies]
            lines += copied(copies, self.values, self.source.bounds, "    ")
            found = blocks(grouped(others, self.program, LINE // ITEMSIZE[self.dtype]))
            for loop in loops(found, self.ndim):
                lines += RowLoop(loop, self.values, self.source.bounds, fetched).lines("    ")
        lines += ["  }", "}"]
        return "\n".join(lines).replace("REAL", self.dtype)

    def _arrays(self, updates: list[Update]) -> list[str]:
        """Arrays of a phase, and their strides: one set for all that share the grid's layout."""
        used = sorted({n for u in updates for n in (u.target, *u.reads())})
        lines = [f"  REAL *restrict {n}_0 = f->A[{self.names.index(n)}];" for n in used]
        on_grid = (n for n in used if self.values.varies_on_grid(n))
        return lines + [
            f"  const long {like}_s{axis} = S[{self.names.index(like) * self.ndim + axis}];"
            for like in dict.fromkeys(self.alike[n] for n in on_grid)
            for axis in range(self.ndim - 1)
        ]
