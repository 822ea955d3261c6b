"""What a report is made of: sections of sentences, tables, pictures and folded texts.

The template lays them out, and escapes all of it; only drawings are markup already.
"""

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from markupsafe import Markup


@dataclass(frozen=True)
class Table:
    """Rows of text under headings."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""


@dataclass(frozen=True)
class Picture:
    """An image that is part of the file."""

    source: str
    """As a data URL."""

    description: str

    @classmethod
    def read(cls, path: Path, description: str) -> "Picture":
        """That of a PNG file."""
        content = base64.b64encode(path.read_bytes()).decode()
        return cls(f"data:image/png;base64,{content}", description)


@dataclass(frozen=True)
class Text:
    """As it is written elsewhere: a job, a log."""

    title: str
    content: str


@dataclass(frozen=True)
class Section:
    """A part of a report."""

    name: str
    """By which it is linked to."""

    title: str
    said: Sequence[str] = ()
    pictures: Sequence[Picture] = ()
    drawing: Markup | None = None
    tables: Sequence[Table] = ()
    texts: Sequence[Text] = ()
    is_bad: bool = False
    """Whether it needs a reader's attention."""

    def __bool__(self) -> bool:
        return any((self.said, self.pictures, self.drawing, self.tables, self.texts))


def ranges(numbers: Sequence[int]) -> str:
    """Ascending numbers as text.

    Examples
    --------
    >>> ranges([0, 1, 2, 5, 7, 8])
    '0-2, 5, 7-8'
    """
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in _runs(numbers))


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First and last of every run without a gap."""
    if not numbers:
        return
    breaks = [k for k, (a, b) in enumerate(pairwise(numbers), 1) if b != a + 1]
    for first, past in pairwise([0, *breaks, len(numbers)]):
        yield numbers[first], numbers[past - 1]


def percent(part: float) -> str:
    """A part of one as text.

    Examples
    --------
    >>> percent(0.0312), percent(0.5)
    ('3.1 %', '50 %')
    """
    return f"{100 * part:.2g} %" if abs(part) < 0.995 else f"{100 * part:.0f} %"
