"""One time step of a wave equation, as data.

A step is an ordered list of updates, each linear in the wavefields, on a box of the grid:

    target[i] = keep[i] * target[i] + sum over terms of
                scale * left[i] * sum_k weight_k * right[i + k] * field[i + k]

Fields live on boxes and are zero outside. `left`, `right` and `keep` are monomials: products of
powers of coefficient arrays. That form is closed under transposition, linearisation and scaling
(the modules beside this one), so a physics is written once and everything else is derived.
"""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field, replace

Offset = tuple[int, ...]
Box = tuple[tuple[int, int], ...]
Monomial = tuple[tuple[str, int], ...]
Swap = tuple[str, str]

ONE: Monomial = ()


def monomial(factors: Mapping[str, int]) -> Monomial:
    """Sorted product of powers, without the factors whose power is zero."""
    return tuple(sorted((name, power) for name, power in factors.items() if power))


def multiply(a: Monomial, b: Monomial, sign: int = 1) -> Monomial:
    """Product of two monomials, or the quotient where `sign` is -1."""
    powers = dict(a)
    for name, power in b:
        powers[name] = powers.get(name, 0) + sign * power
    return monomial(powers)


def reach(box: Box, offsets: Iterable[Offset]) -> Box:
    """Smallest box that holds every point i + k for i in `box` and k in `offsets`."""
    offsets = tuple(offsets)
    return tuple(
        (lo + min(k[axis] for k in offsets), hi + max(k[axis] for k in offsets))
        for axis, (lo, hi) in enumerate(box)
    )


def meet(a: Box, b: Box) -> Box:
    """Intersection of two boxes; empty where some axis has lo >= hi."""
    return tuple((max(p, r), min(q, s)) for (p, q), (r, s) in zip(a, b, strict=True))


def within(box: Box, axis: int, cells: tuple[int, int]) -> Box:
    """`box` with another range along an axis."""
    return tuple(cells if a == axis else b for a, b in enumerate(box))


def contains(outer: Box, inner: Box) -> bool:
    """Whether every point of `inner` is one of `outer`."""
    return meet(outer, inner) == inner


def is_empty(box: Box) -> bool:
    """Whether the box holds no point."""
    return any(lo >= hi for lo, hi in box)


@dataclass(frozen=True, slots=True)
class Term:
    """``scale * left[i] * sum_k weight_k * right[i + k] * field[i + k]``."""

    scale: float
    left: Monomial
    taps: tuple[tuple[Offset, float], ...]
    right: Monomial
    field: str

    @property
    def offsets(self) -> tuple[Offset, ...]:
        """Where the term reads, relative to the point it updates."""
        return tuple(offset for offset, _ in self.taps)

    @property
    def is_pointwise(self) -> bool:
        """Whether the term reads only the point it updates."""
        return all(not any(offset) for offset in self.offsets)


@dataclass(frozen=True, slots=True)
class Keep:
    """What remains of the target: ``number * monomial``."""

    number: float = 1.0
    factors: Monomial = ONE

    def times(self, other: "Keep") -> "Keep":
        """Product of two factors."""
        return Keep(self.number * other.number, multiply(self.factors, other.factors))


UNCHANGED = Keep()
DISCARDED = Keep(0.0)


@dataclass(frozen=True, slots=True)
class Update:
    """``target = keep * target + sum(terms)`` on a box."""

    target: str
    terms: tuple[Term, ...]
    box: Box
    keep: Keep = UNCHANGED

    def field_reads(self) -> set[str]:
        """Arrays that the terms read, what the target keeps left aside."""
        return {
            name
            for term in self.terms
            for name in (term.field, *(n for n, _ in (*term.left, *term.right)))
        }

    def reads(self) -> dict[str, set[Offset]]:
        """Every array read, with the offsets at which it is read."""
        here = (0,) * len(self.box)
        arrays: dict[str, set[Offset]] = {}
        for name, _ in self.keep.factors:
            arrays.setdefault(name, set()).add(here)
        if self.keep.number:
            arrays.setdefault(self.target, set()).add(here)
        for term in self.terms:
            for name, _ in term.left:
                arrays.setdefault(name, set()).add(here)
            for name in (term.field, *(name for name, _ in term.right)):
                arrays.setdefault(name, set()).update(term.offsets)
        return arrays


