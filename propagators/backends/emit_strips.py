"""C source that copies strips of fields to the history of a step, or from it.

Strips lie cell behind cell: along x they are a few cells wide, of which a vector would be mostly
nothing.
"""

from collections.abc import Sequence

from wavepipe.propagators.backends.emit_values import Values
from wavepipe.propagators.stencil.program import Update


def copied(copies: Sequence[Update], values: Values, bounds: list[int], pad: str) -> list[str]:
    """Loops over the part of a row that lies in each strip.

    Parameters
    ----------
    copies
        Updates of one value each, of which one array is a strip.
    bounds
        Where low and high bounds of loops are collected.
    """
    lines = []
    for copy in copies:
        (term,) = copy.terms
        number = len(bounds)
        for ends in copy.box:
            bounds += ends
        conditions = [
            f"{index} >= B[{number + 2 * axis}] && {index} < B[{number + 2 * axis + 1}]"
            for axis, index in enumerate(values.axes[:-1])
        ]
        target, source = (
            f"{name}_0[{values.moves(name, values.axes)} + x]" for name in (copy.target, term.field)
        )
        last = number + 2 * (values.ndim - 1)
        lines += [
            f"{pad}if ({' && '.join(conditions)})",
            f"{pad}  for (long x = B[{last}]; x < B[{last + 1}]; x++) {target} = {source};",
        ]
    return lines
