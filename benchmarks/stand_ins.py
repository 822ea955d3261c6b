"""Leaves that take a known time, in place of wave propagation."""

import json
import time
from functools import cache
from pathlib import Path

import numpy as np

from wavepipe.pipeline.partial import Partial
from wavepipe.pipeline.windows import Window

SHAPE = (32, 32)
"""Cells of a sum: 4 kB."""


def tiny(argument: str, shots: tuple[int, ...], halvings: int) -> Partial:
    """Nothing but a sum."""
    window = Window((0, 0), SHAPE)
    return Partial(shots, window=window, arrays={"image": np.ones(SHAPE, np.float32)})


def busy(argument: str, shots: tuple[int, ...], halvings: int) -> Partial:
    """A second of processor time."""
    end, work = time.thread_time() + 1.0, np.ones(100_000)
    while time.thread_time() < end:
        np.sqrt(work, out=work)  # which lets other threads of the worker run
    return tiny(argument, shots, halvings)


def waiting(argument: str, shots: tuple[int, ...], halvings: int) -> Partial:
    """As many seconds as a file says for each shot, without a core: there may be fewer of those."""
    time.sleep(sum(_seconds(argument)[shot] for shot in shots))
    return tiny(argument, shots, halvings)


@cache
def _seconds(path: str) -> list[float]:
    seconds: list[float] = json.loads(Path(path).read_text())
    return seconds
