"""The end of a run, whatever ended it: what its folder says of it, and its report."""

import logging
import shutil
from contextlib import suppress
from pathlib import Path

from wavepipe.pipeline.durable import flush
from wavepipe.pipeline.errors import DiskFullError, RunFolderError
from wavepipe.pipeline.progress import readable_seconds
from wavepipe.pipeline.run_folder import RunFolder
from wavepipe.propagators.errors import WavepipeError, is_full

logger = logging.getLogger(__name__)

FROM_OUTSIDE = "a signal (Ctrl-C, SIGTERM, wavepipe cancel)"


def say_stopped(folder: RunFolder, error: BaseException) -> None:
    """Note what a run did not end well of."""
    why = FROM_OUTSIDE if isinstance(error, KeyboardInterrupt) else str(error)
    if not isinstance(error, (KeyboardInterrupt, WavepipeError)):
        why = f"{type(error).__name__}: {error}"
    with suppress(OSError):  # the disk may be why
        folder.log_event({"event": "stopped", "why": why})


def flush_published(folder: RunFolder) -> None:
    """Make what a run has published outlive a loss of power, before its sums go.

    That is what has changed in the store and beside it since the run began or went on: what is
    older was flushed then.

    Raises
    ------
    RunFolderError, DiskFullError
        Some of it cannot be written; the disk is full.
    """
    since = folder.resolved_job.stat().st_mtime_ns
    beside = [path for path in folder.path.iterdir() if path.is_file()]
    published = [path for path in beside if path.suffix != ".partial"]
    found = [*published, folder.results, *folder.results.rglob("*")]
    written = [path for path in found if path.stat().st_mtime_ns >= since]
    try:
        for path in sorted(written, key=Path.is_dir):  # names after what they name
            flush(path)
        flush(folder.path)
    except OSError as error:
        kind = DiskFullError if is_full(error) else RunFolderError
        raise kind(
            f"the results in {folder.path} cannot be made safe: {error.strerror or error}. Make "
            "room, and go on with --resume."
        ) from error


def keep_stacks(folder: RunFolder) -> None:
    """Save from the ledger, which goes, what batches that hung were doing."""
    for path in folder.ledger.glob("*/*.stacks"):
        folder.logs.mkdir(exist_ok=True)
        shutil.move(path, folder.logs / f"hung-{path.parent.name[-12:]}-{path.stem}.log")


def close_run(folder: RunFolder, seconds: float, *, figures: bool) -> None:
    """Say that a run has ended, and write its report.

    Parameters
    ----------
    folder
        Of the run.
    seconds
        It took.
    figures
        Whether the report shows any.
    """
    folder.log_event({"event": "closed", "seconds": round(seconds, 3)})
    logger.info("finished in %s: %s", readable_seconds(seconds), folder.path)
    try:
        from wavepipe.pipeline.report.report import write_report

        path: Path = write_report(folder, figures=figures)
    except Exception as error:  # whatever it is, the run's results are complete
        logger.warning(
            "the report could not be written (%s: %s); try again with: wavepipe report %s",
            type(error).__name__,
            error,
            folder.path,
        )
        return
    logger.info("report: %s", path)
