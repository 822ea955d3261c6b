"""The CUDA source of every kind of sweep of a physics, without running any."""

from dataclasses import replace

import pytest
import torch
from conformance_exactness import Exactness
from random_surveys import RandomSurvey

from wavepipe.propagators import call
from wavepipe.propagators.backends.emit_cuda import CudaSource, Tile, emit
from wavepipe.propagators.backends.reference import Reference
from wavepipe.propagators.backends.sweep import C_NAMES, Sweep, SweepResult

SIZES = {2: (70, 80), 3: (60, 64, 70)}
"""Layers are thin."""

KINDS = ("forward", "born", "adjoint", "adjoint of born")


class Listening(Reference):
    """Runs nothing: everything recorded is zero."""

    def __init__(self) -> None:
        self.heard: list[Sweep] = []

    def run(self, sweep: Sweep) -> SweepResult:
        history = sweep.history  # which the caller empties
        kept = history and replace(history, slots=dict(history.slots))
        self.heard.append(replace(sweep, history=kept))
        return SweepResult(
            {
                name: torch.zeros(sweep.n_steps, points.count, dtype=sweep.dtype)
                for name, points in sweep.outputs.items()
            },
            {
                name: torch.zeros(sweep.n_shots, *sweep.program.shape, dtype=sweep.dtype)
                for name in sweep.results
            },
        )


class Large(RandomSurvey):
    """Off-grid points of every source and receiver in a grid with an interior."""

    def __post_init__(self) -> None:
        super().__post_init__()
        ones = torch.ones(SIZES[self.ndim], dtype=self.dtype)
        self.models = {name: one.mean() * ones for name, one in self.models.items()}
        if "vs" in self.models:
            self.models["vs"][:10] = 0.0


def sweeps(physics: str, ndim: int, faces: str, order: int, dtype: torch.dtype) -> dict[str, Sweep]:
    """Of forward and Born modelling and their gradients."""
    listening = Listening()
    check = Exactness()
    check.physics, check.ndim = physics, ndim  # type: ignore[misc]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(call, "choose_backend", lambda *_: listening)
        check.results(Large(physics, ndim, faces, order, dtype, nt=3))
    return dict(zip(KINDS, listening.heard, strict=True))


def source(sweep: Sweep, tile: Tile) -> CudaSource:
    """What a sweep compiles."""
    slots = tuple(sweep.history.slots) if sweep.history and sweep.sampled else ()
    return emit(sweep.program, sweep.sampled, slots, C_NAMES[sweep.dtype], tile)
