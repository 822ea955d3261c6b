"""C source for a pair of programs: a plain step and one that meets a slot of the history.

The source knows dimension, order, spacing, dtype and the structure of boundaries; sizes, strides
and the bounds of boxes are arguments, so one library serves every window of a survey.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from wavepipe.propagators.stencil.linearise import sources_of_sums
from wavepipe.propagators.stencil.program import (
    ONE,
    Monomial,
    Offset,
    Port,
    Program,
    Term,
    Update,
)
from wavepipe.propagators.stencil.schedule import links, phases

INDEX = "zyx"


@dataclass
class Source:
    """Emitted text, and what the caller has to pass along with it."""

    text: str
    arrays: tuple[str, ...]
    """Order of the array pointers and strides."""
    bounds: list[tuple[Update, int]] = field(default_factory=list)
    """Order of the bounds: (update, axis) pairs, low and high each."""
    ranges: list[list[Update]] = field(default_factory=list)
    """Updates of every phase: their boxes' union along axis 0 is the phase's range."""
    inputs: tuple[Port, ...] = ()
    sum_inputs: tuple[Port, ...] = ()
    outputs: tuple[Port, ...] = ()


def emit(
    plain: Program, sampled: Program | None, slots: Sequence[str], dtype: str
) -> Source:
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
            _HEADER.replace("REAL", dtype),
            *emitter.functions,
            _driver(source, plain, sampled, slots, steps, names),
        ]
    )
    return source


class _Emitter:
    def __init__(self, source: Source, names: list[str], ndim: int, dtype: str) -> None:
        self.source, self.names, self.ndim, self.dtype = source, names, ndim, dtype
        self.axes = "zx" if ndim == 2 else "zyx"
        self.functions: list[str] = []
        self.grid_axes: dict[str, int] = {}

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

    def _bound(self, update: Update, axis: int) -> tuple[str, str]:
        """Expressions for the low and high bound of an update's box."""
        number = len(self.source.bounds)
        self.source.bounds.append((update, axis))
        return f"B[{2 * number}]", f"B[{2 * number + 1}]"

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
                for axis in range(self.ndim - 1):
                    lines.append(f"  const long {n}_s{axis} = S[{i * self.ndim + axis}];")
        lines.append("  for (long z = z_begin; z < z_end; z++)")
        if self.ndim == 3:
            lines.append("  for (long y = y_begin; y < y_end; y++)")
        lines.append("  {")
        for phase in phases(updates, (self.ndim - 1,)):
            for group in grouped(phase):
                lines += self._row(group, "    ")
        lines += ["  }", "}"]
        text = "\n".join(lines).replace("REAL", self.dtype)
        return text

    def _row(self, group: list[Update], pad: str) -> list[str]:
        """One loop over x for updates on one box."""
        first = group[0]
        conditions = []
        for axis in range(self.ndim - 1):
            low, high = self._bound(first, axis)
            index = self.axes[axis]
            conditions.append(f"{index} >= {low} && {index} < {high}")
        low, high = self._bound(first, self.ndim - 1)
        names = sorted({n for u in group for n in (u.target, *u.reads())})
        row = [f"{pad}if ({' && '.join(conditions)}) {{"]
        inner = pad + "  "
        for n in names:
            if self._varies_on_grid(n):
                offset = " + ".join(
                    f"{self.axes[a]} * {n}_s{a}" for a in range(self.ndim - 1)
                )
                row.append(f"{inner}REAL *restrict {n} = {n}_0 + {offset};")
        row += [
            f"{inner}const long last = {high};",
            "#pragma omp simd",
            f"{inner}for (long x = {low}; x < last; x++) {{",
        ]
        current: dict[str, str] = {}
        for number, update in enumerate(group):
            value = self._value(update, current)
            variable = f"v{number}"
            row.append(f"{inner}  const REAL {variable} = {value};")
            current[update.target] = variable
        row += [f"{inner}  {name}[x] = {variable};" for name, variable in current.items()]
        row += [f"{inner}}}", f"{pad}}}"]
        return row

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
        moves = "".join(
            f" + {k} * {name}_s{axis}" for axis, k in enumerate(offset[:-1]) if k
        )
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
            if abs(number) in by_weight and not any(offset):
                number = number * 1.0
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


