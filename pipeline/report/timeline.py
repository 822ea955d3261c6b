"""Part of a report on time: which worker had which shots when, and how long workers were idle."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import floor, log10

from markupsafe import Markup

from wavepipe.pipeline.history import Batch, Evaluation, Session
from wavepipe.pipeline.progress import readable_seconds
from wavepipe.pipeline.report.record import Record
from wavepipe.pipeline.report.section import Section, Table, percent, ranges

SHOWN = 4
"""Sessions that are drawn, the last ones."""

ROWS = 48
"""Workers that are drawn, those that did most."""

WIDTH, LEFT, TOP, ROW = 1000.0, 150.0, 26.0, 18.0
"""Of a drawing, in its own unit."""

BARS = 2000
"""Bars in a drawing, about: with more batches neighbours are drawn as one."""

KINDS = ("gathers", "image", "gradient", "misfit")


@dataclass(frozen=True)
class Use:
    """How the workers of a session were used."""

    busy: float
    """Time of all batches, s."""

    computing: float
    """Time of all evaluations, s."""

    whole: float
    """From the session's start to its end, s."""

    workers: int

    @property
    def idle(self) -> float:
        """Part of the workers' time in evaluations that no batch had."""
        return _unused(self.busy, self.workers * self.computing)

    @property
    def idle_of_all(self) -> float:
        """Part of the workers' time from start to end that no batch had."""
        return _unused(self.busy, self.workers * self.whole)


def _unused(used: float, there: float) -> float:
    return max(0.0, 1.0 - used / there) if there > 0 else 0.0


def use_of(session: Session) -> Use:
    """How the workers of a session were used."""
    batches = session.batches
    most = session.seconds if session.seconds is not None else session.heard - session.began
    return Use(
        busy=sum(batch.seconds for batch in batches),
        computing=sum(one.seconds for one in session.all_evaluations),
        whole=most,
        workers=max(session.workers, 1),
    )


def time_section(record: Record) -> Section:
    """Time line and table of the sessions."""
    rows = [_row(k, session) for k, session in enumerate(record.sessions, 1)]
    drawn = [s for s in record.sessions if s.batches][-SHOWN:]
    said = []
    if not drawn:
        said.append("No batch by a worker is recorded.")
    else:
        said.append(
            "Each bar is a batch of shots; point at one for its shots. Red: shots failed in it; "
            "orange: workers had ended with it before. Where there are too many, neighbours are "
            "one bar. The line above the workers shows the evaluations."
        )
    if len(record.sessions) > len(drawn) > 0:
        said.append(f"Drawn: the last {len(drawn)} of {len(record.sessions)} sessions.")
    headings = (
        "Session", "Began (UTC)", "Length", "Workers", "Evaluations", "Batches",
        "Idle in evaluations", "Idle of all",
    )  # fmt: skip
    drawing = Markup("").join(_drawing(session) for session in drawn)
    return Section(
        "time", "Time line", said, drawing=drawing, tables=[Table(headings, rows)] if rows else []
    )


def _row(number: int, session: Session) -> tuple[str, ...]:
    use, batches = use_of(session), session.batches
    began = datetime.fromtimestamp(session.began, UTC).strftime("%Y-%m-%d %H:%M:%S")
    idle = (percent(use.idle), percent(use.idle_of_all)) if batches else ("-", "-")
    what = "resumed" if session.goes_on else "started"
    return (
        f"{number}, {what}",
        began,
        readable_seconds(use.whole),
        f"{session.workers} x {session.threads} threads",
        str(len(session.evaluations)),
        str(len(batches)),
        *idle,
    )


@dataclass(frozen=True)
class _Bar:
    """What is drawn of one batch, or of several that lie side by side."""

    left: float
    right: float
    look: str
    title: str


