"""The sections ``survey`` and ``wavelet`` of a job file: shots, receivers, data and source."""

from itertools import combinations
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, create_model, model_validator

from wavepipe.pipeline.job.layout import Layout
from wavepipe.pipeline.job.section import (
    COMPONENT_NAMES,
    ComponentName,
    Count,
    NaturalNumber,
    NotNegative,
    Number,
    Positive,
    Section,
    SourceName,
)
from wavepipe.pipeline.quantities import component_meaning


class Depths(Section):
    """Depths that replace the headers'."""

    source: Number = Field(description="depth of every source, m")
    receiver: Number = Field(description="depth of every receiver, m")


class ByComponent(Section):
    """Something for every component that some physics records."""

    @property
    def given(self) -> dict[str, Any]:
        """What is given, by component."""
        found = ((name, getattr(self, name)) for name in COMPONENT_NAMES)
        return {name: value for name, value in found if value is not None}


def _by_component(name: str, kind: Any, what: str) -> type[ByComponent]:
    """Section with a key of some kind for every component."""
    fields: dict[str, Any] = {
        component: (
            kind | None,
            Field(default=None, description=what.format(component_meaning(component))),
        )
        for component in COMPONENT_NAMES
    }
    return create_model(name, __base__=ByComponent, **fields)


if TYPE_CHECKING:  # a checker cannot follow what is made from the list of physics
    Components = ByComponent
    Weights = ByComponent
else:
    Components = _by_component("Components", str | tuple[str, ...], "{}: file, list or pattern")
    Weights = _by_component("Weights", NotNegative, "of {}")


class MomentSource(Section):
    """A source that is a moment tensor times the wavelet, a moment rate."""

    moment: Annotated[
        tuple[Annotated[tuple[Number, ...], Field(min_length=2, max_length=3)], ...],
        Field(min_length=2, max_length=3),
    ] = Field(description="symmetric tensor, rows and columns in axis order")

    @model_validator(mode="after")
    def _check(self) -> Self:
        rows = self.moment
        shown = [list(row) for row in rows]
        if any(len(row) != len(rows) for row in rows):
            msg = f"moment is {shown}; it must be 2 by 2 in 2-D and 3 by 3 in 3-D"
            raise ValueError(msg)
        for i, j in combinations(range(len(rows)), 2):
            if rows[i][j] != rows[j][i]:
                msg = (
                    f"moment is {shown}, and not symmetric: [{i}][{j}] is {rows[i][j]:g} and "
                    f"[{j}][{i}] {rows[j][i]:g}; make them equal"
                )
                raise ValueError(msg)
        if not any(any(row) for row in rows):
            msg = "moment is zero, so the source makes no waves; give it an element"
            raise ValueError(msg)
        return self


