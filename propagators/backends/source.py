"""Emitted source code, and what its caller has to pass along with it."""

from dataclasses import dataclass, field

from wavepipe.propagators.stencil.program import Port


@dataclass
class Source:
    """Emitted text, and what the caller has to pass along with it."""

    text: str
    arrays: tuple[str, ...]
    """Order of the array pointers and strides."""
    bounds: list[int] = field(default_factory=list)
    """Low and high bounds of loops, in the order in which the code numbers them."""
    lag: int = 1
    """Rows that a step of a block stays behind the one before it."""
    inputs: tuple[Port, ...] = ()
    sum_inputs: tuple[Port, ...] = ()
    outputs: tuple[Port, ...] = ()
