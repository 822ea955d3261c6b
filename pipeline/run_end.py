"""The end of a run, whatever ended it: what its folder says of it, and its report."""

import logging
import shutil
from contextlib import suppress
from pathlib import Path

from wavepipe.pipeline.progress import readable_seconds
from wavepipe.pipeline.run_folder import RunFolder
from wavepipe.propagators.errors import WavepipeError

logger = logging.getLogger(__name__)

FROM_OUTSIDE = "a signal (Ctrl-C, SIGTERM, wavepipe cancel)"


def say_stopped(folder: RunFolder, error: BaseException) -> None:
    """Note what a run did not end well of."""
    why = FROM_OUTSIDE if isinstance(error, KeyboardInterrupt) else str(error)
    if not isinstance(error, (KeyboardInterrupt, WavepipeError)):
        why = f"{type(error).__name__}: {error}"
    with suppress(OSError):  # the disk may be why
        folder.log_event({"event": "stopped", "why": why})


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
