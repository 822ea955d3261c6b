"""Progress of a run: a bar on a terminal, plain log lines otherwise."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

logger = logging.getLogger(__name__)

LINE_EVERY = 10.0
"""Seconds between two plain lines."""


class Counter(Protocol):
    """Told about every batch that is done."""

    def advance(self, shots: int) -> None:
        """Count shots as done."""


class _BarCounter:
    """Moves a bar."""

    def __init__(self, bar: Bar, title: str, total: int) -> None:
        self._bar = bar
        self._task = bar.add_task(title, total=total, rate="")
        self._start = time.monotonic()
        self._done = 0

    def advance(self, shots: int) -> None:
        """Count shots as done."""
        self._done += shots
        rate = self._done / max(time.monotonic() - self._start, 1e-9)
        self._bar.update(self._task, advance=shots, rate=f"{rate:.3g} shots/s")


class _LineCounter:
    """Writes a line now and then."""

    def __init__(self, title: str, total: int) -> None:
        self._title = title
        self._total = total
        self._done = 0
        self._start = self._last = time.monotonic()

    def advance(self, shots: int) -> None:
        """Count shots as done."""
        self._done += shots
        now = time.monotonic()
        if now - self._last < LINE_EVERY or self._done >= self._total:
            return
        self._last = now
        rate = self._done / (now - self._start)
        logger.info(
            "%s: %d of %d shots, %.3g shots/s, %s left",
            self._title,
            self._done,
            self._total,
            rate,
            readable_seconds((self._total - self._done) / rate),
        )


@contextmanager
def counting(title: str, total: int) -> Iterator[Counter]:
    """Show the progress of `total` shots while the block runs.

    Parameters
    ----------
    title
        What is being done.
    total
        Shots to do.
    """
    if not sys.stderr.isatty():
        yield _LineCounter(title, total)
        return
    bar = Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        yield _BarCounter(bar, title, total)


def readable_seconds(seconds: float) -> str:
    """Duration as a person would say it.

    >>> readable_seconds(4.2), readable_seconds(200), readable_seconds(7500)
    ('4.2 s', '3 min 20 s', '2 h 5 min')
    """
    if seconds < 100:
        return f"{seconds:.2g} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
