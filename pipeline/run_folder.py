"""The folder of one run: what lies where in it."""

import json
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from wavepipe.pipeline.durable import cannot_write, write_atomically
from wavepipe.pipeline.errors import RunFolderError
from wavepipe.pipeline.run_events import append_event, as_json, read_events
from wavepipe.pipeline.run_lock import held, holder

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
            raise RunFolderError(cannot_write(folder.path, error)) from error
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
            raise RunFolderError(cannot_write(self.path, denied, existing))

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
        return self.write_text(path, json.dumps(content, indent=2, default=as_json) + "\n")

    def locked(self) -> AbstractContextManager[None]:
        """Keep other drivers out; a lock that a dead one held is free.

        Raises
        ------
        RunFolderError
            Another process is at work in the folder.
        """
        return held(self.lock)

    def owner(self) -> str:
        """Who is at work here, as ``process 123 on host``; empty if nobody is."""
        return holder(self.lock)

    def log_event(self, event: Mapping[str, object]) -> None:
        """Append `event`, with the time, to events.jsonl in one write, which is not flushed.

        Raises
        ------
        OSError
            It cannot be written, or not all of it: the disk is full.
        """
        append_event(self.events, event)

    def read_events(self) -> list[dict[str, object]]:
        """Every event so far; a last line cut short by a crash is left out."""
        return read_events(self.events)
