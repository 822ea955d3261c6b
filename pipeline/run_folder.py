"""The folder of one run: what lies where, and writes that are all or nothing.

A file appears under its name only when it is complete: it is written beside it as
``name.partial``, flushed to disk and renamed.
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from wavepipe.pipeline.errors import RunFolderError

_OURS = ("job.resolved.yaml", "plan.json", "provenance.json", "events.jsonl", "results.zarr")


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Names of everything a run writes."""

    path: Path
    """The folder, absolute."""

    @classmethod
    def create(cls, path: Path | str, resume: bool = False) -> "RunFolder":
        """A new run folder, with its parents.

        Parameters
        ----------
        path
            Where it shall be.
        resume
            Accept a folder that already holds a run.

        Raises
        ------
        RunFolderError
            `path` is a file, holds a run, or cannot be written.
        """
        folder = cls(Path(path).absolute())
        folder.check(resume)
        try:
            folder.path.mkdir(parents=True, exist_ok=True)
            probe = folder.path / ".write.partial"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise RunFolderError(_cannot_write(folder.path, error)) from error
        return folder

    @classmethod
    def open(cls, path: Path | str) -> "RunFolder":
        """An existing run folder.

        Raises
        ------
        RunFolderError
            `path` holds no run.
        """
        folder = cls(Path(path).absolute())
        if not folder.holds_run():
            msg = f"{folder.path} is not a run folder: it has no {_OURS[0]}. Name one that has."
            raise RunFolderError(msg)
        return folder

    def check(self, resume: bool = False) -> None:
        """RunFolderError if `create` would refuse; nothing is written."""
        if self.path.exists() and not self.path.is_dir():
            msg = f"output folder {self.path} is a file. Choose another with --output."
            raise RunFolderError(msg)
        if self.holds_run() and not resume:
            msg = (
                f"output folder {self.path} already holds a run. "
                "Choose another with --output, or delete it first."
            )
            raise RunFolderError(msg)
        existing = next((p for p in (self.path, *self.path.parents) if p.exists()), self.path)
        if not existing.is_dir():
            msg = f"output folder {self.path} cannot be made: {existing} is a file."
            raise RunFolderError(msg)
        if not os.access(existing, os.W_OK | os.X_OK):
            denied = PermissionError(13, "Permission denied")
            raise RunFolderError(_cannot_write(self.path, denied, existing))

    def holds_run(self) -> bool:
        """Whether any file of a run is there."""
        return any((self.path / name).exists() for name in _OURS)

    @property
    def resolved_job(self) -> Path:
        """The job as it was run."""
        return self.path / "job.resolved.yaml"

    @property
    def plan(self) -> Path:
        """What was fixed before the work started."""
        return self.path / "plan.json"

    @property
    def provenance(self) -> Path:
        """Versions, machine and inputs."""
        return self.path / "provenance.json"

    @property
    def events(self) -> Path:
        """What happened when, one JSON object per line."""
        return self.path / "events.jsonl"

    @property
    def results(self) -> Path:
        """The Zarr store of results."""
        return self.path / "results.zarr"

    @property
    def figures(self) -> Path:
        """Folder of the figures."""
        return self.path / "figures"

    @property
    def survey(self) -> Path:
        """The survey's geometry and index, for workers."""
        return self.path / "survey.npz"

    @property
    def log(self) -> Path:
        """Where the traceback of an unexpected error goes."""
        return self.path / "error.log"

    def write_text(self, path: Path | str, text: str) -> Path:
        """Write `text` to a file of the folder, all or nothing; the file's path."""
        target = self.path / path
        write_atomically(target, text.encode())
        return target

    def write_json(self, path: Path | str, content: Mapping[str, object]) -> Path:
        """Write `content` as JSON to a file of the folder, all or nothing; the file's path."""
        return self.write_text(path, json.dumps(content, indent=2, default=_plain) + "\n")

    def log_event(self, event: Mapping[str, object]) -> None:
        """Append `event`, with the time, to events.jsonl in one write."""
        stamped = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **event}
        line = json.dumps(stamped, default=_plain) + "\n"
        descriptor = os.open(self.events, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)

    def read_events(self) -> list[dict[str, object]]:
        """Every event so far; a last line cut short by a crash is left out."""
        if not self.events.exists():
            return []
        events = []
        for line in self.events.read_text().splitlines():
            try:
                events.append(json.loads(line))
            except json.JSONDecodeError:
                continue
        return events

    def sweep(self) -> list[Path]:
        """Delete what an earlier crash left half-written; the paths that are gone."""
        stray = [path for path in self.path.rglob("*.partial") if path.is_file()]
        for path in stray:
            path.unlink(missing_ok=True)
        return stray


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` to `path` so that a reader sees all of it or nothing.

    Raises
    ------
    RunFolderError
        The folder cannot be written or the disk is full.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise RunFolderError(_cannot_write(path, error)) from error


def write_new(path: Path, text: str) -> None:
    """Write a text file that is not there yet.

    Raises
    ------
    RunFolderError
        `path` exists or cannot be written.
    """
    if path.exists():
        msg = f"{path} exists already. Name another file, or delete it first."
        raise RunFolderError(msg)
    if not path.absolute().parent.is_dir():
        msg = f"cannot write {path}: the folder {path.parent} does not exist. Make it first."
        raise RunFolderError(msg)
    write_atomically(path, text.encode())


def _cannot_write(path: Path, error: OSError, where: Path | None = None) -> str:
    """Message for an operating system error while writing `path`."""
    at = f" ({where})" if where is not None and where != path else ""
    return (
        f"cannot write {path}: {error.strerror or error}{at}. "
        "Choose a folder you may write to with --output, or free space."
    )


def _plain(value: object) -> object:
    """JSON for paths, tuples of sets, and NumPy scalars and arrays."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    for method in ("tolist", "item"):
        convert = getattr(value, method, None)
        if convert is not None:
            return convert()
    if isinstance(value, Iterable):
        return list(value)
    msg = f"{type(value).__name__} has no JSON form"
    raise TypeError(msg)
