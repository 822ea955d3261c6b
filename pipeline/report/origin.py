"""Parts of a report on where results come from, what was doubtful, and how to go on."""

import shlex
from collections.abc import Iterator

from wavepipe.pipeline.report.record import Record
from wavepipe.pipeline.report.section import Section, Table, Text
from wavepipe.propagators.storage.amounts import size


def warnings_section(record: Record) -> Section:
    """What was warned of in any session, and what reading took for granted."""
    found = dict.fromkeys(line for session in record.sessions for line in session.warnings)
    rows = [(line,) for line in found]
    tables = [Table(("Warning",), rows)] if rows else []
    assumed: list[str] = []
    if record.arrays:
        assumed = [str(line) for line in record.attributes.get("assumptions", [])]
    if assumed:
        tables.append(Table(("Taken for granted while reading",), [(one,) for one in assumed]))
    said = [] if rows else ["There were no warnings."]
    return Section("warnings", "Warnings and assumptions", said, tables=tables)


def provenance_section(record: Record) -> Section:
    """Versions, machine and inputs."""
    known = record.provenance
    if not known:
        return Section("provenance", "Provenance", ["provenance.json is not there."])
    facts = [
        ("Begun", _time(known.get("time"))),
        ("Command", shlex.join(str(word) for word in known.get("command", []))),
        ("Versions", ", ".join(f"{name} {number}" for name, number in record.versions.items())),
        ("Platform", str(known.get("platform", ""))),
        ("Processor", f"{known.get('cpu', '')}, {known.get('cpu_count', '?')} cores"),
        ("Compiler", str(known.get("compiler", ""))),
    ]
    inputs = [
        (
            str(one.get("path", "")),
            size(int(one.get("bytes", 0))),
            _time(one.get("modified")),
            str(one.get("sha256") or f"{one.get('sha256_sampled', '')} (of samples)"),
        )
        for one in known.get("inputs", [])
    ]
    tables = [Table(("", ""), facts)]
    if inputs:
        tables.append(Table(("File", "Size", "Written", "SHA-256"), inputs, "What it read"))
    return Section("provenance", "Provenance", tables=tables)


def _time(text: object) -> str:
    """A time as people write it.

    Examples
    --------
    >>> _time("2026-01-02T03:04:05+00:00")
    '2026-01-02 03:04:05 UTC'
    """
    return str(text or "").replace("T", " ").replace("+00:00", " UTC")


def job_section(record: Record) -> Section:
    """The job with every key, as it was run."""
    if not record.job_text:
        return Section("job", "Job", ["job.resolved.yaml is not there."])
    text = Text("job.resolved.yaml", record.job_text)
    return Section("job", "Job", ["Every key with its value, defaults filled in."], texts=[text])


def going_on_section(record: Record) -> Section:
    """Commands, as they would be typed."""
    return Section("again", "Going on, and again", texts=[Text("Commands", _commands(record))])


def _commands(record: Record) -> str:
    return "\n".join(f"{command}    # {what}" for command, what in _each(record))


def _each(record: Record) -> Iterator[tuple[str, str]]:
    job, folder = (
        shlex.quote(str(path)) for path in (record.folder.resolved_job, record.folder.path)
    )
    if record.state == "running":
        yield f"wavepipe status {folder} --follow", "how it is doing"
        yield f"wavepipe cancel {folder}", "stop it; it can go on later"
    if record.state in ("stopped", "failed"):
        yield (
            f"wavepipe {record.kind} {job} --resume",
            "go on; what was finished is not computed again",
        )
    yield f"wavepipe {record.kind} {job} --output NEW_FOLDER", "the same again, elsewhere"
    yield f"wavepipe report {folder}", "make this report anew"
