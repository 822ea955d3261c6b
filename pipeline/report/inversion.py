"""Part of a report on an inversion: its misfit, its steps, and what its line searches tried."""

from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from wavepipe.pipeline.history import Iteration, iterations_of
from wavepipe.pipeline.quantities import with_unit
from wavepipe.pipeline.report.record import Record
from wavepipe.pipeline.report.section import Picture, Section, Table

ITERATIONS = 500
"""That have a row, the last ones."""


def convergence_section(record: Record, drawings: Path | None) -> Section:
    """Misfit and steps of every iteration.

    Parameters
    ----------
    record
        Of an inversion.
    drawings
        Folder for the figure; None draws none.
    """
    iterations = iterations_of(record.sessions)
    if not iterations:
        return Section("convergence", "Convergence", ["No iteration has been made yet."])
    firsts = _firsts(record, iterations)
    rows = [_row(one, firsts) for one in iterations]
    said = []
    if len(rows) > ITERATIONS:
        said.append(f"The last {ITERATIONS} of {len(rows)} iterations are listed.")
    headings = (
        "Iteration", "Stage", "Misfit", "Of its stage's start", "Largest change", "Evaluations",
        "Shots", "Steps tried: largest change, misfit",
    )  # fmt: skip
    pictures = []
    if drawings is not None and "misfit" in record.arrays:
        pictures.append(_picture(record, drawings / "convergence.png"))
    return Section(
        "convergence",
        "Convergence",
        said,
        pictures=pictures,
        tables=[Table(headings, rows[-ITERATIONS:])],
    )


def _row(iteration: Iteration, firsts: Mapping[int, float]) -> tuple[str, ...]:
    event = iteration.event
    number, stage = int(event.get("iteration", 0)), int(event.get("stage", 0))
    misfit, first = float(event.get("misfit", "nan")), firsts[number]
    steps = [
        f"{_changes(one['changes'])}: {float(one.get('misfit', 'nan')):.4g}"
        for one in iteration.tried
        if _moved(one)
    ]
    return (
        str(number) if number else "start",
        str(stage + 1),
        f"{misfit:.4g}",
        f"{100 * misfit / first:.3g} %" if first and isfinite(first) else "-",
        _changes(event.get("changes") or {}) or "-",
        str(event.get("evaluations", "")) if number else "-",
        str(event.get("shots", "")) if number else "-",
        "; ".join(steps) or "-",
    )


def _firsts(record: Record, iterations: Sequence[Iteration]) -> dict[int, float]:
    """Misfit where the stage of each iteration started, by iteration.

    The results know it; it is that of the first point of a stage, unless shots failed in between.
    """
    known = record.array("first_misfit") if "first_misfit" in record.arrays else ()
    of_stage: dict[int, float] = {}
    found: dict[int, float] = {}
    for one in iterations:
        stage, number = (int(one.event.get(key, 0)) for key in ("stage", "iteration"))
        for event in (*one.tried, one.event):
            of_stage.setdefault(stage, float(event.get("misfit", "nan")))
        stored = float(known[number]) if number < len(known) else float("nan")
        found[number] = stored if isfinite(stored) else of_stage[stage]
    return found


def _moved(tried: Mapping[str, Any]) -> bool:
    """Whether a point is a step, and not where an iteration starts."""
    return any((tried.get("changes") or {}).values())


def _changes(changes: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {with_unit(name, value, 3)}" for name, value in changes.items())


def _picture(record: Record, path: Path) -> Picture:
    from wavepipe.pipeline.figures import plot_convergence

    names = ("misfit", "stage", "max_frequency", "first_misfit")
    misfit, stage, band, first = (record.array(name) for name in names)
    plot_convergence(path, misfit, stage, band, first)
    return Picture.read(path, "Misfit of every iteration, relative to the start of its stage")
