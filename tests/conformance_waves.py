"""What every physics must do as waves: reciprocity, and decay in absorbing layers."""

from collections.abc import Callable
from itertools import combinations_with_replacement
from typing import ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from random_surveys import (
    DT,
    LAYERS,
    RECIPES,
    SHAPES,
    VELOCITY_BOUND,
    Models,
    RandomSurvey,
    at_reference,
    uniform,
)
from torch import Tensor
from torch.nn import functional
from waves import SPACING, quiet, relative

from wavepipe.propagators import Boundary, propagate
from wavepipe.propagators.physics.catalogue import PHYSICS
from wavepipe.propagators.physics.names import PARAMETERS, receiver_names, source_names
from wavepipe.propagators.wavelets import ricker

STEPS = 20_000


def white(physics: str, shape: tuple[int, ...]) -> Models:
    """Random from cell to cell."""
    generator = torch.Generator().manual_seed(0)
    return RECIPES[physics](lambda: torch.rand(shape, generator=generator))


def rough(physics: str, shape: tuple[int, ...]) -> Models:
    """Random, averaged over three cells along each axis."""
    pool = functional.avg_pool2d if len(shape) == 2 else functional.avg_pool3d
    models = white(physics, tuple(n + 2 for n in shape))
    return {name: pool(one[None, None], 3, 1)[0, 0] for name, one in models.items()}


def soft(physics: str, shape: tuple[int, ...]) -> Models:
    """Shear waves four times slower than compressional ones."""
    models = uniform(physics, shape)
    return models | {"vs": models["vp"] / 4}


def contact(physics: str, shape: tuple[int, ...]) -> Models:
    """Water over rock."""
    models = uniform(physics, shape)
    row = shape[0] // 2
    models["vs"][:row] = 0.0
    models["vp"][row:], models["rho"][row:] = 3000.0, 2400.0
    return models


