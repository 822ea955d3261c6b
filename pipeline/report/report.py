"""One self-contained HTML file on a run, from what lies in its folder.

Any part may be missing, of a run that goes on, was stopped or failed; then the report says so
there. A part that cannot be made never takes the others with it.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from jinja2 import Environment, StrictUndefined

from wavepipe.pipeline.durable import write_atomically
from wavepipe.pipeline.history import iterations_of
from wavepipe.pipeline.progress import readable_seconds
from wavepipe.pipeline.report.inversion import convergence_section
from wavepipe.pipeline.report.origin import (
    going_on_section,
    job_section,
    provenance_section,
    warnings_section,
)
from wavepipe.pipeline.report.pictures import (
    data_section,
    geometry_section,
    illumination_section,
    image_section,
    models_section,
)
from wavepipe.pipeline.report.record import Record
from wavepipe.pipeline.report.section import Section
from wavepipe.pipeline.report.shots import failures_section, shots_section
from wavepipe.pipeline.report.timeline import time_section
from wavepipe.pipeline.report.work import storage_section
from wavepipe.pipeline.run_folder import RunFolder

T = TypeVar("T")

logger = logging.getLogger(__name__)

KINDS = {
    "model": "Modelling",
    "rtm": "Reverse-time migration",
    "fwi": "Full-waveform inversion",
}

_DATA = ("data", "Data", data_section)

PICTURES: dict[str, tuple[tuple[str, str, Callable[[Record, Path], Section]], ...]] = {
    "model": (_DATA,),
    "rtm": (
        ("image", "Image", image_section),
        ("illumination", "Illumination", illumination_section),
        _DATA,
    ),
    "fwi": (("models", "Earth models", models_section), _DATA),
}
"""Parts that are pictures, by kind of run: name, title, and what makes them."""


@dataclass(frozen=True)
class Verdict:
    """How a run is doing, in words."""

    state: str
    """running, finished, failed or stopped."""

    said: str


def write_report(folder: RunFolder, path: Path | None = None, *, figures: bool = True) -> Path:
    """Write the report of a run, and return its path.

    Parameters
    ----------
    folder
        Of the run.
    path
        The file; ``report.html`` in `folder` if None.
    figures
        Draw figures; without them a report takes no time.

    Raises
    ------
    RunFolderError
        A later version wrote the folder, or the file cannot be written.
    """
    record, target = Record(folder), path or folder.report
    record.check()
    template = files("wavepipe.pipeline.report").joinpath("report.html").read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    with TemporaryDirectory(prefix="wavepipe-report-") as drawings:
        sections = list(_sections(record, Path(drawings) if figures else None))
    no_facts: list[tuple[str, str]] = []
    unknown = Verdict("stopped", "How it ended cannot be said: what is recorded is broken.")
    page = environment.from_string(template).render(
        title=f"{KINDS.get(_kind(record), 'Run')}: {folder.path.name}",
        folder=str(folder.path),
        verdict=_guarded(lambda: verdict_of(record), unknown),
        facts=_guarded(lambda: list(_facts(record)), no_facts),
        sections=sections,
        figures=figures,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        version=version("wavepipe"),
    )
    write_atomically(target, page.encode())
    return target


def _guarded(make: Callable[[], T], otherwise: T) -> T:
    """What a function returns, or something else where the files of the run are broken."""
    try:
        return make()
    except Exception:
        logger.debug("the head of the report", exc_info=True)
        return otherwise


def _kind(record: Record) -> str:
    """Kind of run, by its events or by its job."""
    return _guarded(lambda: record.kind, str(record.settings.get("kind", "run")))


def verdict_of(record: Record) -> Verdict:
    """How the run is doing, with the exit code that it ended with."""
    last, state = record.last, record.state
    if state == "running":
        return Verdict(state, f"Under way, by {record.owner}; what follows is what there is yet.")
    if last is None:
        return Verdict(state, "Not begun: no event of a start is recorded.")
    if state == "stopped":
        why = last.stopped.get("why") if last.stopped else None
        said = f"by {why}" if why else "without a word (killed, or power was lost)"
        return Verdict(state, f"Stopped before its end, {said}. It can go on with --resume.")
    done, failed = (int((last.end or {}).get(key, 0)) for key in ("shots", "failed"))
    allowed = (record.settings.get("run") or {}).get("max_failed_shots", 0)
    counts = f"{done} shots done, {failed} failed; run.max_failed_shots is {allowed}"
    if state == "failed":
        return Verdict(state, f"Failed: {counts}. Exit code 3.")
    return Verdict(state, f"Finished: {counts}. Exit code 0.")


def _facts(record: Record) -> Iterator[tuple[str, str]]:
    """What a reader wants to know first."""
    yield "Physics", str(record.settings.get("physics", "unknown"))
    last = record.last
    if last is None:
        return
    yield "Shots", str(last.shots)
    if iterations := iterations_of(record.sessions):
        one = iterations[-1].event
        yield "Iterations", str(one.get("iteration"))
        yield "Last misfit", f"{float(one.get('misfit', 'nan')):.4g}"
    yield "Evaluations", str(sum(len(session.evaluations) for session in record.sessions))
    yield "Sessions", str(len(record.sessions))
    lengths = (s.seconds if s.seconds is not None else s.heard - s.began for s in record.sessions)
    yield "Time", readable_seconds(sum(lengths))
    yield "Workers x threads", f"{last.workers} x {last.threads}"


def _sections(record: Record, drawings: Path | None) -> Iterator[Section]:
    """All parts that a kind of run has, in the order of reading."""
    parts: list[tuple[str, str, Callable[[], Section]]] = [
        ("shots", "Contributing shots", lambda: shots_section(record))
    ]
    if drawings is not None:
        for name, title, draw in PICTURES.get(_kind(record), ()):
            parts.append((name, title, partial(draw, record, drawings)))
    if _kind(record) == "fwi":
        convergence = partial(convergence_section, record, drawings)
        parts.append(("convergence", "Convergence", convergence))
    parts += [
        ("geometry", "Geometry", lambda: geometry_section(record, drawings)),
        ("failures", "Failures and retries", lambda: failures_section(record)),
        ("warnings", "Warnings and assumptions", lambda: warnings_section(record)),
        ("time", "Time line", lambda: time_section(record)),
        ("storage", "Plan and storage", lambda: storage_section(record)),
        ("provenance", "Provenance", lambda: provenance_section(record)),
        ("job", "Job", lambda: job_section(record)),
        ("again", "Going on, and again", lambda: going_on_section(record)),
    ]
    for name, title, make in parts:
        try:
            section = make()
        except Exception as error:  # a file of the run may be broken in any way
            logger.debug("%s", title, exc_info=True)
            why = f"This part cannot be made: {error} ({type(error).__name__})."
            section = Section(name, title, [why], is_bad=True)
        if section:
            yield section
