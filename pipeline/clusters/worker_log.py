"""What a worker process has to say when something goes wrong: a log of its own in the run folder.

It holds the warnings of the worker, the traceback of every shot that failed, and, where the process
itself crashes, where it was. A log without a line is removed.
"""

import faulthandler
import logging
import re
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from distributed import WorkerPlugin

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class WorkerLog(WorkerPlugin):
    """Opens the log on every worker, those that come late or start again too."""

    name = "wavepipe-log"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file: IO[str] | None = None
        self._handlers: list[logging.Handler] = []

    def setup(self, worker: Any) -> None:
        """Start the log of a worker."""
        name = re.sub(r"[^\w.-]+", "-", str(worker.address).split("://")[-1])
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._file = (self.folder / f"worker-{name}.log").open("a", encoding="utf-8")
        except OSError:
            return  # work goes on without a log
        written, shown = logging.StreamHandler(self._file), logging.StreamHandler()
        written.setFormatter(logging.Formatter(FORMAT))
        shown.setLevel(logging.WARNING)  # as without a log
        self._handlers = [written, shown]
        logging.captureWarnings(capture=True)
        for logger in _loggers():
            logger.setLevel(logging.INFO)
            for handler in self._handlers:
                logger.addHandler(handler)
        faulthandler.enable(self._file)

    def teardown(self, worker: Any) -> None:
        """End the log of a worker."""
        if self._file is None:
            return
        faulthandler.disable()
        for logger in _loggers():
            for handler in self._handlers:
                logger.removeHandler(handler)
        self._file.close()


def _loggers() -> tuple[logging.Logger, ...]:
    return tuple(logging.getLogger(name) for name in ("wavepipe", "py.warnings"))


def tidy_logs(folder: Path) -> None:
    """Remove logs that say nothing."""
    for path in folder.glob("*.log"):
        with suppress(OSError):
            if path.stat().st_size == 0:
                path.unlink()
    with suppress(OSError):  # which says that something is left
        folder.rmdir()
