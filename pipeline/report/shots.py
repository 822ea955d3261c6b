"""Parts of a report on shots: which are in the result, which failed and why, what was repeated."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from wavepipe.pipeline.history import Batch
from wavepipe.pipeline.report.record import Record
from wavepipe.pipeline.report.section import Section, Table, Text, ranges

LISTED = 200
"""Failures and repetitions that have a row."""

LOGS = 12
"""Logs that are shown."""

TAIL = 60
"""Lines of each."""


def shots_section(record: Record) -> Section:
    """Which shots are in the result; it must be what the run's end said."""
    title = "Contributing shots"
    if "status" not in record.arrays:
        return Section("shots", title, ["No results were begun, so no shot is in them."])
    status, index = record.array("status"), record.array("shots")
    said = [
        f"{_count(status == 'done', 'shot')} of {len(status)} in the result"
        + (f": {ranges(_sorted(index[status == 'done']))}." if (status == "done").any() else ".")
    ]
    for name, meaning in (
        ("failed", "failed, and not in it"),
        ("pending", "not known to be in it yet"),
        ("dropped", "dropped"),
    ):
        chosen = index[status == name]
        if len(chosen):
            said.append(f"{_count(status == name, 'shot')} {meaning}: {ranges(_sorted(chosen))}.")
    said.append(
        "The numbers count the survey's shots from 0, before survey.shots selects; the status and "
        "label of each are in results.zarr."
    )
    dropped = [str(line) for line in record.attributes.get("dropped", [])]
    left_out = [str(line) for line in record.attributes.get("left_out", [])]
    contradiction = _contradiction(record, Counter(str(one) for one in status))
    return Section(
        "shots",
        title,
        [*contradiction, *said],
        texts=[
            Text(f"{name} ({len(lines)})", "\n".join(lines))
            for name, lines in (("Outside the earth model", dropped), ("Traces left out", left_out))
            if lines
        ],
        is_bad=bool(contradiction),
    )


def _contradiction(record: Record, counts: Mapping[str, int]) -> list[str]:
    """Where the list of shots is not what the run's end said, on which its exit code rests."""
    end = record.last.end if record.last else None
    if end is None:
        return []
    found = (counts.get("done", 0), counts.get("failed", 0))
    told = (int(end.get("shots", 0)), int(end.get("failed", 0)))
    if found == told:
        return []
    return [
        f"results.zarr lists {found[0]} shots as done and {found[1]} as failed, but the run ended "
        f"with {told[0]} and {told[1]}: something has changed the results since."
    ]


def failures_section(record: Record) -> Section:
    """Shots that failed, batches that were tried again, and what the processes had to say."""
    failed, again = list(_failed(record)), list(_again(record))
    said = []
    if not failed and not again:
        said.append("No shot failed, and no worker ended with a batch.")
    tables = []
    if failed:
        headings = ("Shot", "Label", "Source (m)", "Why", "Worker")
        tables.append(Table(headings, failed[:LISTED], _listed(len(failed), "Shots that failed")))
    if again:
        headings = ("Shots", "Tries", "Workers that ended with them", "Then by", "Ended well")
        caption = _listed(len(again), "Batches tried more than once")
        tables.append(Table(headings, again[:LISTED], caption))
    texts = list(_logs(record))
    return Section(
        "failures", "Failures and retries", said, tables=tables, texts=texts, is_bad=bool(failed)
    )


def _failed(record: Record) -> Iterator[tuple[str, ...]]:
    """Rows on failed shots: of the results, or of the last session where they say nothing yet."""
    workers = _workers_of_failures(record)
    reasons: dict[int, tuple[str, str]] = {}
    if "status" in record.arrays:
        columns = (record.array(name) for name in ("status", "label", "failure"))
        for place, (status, label, reason) in enumerate(zip(*columns, strict=True)):
            if status == "failed":
                reasons[place] = (str(label), str(reason))
    for evaluation in record.last.all_evaluations if record.last and not reasons else ():
        for one in evaluation.failures:
            reasons[int(one.get("shot", -1))] = (str(one.get("label")), str(one.get("reason")))
    for place, (label, reason) in sorted(reasons.items()):
        names = ", ".join(sorted(workers.get(place, ()))) or "not recorded"
        yield (*_place(record, place), label, _source(record, place), reason, names)


def _workers_of_failures(record: Record) -> dict[int, set[str]]:
    """Who had the shots that failed, in the last session."""
    found: dict[int, set[str]] = {}
    for batch in record.last.batches if record.last else ():
        for place in batch.failed:
            found.setdefault(place, set()).add(batch.worker)
    return found


def _again(record: Record) -> Iterator[tuple[str, ...]]:
    """Rows on batches that ended workers."""
    for session in record.sessions:
        for batch in session.batches:
            if batch.died:
                yield _retried(record, batch)


def _retried(record: Record, batch: Batch) -> tuple[str, ...]:
    numbers = [int(number) for place in batch.indices for number in _place(record, place)]
    well = "no" if batch.failed else "yes"
    tries = str(len(batch.died) + (0 if len(batch.failed) == len(batch.indices) else 1))
    return (ranges(numbers), tries, ", ".join(batch.died), batch.worker, well)


def _place(record: Record, place: int) -> tuple[str]:
    """Number of a shot in the survey, from its place in the selection."""
    try:
        return (str(int(record.survey.original_index[place])),)
    except (OSError, ValueError, KeyError, IndexError):
        return (str(place),)


def _source(record: Record, place: int) -> str:
    try:
        return ", ".join(f"{x:g}" for x in record.survey.source_positions[place])
    except (OSError, ValueError, KeyError, IndexError):
        return "unknown"


def _logs(record: Record) -> Iterator[Text]:
    """Ends of the logs that there are."""
    folder = record.folder
    paths = [folder.log] if folder.log.exists() else []
    paths += sorted(folder.logs.glob("*.log")) + sorted(folder.ledger.glob("*/*.stacks"))
    for path in paths[:LOGS]:
        yield Text(str(path.relative_to(folder.path)), _tail(path))
    if len(paths) > LOGS:
        rest = "\n".join(str(path.relative_to(folder.path)) for path in paths[LOGS:])
        yield Text(f"{len(paths) - LOGS} more logs", rest)


def _tail(path: Path) -> str:
    """The last lines of a file."""
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 200 * TAIL))
            lines = file.read().decode("utf-8", errors="replace").splitlines()
    except OSError as error:
        return f"cannot be read: {error}"
    return "\n".join(lines[-TAIL:])


def _sorted(values: np.ndarray[Any, Any]) -> list[int]:
    return sorted(int(value) for value in values)


def _count(chosen: np.ndarray[Any, Any], what: str) -> str:
    n = int(np.count_nonzero(chosen))
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _listed(count: int, what: str) -> str:
    return f"{what}: {count}" + (f", of which the first {LISTED}" if count > LISTED else "")
