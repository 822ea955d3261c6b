"""C expressions: arrays at points, stencils, and the value of an update."""

from collections.abc import Callable, Mapping, Sequence

from wavepipe.propagators.backends.emit_vectors import shifted
from wavepipe.propagators.stencil.program import ONE, Monomial, Offset, Program, Term, Update

Known = Mapping[str, str]
"""Expression -> the variable that holds it already."""


class Values:
    """Expressions of one program, for the vector at x of the row at z (and y).

    Parameters
    ----------
    alike
        Array -> the one by whose name its strides go.
    dtype
        ``float`` or ``double``.
    """

    def __init__(self, program: Program, alike: Mapping[str, str], dtype: str) -> None:
        self.program, self.alike, self.dtype = program, alike, dtype
        self.ndim = program.ndim
        self.axes = "zx" if self.ndim == 2 else "zyx"
        self._here = (0,) * self.ndim

    def varies_on_grid(self, name: str) -> bool:
        """Whether an array is no profile along one axis."""
        axes = self.program.coefficients.get(name)
        return axes is None or len(axes) == self.ndim

    def covers_grid(self, name: str) -> bool:
        """Whether an array can be loaded anywhere on the grid."""
        return name not in self.program.vanishing

    def moves(self, name: str, rows: Sequence[int | str]) -> str:
        """Elements between the first row of an array and another."""
        like = self.alike[name]
        found = [f"{k} * {like}_s{axis}" for axis, k in enumerate(rows[: self.ndim - 1]) if k]
        return " + ".join(found)

    def at(self, name: str, offset: Offset, current: Known) -> str:
        """An array at the points of a vector, moved by an offset."""
        if not any(offset) and name in current:
            return current[name]
        if self.varies_on_grid(name):
            moves = self.moves(name, offset)
            place = f"{name} + x + {moves}" if moves else f"{name} + x"
        else:
            (axis,) = self.program.coefficients[name]
            if axis < self.ndim - 1:
                return f"{name}_0[{self.axes[axis]}{_signed(offset[axis])}]"
            place = f"{name}_0 + x"
        return f"{shifted(offset[-1])}({place})"

    def value(self, update: Update, current: Known, named: Callable[[str, bool], str]) -> str:
        """What an update leaves in its target.

        Parameters
        ----------
        current
            Arrays whose new value at the point is in a variable.
        named
            What to write for an expression that others may share, given whether it can be
            evaluated wherever the loop passes.
        """
        parts = []
        if update.keep.number:
            factors = self._product(update.keep.factors, self._here, current, named)
            factors.append(self._shared(update.target, current, named))
            if update.keep.number != 1.0:
                factors.insert(0, self._number(update.keep.number))
            parts.append(" * ".join(factors))
        by_left: dict[Monomial, list[str]] = {}
        for term in update.terms:
            by_left.setdefault(term.left, []).append(self._stencil(term, current, named))
        for left, sums in by_left.items():
            total = " + ".join(sums)
            if left == ONE:
                parts.append(total)
            else:
                factors = self._product(left, self._here, current, named)
                parts.append(" * ".join([*factors, f"({total})"]))
        return " + ".join(parts) or "(vector) {0}"

    def _shared(self, name: str, current: Known, named: Callable[[str, bool], str]) -> str:
        """An array at the point."""
        if name in current:
            return current[name]
        text = self.at(name, self._here, current)
        return named(text, self.covers_grid(name)) if self.varies_on_grid(name) else text

    def _product(
        self,
        factors: Monomial,
        offset: Offset,
        current: Known,
        named: Callable[[str, bool], str] | None = None,
    ) -> list[str]:
        """Factors of a monomial; negative powers as quotients of one."""
        out = []
        for name, power in factors:
            if named is None:
                value = self.at(name, offset, current)
            else:
                value = self._shared(name, current, named)
            out += [value] * power if power > 0 else [f"({self._number(1.0)} / {value})"] * -power
        return out

    def _stencil(self, term: Term, current: Known, named: Callable[[str, bool], str]) -> str:
        """The stencil of a term."""
        arrays = (term.field, *(n for n, _ in term.right))
        text = self._taps(term, current)
        if any(not any(offset) for offset in term.offsets) and any(n in current for n in arrays):
            return text
        return named(text, all(self.covers_grid(n) for n in arrays))

    def _taps(self, term: Term, current: Known) -> str:
        """Taps of equal weight are added first."""
        by_weight: dict[float, list[str]] = {}
        for offset, weight in term.taps:
            value = self.at(term.field, offset, current)
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


def _signed(k: int) -> str:
    return f" + {k}" if k > 0 else f" - {-k}" if k < 0 else ""
