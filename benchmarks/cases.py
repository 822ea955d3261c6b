"""The cases that are measured, and the arrays that both codes are given."""

from dataclasses import dataclass, replace
from math import sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray

SPACING = 10.0
"""Grid spacing along every axis, m."""

PML_WIDTH = 20
"""Cells of absorbing layer at every face."""

RECEIVER_DEPTH = 20
"""Cells between the top and the receivers: the layers' echoes do not matter there."""

COURANT_NUMBER = 0.6
"""Deepwave's target: it takes one internal step per sample where dt is at or below it."""


@dataclass(frozen=True)
class Case:
    """One comparison: a grid, a record length, an order and what is computed."""

    kind: Literal["forward", "gradient"]

    physics: Literal["scalar", "acoustic", "elastic"]

    shape: tuple[int, ...]
    """(nz, nx) or (nz, ny, nx), cells without absorbing layers."""

    nt: int
    """Samples, and internal steps of both codes."""

    n_shots: int

    order: int
    """Order of accuracy in space."""

    peak_frequency: float
    """Of the Ricker wavelet, Hz: low enough for the grid, high enough for a short record."""

    separation: int
    """Depth of the sources below the receivers, cells."""

    half_spread: int
    """Half the width of the line or plane of receivers, cells: its waves arrive in nt samples."""

    kept: Literal["memory", "disk"] = "memory"
    """Where the wavefield is kept for a gradient; on disk ours compresses it."""

    layers: int = 0
    """Into which the velocity is cut, so that waves come back from below; 0: it is smooth."""

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def name(self) -> str:
        """Unique name of the case."""
        size = "x".join(str(n) for n in self.shape)
        disk = "-disk" if self.kept == "disk" else ""
        return f"{self.kind}-{self.physics}-{self.ndim}d-{size}-order{self.order}{disk}"

    @property
    def staggered(self) -> bool:
        """Whether the equations are of first order, on the staggered grid."""
        return self.physics != "scalar"

    @property
    def padded_shape(self) -> tuple[int, ...]:
        """Cells with the absorbing layers."""
        return tuple(n + 2 * PML_WIDTH for n in self.shape)


@dataclass(frozen=True)
class Inputs:
    """What both codes are given for a case."""

    models: dict[str, NDArray[np.float32]]
    """Parameters of the earth model in the order of the calls, shape of the case, m/s and kg/m3."""

    velocity_bound: float
    """Largest velocity, m/s."""

    dt: float
    """Sample interval and internal step, s."""

    wavelet: NDArray[np.float32]
    """(n_shots, 1, nt), sample n at n dt."""

    later_wavelet: NDArray[np.float32]
    """The same half a sample later, at (n + 1/2) dt."""

    sources: NDArray[np.int64]
    """(n_shots, 1, ndim), cell indices."""

    receivers: NDArray[np.int64]
    """(n_shots, n_receivers, ndim), cell indices."""

    taper: NDArray[np.float32]
    """(nt,), weight of the samples in the misfit: 1, falling smoothly to 0 at the end."""


def all_cases(quick: bool) -> list[Case]:
    """Every case of a run; a quick run has shorter records in 2-D."""
    templates = [
        Case("forward", "scalar", (500, 500), 1000 if quick else 2000, 2, 4, 15.0, 30, 40),
        Case("forward", "scalar", (120, 120, 120), 150, 1, 4, 21.0, 5, 16),
        Case("forward", "scalar", (160, 160, 160), 150, 1, 4, 21.0, 5, 16),
        Case("gradient", "scalar", (400, 400), 500, 2, 4, 15.0, 30, 40),
        Case("gradient", "scalar", (100, 100, 100), 300, 1, 4, 21.0, 15, 16),
        Case("gradient", "scalar", (400, 400), 500, 2, 4, 15.0, 30, 40, kept="disk"),
        Case("gradient", "scalar", (100, 100, 100), 300, 1, 4, 21.0, 15, 16, kept="disk"),
        Case("forward", "acoustic", (500, 500), 500, 2, 4, 15.0, 30, 40),
        Case("forward", "acoustic", (100, 100, 100), 160, 1, 4, 21.0, 5, 16),
        Case("gradient", "acoustic", (400, 400), 500, 2, 4, 15.0, 30, 40),
        Case("forward", "elastic", (400, 400), 500, 2, 4, 12.0, 20, 30),
        Case("forward", "elastic", (90, 90, 90), 240, 1, 4, 13.0, 5, 16),
        Case("gradient", "elastic", (300, 300), 500, 2, 4, 12.0, 20, 30),
    ]
    return [replace(case, order=order) for case in templates for order in (4, 8)]


