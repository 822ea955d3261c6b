"""CUDA source of the points of a step: recording and injection, in an order nobody changes.

A point is read by GROUP threads, each its own entries of the point; one of them adds up what they
have found. A cell that sources touch is added to by one thread. So no sum depends on the batch.
"""

from collections.abc import Container, Sequence
from dataclasses import dataclass

from wavepipe.propagators.stencil.program import Port

STRUCTS = """\
/* Points of an output: entries rowptr[i] ... rowptr[i + 1] - 1 of point i are elements. */
struct output_points {
  const int *rowptr, *offset, *shot;
  const real *weight;
  real *data;             /* (n_steps, n_points) */
  int count, first;       /* points; first block */
};

/* Cells of an input: entries of cell i, each of a column of data, and elements of its arrays. */
struct input_points {
  const int *rowptr, *offset, *shot;
  const real *weight;
  const real *data;       /* (n_steps, n_points) */
  const int *place, *column;
  int count, first;       /* cells; first block */
  int columns, unused;
};
"""


@dataclass(frozen=True, slots=True)
class NumberedPort:
    """A port of a kernel."""

    number: int
    """Among the kernel's points."""
    port: Port
    field: str
    """The array it meets, by its name during the updates."""


def rounds(ports: Sequence[tuple[Port, str]]) -> list[list[tuple[Port, str]]]:
    """Ports and the names of their arrays, by kernel: in each an array is met once."""
    found: list[list[tuple[Port, str]]] = []
    for port, field in ports:
        after = [i for i, one in enumerate(found) if any(f == field for _, f in one)]
        number = max(after, default=-1) + 1
        if number == len(found):
            found.append([])
        found[number].append((port, field))
    return found


def reading(kernel: str, ports: Sequence[NumberedPort]) -> list[str]:
    """The kernel that reads outputs; ports of one name are added up."""
    by_name: dict[str, list[NumberedPort]] = {}
    for one in ports:
        by_name.setdefault(one.port.name, []).append(one)
    parts, sums = list[str](), list[str]()
    for same in by_name.values():
        parts += [*_of_thread(same[0].number, "GROUP"), "      real sum = 0;"]
        for one in same:
            q = f"a.points[{one.number}]"
            value = f"{q}.weight[i] * {_element(one.field, 'k')}{_factors(one.port, 'k')}"
            parts += [
                f"      for (int i = {q}.rowptr[point] + threadIdx.x % GROUP; "
                f"i < {q}.rowptr[point + 1]; i += GROUP) {{",
                f"        const int k = {q}.offset[i];",
                f"        sum += {value};",
                "      }",
            ]
        parts += ["      shared[threadIdx.x] = sum;", "    }", "  }"]
        q = f"a.points[{same[0].number}]"
        sums += [
            *_of_thread(same[0].number, "GROUP")[:-1],
            "      real sum = 0;",
            "      for (int i = 0; i < GROUP; i++) sum += shared[threadIdx.x + i];",
            "      const long long t = time_of(a.clock, a.k);",
            f"      if (threadIdx.x % GROUP == 0) {q}.data[t * {q}.count + point] = sum;",
            "    }",
            "  }",
        ]
    head = f"DEVICE void {kernel}_{{}}(const {kernel}_arguments &a, real *shared)"
    first = [head.format("first"), "{", *parts, "}", ""]
    second = [head.format("second"), "{", *sums, "}", ""]
    return [*first, *second, f"TWO_PHASES({kernel})"]


def adding(kernel: str, ports: Sequence[NumberedPort], slots: Container[str]) -> list[str]:
    """The kernel that adds inputs, each to an array of its own; some are `slots` of a history."""
    lines = [f"DEVICE void {kernel}_cells(const {kernel}_arguments &a)", "{"]
    for one in ports:
        q, name = f"a.points[{one.number}]", one.field
        place = f"{q}.offset[point]"
        if name in slots:
            place += f" + slot_of(a.clock, a.k) * a.{name}_slot"
        factors = _factors(one.port, f"{q}.place[point]")
        lines += [
            *_of_thread(one.number, "1"),
            f"      const real *data = {q}.data + (long long) time_of(a.clock, a.k) * {q}.columns;",
            "      real sum = 0;",
            f"      for (int i = {q}.rowptr[point]; i < {q}.rowptr[point + 1]; i++)",
            f"        sum += {q}.weight[i] * data[{q}.column[i]];",
            f"      {_element(name, place)} += sum{factors};",
            "    }",
            "  }",
        ]
    return [*lines, "}", "", f"ONE_PHASE({kernel})"]


def _of_thread(number: int, threads: str) -> list[str]:
    """The point of a thread, if that is in the blocks of these points."""
    q = f"a.points[{number}]"
    return [
        "  {",
        f"    const int thread = (blockIdx.x - {q}.first) * THREADS + threadIdx.x;",
        f"    if ((int) blockIdx.x >= {q}.first && thread < {q}.count * {threads}) {{",
        f"      const int point = thread / {threads};",
        f"      const long long shot = {q}.shot[point];",
    ]


def _element(name: str, place: str) -> str:
    return f"a.{name}[shot * a.{name}_shot + {place}]"


def _factors(port: Port, place: str) -> str:
    out = "" if port.scale == 1.0 else f" * (real) {port.scale!r}"
    for name, power in port.factors:
        value = _element(name, place)
        out += f" * {value}" * power if power > 0 else f" / {value}" * -power
    return out
