"""A run that is taken back: what is kept of it, and the sweep back."""

from collections.abc import Mapping
from dataclasses import replace
from math import prod

from torch import Tensor

from wavepipe.propagators.backends.sweep import History, Sweep
from wavepipe.propagators.stencil.program import Program
from wavepipe.propagators.stencil.retrace import Retraced, retraced
from wavepipe.propagators.storage.history import BoundaryShape, HistoryShape


def boundary_shape(step: Program, sampled: Program, history: HistoryShape) -> BoundaryShape:
    """What is kept of a run whose sums have a shape.

    Raises
    ------
    IrreversibleError
        The waves have losses.
    """
    way = retraced(step, sampled, history.names)
    cells = prod(step.shape)
    made_again = cells - sum(prod(hi - lo for lo, hi in box) for box in way.outside)
    return BoundaryShape(
        replace(
            history,
            boxes=way.outside,
            strips=tuple((s.name, tuple(hi - lo for lo, hi in s.box)) for s in way.strips),
        ),
        state_bytes=len(way.fields) * history.n_shots * cells * history.dtype.itemsize,
        again=made_again / cells,
    )


def onwards(sweep: Sweep, way: Retraced) -> Sweep:
    """The sweep that stores strips, and returns what the way back begins with."""
    return replace(sweep, program=way.step, sampled=way.sampled, results=way.fields)


def backwards(sweep: Sweep, way: Retraced, end: Mapping[str, Tensor], history: History) -> Sweep:
    """The sweep back from the end of `onwards`."""
    return replace(
        sweep,
        program=way.back,
        sampled=way.back_sampled,
        outputs={},
        backwards=True,
        history=history,
        results=(),
        initial=end,
    )
