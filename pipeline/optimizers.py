"""Optimizers: from a point and its gradient to the next one.

They work on flat float64 vectors and know nothing of earth models: what a vector means, how it is
bounded and how its gradient is preconditioned comes in through `Problem`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wavepipe.pipeline.line_search import LineSearch, Point, dot

Vector = NDArray[np.float64]
Arrays = Mapping[str, Vector]


@dataclass(frozen=True)
class Problem:
    """What an optimizer may ask about the problem it solves."""

    evaluate: Callable[[Vector], Point]
    """Misfit and gradient at a vector."""

    project: Callable[[Vector], Vector]
    """The nearest vector that is allowed."""

    precondition: Callable[[Vector], Vector]
    """A symmetric, positive estimate of the inverse Hessian (up to a factor), times a vector."""


@dataclass(frozen=True)
class Update:
    """Result of one iteration."""

    vector: Vector
    """Where it ends."""

    point: Point | None = None
    """Misfit and gradient there, where the optimizer has computed them."""

    converged: bool = False
    """Whether no step was found that lowers the misfit."""


class Optimizer(Protocol):
    """One iteration at a time; what it remembers is its own."""

    def update(self, point: Point, problem: Problem) -> Update:
        """Make one iteration from `point`."""

    def reset(self) -> None:
        """Forget: the problem has changed."""

    def memory_arrays(self) -> Arrays:
        """What it remembers, by name."""

    def remember(self, arrays: Arrays) -> None:
        """Go on where one was that remembered this."""


@dataclass
class SteepestDescent:
    """A fixed step down the preconditioned gradient, with optional momentum."""

    step_length: float
    """Largest change of an element in one iteration, without momentum."""

    momentum: float = 0.0
    """Share of the last change that is kept."""

    _change: Vector | None = field(default=None, repr=False)

    def update(self, point: Point, problem: Problem) -> Update:
        """Make one iteration from `point`."""
        descent = -problem.precondition(point.gradient)
        change = self.step_length * _unit(descent)
        if self._change is not None:
            change = change + self.momentum * self._change
        vector = problem.project(point.vector + change)
        self._change = vector - point.vector
        return Update(vector)

    def reset(self) -> None:
        """Forget the momentum."""
        self._change = None

    def memory_arrays(self) -> Arrays:
        """The last change."""
        return {} if self._change is None else {"change": self._change}

    def remember(self, arrays: Arrays) -> None:
        """Take the last change of another."""
        self._change = arrays.get("change")


@dataclass
class Adam:
    """Adam (Kingma and Ba, 2015) on the preconditioned gradient."""

    step_length: float
    """Typical change of an element in one iteration."""

    decay: float = 0.9
    """Of the mean gradient."""

    square_decay: float = 0.99
    """Of the mean squared gradient."""

    _mean: Vector | None = field(default=None, repr=False)
    _square: Vector | None = field(default=None, repr=False)
    _count: int = field(default=0, repr=False)
    _scale: float = field(default=1.0, repr=False)

    def update(self, point: Point, problem: Problem) -> Update:
        """Make one iteration from `point`."""
        gradient = problem.precondition(point.gradient)
        if self._mean is None or self._square is None:
            # Gradients have units; after this one the small number below has a meaning.
            self._scale = _largest(gradient) or 1.0
            self._mean = np.zeros_like(gradient)
            self._square = np.zeros_like(gradient)
        gradient = gradient / self._scale
        self._count += 1
        self._mean = self.decay * self._mean + (1.0 - self.decay) * gradient
        self._square = self.square_decay * self._square + (1.0 - self.square_decay) * gradient**2
        mean = self._mean / (1.0 - self.decay**self._count)
        square = self._square / (1.0 - self.square_decay**self._count)
        change = -self.step_length * mean / (np.sqrt(square) + 1e-3)
        vector = problem.project(point.vector + change)
        return Update(vector)

    def reset(self) -> None:
        """Forget the means."""
        self._mean = self._square = None
        self._count = 0

    def memory_arrays(self) -> Arrays:
        """Both means, their count, and the unit of the gradient."""
        if self._mean is None or self._square is None:
            return {}
        numbers = np.array([self._count, self._scale])
        return {"mean": self._mean, "square": self._square, "numbers": numbers}

    def remember(self, arrays: Arrays) -> None:
        """Take the means of another."""
        self._mean, self._square = arrays.get("mean"), arrays.get("square")
        if "numbers" in arrays:
            self._count, self._scale = int(arrays["numbers"][0]), float(arrays["numbers"][1])


@dataclass
class Lbfgs:
    """Limited-memory BFGS with a line search (Nocedal and Wright, 2006, chapter 7).

    The preconditioner is the initial inverse Hessian of the two-loop recursion, scaled by the
    last pair.
    """

    memory: int = 8
    """Pairs kept."""

    first_step: float = 20.0
    """Largest change of an element that is tried first, before any pair is known."""

    search: LineSearch = field(default_factory=LineSearch)
    """How far to go along a direction."""

    _pairs: list[tuple[Vector, Vector]] = field(default_factory=list, repr=False)

    def update(self, point: Point, problem: Problem) -> Update:
        """Make one iteration from `point`."""
        accepted = self._search(point, problem)
        if accepted is None and self._pairs:
            self.reset()
            accepted = self._search(point, problem)
        if accepted is None:
            return Update(point.vector, point, converged=True)
        change = accepted.vector - point.vector
        difference = accepted.gradient - point.gradient
        curvature = dot(change, difference)
        norms = np.sqrt(dot(change, change) * dot(difference, difference))
        if curvature > 1e-10 * norms:
            self._pairs = [*self._pairs, (change, difference)][-self.memory :]
        return Update(accepted.vector, accepted)

    def reset(self) -> None:
        """Forget the pairs."""
        self._pairs = []

    def memory_arrays(self) -> Arrays:
        """The pairs."""
        return {
            f"{name}{k}": vector
            for k, pair in enumerate(self._pairs)
            for name, vector in zip(("change", "difference"), pair, strict=True)
        }

    def remember(self, arrays: Arrays) -> None:
        """Take the pairs of another."""
        count = len(arrays) // 2
        self._pairs = [(arrays[f"change{k}"], arrays[f"difference{k}"]) for k in range(count)]

    def _search(self, point: Point, problem: Problem) -> Point | None:
        """Search along the quasi-Newton direction; None if no step lowers the misfit."""
        free = _free(point, problem)
        direction = free * self._direction(free * point.gradient, problem)
        if dot(direction, point.gradient) >= 0.0:
            direction = -free * problem.precondition(free * point.gradient)
        length = _largest(direction)
        if length == 0.0:
            return None
        first = 1.0 if self._pairs else self.first_step / length
        return self.search(point, direction, first, problem.evaluate, problem.project)

    def _direction(self, gradient: Vector, problem: Problem) -> Vector:
        """Minus the inverse Hessian times the gradient, by the two-loop recursion."""
        vector = gradient.copy()
        weights = []
        for change, difference in reversed(self._pairs):
            weight = dot(change, vector) / dot(change, difference)
            vector -= weight * difference
            weights.append(weight)
        vector = problem.precondition(vector) * self._scale(problem)
        for (change, difference), weight in zip(self._pairs, reversed(weights), strict=True):
            correction = dot(difference, vector) / dot(change, difference)
            vector += (weight - correction) * change
        return -vector

    def _scale(self, problem: Problem) -> float:
        """Return the factor that makes the preconditioner fit the last pair."""
        if not self._pairs:
            return 1.0
        change, difference = self._pairs[-1]
        size = dot(difference, problem.precondition(difference))
        return dot(change, difference) / size if size > 0.0 else 1.0


def _free(point: Point, problem: Problem) -> Vector:
    """One where an element can move down the gradient, zero where a bound holds it."""
    nudge = 1e-6 * np.maximum(np.abs(point.vector), 1.0)
    ahead = point.vector - nudge * np.sign(point.gradient)
    held = (problem.project(ahead) - point.vector) * -np.sign(point.gradient) < 0.5 * nudge
    return np.where(held & (point.gradient != 0.0), 0.0, 1.0)


def _largest(vector: Vector) -> float:
    """Return the largest absolute element."""
    return float(np.abs(vector).max(initial=0.0))


def _unit(vector: Vector) -> Vector:
    """Scale the vector so that its largest element is one."""
    return vector / (_largest(vector) or 1.0)
