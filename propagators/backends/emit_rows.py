"""C source of the loops over a row: one for all updates that can share it.

Layers and interior share a loop, so a derivative that several updates need is taken once. Along
x the row is cut where an update begins or ends; on other rows than the interior's, what a
layer or a free face adds is behind a condition that holds for the whole row.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

from wavepipe.propagators.backends.emit_shared import Named, with_shared
from wavepipe.propagators.backends.emit_values import Values
from wavepipe.propagators.backends.layout import rounded, vector_length
from wavepipe.propagators.stencil.program import UNCHANGED, Box, Program, Update, contains
from wavepipe.propagators.stencil.schedule import links, together

ITEMSIZE = {"float": 4, "double": 8}

Ahead = tuple[tuple[str, int, int], Box]
"""An array, a plane and a row from which it is fetched ahead, and the box on which it is."""


@dataclass(frozen=True, eq=False)
class Group:
    """Updates on one box, and whether they may be done in whole vectors."""

    updates: tuple[Update, ...]
    whole: bool

    @property
    def rows(self) -> Box:
        """The box without its last axis."""
        return self.updates[0].box[:-1]

    @property
    def span(self) -> tuple[int, int]:
        """Part of a row."""
        return self.updates[0].box[-1]


Block = list[Group]
"""Groups on the same rows."""


class RowLoop:
    """The loop over a row for updates that do not depend on each other sideways.

    Parameters
    ----------
    bounds
        Where low and high bounds of loops are collected: arguments of the code, not constants.
    fetched
        What loops of the same function have asked for already; more is added.
    """

    def __init__(
        self, blocks: Sequence[Block], values: Values, bounds: list[int], fetched: list[Ahead]
    ) -> None:
        self.values, self.bounds, self.fetched = values, bounds, fetched
        self.size = ITEMSIZE[values.dtype]
        self.blocks = blocks
        rows = [block[0].rows for block in self.blocks]
        self.base = tuple(
            (min(r[axis][0] for r in rows), max(r[axis][1] for r in rows))
            for axis in range(values.ndim - 1)
        )
        self.guards = {r: f"in{i}" for i, r in enumerate(dict.fromkeys(rows)) if r != self.base}

    def lines(self, pad: str) -> list[str]:
        """The loop, with what has to be known before it."""
        groups = [group for block in self.blocks for group in block]
        out = [f"{pad}{{"]
        pad += "  "
        out += [f"{pad}const int {g} = {self._within(rows)};" for rows, g in self.guards.items()]
        everywhere = any(group.rows == self.base for group in groups)
        condition = self._within(self.base) if everywhere else " || ".join(self.guards.values())
        inner = pad + "  "
        out.append(f"{pad}if ({condition}) {{")
        names = sorted({n for g in groups for u in g.updates for n in (u.target, *u.reads())})
        names = [n for n in names if self.values.varies_on_grid(n)]
        out += [
            f"{inner}const long {like}_row = {self.values.moves(like, self.values.axes)};"
            for like in dict.fromkeys(self.values.alike[n] for n in names)
        ]
        out += [f"{inner}REAL *restrict {n} = {n}_0 + {self.values.alike[n]}_row;" for n in names]
        self.ahead: dict[Group, list[str]] = {g: [] for g in groups}
        if self.values.ndim == 3:
            for group in sorted(groups, key=lambda g: g.rows != self.base):
                self.ahead[group] = self._ahead(group)
        for group in groups:
            if not group.whole:
                low, high = self._bound(*group.span)
                number = self._number(group)
                out.append(f"{inner}const long low{number} = {low}, high{number} = {high};")
        spans = {group: self._vectors(group) for group in groups}
        cuts = sorted({cut for span in spans.values() for cut in span})
        for start, stop in pairwise(cuts):
            here = [g for g, span in spans.items() if start < span[1] and span[0] < stop]
            cut = [g for g in here if not g.whole and {start, stop} & set(spans[g])]
            low, high = self._bound(start, stop)
            out.append(f"{inner}for (long x = {low}, end = {high}; x < end; x += LANES) {{")
            out += self._body(here, cut, inner + "  ")
            out.append(f"{inner}}}")
        return [*out, f"{pad}}}", f"{pad[2:]}}}"]

    def _number(self, group: Group) -> int:
        return [g for block in self.blocks for g in block].index(group)

    def _bound(self, low: int, high: int) -> tuple[str, str]:
        """Expressions for a pair of bounds."""
        number = len(self.bounds)
        self.bounds += (low, high)
        return f"B[{number}]", f"B[{number + 1}]"

    def _within(self, rows: Box) -> str:
        conditions = []
        for axis, ends in enumerate(rows):
            low, high = self._bound(*ends)
            index = self.values.axes[axis]
            conditions.append(f"{index} >= {low} && {index} < {high}")
        return "(" + " && ".join(conditions) + ")"

    def _vectors(self, group: Group) -> tuple[int, int]:
        """The whole vectors that hold a group's part of a row."""
        start, stop = group.span
        length = vector_length(self.size)
        return start // length * length, rounded(stop, self.size)

    def _body(self, here: Sequence[Group], cut: Sequence[Group], pad: str) -> list[str]:
        """A vector of every update in a section of the row.

        Vectors start at multiples of their length. Where a group begins or ends inside one, what is
        outside keeps its value.
        """
        return with_shared(lambda named: self._statements(here, cut, pad, named), pad)

    def _statements(
        self, here: Sequence[Group], cut: Sequence[Group], pad: str, named: Named
    ) -> list[str]:
        """The updates of a section in order.

        An array stays in a variable until the end, unless it exists on the rows of one block only.
        """
        out: list[str] = []
        current: dict[str, str] = {}
        zero = (0,) * self.values.ndim
        for block in self.blocks:
            groups = [group for group in block if group in here]
            if not groups:
                continue
            everywhere = groups[0].rows == self.base
            lines: list[str] = []
            inner = pad if everywhere else pad + "  "
            own: dict[str, str] = {}
            for group in groups:
                number = self._number(group)
                lines += [inner + request for request in self.ahead[group]]
                if group in cut:
                    lines.append(
                        f"{inner}const mask inside{number} = between(x, low{number}, high{number});"
                    )
                for update in group.updates:
                    target = update.target
                    value = self.values.value(update, current | own, partial(named, everywhere))
                    if group in cut:
                        old = self.values.at(target, zero, current | own)
                        value = f"chosen(inside{number}, {value}, {old})"
                    kept = current if everywhere or self.values.covers_grid(target) else own
                    if target not in current and target not in own:
                        kept[target] = f"n_{target}"
                        if kept is current and not everywhere:
                            old = self.values.at(target, zero, {})
                            out.append(f"{pad}vector n_{target} = {old};")
                        else:
                            lines.append(f"{inner}vector n_{target} = {value};")
                            continue
                    lines.append(f"{inner}n_{target} = {value};")
            if everywhere:
                out += lines
            else:
                stores = [f"{inner}store({name} + x, {value});" for name, value in own.items()]
                out += [f"{pad}if ({self.guards[groups[0].rows]}) {{", *lines, *stores, f"{pad}}}"]
        return out + [f"{pad}store({name} + x, {value});" for name, value in current.items()]

    def _ahead(self, group: Group) -> list[str]:
        """Requests for what the next row will be the first to read, a cache line per vector.

        In 3-D a row is too short for the processor to foresee the next one in each of some forty
        streams, so a kernel would wait for memory. Where stencils reach along z, that is the next
        row of the farthest plane; nearer ones have been read before. What another group asks for is
        left out. In 2-D rows come from the cache: this would cost.
        """
        box = group.updates[0].box
        farthest: dict[str, tuple[int, int]] = {}
        for update in group.updates:
            for name, offsets in ({update.target: {(0, 0, 0)}} | update.reads()).items():
                found = max((plane, row) for plane, row, _ in offsets)
                farthest[name] = max(farthest.get(name, found), found)
        wanted = [
            (name, plane, row + 1)
            for name, (plane, row) in sorted(farthest.items())
            if self.values.varies_on_grid(name) and (plane, row) != (0, -1)  # that is this row
        ]
        wanted = [
            w for w in wanted if not any(f[0] == w and contains(f[1], box) for f in self.fetched)
        ]
        self.fetched += [(w, box) for w in wanted]
        return [
            f"__builtin_prefetch({name} + x + {self.values.moves(name, (plane, row))});"
            for name, plane, row in wanted
        ]


