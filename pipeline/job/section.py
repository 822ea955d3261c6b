"""What every section of a job file shares: kinds of numbers, and the refusal of unknown keys.

All quantities are SI: metres, seconds, hertz, m/s, kg/m3. Lists that run over space are in axis
order, (z, x) or (z, y, x). ``auto`` leaves the choice to the plan, which records it.
"""

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, Strict

from wavepipe.propagators.physics.names import PARAMETERS, UNITS, receiver_names, source_names

Number = Annotated[float, Strict()]
Positive = Annotated[float, Strict(), Field(gt=0)]
NotNegative = Annotated[float, Strict(), Field(ge=0)]
Count = Annotated[int, Strict(), Field(ge=1)]
NaturalNumber = Annotated[int, Strict(), Field(ge=0)]
Axis = Literal["z", "y", "x"]
Face = Literal["z0", "z1", "y0", "y1", "x0", "x1"]

PARAMETER_NAMES = tuple(UNITS)
"""Every parameter that some physics has."""
COMPONENT_NAMES = tuple(dict.fromkeys(chain(*(receiver_names(name, 3) for name in PARAMETERS))))
"""Everything that some physics records."""
SOURCE_NAMES = tuple(dict.fromkeys(chain(*(source_names(name, 3) for name in PARAMETERS))))
"""Every source that some physics has."""

if TYPE_CHECKING:  # a checker cannot follow what is made from the list of physics
    PhysicsName = str
    ParameterName = str
    ComponentName = str
    SourceName = str
else:
    PhysicsName = Literal[tuple(PARAMETERS)]
    ParameterName = Literal[PARAMETER_NAMES]
    ComponentName = Literal[COMPONENT_NAMES]
    SourceName = Literal[tuple(name for name in SOURCE_NAMES if name != "moment")]

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


def listed(names: Sequence[str]) -> str:
    """Names in a sentence.

    Examples
    --------
    >>> listed(["vp", "vs", "rho"])
    'vp, vs and rho'
    """
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
