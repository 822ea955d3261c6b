"""The sections of a job file that say how the work is done, where, and what is written."""

from typing import Literal, Self

from pydantic import ConfigDict, Field, model_validator

from wavepipe.pipeline.job_section import Count, Face, NaturalNumber, Positive, Section


class PropagatorSection(Section):
    """How waves are computed."""

    order: Literal[2, 4, 6, 8] = Field(default=8, description="order of accuracy in space")
    pml_width: NaturalNumber = Field(default=20, description="absorbing layer, cells")
    pml_frequency: Literal["auto"] | Positive = Field(
        default="auto", description="frequency the absorbing layer is tuned to, Hz"
    )
    free_surface: tuple[Face, ...] = Field(
        default=(), description="faces where pressure (in a solid: traction) is zero"
    )
    velocity_bound: Literal["auto"] | Positive = Field(
        default="auto", description="velocity that fixes the time step, m/s"
    )
    time_step: Literal["auto"] | Positive = Field(default="auto", description="internal step, s")
    correct_time_dispersion: bool = Field(
        default=True, description="remove the time-stepping error"
    )
    backend: Literal["auto", "c", "reference"] = Field(
        default="auto", description="what computes: compiled C, or plain torch to check it"
    )


class ClusterSection(Section):
    """Where the work is done."""

    kind: Literal["local", "address"] = Field(default="local", description="local or address")
    address: str | None = Field(
        default=None, description="of a running Dask scheduler, tcp://host:port"
    )
    workers: Literal["auto"] | Count = Field(default="auto", description="worker processes")
    threads_per_worker: Literal["auto"] | Count = Field(
        default="auto", description="threads in each"
    )
    batch_shots: Literal["auto"] | Count = Field(
        default="auto", description="shots per task, a power of two"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.kind == "address") != (self.address is not None):
            msg = (
                "kind 'address' and the key address (tcp://host:port) go together: give both for "
                "a running scheduler, neither for a local cluster"
            )
            raise ValueError(msg)
        if self.batch_shots != "auto" and self.batch_shots & (self.batch_shots - 1):
            msg = f"batch_shots is {self.batch_shots}; it must be a power of two"
            raise ValueError(msg)
        return self


class RunSection(Section):
    """What may go wrong, and chance."""

    max_failed_shots: NaturalNumber = Field(default=0, description="failed shots that are accepted")
    allow_mixed_hardware: bool = Field(default=False, description="accept different CPU models")
    seed: NaturalNumber = Field(default=0, description="of every random choice")


class OutputSection(Section):
    """What is written where."""

    # A folder may be named by a number, as ${JOB_ID} gives it.
    model_config = ConfigDict(coerce_numbers_to_str=True)

    folder: str | None = Field(default=None, description="run folder; runs/<name of the job file>")
    segy: bool = Field(default=True, description="write SEG-Y beside results.zarr")
    figures: bool = Field(default=True, description="write figures")