def grouped(updates: Sequence[Update]) -> list[list[Update]]:
    """Updates that share a loop: the same box, moved as late as their dependences allow."""
    groups: list[list[Update]] = []
    for update in reversed(updates):
        for group in groups:
            if group[0].box == update.box:
                group.insert(0, update)
                break
            if any(links(update, other) for other in group):
                groups.insert(0, [update])
                break
        else:
            groups.insert(0, [update])
    return groups


def _signed(k: int) -> str:
    return f" + {k}" if k > 0 else f" - {-k}" if k < 0 else ""


_HEADER = """\
#include <stddef.h>
#include <omp.h>
#if defined(__SSE2__)
#include <immintrin.h>
#endif

typedef REAL real;

/* Points of a port: CSR over points (outputs) or over cells (inputs). */
typedef struct {
  const long *first;    /* (n_shots + 1): rows of each shot */
  const long *rowptr;   /* (n_rows + 1) */
  const long *offset;   /* outputs: (n_entries), inputs: (n_rows): element of the field's array */
  const long *place;    /* inputs: (n_rows): element of the grid's arrays */
  const int *column;    /* inputs: (n_entries) point of each entry */
  const real *weight;   /* (n_entries) */
  real *data;           /* (n_steps, n_points) */
  long n_points;
} points;

static inline unsigned flush_denormals(void)
{
#if defined(__SSE2__)
  const unsigned mode = _mm_getcsr();
  _mm_setcsr(mode | 0x8040);
  return mode;
#else
  return 0;
#endif
}

static inline void restore_denormals(unsigned mode)
{
#if defined(__SSE2__)
  _mm_setcsr(mode);
#endif
}

static inline void share(long n, long part, long parts, long *begin, long *end)
{
  *begin = n * part / parts;
  *end = n * (part + 1) / parts;
}
"""


def _swap_lines(program: Program, swaps: Iterable[tuple[str, str]], names: list[str]) -> list[str]:
    return [
        f"      {{ real *t = A[{names.index(a)}]; A[{names.index(a)}] = A[{names.index(b)}]; "
        f"A[{names.index(b)}] = t; }}"
        for a, b in swaps
    ]


def _factors(port: Port, names: list[str], place: str) -> str:
    out = ""
    for name, power in port.factors:
        value = f"A[{names.index(name)}][{place}]"
        out += f" * {value}" * power if power > 0 else f" / {value}" * -power
    return out


def _output_lines(port: Port, number: int, names: list[str], accumulate: bool) -> list[str]:
    field = names.index(port.field)
    sign = "+=" if accumulate else "="
    return [
        "      {",
        f"        const points *q = &P[{number}];",
        "        long b, e; share(q->first[shot + 1] - q->first[shot], part, parts, &b, &e);",
        "        for (long i = q->first[shot] + b; i < q->first[shot] + e; i++) {",
        "          real sum = 0;",
        "          for (long k = q->rowptr[i]; k < q->rowptr[i + 1]; k++)",
        f"            sum += q->weight[k] * A[{field}][q->offset[k]]"
        f"{_factors(port, names, 'q->offset[k]')};",
        f"          q->data[t * q->n_points + i] {sign} sum;",
        "        }",
        "      }",
    ]


def _input_lines(port: Port, number: int, names: list[str]) -> list[str]:
    field = names.index(port.field)
    return [
        "      {",
        f"        const points *q = &P[{number}];",
        "        long b, e; share(q->first[shot + 1] - q->first[shot], part, parts, &b, &e);",
        "        for (long i = q->first[shot] + b; i < q->first[shot] + e; i++) {",
        "          real sum = 0;",
        "          for (long k = q->rowptr[i]; k < q->rowptr[i + 1]; k++)",
        "            sum += q->weight[k] * q->data[t * q->n_points + q->column[k]];",
        f"          A[{field}][q->offset[i]] += sum{_factors(port, names, 'q->place[i]')};",
        "        }",
        "      }",
    ]


def _phase_calls(step: list[str], first_range: int, pad: str) -> list[str]:
    lines = []
    for number, name in enumerate(step):
        lines += [
            f"{pad}sweep({name}, A, S, B, R + {4 * (first_range + number)}, I[6], I[7], "
            "part, parts);",
            f"{pad}BARRIER",
        ]
    return lines


