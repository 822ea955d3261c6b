"""What every section of a job file shares: kinds of numbers, and the refusal of unknown keys.

All quantities are SI: metres, seconds, hertz, m/s, kg/m3. Lists that run over space are in axis
order, (z, x) or (z, y, x). ``auto`` leaves the choice to the plan, which records it.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, Strict

Number = Annotated[float, Strict()]
Positive = Annotated[float, Strict(), Field(gt=0)]
NotNegative = Annotated[float, Strict(), Field(ge=0)]
Count = Annotated[int, Strict(), Field(ge=1)]
NaturalNumber = Annotated[int, Strict(), Field(ge=0)]
Axis = Literal["z", "y", "x"]
Face = Literal["z0", "z1", "y0", "y1", "x0", "x1"]
PerAxis = Annotated[tuple[Number, ...], Field(min_length=2, max_length=3)]


class Section(BaseModel):
    """A part of the job file: frozen, and without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    def exactly_one(self, *keys: str) -> str:
        """The one key of `keys` that is given; ValueError if none or several are."""
        given = [key for key in keys if getattr(self, key) is not None]
        if len(given) == 1:
            return given[0]
        found = f"{' and '.join(given)} are given" if given else "none is given"
        msg = f"exactly one of {', '.join(keys)} is needed, and {found}"
        raise ValueError(msg)
