"""The sections ``rtm`` and ``fwi`` of a job file."""

from typing import Annotated, Literal, Self

from pydantic import Field, Strict, model_validator

from wavepipe.pipeline.job.parameters import Parameters, ParameterUpdate
from wavepipe.pipeline.job.section import Count, NotNegative, Positive, Section


class Mute(Section):
    """Removes the direct arrival: silent before ``flat + offset / velocity``."""

    velocity: Positive = Field(description="of the direct arrival, m/s")
    flat: NotNegative = Field(default=0.0, description="added to every offset's time, s")
    taper: NotNegative = Field(default=0.1, description="length of the cosine taper, s")


class RtmSection(Section):
    """Reverse-time migration."""

    mute: Mute | None = Field(default=None, description="direct-arrival mute; null: none")
    low_cut: NotNegative | None = Field(
        default=None, description="m; removes image variations much longer than this; null: none"
    )
    illumination: bool = Field(default=True, description="divide by the source illumination")
    least_squares: None = Field(default=None, description="least-squares iterations")


class Lbfgs(Section):
    """L-BFGS with a line search."""

    memory: Count = Field(default=8, description="update pairs kept")


class Adam(Section):
    """Adam."""

    step_length: Positive = Field(
        default=20.0,
        description="typical change per iteration, in the unit of the first parameter (m/s)",
    )
    decay: Annotated[float, Strict(), Field(ge=0, lt=1)] = Field(
        default=0.9, description="of the mean gradient"
    )
    square_decay: Annotated[float, Strict(), Field(ge=0, lt=1)] = Field(
        default=0.99, description="of the mean squared gradient"
    )


class Sgd(Section):
    """Steepest descent with a fixed step."""

    step_length: Positive = Field(
        default=20.0,
        description="largest change per iteration, in the unit of the first parameter (m/s)",
    )
    momentum: Annotated[float, Strict(), Field(ge=0, lt=1)] = Field(
        default=0.0, description="share of the last change that is kept"
    )


class OptimizerSection(Section):
    """How the earth model is updated."""

    lbfgs: Lbfgs | None = Field(default=None, description="L-BFGS with a line search: memory")
    adam: Adam | None = Field(default=None, description="Adam: step_length, decay, square_decay")
    sgd: Sgd | None = Field(default=None, description="steepest descent: step_length, momentum")

    @model_validator(mode="after")
    def _check(self) -> Self:
        self.exactly_one("lbfgs", "adam", "sgd")
        return self


class Stage(Section):
    """One frequency band of an inversion."""

    max_frequency: Positive = Field(description="low-pass on wavelet and data, Hz")
    iterations: Count = Field(description="updates in this stage")
    minibatch: Count | None = Field(default=None, description="shots drawn at random per iteration")


class Mask(Section):
    """Where the earth model stays as it is."""

    water: bool = Field(
        default=False, description="keep the water layer (where there is a vs: vs = 0)"
    )


class FwiSection(Section):
    """Full-waveform inversion."""

    stages: Annotated[tuple[Stage, ...], Field(min_length=1)] = Field(
        description="frequency bands in order, each with max_frequency and iterations"
    )
    parameters: Parameters = Field(
        default=Parameters(vp=ParameterUpdate()),
        description="what is inverted for; parameters not named stay fixed",
    )
    misfit: Literal["l2"] = Field(default="l2", description="how data are compared")
    optimizer: OptimizerSection = Field(
        default=OptimizerSection(lbfgs=Lbfgs()), description="lbfgs, adam or sgd"
    )
    mask: Mask = Field(default=Mask(), description="cells that stay as they are")
    mute: Mute | None = Field(default=None, description="direct-arrival mute; null: none")
    illumination: bool = Field(default=True, description="precondition by the source illumination")
    smoothing: NotNegative = Field(default=0.0, description="Gaussian on the gradient, m")
