"""C source around the steps: the loop over time, points, and the division among threads."""

from collections.abc import Iterable, Sequence

from wavepipe.propagators.backends.source import Source
from wavepipe.propagators.stencil.program import Port, Program

HEADER = """\
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

_SWEEPS = {
    2: [
        "/* Rows of a phase are up to two ranges: both slabs of a layer, or everything. */",
        "static void sweep(phase *run, real *const *A, const long *S, const long *B,",
        "                  const long *r, long part, long parts)",
        "{",
        "  const long n0 = r[1] - r[0], n1 = r[3] - r[2];",
        "  long b, e; share(n0 + n1, part, parts, &b, &e);",
        "  if (b < n0) run(A, S, B, r[0] + b, r[0] + (e < n0 ? e : n0), 0, 1);",
        "  if (e > n0) run(A, S, B, r[2] + (b > n0 ? b - n0 : 0), r[2] + e - n0, 0, 1);",
        "}",
    ],
    3: [
        "/* All phases in one sweep: each runs `reach` planes and rows ahead of the next, so",
        "   what it writes is read while it is cached. Where its planes meet the next thread's, a",
        "   thread first runs the phases with barriers between. Strips of rows keep a stencil's",
        "   planes cached. */",
        "static void lagged(phase *const *run, long m, real *const *A, const long *S,",
        "                   const long *B, const long *n, int team, long part, long parts)",
        "{",
        "  const long planes = n[0], rows = n[1], strip = n[2], reach = n[3];",
        "  long b, e; share(planes, part, parts, &b, &e);",
        "  if (parts > 1 && planes / parts < 2 * (m - 1) * reach + 1) {",
        "    for (long i = 0; i < m; i++) { run[i](A, S, B, b, e, 0, rows); BARRIER }",
        "    return;",
        "  }",
        "  const long edge = parts > 1 ? reach : 0;",
        "  for (long i = 0; parts > 1 && i < m - 1; i++) {",
        "    const long w = (m - 1 - i) * edge;",
        "    run[i](A, S, B, b, b + w, 0, rows);",
        "    run[i](A, S, B, e - w, e, 0, rows);",
        "    BARRIER",
        "  }",
        "  for (long y = 0; y < rows; y += strip)",
        "    for (long z = b - (m - 1) * reach; z < e; z++)",
        "      for (long i = 0; i < m; i++) {",
        "        const long lead = (m - 1 - i) * reach, w = (m - 1 - i) * edge, plane = z + lead;",
        "        if (plane < b + w || plane >= e - w) continue;",
        "        const long first = y ? y + lead : 0;",
        "        const long last = y + strip < rows ? y + strip + lead : rows;",
        "        run[i](A, S, B, plane, plane + 1, first, last < rows ? last : rows);",
        "      }",
        "  BARRIER",
        "}",
    ],
}
"""How one step sweeps the grid."""


def _swap_lines(program: Program, swaps: Iterable[tuple[str, str]], names: list[str]) -> list[str]:
    return [
        f"      {{ real *t = A[{names.index(a)}]; A[{names.index(a)}] = A[{names.index(b)}]; "
        f"A[{names.index(b)}] = t; }}"
        for a, b in swaps
    ]


def _factors(port: Port, names: list[str], place: str) -> str:
    out = "" if port.scale == 1.0 else f" * (real) {port.scale!r}"
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


def _reads(source: Source, names: list[str], *, inner: bool) -> list[str]:
    """Outputs of one kind; what has the same name is added up."""
    lines: list[str] = []
    seen: set[str] = set()
    for number, port in enumerate(source.outputs):
        if port.inner is inner:
            lines += _output_lines(port, number, names, port.name in seen)
            seen.add(port.name)
    return [*lines, "      BARRIER"] if lines else []


def _writes(ports: Sequence[Port], first: int, names: list[str], *, inner: bool) -> list[str]:
    """Inputs of one kind, which have the numbers from `first` on; one after another in a field."""
    lines: list[str] = []
    seen: set[str] = set()
    for number, port in enumerate(ports, start=first):
        if port.inner is inner:
            lines += ["      BARRIER"] if port.field in seen else []
            lines += _input_lines(port, number, names)
            seen.add(port.field)
    return [*lines, "      BARRIER"] if lines else []


def _phase_calls(step: list[str], first_range: int, pad: str, ndim: int) -> list[str]:
    if ndim == 3:
        table = "(phase *const[]){" + ", ".join(step) + "}"
        return [f"{pad}lagged({table}, {len(step)}, A, S, B, I + 6, team, part, parts);"]
    lines = []
    for number, name in enumerate(step):
        lines += [
            f"{pad}sweep({name}, A, S, B, R + {4 * (first_range + number)}, part, parts);",
            f"{pad}BARRIER",
        ]
    return lines


def time_loop(
    source: Source,
    plain: Program,
    sampled: Program | None,
    slots: Sequence[str],
    steps: list[list[str]],
) -> str:
    """The time loop of one shot, and the parallel region over shots or over the grid."""
    names = list(source.arrays)
    n = len(names)
    lines = [
        '#define BARRIER if (team) { _Pragma("omp barrier") }',
        "typedef void phase(real *const *, const long *, const long *,",
        "                   long, long, long, long);",
        *_SWEEPS[plain.ndim],
        "",
        "/* I: n_shots n_steps stride backwards by_shot threads planes rows strip reach */",
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
    lines += _reads(source, names, inner=False)
    lines += _writes(source.inputs, len(source.outputs), names, inner=True)
    lines += _swap_lines(plain, plain.swaps_before, names)
    if sampled is None:
        lines += _phase_calls(steps[0], 0, "      ", plain.ndim)
    else:
        lines += [
            "      if (at_slot) {",
            *_phase_calls(steps[1], len(steps[0]), "        ", plain.ndim),
        ]
        lines += ["      } else {", *_phase_calls(steps[0], 0, "        ", plain.ndim), "      }"]
    lines += _swap_lines(plain, plain.swaps_after, names)
    lines += _reads(source, names, inner=True)
    lines += _writes(source.inputs, len(source.outputs), names, inner=False)
    if source.sum_inputs:
        lines.append("      if (at_slot) {")
        offset = len(source.outputs) + len(source.inputs)
        lines += _writes(source.sum_inputs, offset, names, inner=False)
        lines.append("      }")
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
