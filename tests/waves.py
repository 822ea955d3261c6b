"""Small surveys on random media of constant density; `random_surveys` has those of any physics."""

import warnings
from dataclasses import dataclass, field

import numpy as np
import torch

from wavepipe.propagators import Boundary, Storage, scalar

SPACING = (10.0, 12.0, 11.0)
DT = 8e-4


@dataclass
class Toy:
    """A random medium with random points, two shots of two sources and three receivers."""

    shape: tuple[int, ...]
    order: int = 4
    free_surface: tuple[str, ...] = ()
    off_grid: bool = True
    dtype: torch.dtype = torch.float64
    backend: str = "c"
    seed: int = 0
    nt: int = 40
    time_step: float | None = None
    correct: bool = True
    pml_width: int = 5
    options: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = torch.Generator().manual_seed(self.seed)
        numbers = np.random.default_rng(self.seed)
        ndim = len(self.shape)
        self.spacing = SPACING[:ndim]
        self.vp = 1500 + 1000 * self.noise(self.shape, uniform=True)
        extent = np.array([(n - 1) * h for n, h in zip(self.shape, self.spacing, strict=True)])

        def points(count: int) -> np.ndarray:
            found = numbers.uniform(0.1, 0.9, (2, count, ndim)) * extent
            return found if self.off_grid else np.round(found / self.spacing) * self.spacing

        self.sources, self.receivers = points(2), points(3)
        self.amplitudes = self.noise((2, 2, self.nt))

    def noise(self, shape: tuple[int, ...], *, uniform: bool = False) -> torch.Tensor:
        make = torch.rand if uniform else torch.randn
        return make(shape, generator=self.random, dtype=torch.float64).to(self.dtype)

    def settings(self) -> dict:
        return {
            "source_positions": self.sources,
            "receiver_positions": self.receivers,
            "order": self.order,
            "boundary": Boundary(self.pml_width, 20.0, self.free_surface),
            "velocity_bound": 2600.0,
            "time_step": self.time_step,
            "correct_time_dispersion": self.correct,
            "storage": Storage(stride=1),
            "backend": self.backend,
        } | self.options

    def scalar(self, vp: torch.Tensor | None = None, amplitudes: torch.Tensor | None = None):
        with quiet():
            return scalar(
                self.vp if vp is None else vp,
                self.spacing,
                DT,
                source_amplitudes=self.amplitudes if amplitudes is None else amplitudes,
                **self.settings(),
            )["pressure"]


def quiet() -> warnings.catch_warnings:
    """White noise on a grid warns of dispersion; exactness does not mind."""
    return warnings.catch_warnings(action="ignore")


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    """|a - b| / |b|."""
    return float((a.double() - b.double()).norm() / b.double().norm())
