"""C source for a pair of programs: a plain step and one that meets a slot of the history.

The source knows dimension, order, spacing, dtype and the structure of boundaries; sizes, strides
and the bounds of boxes are arguments, so one library serves every window of a survey.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

from wavepipe.propagators.backends.emit_driver import header, time_loop
from wavepipe.propagators.backends.emit_points import Part, adding, after, before, reading
from wavepipe.propagators.backends.emit_vectors import shifted, vectors
from wavepipe.propagators.backends.layout import farthest, rounded, vector_length
from wavepipe.propagators.backends.source import Source
from wavepipe.propagators.stencil.linearise import sources_of_sums
from wavepipe.propagators.stencil.program import (
    ONE,
    UNCHANGED,
    Box,
    Monomial,
    Offset,
    Program,
    Term,
    Update,
    contains,
)
from wavepipe.propagators.stencil.schedule import access, links, phases

ITEMSIZE = {"float": 4, "double": 8}

Ahead = tuple[str, int, Box]
"""An array, the plane beyond z of which rows are fetched ahead, and the box on which they are."""


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
    emitter = _Emitter(source, names, slots, plain.ndim, dtype)
    source.inputs, source.outputs = plain.inputs, plain.outputs
    if sampled is not None:
        source.sum_inputs = tuple(p for p in sources_of_sums(sampled) if p.field in slots)
    kinds = [emitter.step(program, index) for index, program in enumerate(programs)]
    source.text = "\n".join(
        [
            header(dtype, names),
            vectors(dtype, plain.ndim, max(farthest(programs, axis=-1), 1)),
            *emitter.functions,
            time_loop(source, plain, slots, kinds),
        ]
    )
    return source


class _Emitter:
    def __init__(
        self, source: Source, names: list[str], slots: tuple[str, ...], ndim: int, dtype: str
    ) -> None:
        self.source, self.names, self.slots = source, names, slots
        self.ndim, self.dtype = ndim, dtype
        self.axes = "zx" if ndim == 2 else "zyx"
        self.functions: list[str] = []

    def step(self, program: Program, index: int) -> list[Part]:
        """Functions of one step, points included, in order."""
        self.program = program
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

    def _bound(self, low: int, high: int) -> tuple[str, str]:
        """Expressions for a pair of bounds: arguments of the code, not constants in it."""
        number = len(self.source.bounds)
        self.source.bounds += (low, high)
        return f"B[{number}]", f"B[{number + 1}]"

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
        for phase in phases(updates, (self.ndim - 1,)):
            groups = grouped(phase, self.program)
            # In 3-D, where memory sets the pace, the longer loops that result are slower.
            for run in sharing_rows(groups) if self.ndim == 2 else [[g] for g in groups]:
                lines += self._rows(run, fetched, "    ")
        lines += ["  }", "}"]
        return "\n".join(lines).replace("REAL", self.dtype)

    def _arrays(self, updates: list[Update]) -> list[str]:
        """Arrays of a phase, and their strides: one set for all that share the grid's layout."""
        used = sorted({n for u in updates for n in (u.target, *u.reads())})
        lines = []
        strides: dict[str, int] = {}
        for n in used:
            i = self.names.index(n)
            lines.append(f"  REAL *restrict {n}_0 = f->A[{i}];")
            if self._varies_on_grid(n):
                strides.setdefault(self._layout(n), i)
        return lines + [
            f"  const long {layout}_s{axis} = S[{i * self.ndim + axis}];"
            for layout, i in strides.items()
            for axis in range(self.ndim - 1)
        ]

    def _rows(self, run: list[list[Update]], fetched: list[Ahead], pad: str) -> list[str]:
        """Loops over x, vector by vector, for groups of updates on the same rows.

        The row is cut where a group begins or ends: the updates of a layer share a loop with the
        interior's, so a derivative that both need is taken once.
        """
        conditions = []
        for axis in range(self.ndim - 1):
            low, high = self._bound(*run[0][0].box[axis])
            index = self.axes[axis]
            conditions.append(f"{index} >= {low} && {index} < {high}")
        names = sorted({n for group in run for u in group for n in (u.target, *u.reads())})
        lines = [f"{pad}if ({' && '.join(conditions)}) {{"]
        inner = pad + "  "
        lines += [
            f"{inner}REAL *restrict {n} = {n}_0 + {self._moves(n, self.axes)};"
            for n in names
            if self._varies_on_grid(n)
        ]
        for number, group in enumerate(run):
            low, high = self._bound(*self._ends(group[0]))
            lines.append(f"{inner}const long low{number} = {low}, high{number} = {high};")
            if self.ndim == 3:
                lines += self._fetch_ahead(group, number, fetched, inner)
        spans = [self._vectors(group[0]) for group in run]
        cuts = sorted({cut for span in spans for cut in span})
        for start, stop in pairwise(cuts):
            low, high = self._bound(start, stop)
            lines.append(f"{inner}for (long x = {low}, end = {high}; x < end; x += LANES) {{")
            lines += self._body(run, spans, (start, stop), inner + "  ")
            lines.append(f"{inner}}}")
        return [*lines, f"{pad}}}"]

    def _ends(self, update: Update) -> tuple[int, int]:
        """Where a row begins and ends: with its last vector, where it may."""
        start, stop = update.box[-1]
        whole = may_overrun(update, self.program)
        return start, rounded(stop, ITEMSIZE[self.dtype]) if whole else stop

    def _vectors(self, update: Update) -> tuple[int, int]:
        """The whole vectors that hold an update's part of a row."""
        start, stop = update.box[-1]
        size = ITEMSIZE[self.dtype]
        return start // vector_length(size) * vector_length(size), rounded(stop, size)

    def _body(
        self,
        run: list[list[Update]],
        spans: list[tuple[int, int]],
        section: tuple[int, int],
        pad: str,
    ) -> list[str]:
        """A vector of every update in a section of the row; all is read before any is written.

        Vectors start at multiples of their length. Where a group begins or ends inside one, what is
        outside keeps its value.
        """
        start, stop = section
        body: list[str] = []
        current: dict[str, str] = {}
        for number, (group, span) in enumerate(zip(run, spans, strict=True)):
            if stop <= span[0] or start >= span[1]:
                continue
            edge = start == span[0] or stop == span[1]
            masked = edge and not may_overrun(group[0], self.program)
            if masked:
                body.append(
                    f"{pad}const mask inside{number} = between(x, low{number}, high{number});"
                )
            for update in group:
                variable, value = f"v{len(body)}", self._value(update, current)
                if masked:
                    old = self._at(update.target, (0,) * self.ndim, current)
                    value = f"chosen(inside{number}, {value}, {old})"
                body.append(f"{pad}const vector {variable} = {value};")
                current[update.target] = variable
        return body + [f"{pad}store({name} + x, {value});" for name, value in current.items()]

    def _fetch_ahead(
        self, group: list[Update], number: int, fetched: list[Ahead], pad: str
    ) -> list[str]:
        """A loop that asks for the next row of every array, a request per cache line.

        In 3-D a row is too short for the processor to foresee the next one in each of some twenty
        streams, so a kernel would wait for memory. Where a stencil reaches along z, the next row is
        wanted of the farthest plane it reads; nearer ones have been read before. What a loop of the
        same rows has asked for is left out. In 2-D rows come from the cache: this would cost.
        """
        box = group[0].box
        planes = {name: 0 for u in group for name in (u.target, *u.reads())}
        for update in group:
            for name, offsets in update.reads().items():
                planes[name] = max(planes[name], *(offset[0] for offset in offsets))
        wanted = [
            (name, plane, box)
            for name, plane in sorted(planes.items())
            if self._varies_on_grid(name)
            and not any(f[:2] == (name, plane) and contains(f[2], box) for f in fetched)
        ]
        fetched += wanted
        requests = [
            f"{pad}  __builtin_prefetch({name} + x + {self._moves(name, (str(plane), '1'))});"
            for name, plane, _ in wanted
        ]
        head = f"{pad}for (long x = low{number}; x < high{number}; x += LINE) {{"
        return [head, *requests, f"{pad}}}"] if requests else []

    def _varies_on_grid(self, name: str) -> bool:
        axes = self.program.coefficients.get(name)
        return axes is None or len(axes) == self.ndim

    def _layout(self, name: str) -> str:
        """Whose strides an array on the grid has."""
        own = name in self.slots or name in self.program.vanishing
        return name if own else "grid"

    def _moves(self, name: str, rows: Sequence[int | str]) -> str:
        """Elements between the first row of an array and another."""
        layout = self._layout(name)
        found = [f"{k} * {layout}_s{axis}" for axis, k in enumerate(rows[: self.ndim - 1]) if k]
        return " + ".join(found)

    def _at(self, name: str, offset: Offset, current: dict[str, str]) -> str:
        """An array at the points of a vector, moved by an offset."""
        if not any(offset) and name in current:
            return current[name]
        if self._varies_on_grid(name):
            moves = self._moves(name, offset)
            place = f"{name} + x + {moves}" if moves else f"{name} + x"
        else:
            (axis,) = self.program.coefficients[name]
            if axis < self.ndim - 1:
                return f"{name}_0[{self.axes[axis]}{_signed(offset[axis])}]"
            place = f"{name}_0 + x"
        return f"{shifted(offset[-1])}({place})"

    def _product(self, factors: Monomial, offset: Offset, current: dict[str, str]) -> list[str]:
        """Factors of a monomial; negative powers as quotients of one."""
        out = []
        for name, power in factors:
            value = self._at(name, offset, current)
            out += [value] * power if power > 0 else [f"({self._number(1.0)} / {value})"] * -power
        return out

    def _value(self, update: Update, current: dict[str, str]) -> str:
        here = (0,) * self.ndim
        parts = []
        if update.keep.number:
            factors = self._product(update.keep.factors, here, current)
            factors.append(self._at(update.target, here, current))
            if update.keep.number != 1.0:
                factors.insert(0, self._number(update.keep.number))
            parts.append(" * ".join(factors))
        by_left: dict[Monomial, list[str]] = {}
        for term in update.terms:
            by_left.setdefault(term.left, []).append(self._taps(term, current))
        for left, sums in by_left.items():
            total = " + ".join(sums)
            if left == ONE:
                parts.append(total)
            else:
                parts.append(" * ".join([*self._product(left, here, current), f"({total})"]))
        return " + ".join(parts) or "(vector) {0}"

    def _taps(self, term: Term, current: dict[str, str]) -> str:
        """The stencil of a term; taps of equal weight are added first."""
        by_weight: dict[float, list[str]] = {}
        for offset, weight in term.taps:
            value = self._at(term.field, offset, current)
            factors = self._product(term.right, offset, current)
            number = term.scale * weight
            sign = "-" if number < 0 else "+"
            by_weight.setdefault(abs(number), []).append(f"{sign} {' * '.join([*factors, value])}")
        parts = []
        for weight, values in by_weight.items():
            total = " ".join(values).removeprefix("+ ")
            if weight == 1.0:
                parts.append(f"({total})")
            else:
                parts.append(f"{self._number(weight)} * ({total})")
        return "(" + " + ".join(parts) + ")"

    def _number(self, value: float) -> str:
        text = repr(float(value))
        return f"({text}f)" if self.dtype == "float" else f"({text})"


