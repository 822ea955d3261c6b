"""C source around the parts of a step: the sweep over space and time, and the division of work.

A sweep takes a block of several steps at once. Each part of each step runs some rows behind the one
before it, as far as its stencils reach, so cells make all steps of a block while they are
in the cache. That changes no bits: every part sees what it would see step by step.
"""

from collections.abc import Sequence

from wavepipe.propagators.backends.denormals import DENORMALS
from wavepipe.propagators.backends.emit_points import GATHER, POINTS, Part
from wavepipe.propagators.backends.source import Source
from wavepipe.propagators.stencil.program import Program, Swap
from wavepipe.propagators.stencil.schedule import lag_of_next_step, lags

MOST_STEPS = 4
"""Of a block; more have not been faster."""

HEADER = """\
#include <omp.h>

typedef REAL real;

POINTS
/* What the parts of one step are given. */
typedef struct {
  real *A[ARRAYS];
  const long *S, *B;
  const points *P;
  long shot, planes, t, k;
} frame;

/* A part of a step on planes z and lines y, and how many rows it stays behind the step's first. */
typedef void part_of_step(const frame *, long, long, long, long);
typedef struct { part_of_step *run; long lag; } part_entry;
typedef struct { part_of_step *run; const frame *f; long lag; } task;

DENORMALS
static inline void share(long n, long part, long parts, long *begin, long *end)
{
  *begin = n * part / parts;
  *end = n * (part + 1) / parts;
}
"""

_SWEEP = """\
#define BARRIER if (parts > 1) { _Pragma("omp barrier") }
#define LEAST(a, b) ((a) < (b) ? (a) : (b))
#define MOST(a, b) ((a) > (b) ? (a) : (b))

/* All tasks in one sweep. A thread has the planes b ... e - 1; where they meet another's, it first
   runs the tasks one by one, on fewer planes each, until what is left needs nobody else. Strips of
   lines keep the planes between the first task and the last in the cache. */
static void sweep(const task *tasks, long m, const long *n, long part, long parts)
{
  const long planes = n[0], lines = n[1], strip = n[2], band = n[3];
  const long total = tasks[m - 1].lag;
  long b, e; share(planes, part, parts, &b, &e);
  if (parts > 1 && planes / parts < 2 * total + 1) {
    for (long i = 0; i < m; i++) {
      tasks[i].run(tasks[i].f, b, e, 0, lines);
      BARRIER
    }
    return;
  }
  const int low = part > 0, high = part < parts - 1;
  for (long i = 0; parts > 1 && i < m; i++) {
    const long lead = total - tasks[i].lag;
    if (lead && low) tasks[i].run(tasks[i].f, b, b + lead, 0, lines);
    if (lead && high) tasks[i].run(tasks[i].f, e - lead, e, 0, lines);
    BARRIER
  }
  for (long y = 0; y < lines; y += strip)
    for (long z = b - total; z < e; z += band)
      for (long i = 0; i < m; i++) {
        const long lead = total - tasks[i].lag;
        const long from = MOST(z + lead, b + low * lead);
        const long to = LEAST(z + lead + band, e - high * lead);
        if (from >= to) continue;
        const long first = y ? y + lead : 0;
        const long last = y + strip < lines ? LEAST(y + strip + lead, lines) : lines;
        if (first < last) tasks[i].run(tasks[i].f, from, to, first, last);
      }
  BARRIER
}
"""


def header(dtype: str, names: Sequence[str]) -> str:
    """Types and small functions that everything else uses."""
    text = HEADER.replace("POINTS", POINTS).replace("DENORMALS", DENORMALS).replace("REAL", dtype)
    return text.replace("ARRAYS", str(len(names)))


