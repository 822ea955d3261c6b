"""CUDA source of the updates of a region: threads that march columns of cells, box by box.

What only layers or free faces add is behind conditions, which on planes and lines are uniform for a
whole warp.
"""

from functools import partial

from wavepipe.propagators.backends.emit_cuda_regions import Region
from wavepipe.propagators.backends.emit_cuda_values import CellValues
from wavepipe.propagators.backends.emit_shared import Named, with_shared
from wavepipe.propagators.stencil.program import Box


class Bounds:
    """Low and high bounds of boxes: arguments of the code, not constants."""

    def __init__(self) -> None:
        self.values: list[int] = []

    def pair(self, low: int, high: int) -> tuple[str, str]:
        """Expressions for a pair of bounds."""
        number = len(self.values)
        self.values += (low, high)
        return f"a.bounds[{number}]", f"a.bounds[{number + 1}]"


class RegionCode:
    """The code of a region, plane by plane in 3-D.

    Parameters
    ----------
    bounds
        Where those of boxes are collected.
    passing
        Arrays that nobody reads outside this region: they stay in registers.
    """

    def __init__(
        self, region: Region, values: CellValues, bounds: "Bounds", passing: frozenset[str]
    ) -> None:
        self.region, self.values, self.passing = region, values, passing
        self.bounds, self.bound = bounds, bounds.pair
        self.base = region.box
        self.guards = {
            box: f"in{i}"
            for i, box in enumerate(dict.fromkeys(g.box for g in region.groups))
            if box != self.base
        }

    def lines(self, pad: str) -> list[str]:
        """What a thread does: its first cell is `at`."""
        inner = pad + "  "
        out = [f"{pad}const int x = at.x, y = at.y;", f"{pad}(void) y;"]
        for name, (first, last) in self.values.columns.items():
            out.append(f"{pad}vector {name}_column[{last - first + 1}];")
            for k in range(first, last):
                row = self._row(name, f"at.z + {k}")
                out.append(f"{pad}{name}_column[{k - first + 1}] = load({row});")
        out.append(f"{pad}#pragma unroll 1")
        out.append(f"{pad}for (int z = at.z; z < at.z_end; z++) {{")
        out += self._offsets(inner)
        for name, (first, last) in self.values.columns.items():
            size = last - first
            out += [
                f"{inner}#pragma unroll",
                f"{inner}for (int i = 0; i < {size}; i++) {name}_column[i] = {name}_column[i + 1];",
                f"{inner}{name}_column[{size}] = load({self.values.place(name, (last,))});",
            ]
        conditions = {}
        for box, guard in self.guards.items():
            conditions[guard] = self._within(box)
            out.append(f"{inner}const bool {guard} = {conditions[guard]};")
        out += self._body(inner)
        return [*out, f"{pad}}}"]

    def _row(self, name: str, z: str) -> str:
        like = self.values.alike[name]
        line = f" + y * a.{like}_s1" if self.values.ndim == 3 else ""
        return f"{name} + ({z}) * a.{like}_s0{line} + x"

    def _offsets(self, pad: str) -> list[str]:
        """Elements between the origin of arrays and the thread's vector, one for each layout."""
        names = {n for u in self.region.updates for n in (u.target, *u.reads())}
        likes = sorted({self.values.alike[n] for n in names if self.values.varies_on_grid(n)})
        line = {n: f" + y * a.{n}_s1" if self.values.ndim == 3 else "" for n in likes}
        return [f"{pad}const int {n}_here = z * a.{n}_s0{line[n]} + x;" for n in likes]

    def _within(self, box: Box) -> str:
        """Whether any cell of a vector lies in a box."""
        conditions = []
        for axis, (ends, whole) in enumerate(zip(box, self.base, strict=True)):
            if ends == whole:
                continue
            low, high = self.bound(*ends)
            index = self.values.axes[axis]
            first = f"{index} + LANES > {low}" if index == "x" else f"{index} >= {low}"
            conditions.append(f"{first} && {index} < {high}")
        return " && ".join(conditions)

    def _body(self, pad: str) -> list[str]:
        """The updates at a vector; what all of its cells need, and more than once, comes first."""
        numbers = len(self.bounds.values)

        def statements(named: Named) -> list[str]:
            del self.bounds.values[numbers:]
            return self._statements(pad, named)

        return with_shared(statements, pad)

    def _statements(self, pad: str, named: Named) -> list[str]:
        """The updates in order. An array on the grid stays in a variable until the end."""
        out: list[str] = []
        current: dict[str, str] = {}
        written: dict[str, list[str]] = {}
        for group in self.region.groups:
            everywhere = group.box == self.base
            guard = self.guards.get(group.box, "")
            inner = pad if everywhere else pad + "  "
            lines: list[str] = []
            own: dict[str, str] = {}
            cut = group.box[-1] != self.base[-1]
            if cut and any(u.target not in self.values.program.strips for u in group.updates):
                low, high = self.bound(*group.box[-1])
                lines.append(f"{inner}const mask inside = between(x, {low}, {high});")
            for update in group.updates:
                target = update.target
                value = self.values.value(update, current | own, partial(named, everywhere))
                kept = current if everywhere or self.values.covers_grid(target) else own
                if kept is current:
                    written.setdefault(target, []).append(guard)
                fresh = target not in current and target not in own
                if fresh:
                    kept[target] = f"n_{target}"
                    if kept is current and not everywhere:
                        out.append(f"{pad}vector n_{target} = {self._old(target)};")
                        fresh = False
                if cut and target not in self.values.program.strips:
                    old = self._old(target) if fresh else f"n_{target}"
                    value = f"chosen(inside, {value}, {old})"
                lines.append(f"{inner}{'vector ' if fresh else ''}n_{target} = {value};")
            lines += [self._store(name, group.box[-1], inner) for name in own]
            out += lines if everywhere else [f"{pad}if ({guard}) {{", *lines, f"{pad}}}"]
        for name in (n for n in current if n not in self.passing):
            text = self._store(name, self.base[-1], pad)
            if "" not in written[name]:
                some = " || ".join(dict.fromkeys(written[name]))
                text = f"{pad}if ({some}) {text.strip()}"
            out.append(text)
        return out

    def _old(self, name: str) -> str:
        """What an array holds: nothing yet where it only passes between updates of the region."""
        return "vector {}" if name in self.passing else self.values.at(name, self._zero, {})

    @property
    def _zero(self) -> tuple[int, ...]:
        return (0,) * self.values.ndim

    def _store(self, name: str, span: tuple[int, int], pad: str) -> str:
        low, high = self.bound(*span)
        function = "store_cells" if name in self.values.program.strips else "store"
        return f"{pad}{function}({self.values.place(name)}, n_{name}, x, {low}, {high});"