def grouped(updates: Sequence[Update], program: Program) -> list[list[Update]]:
    """Updates that share a loop: on the same box, moved as late as their dependences allow."""
    groups: list[list[Update]] = []

    def alike(a: Update, b: Update) -> bool:
        return a.box == b.box and may_overrun(a, program) == may_overrun(b, program)

    for update in reversed(updates):
        for group in groups:
            if alike(group[0], update):
                group.insert(0, update)
                break
            if any(links(update, other) for other in group):
                groups.insert(0, [update])
                break
        else:
            groups.insert(0, [update])
    return groups


def sharing_rows(groups: Sequence[list[Update]]) -> list[list[list[Update]]]:
    """Groups on the same rows together, moved forward past others with which they commute."""
    runs: list[list[list[Update]]] = []
    for group in groups:
        for run in reversed(runs):
            if run[0][0].box[:-1] == group[0].box[:-1]:
                run.append(group)
                break
            if not all(commute(u, v) for other in run for u in other for v in group):
                runs.append([group])
                break
        else:
            runs.append([group])
    return runs


def commute(a: Update, b: Update) -> bool:
    """Whether two updates may change places: one does not see the other, or both only add."""
    add = a.target == b.target and a.keep == b.keep == UNCHANGED
    reads = a.field_reads() | b.field_reads()
    return (add and a.target not in reads) or not links(a, b)


def may_overrun(update: Update, program: Program) -> bool:
    """Whether an update leaves zeros, or values nobody reads, beyond the end of a row.

    It does where a coefficient on the grid, zero there, multiplies every term that reads
    sideways. A sum's values beyond the row are finite and meet such a coefficient later.
    """
    low, high = update.box[-1]
    whole = low == 0 and high == program.shape[-1]
    divides = any(power < 0 for t in update.terms for _, power in (*t.left, *t.right))
    return (
        whole
        and not divides
        and all(
            any(len(program.coefficients.get(n, ())) == program.ndim for n, _ in t.left)
            or not any(offset[-1] for offset in t.offsets)
            or update.target in program.local
            for t in update.terms
        )
    )


def _signed(k: int) -> str:
    return f" + {k}" if k > 0 else f" - {-k}" if k < 0 else ""
