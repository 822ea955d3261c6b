"""The sections of a job file that say how the work is done, and what is written."""

from typing import Literal

from pydantic import ConfigDict, Field

from wavepipe.pipeline.job.section import Face, NaturalNumber, Positive, Section


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
    dask_report: bool = Field(
        default=False, description="write Dask's own account of the run (needs bokeh)"
    )