def _driver(
    source: Source,
    plain: Program,
    sampled: Program | None,
    slots: Sequence[str],
    steps: list[list[str]],
    names: list[str],
) -> str:
    """The time loop of one shot, and the parallel region over shots or over the grid."""
    n = len(names)
    lines = [
        "#define BARRIER if (team) { _Pragma(\"omp barrier\") }",
        "typedef void phase(real *const *, const long *, const long *, long, long, long, long);",
        "/* Planes of a phase are up to two ranges: both slabs of a layer, or everything. A thread",
        "   takes its share of planes in strips of rows, so that a stencil's planes stay in cache. */",
        "static void sweep(phase *run, real *const *A, const long *S, const long *B,",
        "                  const long *r, long rows, long strip, long part, long parts)",
        "{",
        "  const long n0 = r[1] - r[0], n1 = r[3] - r[2];",
        "  long b, e; share(n0 + n1, part, parts, &b, &e);",
        "  for (long y = 0; y < rows; y += strip) {",
        "    const long y_end = y + strip < rows ? y + strip : rows;",
        "    if (b < n0) run(A, S, B, r[0] + b, r[0] + (e < n0 ? e : n0), y, y_end);",
        "    if (e > n0) run(A, S, B, r[2] + (b > n0 ? b - n0 : 0), r[2] + e - n0, y, y_end);",
        "  }",
        "}",
        "",
        "/* I: n_shots n_steps stride backwards by_shot threads rows strip */",
        "static void propagate(long shot, int team, long part, long parts, const long *I,",
        "                      real *const *base, const long *per_shot, const long *per_slot,",
        "                      const long *S, const long *B, const long *R, const points *P)",
        "{",
        f"  real *A[{n}];",
        f"  for (int i = 0; i < {n}; i++) A[i] = base[i] + shot * per_shot[i];",
        "  for (long step = 0; step < I[1]; step++) {",
        "    const long t = I[3] ? I[1] - 1 - step : step;",
    ]
    if sampled is not None:
        lines += ["    const int at_slot = t % I[2] == 0;", "    if (at_slot) {"]
        for name in slots:
            i = names.index(name)
            lines.append(
                f"      A[{i}] = base[{i}] + shot * per_shot[{i}] + t / I[2] * per_slot[{i}];"
            )
        lines.append("    }")
    lines.append("    {")
    seen: set[str] = set()
    for number, port in enumerate(source.outputs):
        lines += _output_lines(port, number, names, port.name in seen)
        seen.add(port.name)
    if source.outputs:
        lines.append("      BARRIER")
    lines += _swap_lines(plain, plain.swaps_before, names)
    if sampled is None:
        lines += _phase_calls(steps[0], 0, "      ")
    else:
        lines += ["      if (at_slot) {", *_phase_calls(steps[1], len(steps[0]), "        ")]
        lines += ["      } else {", *_phase_calls(steps[0], 0, "        "), "      }"]
    lines += _swap_lines(plain, plain.swaps_after, names)
    offset = len(source.outputs)
    for number, port in enumerate(source.inputs):
        lines += _input_lines(port, offset + number, names)
    offset += len(source.inputs)
    if source.sum_inputs:
        lines.append("      if (at_slot) {")
        for number, port in enumerate(source.sum_inputs):
            lines += _input_lines(port, offset + number, names)
        lines.append("      }")
    if source.inputs:
        lines.append("      BARRIER")
    lines += [
        "    }",
        "  }",
        "}",
        "",
        "void run(const long *I, real *const *base, const long *per_shot, const long *per_slot,",
        "         const long *S, const long *B, const long *R, const points *P)",
        "{",
        "  long next = 0;",
        "  #pragma omp parallel num_threads(I[5])",
        "  {",
        "    const unsigned mode = flush_denormals();",
        "    if (I[4]) {",
        "      for (;;) {",
        "        long shot;",
        "        #pragma omp atomic capture",
        "        shot = next++;",
        "        if (shot >= I[0]) break;",
        "        propagate(shot, 0, 0, 1, I, base, per_shot, per_slot, S, B, R, P);",
        "      }",
        "    } else {",
        "      for (long shot = 0; shot < I[0]; shot++)",
        "        propagate(shot, 1, omp_get_thread_num(), omp_get_num_threads(), I, base,",
        "                  per_shot, per_slot, S, B, R, P);",
        "    }",
        "    restore_denormals(mode);",
        "  }",
        "}",
    ]
    return "\n".join(lines) + "\n"