class SurveySection(Section):
    """Shots: from SEG-Y files or a layout."""

    data: str | tuple[str, ...] | Components | None = Field(
        default=None, description="SEG-Y file, list of files, pattern, or files by component"
    )
    layout: Layout | None = Field(
        default=None, description="geometry to model without a SEG-Y file"
    )
    source: SourceName | MomentSource = Field(
        default="pressure",
        description="what the wavelet drives: pressure (scalar: Pa m; acoustic: a volume rate, "
        "m3/s; elastic: a moment rate, N m/s), a force (N) or a moment (N m/s); per metre in 2-D",
    )
    components: Annotated[tuple[ComponentName, ...], Field(min_length=1)] | None = Field(
        default=None,
        description="model: what is recorded, pressure in Pa and vz, vy, vx in m/s, positive "
        "down and along the axes; null: pressure, or as the data",
    )
    component_weights: Weights = Field(
        default=Weights(),
        description="rtm and fwi: factor on the misfit of a component, 1 where null; of one wave, "
        "the energy of pressure is (rho vp)^2, some 1e13, times that of velocity",
    )
    dt: Positive | None = Field(
        default=None, description="sample interval, s; of a layout, or what the data must have"
    )
    nt: Count | None = Field(
        default=None, description="samples per trace; of a layout, or shortens the data"
    )
    shots: str | tuple[NaturalNumber, ...] = Field(
        default="all", description='all, "start:stop:step" or a list of shot indices'
    )
    depths: Literal["auto", "elevation", "depth"] | Depths = Field(
        default="auto", description="how to read depths from the headers, or the depths themselves"
    )
    coordinate_units: Literal["auto", "m", "ft"] = Field(
        default="auto", description="unit of the headers' coordinates and depths"
    )
    line_origin: tuple[Number, Number] | None = Field(
        default=None, description="map coordinates X, Y of the model's x = 0 (and y = 0), m"
    )
    line_azimuth: Number | None = Field(
        default=None, description="direction of the model's x axis, degrees clockwise from north"
    )
    outside: Literal["error", "drop"] = Field(
        default="error", description="what to do with positions outside the model"
    )
    aperture: NotNegative | None = Field(
        default=None,
        description="m beyond sources and receivers to propagate in; null: whole model",
    )
    spreading: Literal["2d", "3d"] = Field(
        default="2d",
        description="geometrical spreading of the data; 3d: a 2-D run makes line-source data of it",
    )
    taper_end: Literal["auto"] | NotNegative = Field(
        default="auto", description="cosine taper at the end of every trace in rtm and fwi, s"
    )

    @property
    def source_name(self) -> str:
        """pressure, fz, ..., moment."""
        return self.source if isinstance(self.source, str) else "moment"

    @property
    def moment(self) -> tuple[tuple[float, ...], ...] | None:
        """Moment tensor of the sources, if that is what they are."""
        return None if isinstance(self.source, str) else self.source.moment

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.components is not None and len(set(self.components)) < len(self.components):
            msg = f"components {list(self.components)} names one more than once"
            raise ValueError(msg)
        if isinstance(self.data, Components) and not self.data.given:
            msg = f"data names no file; name one for {', '.join(COMPONENT_NAMES)}"
            raise ValueError(msg)
        if not self.shots:
            msg = "shots is empty; write all, a slice such as '0:100:2', or a list of indices"
            raise ValueError(msg)
        if isinstance(self.shots, tuple) and len(set(self.shots)) < len(self.shots):
            repeated = next(shot for shot in self.shots if self.shots.count(shot) > 1)
            msg = f"shots names shot {repeated} more than once; name each shot once"
            raise ValueError(msg)
        if isinstance(self.shots, str) and self.shots != "all":
            parts = self.shots.split(":")
            numbers = all(not p or p.lstrip("-").isdigit() for p in parts)
            if len(parts) not in (2, 3) or not numbers or (len(parts) == 3 and parts[2] == "0"):
                msg = (
                    f"shots is {self.shots!r}; write all, a slice such as '0:100:2', or a list "
                    "of shot indices such as [1, 5, 9]"
                )
                raise ValueError(msg)
        if self.layout is not None and (self.dt is None or self.nt is None):
            msg = "a layout has no data to take times from; give dt (s) and nt (samples) beside it"
            raise ValueError(msg)
        return self


class Ricker(Section):
    """A Ricker wavelet."""

    peak_frequency: Positive = Field(description="where the spectrum is largest, Hz")
    delay: Number | None = Field(
        default=None, description="time of the peak, s; null: 1.5 periods of it"
    )


class Ormsby(Section):
    """A trapezoid band."""

    frequencies: tuple[NotNegative, NotNegative, NotNegative, NotNegative] = Field(
        description="the four corners in Hz, increasing"
    )
    delay: Number | None = Field(
        default=None, description="time of the peak, s; null: when it has risen from nearly nothing"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if any(b <= a for a, b in zip(self.frequencies, self.frequencies[1:], strict=False)):
            msg = f"frequencies {list(self.frequencies)} must increase"
            raise ValueError(msg)
        return self


class WaveletSection(Section):
    """The source time function, with its amplitude in the units of the source."""

    ricker: Ricker | None = Field(default=None, description="peak_frequency and delay")
    ormsby: Ormsby | None = Field(default=None, description="frequencies and delay")
    path: str | None = Field(default=None, description="a .npy or text file of samples")
    dt: Positive | None = Field(default=None, description="sample interval of the file, s")
    amplitude: Number = Field(
        default=1.0, description="factor on the wavelet, whose unit is that of survey.source"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        kind = self.exactly_one("ricker", "ormsby", "path")
        if kind == "path" and self.dt is None:
            msg = "the file needs its sample interval; add dt in s"
            raise ValueError(msg)
        if kind != "path" and self.dt is not None:
            msg = f"'dt' belongs to a file; leave it out beside '{kind}'"
            raise ValueError(msg)
        return self
