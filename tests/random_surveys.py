"""A random earth model for every physics, and shots of all its sources into all its receivers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from waves import SPACING, quiet

from wavepipe.propagators import Boundary, Storage, propagate
from wavepipe.propagators.physics.catalogue import PHYSICS
from wavepipe.propagators.physics.names import PARAMETERS, receiver_names, source_names
from wavepipe.propagators.recording import Recording

DT = 8e-4
VELOCITY_BOUND = 4500.0
"""m/s; more than any random model needs, also where it is perturbed."""

Models = dict[str, Tensor]
Draw = Callable[[], Tensor]
"""Numbers between 0 and 1 on the grid."""


def scalar(draw: Draw) -> Models:
    return {"vp": 1500 + 1000 * draw()}


def acoustic(draw: Draw) -> Models:
    return {"vp": 1500 + 1000 * draw(), "rho": 1000 + 1000 * draw()}


def elastic(draw: Draw) -> Models:
    """A solid with cells of water here and there."""
    models = acoustic(draw)
    models["vs"] = models["vp"] * (0.4 + 0.25 * draw()) * (draw() > 0.1)
    return models


def acoustic_vti(draw: Draw) -> Models:
    epsilon = 0.1 + 0.2 * draw()
    return acoustic(draw) | {"epsilon": epsilon, "delta": epsilon * 0.8 * draw()}


def viscoacoustic(draw: Draw) -> Models:
    return acoustic(draw) | {"q": 20 + 80 * draw()}


RECIPES: dict[str, Callable[[Draw], Models]] = {
    "scalar": scalar,
    "acoustic": acoustic,
    "elastic": elastic,
    "acoustic_vti": acoustic_vti,
    "viscoacoustic": viscoacoustic,
}
"""A new physics needs a random model here, and every test of conformance is about it too."""


def uniform(physics: str, shape: Sequence[int]) -> Models:
    """A homogeneous model, of the middle of the random one's values; float64."""
    return RECIPES[physics](lambda: torch.full(tuple(shape), 0.5, dtype=torch.float64))


def at_reference(physics: str, frequency: float) -> dict[str, float]:
    """Where a physics with losses has the velocities of its model, Hz; an option of `propagate`."""
    return {"reference_frequency": frequency} if PHYSICS[physics].lossy else {}


SHAPES = {2: (21, 25), 3: (13, 15, 14)}

LAYERS = "layers"
"""No free face; the layer of one face lies in the model's own cells, with points inside it."""


@dataclass
class RandomSurvey:
    """Two shots, each with three sources of every type and three receivers of every type.

    Points are off the grid: the first anywhere, the second within four cells of the first free
    face (or edge), the third in the corner of the others, so that its stencil reaches into layers.
    """

    physics: str
    ndim: int
    faces: str = LAYERS
    """Free faces, such as "z0" or "z1+x0"."""
    order: int = 4
    dtype: torch.dtype = torch.float64
    backend: str = "c"
    seed: int = 0
    nt: int = 30
    options: dict = field(default_factory=dict)

    shapes: ClassVar[Mapping[int, tuple[int, ...]]] = SHAPES
    """Of the model, by the number of its axes."""

    def __post_init__(self) -> None:
        self.random = torch.Generator().manual_seed(self.seed)
        self.numbers = np.random.default_rng(self.seed)
        self.shape, self.spacing = self.shapes[self.ndim], SPACING[: self.ndim]
        made = RECIPES[self.physics](lambda: torch.rand(self.shape, generator=self.random).double())
        self.models = {name: made[name].to(self.dtype) for name in PARAMETERS[self.physics]}
        self.sources = {name: self.points() for name in source_names(self.physics, self.ndim)}
        self.receivers = {name: self.points() for name in receiver_names(self.physics, self.ndim)}
        self.amplitudes = {name: self.noise((2, 3, self.nt)) for name in self.sources}

    @property
    def free(self) -> tuple[str, ...]:
        return () if self.faces == LAYERS else tuple(self.faces.split("+"))

    @property
    def boundary(self) -> Boundary:
        inside = () if self.free else ("x1",)
        return Boundary(5, 20.0, self.free, inside=inside)

    @cached_property
    def tensors(self) -> NDArray[np.float64]:
        """Symmetric moment tensors, one per source."""
        half = self.numbers.standard_normal((2, 3, self.ndim, self.ndim))
        return half + np.swapaxes(half, -1, -2)

    def points(self) -> NDArray[np.float64]:
        """(2, 3, ndim), m."""
        last = np.array(self.shape) - 1.0
        cells = self.numbers.uniform(0.1, 0.9, (2, 3, self.ndim)) * last
        near = self.numbers.uniform(0.2, 4.0, (2, 2, self.ndim))
        high = np.array([f"{letter}1" in self.free for letter in ("zx", "zyx")[self.ndim == 3]])
        cells[:, 1, 0] = np.where(high[0], last[0] - near[:, 0, 0], near[:, 0, 0])
        cells[:, 2] = np.where(high, near[:, 1], last - near[:, 1])
        return cells * self.spacing

    def noise(self, shape: Sequence[int]) -> Tensor:
        return torch.randn(tuple(shape), generator=self.random, dtype=torch.float64).to(self.dtype)

    def direction(self, *parameters: str) -> Models:
        """A perturbation of some parameters, 1 % or so; water stays water."""
        return {
            name: 0.01 * model * self.noise(model.shape)
            if name in parameters
            else torch.zeros_like(model)
            for name, model in self.models.items()
        }

    def moved(self, direction: Mapping[str, Tensor], size: float) -> Models:
        """The models a number of times a perturbation away."""
        return {name: model + size * direction[name] for name, model in self.models.items()}

    def record(
        self,
        models: Mapping[str, Tensor] | None = None,
        amplitudes: Mapping[str, Tensor] | None = None,
        scatter: Mapping[str, Tensor] | None = None,
        **options: object,
    ) -> Recording:
        """Gathers of all receivers; sources without amplitudes are silent."""
        if amplitudes is None:
            amplitudes = self.amplitudes
        silence = torch.zeros(2, 3, self.nt, dtype=self.dtype)
        sources = {
            name: (amplitudes.get(name, silence), places)
            + ((self.tensors,) if name == "moment" else ())
            for name, places in self.sources.items()
        }
        with quiet():
            return propagate(
                self.physics,
                self.models if models is None else models,
                self.spacing,
                DT,
                sources=sources,
                scatter=scatter,
                **{
                    "receivers": self.receivers,
                    "order": self.order,
                    "boundary": self.boundary,
                    "velocity_bound": VELOCITY_BOUND,
                    "time_step": DT,
                    **at_reference(self.physics, 25.0),
                    "storage": Storage(stride=1),
                    "backend": self.backend,
                }
                | self.options
                | options,
            )


def dot_gap(output: Tensor, cotangent: Tensor, given: Tensor, gradient: Tensor) -> float:
    """|<L q, d> - <q, L' d>| / (|L q| |d|)."""
    output, cotangent, given, gradient = (
        one.detach().double() for one in (output, cotangent, given, gradient)
    )
    gap = (output * cotangent).sum() - (given * gradient).sum()
    return float(gap.abs() / (output.norm() * cotangent.norm()))
