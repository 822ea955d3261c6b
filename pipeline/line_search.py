"""Line search: how far to go along a descent direction."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


def dot(a: Vector, b: Vector) -> float:
    """Inner product whose bits depend on no number of threads, as those of a BLAS do."""
    return float(np.sum(a * b))


@dataclass(frozen=True)
class Point:
    """A vector with the misfit and gradient there."""

    vector: Vector
    misfit: float
    gradient: Vector


@dataclass(frozen=True, slots=True)
class LineSearch:
    """Bracketing search for the weak Wolfe conditions.

    A step is too long while ``f(x + s) > f(x) + decrease g.s``, and too short while
    ``g(x + s).s < curvature g.s``, where ``s`` is the change after projection on the bounds. The
    next step is the minimum of the cubic through both ends of the bracket, kept away from them.
    """

    decrease: float = 1e-4
    """Part of the decrease predicted by the slope that a step must reach."""

    curvature: float = 0.9
    """Part of the slope that may be left."""

    max_evaluations: int = 6
    """Evaluations before the best step found so far is taken."""

    growth: float = 3.0
    """Factor on a step that is too short."""

    def __call__(
        self,
        start: Point,
        direction: Vector,
        first_step: float,
        evaluate: Callable[[Vector], Point],
        project: Callable[[Vector], Vector],
    ) -> Point | None:
        """Return the point accepted; None if no step tried lowers the misfit enough.

        Parameters
        ----------
        start
            Where the search begins.
        direction
            Down the gradient.
        first_step
            Multiple of `direction` to try first.
        evaluate
            Misfit and gradient at a vector.
        project
            The nearest vector that is allowed.
        """
        slope = dot(start.gradient, direction)
        low, high = 0.0, np.inf
        low_point, best = start, None
        step = first_step
        for _ in range(self.max_evaluations):
            trial = evaluate(project(start.vector + step * direction))
            change = trial.vector - start.vector
            if not np.any(change):
                return best
            # Where a bound bends the path, the slope along it may point up: no leave to go up too.
            predicted = min(dot(start.gradient, change), 0.0)
            if not trial.misfit <= start.misfit + self.decrease * predicted:
                high = step
                step = _interpolate(low, low_point, high, trial, direction)
                continue
            if best is None or trial.misfit < best.misfit:
                best = trial
            if dot(trial.gradient, change) >= self.curvature * predicted or slope == 0.0:
                return trial
            low, low_point = step, trial
            step = self.growth * step if np.isinf(high) else 0.5 * (low + high)
        return best


def _interpolate(
    low: float, low_point: Point, high: float, high_point: Point, direction: Vector
) -> float:
    """Minimum of the cubic through two steps, at least a tenth of the bracket inside."""
    width = high - low
    middle = low + 0.5 * width
    values = (low_point.misfit, high_point.misfit)
    slopes = (dot(low_point.gradient, direction), dot(high_point.gradient, direction))
    if not np.isfinite([*values, *slopes]).all():
        return low + 0.1 * width
    first = slopes[0] + slopes[1] - 3.0 * (values[1] - values[0]) / width
    inner = first**2 - slopes[0] * slopes[1]
    if inner < 0.0:
        return middle
    root = float(np.sqrt(inner))
    bottom = slopes[1] - slopes[0] + 2.0 * root
    if bottom == 0.0:
        return middle
    step = high - width * (slopes[1] + root - first) / bottom
    return float(np.clip(step, low + 0.1 * width, high - 0.1 * width))
