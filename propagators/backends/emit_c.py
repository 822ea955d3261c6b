"""C source for a pair of programs: a plain step and one that meets a slot of the history.

The source knows dimension, order, spacing, dtype and the structure of boundaries; sizes, strides
and the bounds of boxes are arguments, so one library serves every window of a survey.
"""

from collections.abc import Sequence
from functools import lru_cache

from wavepipe.propagators.backends.emit_driver import HEADER, VECTORS, time_loop
from wavepipe.propagators.backends.layout import rounded
from wavepipe.propagators.backends.source import Source
from wavepipe.propagators.stencil.linearise import sources_of_sums
from wavepipe.propagators.stencil.program import (
    ONE,
    Monomial,
    Offset,
    Program,
    Term,
    Update,
)
from wavepipe.propagators.stencil.schedule import links, phases

ITEMSIZE = {"float": 4, "double": 8}


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
    emitter = _Emitter(source, names, plain.ndim, dtype)
    steps = [emitter.step(program, index) for index, program in enumerate(programs)]
    source.inputs, source.outputs = plain.inputs, plain.outputs
    if sampled is not None:
        source.sum_inputs = tuple(p for p in sources_of_sums(sampled) if p.field in slots)
    source.text = "\n".join(
        [
            HEADER.replace("REAL", dtype),
            VECTORS[plain.ndim],
            *emitter.functions,
            time_loop(source, plain, sampled, slots, steps),
        ]
    )
    return source


class _Emitter:
    def __init__(self, source: Source, names: list[str], ndim: int, dtype: str) -> None:
        self.source, self.names, self.ndim, self.dtype = source, names, ndim, dtype
        self.axes = "zx" if ndim == 2 else "zyx"
        self.functions: list[str] = []

    def step(self, program: Program, index: int) -> list[str]:
        """Functions of the phases of one step; their names in order."""
        self.program = program
        calls = []
        for number, phase in enumerate(phases(program.updates, range(self.ndim - 1))):
            name = f"step{index}_phase{number}"
            self.functions.append(self._phase(name, phase))
            self.source.ranges.append(phase)
            calls.append(name)
        return calls

    def _bound(self, low: int, high: int) -> tuple[str, str]:
        """Expressions for a pair of bounds: arguments of the code, not constants in it."""
        number = len(self.source.bounds)
        self.source.bounds += (low, high)
        return f"B[{number}]", f"B[{number + 1}]"

    def _phase(self, name: str, updates: list[Update]) -> str:
        used = sorted({n for u in updates for n in (u.target, *u.reads())})
        lines = [
            f"static void {name}(REAL *const *A, const long *S, const long *B, "
            "long z_begin, long z_end, long y_begin, long y_end)",
            "{",
        ]
        for n in used:
            i = self.names.index(n)
            lines.append(f"  REAL *restrict {n}_0 = A[{i}];")
            if self._varies_on_grid(n):
                lines += [
                    f"  const long {n}_s{axis} = S[{i * self.ndim + axis}];"
                    for axis in range(self.ndim - 1)
                ]
        lines.append("  for (long z = z_begin; z < z_end; z++)")
        if self.ndim == 3:
            lines.append("  for (long y = y_begin; y < y_end; y++)")
        lines.append("  {")
        for phase in phases(updates, (self.ndim - 1,)):
            for group in grouped(phase, self.program):
                lines += self._row(group, "    ")
        lines += ["  }", "}"]
        return "\n".join(lines).replace("REAL", self.dtype)

    def _row(self, group: list[Update], pad: str) -> list[str]:
        """One loop over x for updates on one box."""
        first = group[0]
        conditions = []
        for axis in range(self.ndim - 1):
            low, high = self._bound(*first.box[axis])
            index = self.axes[axis]
            conditions.append(f"{index} >= {low} && {index} < {high}")
        names = sorted({n for u in group for n in (u.target, *u.reads())})
        row = [f"{pad}if ({' && '.join(conditions)}) {{"]
        inner = pad + "  "
        for n in names:
            if self._varies_on_grid(n):
                offset = " + ".join(f"{self.axes[a]} * {n}_s{a}" for a in range(self.ndim - 1))
                row.append(f"{inner}REAL *restrict {n} = {n}_0 + {offset};")
        row += self._loop(first, inner)
        current: dict[str, str] = {}
        for number, update in enumerate(group):
            value = self._value(update, current)
            variable = f"v{number}"
            row.append(f"{inner}  const REAL {variable} = {value};")
            current[update.target] = variable
        row += [f"{inner}  {name}[x] = {variable};" for name, variable in current.items()]
        row += [f"{inner}}}", f"{pad}}}"]
        return row

    def _loop(self, update: Update, pad: str) -> list[str]:
        """Head of the loop along a row.

        A slab's length is a constant, so that it unrolls; a whole row goes on to the end of its
        last vector where it may.
        """
        start, stop = update.box[-1]
        if stop - start < self.program.shape[-1] - 2:  # two faces may be free
            low, _ = self._bound(start, stop)
            return [
                f"{pad}const long first = {low};",
                "#pragma omp simd",
                f"{pad}for (long i = 0; i < {stop - start}; i++) {{",
                f"{pad}  const long x = first + i;",
            ]
        if may_overrun(update, self.program):
            stop = start + rounded(stop - start, ITEMSIZE[self.dtype])
        low, high = self._bound(start, stop)
        return [
            f"{pad}const long last = {high};",
            "#pragma omp simd",
            f"{pad}for (long x = {low}; x < last; x++) {{",
        ]

    def _varies_on_grid(self, name: str) -> bool:
        axes = self.program.coefficients.get(name)
        return axes is None or len(axes) == self.ndim

    def _at(self, name: str, offset: Offset, current: dict[str, str]) -> str:
        """An array at the point, moved by an offset."""
        if not any(offset) and name in current:
            return current[name]
        if not self._varies_on_grid(name):
            (axis,) = self.program.coefficients[name]
            return f"{name}_0[{self.axes[axis]}{_signed(offset[axis])}]"
        moves = "".join(f" + {k} * {name}_s{axis}" for axis, k in enumerate(offset[:-1]) if k)
        return f"{name}[x{moves}{_signed(offset[-1])}]"

    def _product(self, factors: Monomial, offset: Offset, current: dict[str, str]) -> list[str]:
        """Factors of a monomial; negative powers as quotients of one."""
        out = []
        for name, power in factors:
            value = self._at(name, offset, current)
            out += [value] * power if power > 0 else [f"(1 / {value})"] * -power
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
        return " + ".join(parts) or "0"

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
