"""The section ``fwi.parameters`` of a job file: what is inverted for, fixed or tied."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, create_model, model_validator

from wavepipe.pipeline.job.earth_model import Gardner, Ratio
from wavepipe.pipeline.job.section import (
    PARAMETER_NAMES,
    NotNegative,
    Number,
    Positive,
    Section,
)
from wavepipe.pipeline.quantities import describe_parameter
from wavepipe.pipeline.ties import Tie, tie_of
from wavepipe.propagators.physics.names import PARAMETERS, UNITS


class Tied(Section):
    """A parameter that follows another one."""

    ratio: Ratio | None = Field(default=None, description="a multiple of another: of and value")
    gardner: Gardner | None = Field(default=None, description="density by Gardner's rule: of")

    @model_validator(mode="after")
    def _check(self) -> Self:
        self.exactly_one("ratio", "gardner")
        return self

    @property
    def tie(self) -> Tie:
        """The rule."""
        found = tie_of(self)
        if found is None:  # pragma: no cover - _check has raised
            raise TypeError(self)
        return found


class ParameterUpdate(Section):
    """How one parameter may change."""

    bounds: tuple[Number, Number] | None = Field(
        default=None, description="[lowest, highest] value allowed"
    )
    step_scale: Positive = Field(
        default=1.0,
        description="size of this parameter's updates relative to its mean, beside the others",
    )
    smoothing: NotNegative | None = Field(
        default=None, description="Gaussian on this parameter's gradient, m; null: fwi.smoothing"
    )
    tied: Tied | None = Field(
        default=None, description="follows another parameter: ratio or gardner; leave out the rest"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.bounds is not None and self.bounds[0] >= self.bounds[1]:
            msg = f"bounds {list(self.bounds)}: the lowest value must be below the highest"
            raise ValueError(msg)
        keys = ("bounds", "step_scale", "smoothing")
        beside = [key for key in keys if getattr(self, key) != type(self).model_fields[key].default]
        if self.tied is not None and beside:
            msg = (
                f"{beside[0]} beside tied: a tied parameter follows {self.tied.tie.of}; give "
                f"{beside[0]} there"
            )
            raise ValueError(msg)
        return self


class NamedParameters(Section):
    """What is inverted for."""

    @model_validator(mode="after")
    def _check_signs(self) -> Self:
        for name, update in self.inverted.items():
            if update.bounds is not None and update.bounds[0] <= 0 and UNITS[name] != "1":
                msg = f"{name}.bounds {list(update.bounds)}: the lowest value must be above 0"
                raise ValueError(msg)
        return self

    @property
    def given(self) -> dict[str, "ParameterUpdate | Literal['fixed']"]:
        """The parameters that are named."""
        found = ((name, getattr(self, name)) for name in type(self).model_fields)
        return {name: value for name, value in found if value is not None}

    @property
    def inverted(self) -> dict[str, ParameterUpdate]:
        """The parameters that are inverted for, in the order of the physics."""
        return {name: value for name, value in self._updates() if value.tied is None}

    @property
    def ties(self) -> dict[str, Tie]:
        """The parameters that follow others, each after the one it follows."""
        waiting = {name: value.tied.tie for name, value in self._updates() if value.tied}
        order: dict[str, Tie] = {}
        while waiting:
            ready = {name: tie for name, tie in waiting.items() if tie.of not in waiting}
            if not ready:
                name, tie = next(iter(waiting.items()))
                msg = f"{name} is tied to {tie.of}, which follows {name} in turn; free one of them"
                raise ValueError(msg)
            order |= ready
            waiting = {name: tie for name, tie in waiting.items() if name not in ready}
        return order

    def check(self, physics: str) -> None:
        """ValueError unless a physics can be inverted for these parameters."""
        has = PARAMETERS[physics]
        listed = " and ".join([", ".join(has[:-1]), has[-1]]) if has[:-1] else has[0]
        for name in self.given:
            if name not in has:
                msg = f"fwi.parameters names {name}, but physics {physics} has {listed}"
                raise ValueError(msg)
        if not self.inverted:
            msg = f"fwi.parameters leaves nothing to invert for; name one of {listed} with bounds"
            raise ValueError(msg)
        ties = self.ties
        for name, tie in ties.items():
            if tie.of not in self.inverted and tie.of not in ties:
                msg = (
                    f"fwi.parameters ties {name} to {tie.of}, which stays fixed; invert for "
                    f"{tie.of}, or leave {name} out"
                )
                raise ValueError(msg)
            if name != "rho" and tie.power != 1.0:
                msg = f"fwi.parameters.{name}: 'gardner' gives a density; use it for rho"
                raise ValueError(msg)

    def _updates(self) -> Iterator[tuple[str, ParameterUpdate]]:
        """Parameters that change."""
        for name, value in self.given.items():
            if isinstance(value, ParameterUpdate):
                yield name, value


def _fields() -> dict[str, Any]:
    """One key for every parameter that some physics has, velocities first."""
    kind = ParameterUpdate | Literal["fixed"] | None
    return {
        name: (kind, Field(default=None, description=describe_parameter(name)))
        for name in dict.fromkeys([*UNITS, *PARAMETER_NAMES])
    }


if TYPE_CHECKING:  # a checker cannot follow what is made from the list of physics

    class Parameters(NamedParameters):
        """What is inverted for: a key for every parameter that a physics has."""

        vp: ParameterUpdate | Literal["fixed"] | None = None
else:
    Parameters = create_model("Parameters", __base__=NamedParameters, **_fields())