def make_inputs(case: Case) -> Inputs:
    """Arrays of `case`, from fixed seeds."""
    models = _earth_model(case)
    # Deepwave derives its step from a larger velocity where contrasts are strong, and refuses a
    # lower bound; these are so mild that the largest vp is its bound as well.
    velocity_bound = float(models["vp"].max())
    # A hair below the target, so that rounding cannot split the step in two.
    dt = 0.999 * COURANT_NUMBER * SPACING / (velocity_bound * sqrt(case.ndim))
    return Inputs(
        models=models,
        velocity_bound=velocity_bound,
        dt=dt,
        wavelet=np.tile(_ricker(case, dt), (case.n_shots, 1, 1)),
        later_wavelet=np.tile(_ricker(case, dt, 0.5), (case.n_shots, 1, 1)),
        sources=_sources(case),
        receivers=np.tile(_receivers(case), (case.n_shots, 1, 1)),
        taper=_taper(case.nt),
    )


def _ricker(case: Case, dt: float, later: float = 0.0) -> NDArray[np.float32]:
    """Ricker wavelet (nt,) at n + `later` samples, delayed until it starts at 1e-6 of its peak."""
    time = (np.arange(case.nt) + later) * dt - 1.3 / case.peak_frequency
    phase = (np.pi * case.peak_frequency * time) ** 2
    samples: NDArray[np.float32] = ((1 - 2 * phase) * np.exp(-phase)).astype(np.float32)
    return samples


def _earth_model(case: Case) -> dict[str, NDArray[np.float32]]:
    """Parameters of the case's physics: density after Gardner, Poisson's ratio 0.18."""
    vp = _velocity(case)
    models = {"vp": vp}
    if case.physics == "elastic":
        models["vs"] = vp / np.float32(1.6)
    if case.staggered:
        models["rho"] = (310.0 * vp**0.25).astype(np.float32)
    return models


def _velocity(case: Case) -> NDArray[np.float32]:
    """Velocity that grows with depth, with smooth lateral changes or in bent layers, m/s."""
    low, high = 3000.0, 4000.0
    axes = [np.linspace(0.0, 1.0, n) for n in case.shape]
    grids = np.meshgrid(*axes, indexing="ij")
    random = np.random.default_rng(20)
    bumps = np.zeros(case.shape)
    for _ in range(6):
        phases = random.uniform(0, 2 * np.pi, case.ndim)
        cycles = random.uniform(1, 5, case.ndim)
        product = np.ones(case.shape)
        for grid, cycle, phase in zip(grids, cycles, phases, strict=True):
            product *= np.cos(2 * np.pi * cycle * grid + phase)
        bumps += product
    bumps /= np.abs(bumps).max()
    fraction = np.clip(0.85 * grids[0] + 0.15 * (bumps + 1) / 2, 0.0, 1.0)
    if case.layers:
        fraction = np.round(fraction * case.layers) / case.layers
    return (low + (high - low) * fraction).astype(np.float32)


def _sources(case: Case) -> NDArray[np.int64]:
    """One source per shot below the middle of the receivers, 40 cells apart along x."""
    places = np.zeros((case.n_shots, 1, case.ndim), dtype=np.int64)
    places[..., :] = [n // 2 for n in case.shape]
    places[:, 0, 0] = RECEIVER_DEPTH + case.separation
    places[:, 0, -1] += 40 * np.arange(case.n_shots) - 20 * (case.n_shots - 1)
    return places


def _receivers(case: Case) -> NDArray[np.int64]:
    """A line of receivers, or a plane of them, (n_receivers, ndim)."""
    reach = np.arange(-case.half_spread, case.half_spread + 1, 2)
    lines = [n // 2 + reach for n in case.shape[1:]]
    plane = np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1).reshape(-1, case.ndim - 1)
    return np.insert(plane, 0, RECEIVER_DEPTH, axis=1).astype(np.int64)


def _taper(nt: int) -> NDArray[np.float32]:
    """Ones, with a cosine-squared end over the last seventh."""
    taper = np.ones(nt)
    n = nt // 7
    taper[nt - n :] = np.cos(np.linspace(0, np.pi / 2, n)) ** 2
    return taper.astype(np.float32)
