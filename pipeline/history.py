"""What happened in a run, in order, from its events: for its status and its report."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Event = Mapping[str, Any]


@dataclass(frozen=True)
class Batch:
    """A batch of shots that a worker was done with."""

    indices: tuple[int, ...]
    """Shots, as indices in the selection."""

    worker: str
    began: float
    """By the worker's clock, s since the epoch."""

    seconds: float
    died: tuple[str, ...] = ()
    """Workers that had it before, and ended with it."""

    failed: tuple[int, ...] = ()
    """Shots that are not in its sum."""

    cpu_seconds: float | None = None
    held_bytes: int | None = None
    """Memory of the worker's process before it."""

    peak_bytes: int | None = None
    """Most memory that the worker's process ever had, until its end."""

    @property
    def ended(self) -> float:
        """When, s since the epoch."""
        return self.began + self.seconds


@dataclass(frozen=True)
class Evaluation:
    """A pass over shots: finished, or still going on."""

    wanted: str
    """gathers, image, gradient or misfit; empty while it goes on."""

    ended: float
    """s since the epoch; of the last batch while it goes on."""

    seconds: float
    shots: int
    """In the sum."""

    failures: tuple[Event, ...]
    """Shots that are not, each with index ``shot``, ``label`` and ``reason``."""

    n_failed: int
    batches: tuple[Batch, ...]
    done: int
    """Shots of the batches that were heard of: also of those that say nothing else."""


@dataclass
class Session:
    """From a start or a resumption to where it ended."""

    kind: str
    shots: int
    """In the survey."""

    began: float
    """s since the epoch."""

    goes_on: bool
    """Whether it took up an earlier one."""

    workers: int
    threads: int
    heard: float
    """Time of its last event, s since the epoch."""

    evaluations: list[Evaluation] = field(default_factory=list)
    unfinished: Evaluation | None = None
    iterations: list[Event] = field(default_factory=list)
    tried: list[Event] = field(default_factory=list)
    """Points where an inversion evaluated misfit and gradient."""

    warnings: list[str] = field(default_factory=list)
    end: Event | None = None
    """With the number of shots done and failed, and whether that was accepted."""

    stopped: Event | None = None
    """Why it ended otherwise."""

    seconds: float | None = None
    """It took, if it ended well."""

    @property
    def all_evaluations(self) -> list[Evaluation]:
        """Those that ended, and the one that did not."""
        return [*self.evaluations, *([self.unfinished] if self.unfinished else [])]

    @property
    def batches(self) -> list[Batch]:
        """Of all its evaluations."""
        return [batch for one in self.all_evaluations for batch in one.batches]


def read_history(events: Sequence[Event]) -> list[Session]:
    """The sessions of a run.

    Parameters
    ----------
    events
        Of events.jsonl; what is there of them is used.
    """
    sessions: list[Session] = []
    batches: list[Event] = []
    for event in events:
        what = event.get("event", "batch" if "shots" in event else "")
        if what in ("start", "resume"):
            if sessions:
                sessions[-1].unfinished = _unfinished(batches)
            batches = []
            sessions.append(_session(event, goes_on=what == "resume"))
        if not sessions:
            continue
        last = sessions[-1]
        last.heard = _seconds(event.get("time"), last.heard)
        if what == "batch":
            batches.append(event)
        elif what == "evaluation":
            last.evaluations.append(_evaluation(event, batches, last.heard))
            batches = []
        elif what == "iteration":
            last.iterations.append(event)
        elif what == "tried":
            last.tried.append(event)
        elif what == "warning" and event.get("message") not in last.warnings:
            last.warnings.append(str(event.get("message")))
        elif what == "end":
            last.end = event
        elif what == "stopped":
            last.stopped = event
        elif what == "closed":
            last.seconds = _number(event.get("seconds"))
    if sessions:
        sessions[-1].unfinished = _unfinished(batches)
    return sessions


@dataclass(frozen=True)
class Iteration:
    """An iteration of an inversion."""

    event: Event
    """With its number, stage, misfit, changes and shots."""

    tried: tuple[Event, ...]
    """Points that its line search tried, and where it started."""


def iterations_of(sessions: Sequence[Session]) -> list[Iteration]:
    """Iterations of an inversion as they stand, 0 first.

    A session that goes on repeats those that were not safe, which then count in place of the old.
    """
    events: dict[int, Event] = {}
    tried: dict[int, tuple[int, list[Event]]] = {}
    for number, session in enumerate(sessions):
        for event in session.tried:
            which = int(event.get("iteration", 0))
            if which not in tried or tried[which][0] != number:
                tried[which] = (number, [])
                events = {k: one for k, one in events.items() if k < which}
            tried[which][1].append(event)
        events |= {int(event.get("iteration", 0)): event for event in session.iterations}
    known = {which: tuple(points) for which, (_, points) in tried.items()}
    return [Iteration(events[which], known.get(which, ())) for which in sorted(events)]


def _session(event: Event, *, goes_on: bool) -> Session:
    began = _seconds(event.get("time"), 0.0)
    return Session(
        kind=str(event.get("kind", "")),
        shots=int(event.get("shots", 0)),
        began=began,
        goes_on=goes_on,
        workers=int(event.get("workers", 0)),
        threads=int(event.get("threads", 0)),
        heard=began,
    )


def _evaluation(event: Event, batches: Sequence[Event], ended: float) -> Evaluation:
    return Evaluation(
        wanted=str(event.get("wanted", "")),
        ended=ended,
        seconds=_number(event.get("seconds")) or 0.0,
        shots=int(event.get("shots", 0)),
        failures=tuple(event.get("failures", ())),
        n_failed=int(event.get("failed", 0)),
        batches=tuple(_known(batches)),
        done=sum(int(batch.get("shots", 0)) for batch in batches),
    )


def _unfinished(batches: Sequence[Event]) -> Evaluation | None:
    """What has been heard of an evaluation that has not ended."""
    if not batches:
        return None
    known = tuple(_known(batches))
    ended = max((batch.ended for batch in known), default=0.0)
    began = min((batch.began for batch in known), default=0.0)
    done = sum(int(batch.get("shots", 0)) for batch in batches)
    return Evaluation("", ended, ended - began, 0, (), 0, known, done)


def _known(events: Iterable[Event]) -> Iterable[Batch]:
    """Batches whose worker and time are known."""
    for event in events:
        seconds = _number(event.get("seconds"))
        if seconds is None or not event.get("worker"):
            continue
        yield Batch(
            indices=tuple(event.get("indices", ())),
            worker=str(event["worker"]),
            began=_seconds(event.get("began"), _seconds(event.get("time"), 0.0) - seconds),
            seconds=seconds,
            died=tuple(event.get("died", ())),
            failed=tuple(event.get("failed", ())),
            cpu_seconds=event.get("cpu_seconds"),
            held_bytes=event.get("held_bytes"),
            peak_bytes=event.get("peak_bytes"),
        )


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None


def _seconds(text: object, default: float) -> float:
    """Seconds since the epoch of a time as it is written."""
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return default
