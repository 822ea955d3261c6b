"""The lock of a run folder: held, and naming its holder, while a driver is at work."""

import fcntl
import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from wavepipe.pipeline.errors import RunFolderError

logger = logging.getLogger(__name__)


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold a lock, and keep other drivers out of its folder; one that a dead process held is free.

    Raises
    ------
    RunFolderError
        Another process holds it.
    """
    with path.open("a+", encoding="utf-8") as file:
        try:
            _take(file)
        except BlockingIOError:
            msg = (
                f"{holder(path)} is at work in {path.parent}. Wait until it has ended, stop it "
                f"with 'wavepipe cancel {path.parent}', or choose another folder with --output."
            )
            raise RunFolderError(msg) from None
        except OSError:
            logger.warning("%s cannot be locked: start no second run in it.", path.parent)
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)  # the file stays: who waits for a lock must not hold a dead one


def holder(path: Path) -> str:
    """Who holds a lock, as ``process 123 on host``; empty if nobody does."""
    try:
        with path.open(encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return file.read().strip() or "another process"
    except OSError:
        pass
    return ""


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
