"""What a run says while it goes on: log lines on standard error."""

from __future__ import annotations

import logging

import click


class _Lines(logging.Handler):
    """Writes each record as one line, above a progress bar if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        prefix = f"{record.levelname.capitalize()}: " if record.levelno > logging.INFO else ""
        click.echo(f"{prefix}{record.getMessage()}", err=True)


def show_log() -> None:
    """Show what the package logs, from here on."""
    logger = logging.getLogger("wavepipe")
    logger.handlers = [_Lines()]
    logger.setLevel(logging.INFO)
    logger.propagate = False
