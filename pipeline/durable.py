"""Files that are there whole or not at all, and outlive a loss of power.

A file appears under its name only when it is complete: it is written beside it as
``name.<process>.partial``, flushed to disk and renamed.
"""

import logging
import os
from pathlib import Path

from wavepipe.pipeline.errors import DiskFullError, RunFolderError
from wavepipe.propagators.errors import is_full

logger = logging.getLogger(__name__)


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
        raise kind(cannot_write(path, error)) from error


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


def cannot_write(path: Path, error: OSError, where: Path | None = None) -> str:
    """Message for an operating system error while writing `path`."""
    at = f" ({where})" if where is not None and where != path else ""
    return (
        f"cannot write {path}: {error.strerror or error}{at}. "
        "Choose a folder you may write to with --output, or free space."
    )
