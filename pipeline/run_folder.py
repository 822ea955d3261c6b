"""The folder of one run: what lies where, and writes that are all or nothing.

A file appears under its name only when it is complete: it is written beside it as
``name.partial``, flushed to disk and renamed.
"""

import fcntl
import json
import logging
import os
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from wavepipe.pipeline.errors import DiskFullError, RunFolderError
from wavepipe.propagators.errors import is_full

logger = logging.getLogger(__name__)

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
                f"output folder {self.path} already holds a run. Go on with it with --resume, "
                "choose another with --output, or delete it first."
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
    def beginnings(self) -> tuple[Path, ...]:
        """What a run starts from; all is there before any work begins."""
        return (self.resolved_job, self.plan, self.provenance, self.survey)

    @property
    def work(self) -> Path:
        """Folder of what workers read, while a run goes on."""
        return self.path / "work"

    @property
    def lock(self) -> Path:
        """Held, and naming its holder, while a driver is at work."""
        return self.path / "run.lock"

    @property
    def ledger(self) -> Path:
        """Folder of the sums that are safe, an evaluation each."""
        return self.path / "ledger"

    @property
    def checkpoint(self) -> Path:
        """Folder of what an inversion goes on from."""
        return self.ledger / "checkpoint"

    @property
    def logs(self) -> Path:
        """Folder of what workers had to say where something went wrong."""
        return self.path / "logs"

    @property
    def dask_report(self) -> Path:
        """Dask's own account of a run, where a job asks for it."""
        return self.path / "dask-report.html"

    @property
    def report(self) -> Path:
        """All of this for people, in one file."""
        return self.path / "report.html"

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

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other drivers out; a lock that a dead one held is free.

        Raises
        ------
        RunFolderError
            Another process is at work in the folder.
        """
        with self.lock.open("a+", encoding="utf-8") as file:
            try:
                _take(file)
            except BlockingIOError:
                msg = (
                    f"{self.owner()} is at work in {self.path}. Wait until it has ended, stop it "
                    f"with 'wavepipe cancel {self.path}', or choose another folder with --output."
                )
                raise RunFolderError(msg) from None
            except OSError:
                logger.warning("%s cannot be locked: start no second run in it.", self.path)
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
            file.flush()
            try:
                yield
            finally:
                file.truncate(0)  # the file stays: who waits for a lock must not hold a dead one

    def owner(self) -> str:
        """Who is at work here, as ``process 123 on host``; empty if nobody is."""
        try:
            with self.lock.open(encoding="utf-8") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return file.read().strip() or "another process"
        except OSError:
            pass
        return ""

    def log_event(self, event: Mapping[str, object]) -> None:
        """Append `event`, with the time, to events.jsonl in one write, which is not flushed."""
        stamped = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **event}
        line = json.dumps(stamped, default=_plain) + "\n"
        descriptor = os.open(self.events, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                line = "\n" + line  # a crash cut the last one short
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)

    def read_events(self) -> list[dict[str, object]]:
        """Every event so far; a last line cut short by a crash is left out."""
        if not self.events.exists():
            return []
        events = []
        for line in self.events.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                event = json.loads(line)
            except json.JSONDecodeError:
                continue
            if isinstance(event, dict):
                events.append(event)
        return events

    def sweep(self) -> list[Path]:
        """Delete what an earlier crash left half-written; the paths that are gone."""
        stray = [path for path in self.path.rglob("*.partial") if path.is_file()]
        for path in stray:
            path.unlink(missing_ok=True)
        return stray


def _take(file: IO[str]) -> None:
    """Lock a file; who only looks at a lock holds it for an instant.

    Raises
    ------
    BlockingIOError
        Another process keeps it.
    """
    for _ in range(10):
        with suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(0.1)
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` to `path` so that a reader sees all of it or nothing.

    Raises
    ------
    RunFolderError, DiskFullError
        The folder cannot be written; the disk is full.
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
        kind = DiskFullError if is_full(error) else RunFolderError
        raise kind(_cannot_write(path, error)) from error


def flush(path: Path) -> None:
    """Make what a file holds, or the names in a folder, outlive a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not path.is_dir():  # some file systems flush no folder
            raise
        logger.debug("%s: %s", path, error)
    finally:
        os.close(descriptor)


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
