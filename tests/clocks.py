"""Signals and clocks that tests of resampling share."""

from collections.abc import Callable

import numpy as np

from wavepipe.propagators.time_resampling import TimeGrid

DT = 4e-3
IRRATIONAL_STEPS = [DT / np.sqrt(2), DT / np.pi, DT / 7.3, DT * 0.999, DT * np.sqrt(1.3)]


def band_limited(
    nt: int, highest: float, seed: int, length: int = 40
) -> Callable[[np.ndarray], np.ndarray]:
    """Callable sum of cosines up to `highest` under a smooth envelope that dies at both ends."""
    rng = np.random.default_rng(seed)
    frequencies = rng.uniform(0.0, highest, length)
    phases = rng.uniform(0.0, 2 * np.pi, length)
    centre, width = 0.5 * nt * DT, 0.06 * nt * DT

    def signal(t: np.ndarray) -> np.ndarray:
        waves = np.cos(2 * np.pi * frequencies * np.asarray(t)[..., None] + phases).sum(axis=-1)
        return waves * np.exp(-0.5 * ((t - centre) / width) ** 2)

    return signal


def internal_times(grid: TimeGrid) -> np.ndarray:
    return (np.arange(grid.n_steps) - grid.before) * grid.time_step


def relative(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))
