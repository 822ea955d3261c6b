"""CUDA expressions: arrays at the cells of a thread, from memory or from the column it marches."""

from collections.abc import Callable, Iterable, Mapping

from wavepipe.propagators.backends.emit_values import Known, Values
from wavepipe.propagators.stencil.program import Offset, Program, Update

Columns = Mapping[str, tuple[int, int]]
"""Array -> first and last plane of it, seen from the thread's, that a thread holds in registers."""


class CellValues(Values):
    """Expressions of one program, for the vector of cells at x in line y of plane z.

    Parameters
    ----------
    columns
        Arrays whose planes are in registers.
    bound
        Makes expressions of a pair of bounds.
    """

    def __init__(
        self,
        program: Program,
        alike: Mapping[str, str],
        dtype: str,
        columns: Columns,
        bound: Callable[[int, int], tuple[str, str]],
    ) -> None:
        super().__init__(program, alike, dtype)
        self.columns, self.bound = columns, bound

    def covers_grid(self, name: str) -> bool:
        """Whether an array can be loaded anywhere on the grid."""
        return super().covers_grid(name) and name not in self.program.strips

    def at(self, name: str, offset: Offset, current: Known) -> str:
        """An array at the cells of a thread, moved by an offset."""
        if not any(offset) and name in current:
            return current[name]
        if not self.varies_on_grid(name):
            (axis,) = self.program.coefficients[name]
            k = offset[axis]
            if axis < self.ndim - 1:
                return f"{name}[{self.axes[axis]} + {k}]".replace("+ -", "- ")
            return f"moved<{k}>({name} + x)"
        if name in self.program.strips:
            low, high = self.bound(*self.program.fields[name][-1])
            return f"cells({self.place(name)}, x, {low}, {high})"
        first, last = self.columns.get(name, (0, -1))
        if not any(offset[1:]) and first <= offset[0] <= last:
            return f"{name}_column[{offset[0] - first}]"
        return f"moved<{offset[-1]}>({self.place(name, offset[:-1])})"

    def place(self, name: str, rows: Offset = ()) -> str:
        """Address of an array's vector at the thread's cells, or some planes and lines beside."""
        like = self.alike[name]
        moves = [f" + {k} * a.{like}_s{axis}" for axis, k in enumerate(rows) if k]
        return f"{name} + {like}_here{''.join(moves)}".replace("+ -", "- ")

    def value(self, update: Update, current: Known, named: Callable[[str, bool], str]) -> str:
        """What an update leaves in its target; see `Values`."""
        found = super().value(update, current, named)
        return "vector {}" if found.startswith("(vector)") else found


def columns(updates: Iterable[Update], values: Values) -> dict[str, tuple[int, int]]:
    """Planes of the arrays that some updates read above and below their point.

    Only what is read in the plane below as well as above is worth keeping: a plane that a thread
    has loaded once serves all its cells that need it.
    """
    if values.ndim < 3:
        return {}
    planes: dict[str, set[int]] = {}
    for update in updates:
        for term in update.terms:
            names = (term.field, *(n for n, _ in term.right))
            for name in (n for n in names if values.varies_on_grid(n) and values.covers_grid(n)):
                found = {k[0] for k in term.offsets if not any(k[1:])}
                planes.setdefault(name, set()).update(found)
    return {n: (min(found), max(found)) for n, found in planes.items() if len(found) > 1}