def grouped(updates: Sequence[Update], program: Program, length: int) -> list[Group]:
    """Updates on one box that may, or may not, be done in whole vectors."""

    def kind(update: Update) -> tuple[Box, bool]:
        return update.box, in_vectors(update, program, length)

    groups = together(updates, lambda a, b: kind(a) == kind(b))
    return [Group(tuple(group), in_vectors(group[0], program, length)) for group in groups]


def blocks(groups: Sequence[Group]) -> list[Block]:
    """Groups on the same rows together."""
    return _gathered([[g] for g in groups], lambda block, new: block[0].rows == new[0].rows)


def loops(blocks: Sequence[Block], ndim: int) -> list[list[Block]]:
    """Blocks that share a loop: those that need no stencil but such as the first one takes.

    In 2-D, where a row's arrays are in the cache, whatever is on the same rows does.
    """

    def fits(loop: list[Block], new: list[Block]) -> bool:
        first, block = loop[0], new[0]
        if ndim == 2 and first[0].rows == block[0].rows:
            return True
        return contains(first[0].rows, block[0].rows) and _stencils(block) <= _stencils(first)

    return _gathered([[b] for b in blocks], fits)


def _stencils(block: Block) -> set[tuple[object, ...]]:
    """What a block reads of other points."""
    terms = (t for g in block for u in g.updates for t in u.terms if not t.is_pointwise)
    return {(t.field, t.taps, t.right) for t in terms}


