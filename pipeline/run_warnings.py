"""Warnings of a run, kept among its events: those from before it had a folder too."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from wavepipe.pipeline.run_folder import RunFolder


class Warnings(logging.Handler):
    """Keeps what the package warns of; errors have events of their own."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._folder: RunFolder | None = None
        self._before: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one warning."""
        if record.levelno != logging.WARNING:
            return
        if self._folder is None:
            self._before.append(record.getMessage())
        else:
            _write(self._folder, record.getMessage())

    def keep_in(self, folder: RunFolder) -> None:
        """Write to a folder's events, from here on and what there was before."""
        self._folder = folder
        for message in self._before:
            _write(folder, message)


def _write(folder: RunFolder, message: str) -> None:
    with suppress(OSError):  # a full disk has its own error, and a warning must be none
        folder.log_event({"event": "warning", "message": message})


@contextmanager
def kept_warnings() -> Iterator[Warnings]:
    """Keep the warnings of this process while the block runs."""
    logger, handler = logging.getLogger("wavepipe"), Warnings()
    logger.addHandler(handler)
    try:
        yield handler
    finally:
        logger.removeHandler(handler)
