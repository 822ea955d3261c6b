"""Between the earth model and the flat vector that an optimizer sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from wavepipe.pipeline.preconditioning import Preconditioner
    from wavepipe.pipeline.ties import Tie

Vector = NDArray[np.float64]
Model = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Limit:
    """``lesser <= factor * greater``, cell by cell: what a medium must obey."""

    lesser: str
    factor: float
    greater: str
    reason: str

    def most(self, model: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        """Highest allowed value of the lesser."""
        return (self.factor * model[self.greater].astype(np.float64)).astype(np.float32)

    def least(self, model: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        """Lowest allowed value of the greater."""
        return (model[self.lesser].astype(np.float64) / self.factor).astype(np.float32)


LIMITS = (
    Limit("vs", 0.86, "vp", "at 0.866 vp the bulk modulus is zero"),
    Limit("delta", 1.0, "epsilon", "above it acoustic waves would grow"),
)
"""Of whatever physics has both parameters."""


@dataclass(frozen=True)
class ParameterSpace:
    """What is inverted for: names, where it may change, how far, and in which unit.

    The vector holds the parameters that are inverted for, each divided by its scale. Others follow
    them (`ties`) or stay as they start. Values are rounded to float32, the precision that earth
    models are kept in, so that a change of the vector is exactly the change that the propagator
    sees.
    """

    start: Mapping[str, NDArray[np.float32]]
    """Starting model, every parameter of the physics, SI units."""

    mask: NDArray[np.bool_]
    """Where it may change."""

    bounds: Mapping[str, tuple[float, float]]
    """Lowest and highest value of each parameter that is inverted for."""

    scales: Mapping[str, float]
    """Change of each of them where its part of the vector changes by one, SI units."""

    ties: Mapping[str, Tie] = field(default_factory=dict)
    """Parameters that follow others, each after the one it follows."""

    def __post_init__(self) -> None:
        """Let the starting model obey the ties."""
        model = {name: np.asarray(values) for name, values in self.start.items()}
        object.__setattr__(self, "start", self._tied(model))

    @property
    def inverted(self) -> tuple[str, ...]:
        """Parameters in the vector, in its order."""
        return tuple(self.bounds)

    @property
    def changing(self) -> tuple[str, ...]:
        """Parameters that change: those in the vector, then those tied to them."""
        return (*self.bounds, *self.ties)

    @property
    def limits(self) -> tuple[Limit, ...]:
        """Limits between parameters of this physics."""
        return tuple(one for one in LIMITS if {one.lesser, one.greater} <= set(self.start))

    def where(self, name: str) -> NDArray[np.bool_]:
        """Cells where a parameter may change: a fluid (vs = 0) stays one."""
        if name != "vs" and not (name in self.ties and self.ties[name].of == "vs"):
            return self.mask
        return self.mask & (self.start["vs"] > 0.0)

    def pack(self, model: Mapping[str, NDArray[Any]]) -> Vector:
        """Vector of an earth model."""
        return np.concatenate(
            [
                np.asarray(model[name], dtype=np.float64).ravel() / self.scales[name]
                for name in self.inverted
            ]
        )

    def split(self, vector: Vector) -> list[Vector]:
        """Each parameter's part of a vector, in the shape of the earth model."""
        parts = np.split(vector, len(self.inverted))
        return [part.reshape(self.mask.shape) for part in parts]

    def unpack(self, vector: Vector) -> Model:
        """Earth model of a vector, every parameter of the physics."""
        model = dict(self.start)
        for name, part in zip(self.inverted, self.split(vector), strict=True):
            model[name] = (part * self.scales[name]).astype(np.float32)
        return self._tied(model)

    def pack_gradient(
        self, gradient: Mapping[str, NDArray[Any]], model: Mapping[str, NDArray[Any]]
    ) -> Vector:
        """Gradient with respect to the vector, zero where nothing may change.

        Parameters
        ----------
        gradient
            With respect to every parameter of `changing`, as if each changed alone.
        model
            Where it was computed.
        """
        total = {name: np.asarray(gradient[name], dtype=np.float64) for name in self.changing}
        for name, tie in reversed(tuple(self.ties.items())):
            through = np.where(self.where(name), tie.slope(model[tie.of]) * total[name], 0.0)
            total[tie.of] = total[tie.of] + through
        return np.concatenate(
            [
                np.where(self.where(name), total[name], 0.0).ravel() * self.scales[name]
                for name in self.inverted
            ]
        )

    def project(self, vector: Vector) -> Vector:
        """Nearby vector that is allowed.

        Within the bounds, the starting model outside the mask; then within the `LIMITS`, by
        lowering the lesser parameter or, where that is not inverted for, by raising the greater.
        """
        model = self.unpack(vector)
        for name, (low, high) in self.bounds.items():
            model[name] = self._within(name, np.clip(model[name], low, high))
        model = self._tied(model)
        for limit in self.limits:
            lesser, greater = limit.lesser, limit.greater
            if lesser in self.bounds:
                lowered = np.minimum(model[lesser], limit.most(model))
                model[lesser] = self._within(lesser, lowered)
            elif greater in self.bounds:
                raised = np.maximum(model[greater], limit.least(model))
                model[greater] = self._within(greater, raised)
        return self.pack(model)

    def precondition(self, preconditioners: Mapping[str, Preconditioner], vector: Vector) -> Vector:
        """Apply its preconditioner to each parameter's part of a vector."""
        parts = zip(self.inverted, self.split(vector), strict=True)
        return np.concatenate([preconditioners[name](part).ravel() for name, part in parts])

    def largest_changes(self, before: Vector, after: Vector) -> dict[str, float]:
        """Largest change of each parameter between two vectors, SI units."""
        old, new = self.unpack(before), self.unpack(after)
        return {name: float(np.abs(new[name] - old[name]).max()) for name in self.changing}

    def _within(self, name: str, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the values where the parameter may change, and its starting values elsewhere."""
        return np.where(self.where(name), values, self.start[name])

    def _tied(self, model: Mapping[str, NDArray[np.float32]]) -> Model:
        """Model with the tied parameters made from those they follow."""
        found = dict(model)
        for name, tie in self.ties.items():
            found[name] = self._within(name, tie.values(found[tie.of]))
        return found
