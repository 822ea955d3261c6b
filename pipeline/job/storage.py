"""The section ``storage`` of a job file: how wavefields are kept for a gradient."""

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BeforeValidator, Field, Strict, model_validator

from wavepipe.pipeline.job.section import Count, Section
from wavepipe.pipeline.quantities import bytes_of
from wavepipe.propagators.storage.names import COMPRESSIONS, METHODS, MODES
from wavepipe.propagators.storage.policy import Storage

if TYPE_CHECKING:  # a checker cannot follow what is made from the lists of names
    Mode = str
    Method = str
    Compression = str
else:
    Mode = Literal[MODES]
    Method = Literal[METHODS]
    Compression = Literal[COMPRESSIONS]

ON_DISK = ("auto", "disk")
"""Modes that may write to disk."""


def _budget(value: object) -> int | Literal["auto"]:
    """Bytes of a budget as it is written."""
    return "auto" if value == "auto" else bytes_of(value)


class StorageSection(Section):
    """How the forward wavefield is kept for a gradient."""

    mode: Mode = Field(
        default="auto",
        description="where it is kept; auto: in memory where all of it fits, else what is fastest "
        "on one shot of the survey",
    )
    method: Method = Field(
        default="auto",
        description="what is kept: every stride-th step, that in the layers only and the others "
        "taken back, or a few states from which the others are computed again; auto: snapshots "
        "where they fit in memory, else what is fastest",
    )
    compression: Compression = Field(
        default="none",
        description="codec of snapshots; auto: none where they fit in memory, else the fastest "
        "whose error on one shot is within max_gradient_error",
    )
    stride: Literal["auto"] | Count = Field(default="auto", description="keep every stride-th step")
    path: str = Field(
        default="auto",
        description="existing folder for wavefields on disk; auto: $TMPDIR of each worker's node "
        "or its /tmp, and where that is in memory the run folder",
    )
    budget: Annotated[Literal["auto"] | int, BeforeValidator(_budget)] = Field(
        default="auto",
        description="memory for the wavefield of one propagator call, bytes or such as '8 GB'; "
        "auto: each worker's share of the free memory",
    )
    max_gradient_error: Annotated[float, Strict(), Field(gt=0, lt=1)] = Field(
        default=1e-3,
        description="largest relative gradient error that a stride or a codec may cause",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        Storage(self.mode, self.method, self.compression, path=self.folder)  # type: ignore[arg-type]
        return self

    @property
    def folder(self) -> str | None:
        """The scratch folder as the job names it; None for ``auto``."""
        return None if self.path == "auto" else self.path

    @property
    def limit(self) -> int | None:
        """The budget in bytes; None for ``auto``."""
        return None if self.budget == "auto" else self.budget
