"""What a batch of shots returns: sums on a window, and which shots are in them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wavepipe.pipeline.windows import Window


@dataclass(frozen=True, slots=True)
class Failure:
    """A shot that is not in the result, and why."""

    shot: int
    """Index in the shots that the run selects; in an `Outcome`, in the whole survey."""

    label: str
    """How the survey names the shot."""

    reason: str
    """What went wrong, as the user should read it."""


@dataclass(frozen=True)
class Partial:
    """Sum over some shots: a value, so that one failed shot never voids the others."""

    shots: tuple[int, ...] = ()
    """Indices of the shots that are in the sums."""

    failures: tuple[Failure, ...] = ()
    """Shots that were tried and are not in the sums."""

    window: Window | None = None
    """Part of the model that `arrays` cover; None where there is nothing to sum."""

    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    """Sums on the window, by name (gradient, image, illumination)."""

    scalars: Mapping[str, float] = field(default_factory=dict)
    """Sums without a place (misfit), by name."""

    def spread(self, name: str, shape: tuple[int, ...]) -> NDArray[Any]:
        """Return one sum on the whole model, zero outside the window.

        Parameters
        ----------
        name
            Which of `arrays`.
        shape : cells
            Of the whole model.
        """
        if self.window is None:
            return np.zeros(shape, np.float32)
        values = self.arrays[name]
        out = np.zeros(shape, values.dtype)
        out[self.window.slices] = values
        return out


def add(left: Partial, right: Partial) -> Partial:
    """Sum of two partials, on the union of their windows.

    The order of the operands is part of the result: in floating point the sum over shots has the
    same bits only if it is always made in the same order (see `wavepipe.pipeline.graph`).
    """
    window, arrays = _add_arrays(left, right)
    names = sorted({*left.scalars, *right.scalars})
    return Partial(
        shots=left.shots + right.shots,
        failures=left.failures + right.failures,
        window=window,
        arrays=arrays,
        scalars={
            name: left.scalars.get(name, 0.0) + right.scalars.get(name, 0.0) for name in names
        },
    )


def _add_arrays(left: Partial, right: Partial) -> tuple[Window | None, Mapping[str, NDArray[Any]]]:
    """Return the union of the windows and the sums on it."""
    if left.window is None:
        return right.window, right.arrays
    if right.window is None:
        return left.window, left.arrays
    window = left.window.union(right.window)
    sums = {}
    for name, values in left.arrays.items():
        total = np.zeros(window.shape, values.dtype)
        total[left.window.within(window)] += values
        total[right.window.within(window)] += right.arrays[name]
        sums[name] = total
    return window, sums
