"""The section ``earth_model`` of a job file: where the medium comes from."""

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, Strict, create_model, model_validator

from wavepipe.pipeline.job.section import (
    PARAMETER_NAMES,
    Axis,
    Count,
    NotNegative,
    Number,
    ParameterName,
    PerAxis,
    Positive,
    Section,
    listed,
)
from wavepipe.pipeline.quantities import describe_parameter
from wavepipe.propagators.physics.names import PARAMETERS, UNITS


class Gradient(Section):
    """A value that changes linearly with depth."""

    top: Number = Field(description="value at depth 0")
    per_metre: Number = Field(description="change per metre of depth")


class Layers(Section):
    """Horizontal layers, each constant."""

    tops: tuple[Number, ...] = Field(description="depths of the layers' tops in m, increasing")
    values: tuple[Number, ...] = Field(description="value in each layer")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.tops) != len(self.values):
            msg = f"tops has {len(self.tops)} entries and values {len(self.values)}; give as many"
            raise ValueError(msg)
        if not self.tops or any(b <= a for a, b in zip(self.tops, self.tops[1:], strict=False)):
            msg = f"tops {list(self.tops)} must be at least one depth, in increasing order"
            raise ValueError(msg)
        return self


class Ratio(Section):
    """A parameter that is a multiple of another."""

    of: ParameterName = Field(description="the parameter to multiply")
    value: Positive = Field(description="the factor")


class Gardner(Section):
    """Density from velocity: ``rho = 310 vp**0.25`` (kg/m3, m/s)."""

    of: Literal["vp"] = Field(description="the velocity to use")


class EarthParameter(Section):
    """Where one parameter of the earth model comes from."""

    path: str | None = Field(default=None, description="a .npy, Zarr, SEG-Y or raw binary file")
    name: str | None = Field(default=None, description="the array's name inside a Zarr store")
    axes: tuple[Axis, ...] | None = Field(
        default=None, description="the file's axes, slowest first"
    )
    unit: str | None = Field(default=None, description="the unit of the file's values, such as m/s")
    shape: tuple[Count, ...] | None = Field(
        default=None, description="shape of a raw binary, as its axes"
    )
    dtype: str | None = Field(
        default=None, description="number format of a raw binary, such as <f4"
    )
    iteration: Annotated[int, Strict()] | None = Field(
        default=None, description="which iteration of an inversion result; the last if absent"
    )
    constant: Number | None = Field(default=None, description="one value everywhere")
    gradient: Gradient | None = Field(
        default=None, description="linear in depth: top and per_metre"
    )
    layers: Layers | None = Field(default=None, description="horizontal layers: tops and values")
    ratio: Ratio | None = Field(default=None, description="a multiple of another: of and value")
    gardner: Gardner | None = Field(default=None, description="density by Gardner's rule: of")

    smoothing: NotNegative | None = Field(
        default=None, description="Gaussian standard deviation, m; smooths a starting model"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        kind = self.exactly_one("path", "constant", "gradient", "layers", "ratio", "gardner")
        if kind != "path":
            for key in ("name", "axes", "unit", "shape", "dtype", "iteration"):
                if getattr(self, key) is not None:
                    msg = f"'{key}' belongs to a file; leave it out beside '{kind}'"
                    raise ValueError(msg)
        return self

    def check_signs(self, name: str) -> None:
        """Refuse numbers that parameter `name` cannot have; only vs may be 0, in a fluid."""
        if UNITS.get(name, "1") == "1":
            return  # a ratio, of either sign
        given: dict[str, tuple[float, ...]] = {}
        if self.constant is not None:
            given["constant"] = (self.constant,)
        if self.gradient is not None:
            given["gradient.top"] = (self.gradient.top,)
        if self.layers is not None:
            given["layers.values"] = self.layers.values
        for key, values in given.items():
            wrong = [value for value in values if value < 0 or (value == 0 and name != "vs")]
            if wrong:
                limit = "at least 0" if name == "vs" else "greater than 0"
                msg = f"{name}.{key} holds {wrong[0]:g}; it must be a number {limit}"
                raise ValueError(msg)


class Parameters(Section):
    """The medium: a key for every parameter that a physics has."""

    vp: EarthParameter = Field(description="P-wave velocity, m/s")

    @property
    def given(self) -> dict[str, EarthParameter]:
        """The parameters that are given, by name."""
        found = ((name, getattr(self, name)) for name in PARAMETER_NAMES)
        return {name: value for name, value in found if value is not None}

    def check_physics(self, physics: str) -> None:
        """ValueError unless all parameters of `physics` are given."""
        for name in PARAMETERS[physics]:
            if name not in self.given:
                remedy = _REMEDIES.get(name, "a file, {constant: ...} or {layers: ...}")
                msg = (
                    f"physics {physics} needs {listed(PARAMETERS[physics])}, and earth_model "
                    f"has no {name}; add earth_model.{name}: {remedy}"
                )
                raise ValueError(msg)


_REMEDIES = {
    "vs": "a file, or {ratio: {of: vp, value: 0.577}}",
    "rho": "a file, or {gardner: {of: vp}}",
}
"""What to write for a parameter that is missing."""

if TYPE_CHECKING:
    _AllParameters = Parameters
else:
    _AllParameters = create_model(
        "_AllParameters",
        __base__=Parameters,
        **{
            name: (
                EarthParameter | None,
                Field(default=None, description=f"{describe_parameter(name)}; keys as vp"),
            )
            for name in PARAMETER_NAMES
            if name != "vp"
        },
    )


class EarthModelSection(_AllParameters):
    """The medium: one entry per parameter, and the grid."""

    spacing: Annotated[tuple[Positive, ...], Field(min_length=2, max_length=3)] | None = Field(
        default=None, description="cell size in m, [dz, dx] or [dz, dy, dx]"
    )
    origin: PerAxis | None = Field(default=None, description="position of the first node in m")
    shape: Annotated[tuple[Count, ...], Field(min_length=2, max_length=3)] | None = Field(
        default=None, description="cells per axis, where no file gives them"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        lengths = {
            key: len(value)
            for key in ("spacing", "origin", "shape")
            if (value := getattr(self, key)) is not None
        }
        if len(set(lengths.values())) > 1:
            text = ", ".join(f"{key} has {length}" for key, length in lengths.items())
            msg = f"2-D needs two numbers per key and 3-D three, but {text}"
            raise ValueError(msg)
        for name, parameter in self.given.items():
            parameter.check_signs(name)
            if parameter.gardner is not None and name != "rho":
                msg = f"earth_model.{name}: 'gardner' gives a density; use it for rho"
                raise ValueError(msg)
        return self
