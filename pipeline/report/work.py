"""Parts of a report on what the plan chose, what it predicted, and what came of it."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from wavepipe.pipeline.progress import readable_seconds
from wavepipe.pipeline.report.record import Record
from wavepipe.pipeline.report.section import Section, Table, percent
from wavepipe.propagators.storage.amounts import size

Row = tuple[str, ...]


def storage_section(record: Record) -> Section:
    """How wavefields are kept, what that was chosen from, and memory and time as they came out."""
    if not record.plan:
        return Section("storage", "Plan and storage", ["plan.json is not there."])
    keeping = record.plan.get("keeping", {})
    said = []
    if verdict := record.plan.get("verdict"):
        said.append(str(verdict))
    if keeping.get("mode", "none") == "none":
        said.append("Modelling keeps no wavefields.")
    else:
        said.append(f"Wavefields are kept: {', '.join(_way(keeping))}.")
        if not record.plan.get("measured"):
            said.append("There was no other way to choose from, so none was measured.")
    tables = [_bands(record), _comparison(record)]
    if record.plan.get("measured"):
        tables.insert(0, _measured(record.plan["measured"], keeping))
    return Section("storage", "Plan and storage", said, tables=tables)


def _way(keeping: Mapping[str, Any]) -> Iterator[str]:
    yield f"{keeping.get('mode')}, {keeping.get('method')}, {keeping.get('compression')}"
    yield f"{size(int(keeping.get('shot_memory', 0)))} of memory a shot"
    if keeping.get("shot_disk"):
        yield f"{size(int(keeping['shot_disk']))} on disk"
    if keeping.get("again"):
        yield f"{keeping['again']:.2g} forward runs made again"


def _measured(rows: Sequence[Mapping[str, Any]], keeping: Mapping[str, Any]) -> Table:
    """Ways that were tried on a shot; the one taken is marked."""
    names = ("mode", "method", "compression")
    found = []
    for one in rows:
        taken = all(one.get(name) == keeping.get(name) for name in names)
        error, seconds = one.get("error"), one.get("seconds")
        found.append(
            (
                ", ".join(str(one.get(name)) for name in names),
                size(int(one.get("memory", 0))),
                size(int(one["disk"])) if one.get("disk") else "-",
                "not measured" if seconds is None else readable_seconds(seconds),
                "not measured" if error is None else f"{error:.2g}",
                "taken" if taken else "",
            )
        )
    headings = ("Way of keeping", "Memory", "Disk", "Gradient", "Its error", "")
    return Table(headings, found, "Measured on one shot before the run")


def _bands(record: Record) -> Table:
    """What decides bits, by frequency band."""
    rows = []
    for number, one in enumerate(record.plan.get("passes", []), 1):
        p = one.get("propagation", {})
        band = one.get("max_frequency")
        rows.append(
            (
                str(number),
                "all" if band is None else f"{band:g} Hz",
                f"{1e3 * p.get('dt', 0.0):.4g} ms",
                f"{1e3 * p.get('time_step', 0.0):.4g} ms",
                str(p.get("order", "")),
                "-" if record.kind == "model" else str(p.get("stride", "")),
                "-" if record.kind == "model" else f"{one.get('taper_end', 0.0):.3g} s",
                str(p.get("backend", "")),
            )
        )
    headings = (
        "Band", "Up to", "Sample interval", "Time step", "Order", "Every n-th step kept",
        "Taper of trace ends", "Back-end",
    )  # fmt: skip
    return Table(headings, rows, "Frequency bands")


def _comparison(record: Record) -> Table:
    """Predictions against what workers measured."""
    schedule = record.plan.get("schedule", {})
    batches = [batch for session in record.sessions for batch in session.batches]
    calls = int(schedule.get("call_shots", 1))
    rows: list[Row] = [
        ("Workers x threads", f"{schedule.get('n_workers')} x {schedule.get('threads')}", ""),
        ("Shots a batch, in a call", f"{schedule.get('batch_shots')}, {calls}", ""),
        (
            "Memory of a worker",
            size(int(schedule.get("held_bytes", 0)) + calls * int(schedule.get("shot_bytes", 0))),
            _memory(batches),
        ),
        (
            "Time of a shot on one worker",
            readable_seconds(float(schedule.get("shot_seconds", 0.0))),
            _seconds([b.seconds / len(b.indices) for b in batches if b.indices]),
        ),
    ]
    if schedule.get("shot_cpu_seconds") is not None:
        cpu = [b.cpu_seconds / len(b.indices) for b in batches if b.indices and b.cpu_seconds]
        predicted = readable_seconds(float(schedule["shot_cpu_seconds"]))
        rows.append(("CPU time of a shot", predicted, _seconds(cpu)))
    if schedule.get("ledger_share") is not None:
        rows.append(("Ledger's part of the time", percent(float(schedule["ledger_share"])), ""))
    return Table(("", "Planned", "Measured"), rows, "Plan and reality")


def _memory(batches: Sequence[Any]) -> str:
    """How far the workers' processes grew, and how large they were."""
    peaks = [batch.peak_bytes for batch in batches if batch.peak_bytes]
    held = [batch.held_bytes for batch in batches if batch.held_bytes]
    if not peaks or not held:
        return "not recorded"
    grown = size(max(0, max(peaks) - min(held)))
    return f"{grown} more than before the first (largest process {size(max(peaks))})"


def _seconds(values: Sequence[float]) -> str:
    if not values:
        return "not recorded"
    return f"{readable_seconds(median(values))}, at most {readable_seconds(max(values))}"