@dataclass(frozen=True, slots=True)
class Port:
    """Where a wavefield meets the outside: ``field += scale * factors * amplitude``.

    An output is the transpose of that: it reads ``scale * factors * field``.
    Within a step the outer outputs are read first and the outer inputs added last; inner inputs
    are added just before the updates and inner outputs read just after them.
    """

    name: str
    field: str
    factors: Monomial = ONE
    scale: float = 1.0
    inner: bool = False
    shift: float = 0.0
    """Time of the amplitude beyond that of the step, in steps."""


@dataclass(frozen=True, eq=False)
class Program:
    """One time step: fields on boxes, coefficients, updates and swaps, and its ports.

    Compared and hashed by identity, so that what is derived from a program can be cached.
    """

    shape: tuple[int, ...]
    order: int
    spacing: tuple[float, ...]
    fields: Mapping[str, Box]
    coefficients: Mapping[str, tuple[int, ...]]
    """Name -> the axes it varies along."""
    updates: tuple[Update, ...]
    swaps_before: tuple[Swap, ...] = ()
    swaps_after: tuple[Swap, ...] = ()
    inputs: tuple[Port, ...] = ()
    outputs: tuple[Port, ...] = ()
    vanishing: frozenset[str] = frozenset()
    """Fields that are zero, or have no effect, in the inner order/2 cells of their box."""
    fading: frozenset[str] = frozenset()
    """Coefficients that are zero in the outer order/2 rows of any box that ends inside the grid."""
    local: frozenset[str] = frozenset()
    """Fields without a life between steps: written before they are read in every step."""
    sums: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """(coefficient, target) -> the field that holds the sum this coefficient multiplies."""
    sum_inputs: tuple[Port, ...] = ()
    """What sources add to those fields, last in a step, where they are stored."""
    strips: frozenset[str] = frozenset()
    """Fields that every step writes to a history of every step, or reads from it."""
    halves: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Field -> axes along which it lies half a cell after the nodes."""
    profiles: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Coefficient along one axis -> its values, where they do not depend on the medium."""
    inside: Box | None = None
    """The part of the grid that no absorbing layer touches, perhaps empty; None: all of it."""

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def box(self) -> Box:
        """The whole grid."""
        return tuple((0, n) for n in self.shape)

    def with_ports(self, inputs: Container[str], outputs: Container[str]) -> "Program":
        """The same program with the ports of some names only."""
        return replace(
            self,
            inputs=tuple(p for p in self.inputs if p.name in inputs),
            outputs=tuple(p for p in self.outputs if p.name in outputs),
        )

    def with_updates(self, updates: Iterable[Update]) -> "Program":
        """The same program with other updates; empty ones are left out."""
        kept = (u for u in updates if not is_empty(u.box))
        return replace(self, updates=tuple(kept))


def rename_after(swaps: Iterable[Swap], name: str) -> str:
    """The name by which the content of array `name` goes after the swaps."""
    for a, b in swaps:
        if name == a:
            name = b
        elif name == b:
            name = a
    return name


def swapped_places(program: Program, steps: int) -> dict[str, str]:
    """Name of a field -> array that holds it after some steps, which exchange arrays by name."""
    swaps = (*program.swaps_before, *program.swaps_after)
    start = {name: name for pair in swaps for name in pair}
    places, orbit = dict(start), [dict(start)]
    while True:
        for a, b in swaps:
            places[a], places[b] = places[b], places[a]
        if places == start:
            return orbit[steps % len(orbit)]
        orbit.append(dict(places))


def lasting(programs: Iterable[Program]) -> tuple[str, ...]:
    """Fields that live between the steps of some programs that share them."""
    return tuple(dict.fromkeys(n for p in programs for n in p.fields if n not in p.local))