def time_loop(
    source: Source,
    plain: Program,
    slots: Sequence[str],
    kinds: Sequence[Sequence[Part]],
) -> str:
    """The time loop of one shot, and the parallel region over shots or over the grid.

    Parameters
    ----------
    plain
        The step where the history has no slot.
    slots
        Arrays that are slots of the history.
    kinds
        Parts of the plain step and, where there is a history, of the one that meets a slot.
    """
    names = list(source.arrays)
    accesses = [[part.access for part in parts] for parts in kinds]
    between = (*plain.swaps_after, *plain.swaps_before)
    most = max(len(parts) for parts in kinds)
    source.lag = lag_of_next_step(accesses, between)
    lines = [_SWEEP, GATHER]
    for index, (parts, touched) in enumerate(zip(kinds, accesses, strict=True)):
        table = ", ".join(
            f"{{{p.function}, {lag}}}" for p, lag in zip(parts, lags(touched), strict=True)
        )
        lines.append(f"static const part_entry step{index}[] = {{ {table} }};")
    lines += [
        f"static const long lag_of_step = {source.lag};",
        "",
        "/* I: n_shots n_steps begin end block stride backwards by_shot threads, then",
        "   planes lines strip band, first_slot of those in memory. Runs the steps",
        "   begin ... end - 1 of a shot. */",
        "static void propagate(long shot, long part, long parts, const long *I,",
        "                      real *const *base, const long *per_shot, const long *per_slot,",
        "                      const long *S, const long *B, const points *P)",
        "{",
        f"  real *A[{len(names)}];",
        f"  frame frames[{MOST_STEPS}];",
        f"  task tasks[{MOST_STEPS * most}];",
        f"  for (int i = 0; i < {len(names)}; i++) A[i] = base[i] + shot * per_shot[i];",
        *_swaps_so_far((*plain.swaps_before, *plain.swaps_after), names),
        "  for (long step = I[2]; step < I[3]; step += I[4]) {",
        "    const long steps = LEAST(I[4], I[3] - step);",
        "    long m = 0;",
        "    for (long k = 0; k < steps; k++) {",
        "      frame *f = &frames[k];",
        "      const long t = I[6] ? I[1] - 1 - step - k : step + k;",
        *_swap_lines(plain.swaps_before, names),
        f"      for (int i = 0; i < {len(names)}; i++) f->A[i] = A[i];",
        "      f->S = S; f->B = B; f->P = P;",
        "      f->shot = shot; f->planes = I[9]; f->t = t; f->k = k;",
        *(
            f"      f->A[{i}] = base[{i}] + shot * per_shot[{i}]"
            f" + (t - I[13] * I[5]) * per_slot[{i}];"
            for i in map(names.index, sorted(plain.strips))
        ),
        "      const part_entry *entry = step0;",
        "      long count = sizeof step0 / sizeof *step0;",
    ]
    if len(kinds) > 1:
        lines += [
            "      if (t % I[5] == 0) {",
            "        entry = step1;",
            "        count = sizeof step1 / sizeof *step1;",
        ]
        lines += [
            f"        f->A[{i}] = base[{i}] + shot * per_shot[{i}]"
            f" + (t / I[5] - I[13]) * per_slot[{i}];"
            for i in map(names.index, slots)
        ]
        lines.append("      }")
    lines += [
        "      for (long i = 0; i < count; i++)",
        "        tasks[m++] = (task) {entry[i].run, f, entry[i].lag + k * lag_of_step};",
        *_swap_lines(plain.swaps_after, names),
        "    }",
        "    sweep(tasks, m, I + 9, part, parts);",
    ]
    seen: set[str] = set()
    for number, port in enumerate(source.outputs):
        more = int(port.name in seen)
        lines.append(f"    gather(&P[{number}], {more}, frames, steps, part, parts);")
        seen.add(port.name)
    lines += ["    BARRIER"] if source.outputs else []
    lines += [
        "  }",
        "}",
        "",
        "void run(const long *I, real *const *base, const long *per_shot, const long *per_slot,",
        "         const long *S, const long *B, const points *P)",
        "{",
        "  long next = 0;",
        "  #pragma omp parallel num_threads(I[8])",
        "  {",
        "    const unsigned mode = flush_denormals();",
        "    if (I[7]) {",
        "      for (;;) {",
        "        long shot;",
        "        #pragma omp atomic capture",
        "        shot = next++;",
        "        if (shot >= I[0]) break;",
        "        propagate(shot, 0, 1, I, base, per_shot, per_slot, S, B, P);",
        "      }",
        "    } else {",
        "      for (long shot = 0; shot < I[0]; shot++)",
        "        propagate(shot, omp_get_thread_num(), omp_get_num_threads(), I, base,",
        "                  per_shot, per_slot, S, B, P);",
        "    }",
        "    restore_denormals(mode);",
        "  }",
        "}",
    ]
    return "\n".join(lines) + "\n"


def _swap_lines(swaps: Sequence[Swap], names: list[str], pad: str = "      ") -> list[str]:
    return [
        f"{pad}{{ real *t = A[{names.index(a)}]; A[{names.index(a)}] = A[{names.index(b)}]; "
        f"A[{names.index(b)}] = t; }}"
        for a, b in swaps
    ]


def _swaps_so_far(swaps: Sequence[Swap], names: list[str]) -> list[str]:
    """Swaps of the steps before the first of this call."""
    if not swaps:
        return []
    return [
        "  for (long step = 0; step < I[2]; step++) {",
        *_swap_lines(swaps, names, "    "),
        "  }",
    ]