def _gathered(lists: Sequence[list[Any]], fits: Callable[[Any, Any], bool]) -> list[Any]:
    """Lists joined to earlier ones they fit to, past others with which they commute."""
    found: list[list[Any]] = []
    for item in lists:
        for other in reversed(found):
            if fits(other, item):
                other += item
                break
            if not all(commute(u, v) for u in _updates(other) for v in _updates(item)):
                found.append(item)
                break
        else:
            found.append(item)
    return found


def _updates(groups: Sequence[Any]) -> list[Update]:
    """Those of groups, or of blocks of groups."""
    return [u for g in groups for u in (g.updates if isinstance(g, Group) else _updates(g))]


def commute(a: Update, b: Update) -> bool:
    """Whether two updates may change places: one does not see the other, or both only add."""
    add = a.target == b.target and a.keep == b.keep == UNCHANGED
    reads = a.field_reads() | b.field_reads()
    return (add and a.target not in reads) or not links(a, b)


def in_vectors(update: Update, program: Program, length: int) -> bool:
    """Whether an update may be done in whole vectors of `length`, beyond the end of a row too.

    There it leaves zeros, or values nobody reads, where a coefficient on the grid or along x, zero
    there, multiplies every term that reads sideways. A sum's values beyond the row are finite and
    meet such a coefficient later.
    """
    low, high = update.box[-1]
    divides = any(power < 0 for t in update.terms for _, power in (*t.left, *t.right))
    ends = (
        not divides
        and all(
            any(program.ndim - 1 in program.coefficients.get(n, ()) for n, _ in t.left)
            or not any(offset[-1] for offset in t.offsets)
            or update.target in program.local
            for t in update.terms
        )
        if high == program.shape[-1]
        else high % length == 0
    )
    return low % length == 0 and ends
