"""C source of the points of a step: where receivers read, and where sources are added.

Points are cut into rows: what a point has on one line of the grid. A sweep meets a row when it
passes that line, so points are parts of a step like any other; what the rows of a point have read
is added up afterwards, in an order that no division of the grid changes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from wavepipe.propagators.stencil.program import (
    Monomial,
    Port,
    Program,
    Swap,
    Term,
    Update,
    rename_after,
)
from wavepipe.propagators.stencil.schedule import Access, access

POINTS = """\
/* Points of a port, by the rows they have on lines of the grid. */
typedef struct {
  const long *plane;    /* (n_shots * planes + 1): first row on each plane of each shot */
  const long *line;     /* (n_rows): y */
  const long *rowptr;   /* (n_rows + 1) */
  const long *offset;   /* outputs: (n_entries), inputs: (n_rows): element of the field's array */
  const long *place;    /* inputs: (n_rows): element of the grid's arrays */
  const int *column;    /* inputs: (n_entries): point of each entry */
  const real *weight;   /* (n_entries) */
  real *data;           /* (n_steps, n_points) */
  real *partial;        /* outputs: (steps of a block, n_rows) */
  const long *first;    /* outputs: (n_shots + 1): points of each shot */
  const long *rows;     /* outputs: (n_points + 1): rows of each point, */
  const long *row;      /* outputs: (n_rows): listed */
  long n_points, n_rows;
} points;
"""

GATHER = """\
/* What points have read in the steps of a block, from their rows. */
static void gather(const points *q, int more, const frame *f, long steps, long part, long parts)
{
  const long first = q->first[f->shot], n = q->first[f->shot + 1] - first;
  long b, e; share(n, part, parts, &b, &e);
  for (long k = 0; k < steps; k++) {
    real *out = q->data + f[k].t * q->n_points;
    const real *partial = q->partial + k * q->n_rows;
    for (long i = first + b; i < first + e; i++) {
      real sum = more ? out[i] : 0;
      for (long j = q->rows[i]; j < q->rows[i + 1]; j++) sum += partial[q->row[j]];
      out[i] = sum;
    }
  }
}
"""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a step: the C function that does it on some rows, and what it touches."""

    function: str
    access: Access


def before(port: Port, program: Program) -> str:
    """The name that a field met before a step's updates has during them."""
    return rename_after(program.swaps_before, port.field)


def after(port: Port, program: Program) -> str:
    """The name that a field met after a step's updates has during them."""
    backwards: Sequence[Swap] = program.swaps_after[::-1]
    return rename_after(backwards, port.field)


def reading(
    function: str, ports: Sequence[tuple[int, Port, str]], program: Program, names: list[str]
) -> tuple[Part, str]:
    """The part that reads some outputs: (number, port, name of its field)."""
    here = (0,) * program.ndim
    lines, updates = list[str](), list[Update]()
    for number, port, field in ports:
        value = f"q->weight[k] * f->A[{names.index(field)}][q->offset[k]]"
        lines += [
            *_rows(number),
            "      real sum = 0;",
            "      for (long k = q->rowptr[i]; k < q->rowptr[i + 1]; k++)",
            f"        sum += {value}{_factors(port, names, 'q->offset[k]')};",
            "      q->partial[f->k * q->n_rows + i] = sum;",
            "    }",
            "  }",
        ]
        term = Term(1.0, (), ((here, 1.0),), (), field)
        updates.append(Update(f"port {number}", (term,), program.box))
    return _part(function, lines, updates, program)


def adding(
    function: str, ports: Sequence[tuple[int, Port, str]], program: Program, names: list[str]
) -> tuple[Part, str]:
    """The part that adds some inputs: (number, port, name of its field)."""
    lines, updates = list[str](), list[Update]()
    for number, port, field in ports:
        target = f"f->A[{names.index(field)}][q->offset[i]]"
        lines += [
            *_rows(number),
            "      real sum = 0;",
            "      for (long k = q->rowptr[i]; k < q->rowptr[i + 1]; k++)",
            "        sum += q->weight[k] * q->data[f->t * q->n_points + q->column[k]];",
            f"      {target} += sum{_factors(port, names, 'q->place[i]')};",
            "    }",
            "  }",
        ]
        updates.append(Update(field, (), program.box))
    return _part(function, lines, updates, program)


def _rows(number: int) -> list[str]:
    return [
        "  {",
        f"    const points *q = &f->P[{number}];",
        "    const long *plane = q->plane + f->shot * f->planes;",
        "    for (long i = plane[z_begin]; i < plane[z_end]; i++) {",
        "      if (q->line[i] < y_begin || q->line[i] >= y_end) continue;",
    ]


def _part(
    function: str, lines: list[str], updates: list[Update], program: Program
) -> tuple[Part, str]:
    ends = "long z_begin, long z_end, long y_begin, long y_end"
    head = f"static void {function}(const frame *f, {ends})"
    text = "\n".join([head, "{", *lines, "}"])
    return Part(function, access(updates, range(program.ndim - 1))), text


def _factors(port: Port, names: list[str], place: str) -> str:
    out = "" if port.scale == 1.0 else f" * (real) {port.scale!r}"
    factors: Monomial = port.factors
    for name, power in factors:
        value = f"f->A[{names.index(name)}][{place}]"
        out += f" * {value}" * power if power > 0 else f" / {value}" * -power
    return out
