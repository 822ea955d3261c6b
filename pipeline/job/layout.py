"""The section ``survey.layout`` of a job file: geometry to model without a SEG-Y file.

The keys are checked here, before anything heavy is loaded; `layouts` makes positions of them, and
checks what depends on the dimensions of the earth model.
"""

from typing import Literal, Self

from pydantic import Field, model_validator

from wavepipe.pipeline.job.section import Count, Number, Positive, Section


class Range(Section):
    """Evenly spaced positions: start with two of stop, step and count."""

    start: Number = Field(description="first position, m")
    stop: Number | None = Field(
        default=None, description="last position, m; included when a step ends on it"
    )
    step: Number | None = Field(default=None, description="distance between positions, m")
    count: Count | None = Field(default=None, description="number of positions")

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = [key for key in ("stop", "step", "count") if getattr(self, key) is not None]
        if len(given) != 2:
            found = " and ".join(given) or "none of them"
            if len(given) == 3:
                found = "all three"
            msg = f"a range needs start and two of stop, step and count, and {found} is given"
            raise ValueError(msg)
        return self


Positions = Number | tuple[Number, ...] | Range
"""One position, a list of them, or a range; m."""


class Places(Section):
    """Positions of sources or receivers."""

    x: Positions = Field(description="m: one position, a list, or a range")
    y: Positions | None = Field(default=None, description="m, 3-D only; keys as x")
    depth: Positions = Field(description="m: one for all, or one for each position; keys as x")


class Spread(Section):
    """Sources and receivers that do not move with them."""

    sources: Places = Field(description="where the sources are")
    receivers: Places = Field(description="where the receivers are; keys as sources")


class Streamers(Section):
    """Lines of receivers beside the source."""

    y: Positions = Field(description="distances from the source's y, m; keys as sources.x")


class Towed(Section):
    """Receivers that follow the source."""

    sources: Places = Field(description="where the sources are")
    near_offset: Number = Field(description="from the source to the nearest receiver, m")
    spacing: Positive = Field(description="distance between receivers, m")
    count: Count = Field(description="receivers per streamer and side")
    receiver_depth: Number = Field(description="depth of every receiver, m")
    side: Literal["left", "right", "both"] = Field(
        default="left", description="of the source; left: smaller x"
    )
    streamers: Streamers | None = Field(
        default=None, description="3-D only: lines beside the source; null: one behind it"
    )


class Layout(Section):
    """A survey without data: one kind of geometry and its keys."""

    fixed_spread: Spread | None = Field(
        default=None, description="sources and receivers, each with x, depth and in 3-D y"
    )
    towed: Towed | None = Field(default=None, description="receivers that follow the source")
    nodes: Spread | None = Field(
        default=None, description="as fixed_spread, with a depth for each receiver"
    )
    table: str | None = Field(default=None, description="a CSV file with one row per trace")

    @model_validator(mode="after")
    def _check(self) -> Self:
        self.exactly_one("fixed_spread", "towed", "nodes", "table")
        return self