def _drawing(session: Session) -> Markup:
    """One session, as SVG whose colours are the page's."""
    batches = session.batches
    first = min(session.began, *(batch.began for batch in batches))
    last = max(session.heard, *(batch.ended for batch in batches))
    scale = (WIDTH - LEFT - 10.0) / max(last - first, 1e-3)
    by_worker = _by_worker(batches)
    grain = 0.0 if len(batches) < BARS else WIDTH * len(by_worker) / BARS
    looks = {id(b): _look(one, b) for one in session.all_evaluations for b in one.batches}
    height = TOP + 10.0 + ROW * len(by_worker) + 6.0
    parts = [_axis(last - first, scale, height)]
    parts += [
        _rectangle(LEFT + scale * (one.ended - one.seconds - first), scale * one.seconds, TOP - 1,
                   6.0, f"evaluation {('', 'odd')[k % 2]}", _evaluated(k, one))
        for k, one in enumerate(session.all_evaluations, 1)
    ]  # fmt: skip
    for row, (worker, own) in enumerate(by_worker):
        y = TOP + 10.0 + ROW * row
        name = Markup('<text x="{}" y="{}" class="worker">{}</text>')
        parts.append(name.format(LEFT - 8, y + 11, _short(worker)))
        bars = (
            _Bar(
                LEFT + scale * (batch.began - first),
                LEFT + scale * (batch.ended - first),
                looks[id(batch)],
                _title(batch),
            )
            for batch in own
        )
        parts += [
            _rectangle(bar.left, bar.right - bar.left, y, ROW - 4.0, bar.look, bar.title)
            for bar in _joined(bars, grain)
        ]
    label = f"Batches of {len(by_worker)} workers over {readable_seconds(last - first)}"
    return Markup(
        '<svg viewBox="0 0 {:.0f} {:.0f}" role="img" aria-label="{}" class="timeline">{}</svg>'
    ).format(WIDTH, height, label, Markup("").join(parts))


def _by_worker(batches: Sequence[Batch]) -> list[tuple[str, list[Batch]]]:
    """Batches of each worker in order of time, of those that did most."""
    found: dict[str, list[Batch]] = {}
    for batch in sorted(batches, key=lambda one: one.began):
        found.setdefault(batch.worker, []).append(batch)
    most = sorted(found, key=lambda name: -sum(one.seconds for one in found[name]))[:ROWS]
    return [(name, own) for name, own in found.items() if name in most]


def _look(evaluation: Evaluation, batch: Batch) -> str:
    """Class of a batch's bar."""
    if batch.failed:
        return "batch failed"
    if batch.died:
        return "batch again"
    return f"batch {evaluation.wanted}" if evaluation.wanted in KINDS else "batch"


def _joined(bars: Iterator[_Bar], grain: float) -> Iterator[_Bar]:
    """The same with neighbours that are shorter together made one, so that files stay small."""
    last: list[_Bar] = []
    for bar in bars:
        if last and bar.look == last[0].look and bar.right - last[0].left < grain:
            last.append(bar)
            continue
        if last:
            yield _one(last)
        last = [bar]
    if last:
        yield _one(last)


def _one(bars: Sequence[_Bar]) -> _Bar:
    title = bars[0].title if len(bars) == 1 else f"{len(bars)} batches, from {bars[0].title}"
    return _Bar(bars[0].left, bars[-1].right, bars[0].look, title)


def _rectangle(
    left: float, width: float, top: float, height: float, look: str, title: str
) -> Markup:
    return Markup(
        '<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" class="{}">'
        "<title>{}</title></rect>"
    ).format(left, top, max(width - 0.4, 0.5), height, look, title)


def _axis(seconds: float, scale: float, height: float) -> Markup:
    """Lines at round times."""
    step = _round_step(seconds / 8)
    parts, number = [], 0
    while number * step <= seconds:
        x = LEFT + scale * number * step
        parts.append(
            Markup(
                '<line x1="{0:.1f}" x2="{0:.1f}" y1="{1}" y2="{2:.0f}" class="tick"/>'
                '<text x="{0:.1f}" y="14" class="time">{3}</text>'
            ).format(x, TOP - 6, height - 4, _clock(number * step))
        )
        number += 1
    return Markup("").join(parts)


def _round_step(least: float) -> float:
    """A round number of seconds, minutes or hours that is not shorter."""
    for step in (60, 120, 300, 600, 1800, 3600, 7200, 14400, 43200, 86400):
        if 30 < least <= step:
            return float(step)
    decade = 10.0 ** floor(log10(max(least, 1e-3)))
    return next(m * decade for m in (1, 2, 5, 10) if m * decade >= least * 0.999)


def _clock(seconds: float) -> str:
    if seconds < 60 or seconds % 60:
        return f"{seconds:g} s"
    return f"{seconds / 60:g} min" if seconds < 7200 or seconds % 3600 else f"{seconds / 3600:g} h"


def _evaluated(number: int, one: Evaluation) -> str:
    if not one.wanted:
        return "not finished"
    failed = f", {one.n_failed} failed" if one.n_failed else ""
    return f"{number}: {one.wanted} of {one.shots} shots{failed}, {readable_seconds(one.seconds)}"


def _title(batch: Batch) -> str:
    shots = f"shots {ranges(sorted(batch.indices))}" if batch.indices else "shots"
    died = f", try {len(batch.died) + 1}" if batch.died else ""
    return f"{shots}: {readable_seconds(batch.seconds)}{died}"


def _short(worker: str) -> str:
    """Name of a worker without its protocol."""
    return worker.split("://")[-1][-22:]