def dense(physics: str, shape: tuple[int, ...]) -> Models:
    """Density jumps by a factor of four."""
    models = uniform(physics, shape)
    models["rho"][shape[0] // 2 :] *= 4.0
    return models


NEEDED = {rough: "vp", white: "vp", dense: "rho", soft: "vs", contact: "vs", uniform: "vs"}
"""A medium, and the parameter a physics needs to have it."""


def decays(physics: str) -> list[tuple[Callable[..., Models], int, str]]:
    """Medium, order and free faces of the runs in which waves must leave."""
    cases = [(rough, 4, "z0"), (rough, 8, LAYERS), (white, 4, LAYERS), (dense, 4, "z0")]
    cases += [(soft, 8, "z0"), (soft, 4, "z0+x1"), (contact, 4, "z0"), (contact, 8, LAYERS)]
    cases.append((uniform, 4, "z0+z1"))  # a plate guides waves that run backwards
    return [case for case in cases if NEEDED[case[0]] in PARAMETERS[physics]]


class Waves:
    """In every physics."""

    physics: ClassVar[str]
    ndim: int

    @pytest.mark.parametrize("faces", ["z0", pytest.param("z1+x0", marks=pytest.mark.slow)])
    def test_source_and_receiver_change_places(self, faces):
        """v_i at B of a force f_j at A is v_j at A of f_i at B, near free faces and off the grid.

        Exactly, and through absorbing layers too: each stretches its own axis alone.
        """
        survey = RandomSurvey(self.physics, self.ndim, faces)
        last = np.array(survey.shape) - 1.0
        a, b = np.full(self.ndim, 5.4), last - 6.7
        a[0], b[0] = (last[0] - 2.3, last[0] - 5.6) if "z1" in faces else (2.3, 5.6)
        found = both_ways(survey, a, b)
        letters = [name[1] for name in receiver_names(self.physics, self.ndim)[1:]]
        for i, j in combinations_with_replacement(letters, 2):
            one, other = found[f"v{i}", f"f{j}"][0], found[f"v{j}", f"f{i}"][1]
            assert one.norm() > 0
            assert relative(one, other) < 1e-11, (i, j)
        if self.physics in ("scalar", "acoustic", "viscoacoustic"):
            assert relative(*found["pressure", "pressure"]) < 1e-11

    def test_pressure_and_velocity_change_places(self):
        """Pressure of a force is minus velocity of an injection, p of q that of the places changed.

        A solid's isotropic moment is an injection times the bulk modulus, which has to be the same
        all over the stencil of a point.
        """
        if self.physics == "acoustic_vti":
            pytest.skip("pressure is not what an injection works against")
        survey = RandomSurvey(self.physics, self.ndim, "z0")
        a, b = np.full(self.ndim, 5.4), np.array(survey.shape) - 6.3
        a[0], a[-1], b[0], b[-1] = 5.6, 3.0, 6.3, survey.shape[-1] - 4.0
        modulus, middle = [1.0, 1.0], survey.shape[-1] // 2
        for side, half in enumerate((slice(None, middle), slice(middle, None))):
            for model in survey.models.values():
                model[..., half] = model[..., half].max()
            if PHYSICS[self.physics].solid:
                vp, vs, rho = (
                    survey.models[n][..., half].flatten()[0] for n in ("vp", "vs", "rho")
                )
                modulus[side] = float(rho * (vp**2 - 2 * (1 - 1 / self.ndim) * vs**2))
        found = both_ways(survey, a, b)
        there, back = found["pressure", "pressure"]
        assert relative(there * modulus[0], back * modulus[1]) < 1e-8
        for i in (name[1] for name in receiver_names(self.physics, self.ndim)[1:]):
            one, other = found["pressure", f"f{i}"][0], found[f"v{i}", "pressure"][1]
            assert relative(one, -other * modulus[1]) < 5e-5, i  # half steps are interpolated

    def test_waves_leave_and_nothing_grows(self, medium, order, faces):
        """Peaks of ten windows of 20,000 steps: none late is the largest, the last is small.

        Sources press, so that they leave no vorticity behind in water. Velocities may linger:
        waves without a speed, such as vorticity, or of anisotropic acoustics, do not leave.
        """
        shape = SHAPES[self.ndim]
        models = {n: one.float() for n, one in medium(self.physics, shape).items()}
        free = () if faces == LAYERS else tuple(faces.split("+"))
        width, peak = 10 if self.ndim == 2 else 6, 5.0 if medium is soft else 12.0
        step, spacing = 1.2e-3, SPACING[: self.ndim]
        wavelet = torch.tensor(ricker(peak, step, STEPS), dtype=torch.float32)[None, None]
        last = np.array(shape) - 1.0
        places = np.array([np.full(self.ndim, 1.6), 0.5 * last + 0.3, last - 3.4]) * spacing
        with quiet():
            recording = propagate(
                self.physics,
                models,
                spacing,
                step,
                sources={"pressure": (wavelet, np.full((1, 1, self.ndim), 4.4) * spacing)},
                receivers=dict.fromkeys(receiver_names(self.physics, self.ndim), places[None]),
                order=order,
                boundary=Boundary(width, peak, free),
                backend="c",
                **at_reference(self.physics, peak),
            )
        assert recording.info.n_steps >= STEPS
        for name, gather in recording.items():
            assert torch.isfinite(gather).all()
            peaks = torch.stack([window.abs().max() for window in gather.chunk(10, dim=-1)])
            assert peaks[5:].max() < 1.5 * peaks[1:5].max(), name
            if name == "pressure":
                assert peaks[-1] < 3e-3 * peaks[0]


def both_ways(
    survey: RandomSurvey, a: NDArray[np.float64], b: NDArray[np.float64]
) -> dict[tuple[str, str], tuple[Tensor, Tensor]]:
    """(receiver, source) -> the trace at b of a source at a, and that at a of one at b; cells."""
    to, back = (np.array([[place]]) * survey.spacing for place in (a, b))
    wavelet = torch.tensor(ricker(25.0, DT, 250)).expand(2, 1, -1)
    found = {}
    for source in source_names(survey.physics, survey.ndim):
        if source == "moment":
            continue
        with quiet():
            recording = propagate(
                survey.physics,
                survey.models,
                survey.spacing,
                DT,
                sources={source: (wavelet, np.concatenate([to, back]))},
                receivers=dict.fromkeys(survey.receivers, np.concatenate([back, to])),
                order=survey.order,
                boundary=survey.boundary,
                velocity_bound=VELOCITY_BOUND,
                **at_reference(survey.physics, 25.0),
            )
        found |= {(name, source): tuple(one[:, 0]) for name, one in recording.items()}
    return found
