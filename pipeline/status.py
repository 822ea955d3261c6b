"""How a run is doing, from its folder alone: while it runs, and afterwards."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from wavepipe.pipeline.history import Session, iterations_of, read_history
from wavepipe.pipeline.progress import readable_seconds
from wavepipe.pipeline.run_folder import RunFolder

State = Literal["running", "finished", "failed", "stopped"]
"""``failed``: too many shots did."""


@dataclass(frozen=True, slots=True)
class Status:
    """Of a run."""

    kind: str
    """model, rtm or fwi."""

    state: State

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

    done: int
    """Shots in the result, of a run that has ended."""

    failed: int
    """Shots, of a run that has ended; else in the last evaluation."""

    silent_seconds: float
    """Since anything was last heard of the run."""


def status_of(folder: RunFolder) -> Status:
    """Read how a run is doing."""
    sessions, owner = read_history(folder.read_events()), folder.owner()
    now = datetime.now(UTC).timestamp()
    last = sessions[-1] if sessions else Session("", 0, now, False, 0, 0, now)
    iterations = iterations_of(sessions)
    iteration = iterations[-1].event if iterations else {}
    end = last.end or {}
    failed = last.evaluations[-1].n_failed if last.evaluations else 0
    return Status(
        kind=last.kind,
        state=state_of(last, owner),
        owner=owner,
        shots=last.shots,
        batch_shots=last.unfinished.done if last.unfinished else 0,
        evaluations=len(last.evaluations),
        iteration=int(iteration.get("iteration", 0)),
        misfit=iteration.get("misfit"),
        done=int(end.get("shots", 0)),
        failed=int(end.get("failed", failed)),
        silent_seconds=now - last.heard,
    )


def state_of(last: Session | None, owner: str) -> State:
    """How a run is doing whose last session, and owner, are these."""
    if owner:
        return "running"
    if last is None or last.end is None:
        return "stopped"
    return "finished" if last.end.get("accepted") else "failed"


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
    if status.state in ("finished", "failed"):
        yield f"  {status.done} shots done, {status.failed} failed"
        if folder.report.exists():
            yield f"  report: {folder.report}"
    elif status.failed:
        yield f"  {status.failed} shots failed in the last evaluation"
    if status.state == "running":
        yield f"  last heard of {readable_seconds(status.silent_seconds)} ago"
    if status.state in ("stopped", "failed"):
        yield f"  go on with: wavepipe {status.kind} {folder.resolved_job} --resume"
