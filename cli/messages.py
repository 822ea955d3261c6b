"""What a run says while it goes on: log lines on standard error."""

from __future__ import annotations

import logging
import os

import click


class _Lines(logging.Handler):
    """Writes each record as one line, above a progress bar if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        prefix = f"{record.levelname.capitalize()}: " if record.levelno > logging.INFO else ""
        click.echo(f"{prefix}{record.getMessage()}", err=True)


def show_log() -> None:
    """Show what the package logs, from here on, and nothing that Dask logs."""
    logger = logging.getLogger("wavepipe")
    logger.handlers = [_Lines()]
    logger.setLevel(logging.INFO)
    logger.propagate = False
    # Worker processes write a traceback for every connection that a stop closes under them; they
    # read this when they start, and Dask when it is imported.
    os.environ.setdefault("DASK_LOGGING__DISTRIBUTED", "critical")
