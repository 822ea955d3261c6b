"""Between the earth model and the flat vector that an optimizer sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from wavepipe.pipeline.preconditioning import Preconditioner

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class ParameterSpace:
    """What is inverted for: names, where it may change, how far, and in which unit.

    Values are rounded to float32, the precision that earth models are kept in, so that a change
    of the vector is exactly the change that the propagator sees.
    """

    start: Mapping[str, NDArray[np.float32]]
    """Starting model by parameter."""

    mask: NDArray[np.bool_]
    """Where it may change."""

    bounds: Mapping[str, tuple[float, float]]
    """Lowest and highest value by parameter."""

    scales: Mapping[str, float]
    """Size of a step of one in the vector, by parameter."""

    def pack(self, model: Mapping[str, NDArray[Any]]) -> Vector:
        """Vector of an earth model."""
        return np.concatenate(
            [
                np.asarray(model[name], dtype=np.float64).ravel() / self.scales[name]
                for name in self.start
            ]
        )

    def unpack(self, vector: Vector) -> dict[str, NDArray[np.float32]]:
        """Earth model of a vector."""
        parts = np.split(vector, len(self.start))
        return {
            name: (part * self.scales[name]).astype(np.float32).reshape(self.mask.shape)
            for name, part in zip(self.start, parts, strict=True)
        }

    def pack_gradient(self, gradient: Mapping[str, NDArray[Any]]) -> Vector:
        """Gradient with respect to the vector, zero where nothing may change."""
        return np.concatenate(
            [
                np.where(self.mask, gradient[name].astype(np.float64), 0.0).ravel()
                * self.scales[name]
                for name in self.start
            ]
        )

    def project(self, vector: Vector) -> Vector:
        """Nearest vector within the bounds; the starting model outside the mask."""
        model = self.unpack(vector)
        for name, values in model.items():
            low, high = self.bounds[name]
            model[name] = np.where(self.mask, np.clip(values, low, high), self.start[name])
        return self.pack(model)

    def precondition(self, preconditioner: Preconditioner, vector: Vector) -> Vector:
        """Apply a preconditioner to each parameter's part of a vector."""
        parts = np.split(vector, len(self.start))
        return np.concatenate(
            [preconditioner(part.reshape(self.mask.shape)).ravel() for part in parts]
        )
