"""How a run is doing, from its folder alone: while it runs, and afterwards."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from wavepipe.pipeline.progress import readable_seconds
from wavepipe.pipeline.run_folder import RunFolder


@dataclass(frozen=True, slots=True)
class Status:
    """Of a run."""

    kind: str
    """model, rtm or fwi."""

    state: str
    """``running``, ``finished``, ``failed`` (too many shots did) or ``stopped``."""

    owner: str
    """Process that is at work; empty if none is."""

    shots: int
    """In the survey."""

    batch_shots: int
    """Shots of the evaluation that goes on that are done since the run was started or resumed."""

    evaluations: int
    """Finished passes over the shots, those included that a run that goes on finds."""

    iteration: int
    """Of an inversion; 0 before its first."""

    misfit: float | None
    """Of the last iteration."""

    failed: int
    """Shots, in the last evaluation."""

    silent_seconds: float
    """Since anything was last heard of the run."""


def status_of(folder: RunFolder) -> Status:
    """Read how a run is doing."""
    events, owner = folder.read_events(), folder.owner()
    begun, last = _last(events, "start", "resume")
    end, ended = _last(events, "end")
    summed, _ = _last(events, "evaluation")
    _, iteration = _last(events, "iteration")
    evaluations = [one for one in events[max(begun, 0) :] if one.get("event") == "evaluation"]
    state = "running" if owner else "stopped"
    if not owner and end > begun:
        state = "finished" if ended["accepted"] else "failed"
    since = max(begun, summed, 0)
    batches = [event for event in events[since:] if event.get("event") == "batch"]
    heard = str(events[-1]["time"]) if events else datetime.now(UTC).isoformat()
    return Status(
        kind=str(last.get("kind", "")),
        state=state,
        owner=owner,
        shots=int(last.get("shots", 0)),
        batch_shots=sum(int(str(event["shots"])) for event in batches),
        evaluations=len(evaluations),
        iteration=int(iteration.get("iteration", 0)),
        misfit=iteration.get("misfit"),
        failed=int(str(evaluations[-1]["failed"])) if evaluations else 0,
        silent_seconds=(datetime.now(UTC) - datetime.fromisoformat(heard)).total_seconds(),
    )


def _last(events: Sequence[Mapping[str, Any]], *kinds: str) -> tuple[int, Mapping[str, Any]]:
    """The last event of some kinds, and its place; -1 and nothing if there is none."""
    found = (pair for pair in enumerate(events) if pair[1].get("event") in kinds)
    return max(found, key=lambda pair: pair[0], default=(-1, {}))


def said(status: Status, folder: RunFolder) -> Iterator[str]:
    """Lines for people."""
    by = f" by {status.owner}" if status.owner else ""
    yield f"{folder.path}: {status.kind}, {status.state}{by}"
    if status.state == "running":
        yield (
            f"  {status.batch_shots} of {status.shots} shots of this evaluation, "
            f"{status.evaluations} evaluations before it"
        )
    if status.iteration:
        yield f"  iteration {status.iteration}, misfit {status.misfit:.4g}"
    if status.failed:
        yield f"  {status.failed} shots failed in the last evaluation"
    if status.state == "running":
        yield f"  last heard of {readable_seconds(status.silent_seconds)} ago"
    if status.state in ("stopped", "failed"):
        yield f"  go on with: wavepipe {status.kind} {folder.resolved_job} --resume"
