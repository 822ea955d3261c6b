"""Ties between parameters of an earth model: one follows another by a ratio or a power law.

The same functions make a parameter of the starting model and keep it tied while an inversion
changes what it follows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wavepipe.pipeline.job.earth_model import Gardner, Ratio

GARDNER_FACTOR = 310.0
"""kg/m3 per (m/s)**0.25: 0.31 g/cm3 of Gardner et al. (1974), in SI."""

GARDNER_POWER = 0.25
"""Of the velocity in m/s."""


class Rule(Protocol):
    """A section of a job file that may name a rule."""

    @property
    def ratio(self) -> Ratio | None:
        """A multiple of another parameter."""

    @property
    def gardner(self) -> Gardner | None:
        """Density by Gardner's rule."""


@dataclass(frozen=True, slots=True)
class Tie:
    """``factor * other ** power``, in SI units."""

    of: str
    """Name of the other parameter."""

    factor: float
    power: float = 1.0

    def values(self, other: NDArray[Any]) -> NDArray[np.float32]:
        """Tied parameter, of the shape of the other."""
        base = np.asarray(other, dtype=np.float64)
        return np.asarray(self.factor * base**self.power, dtype=np.float32)

    def slope(self, other: NDArray[Any]) -> NDArray[np.float64]:
        """Derivative of the tied parameter with respect to the other, cell by cell."""
        base = np.asarray(other, dtype=np.float64)
        return np.asarray(self.factor * self.power * base ** (self.power - 1.0))

    def __str__(self) -> str:
        return f"{self.factor:g} {self.of}" + (f"^{self.power:g}" if self.power != 1.0 else "")


def tie_of(rule: Rule) -> Tie | None:
    """Tie that a section of the job asks for; None if none."""
    if rule.ratio is not None:
        return Tie(rule.ratio.of, rule.ratio.value)
    if rule.gardner is not None:
        return Tie(rule.gardner.of, GARDNER_FACTOR, GARDNER_POWER)
    return None
