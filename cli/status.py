"""``wavepipe status`` and ``wavepipe cancel``: a run seen from outside."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from dataclasses import asdict, replace
from pathlib import Path

import click

from wavepipe.cli import exit_codes

run_argument = click.argument("run", metavar="RUN", type=click.Path(path_type=Path))

REFRESH = 2.0
"""Seconds between two looks."""

PATIENCE = 60.0
"""Seconds a run has to end when asked."""


@click.command()
@run_argument
@click.option("--follow", is_flag=True, help="Say what changes until the run ends.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(run: Path, follow: bool, as_json: bool) -> None:
    """Say how the run in the folder RUN is doing."""
    from wavepipe.pipeline.run_folder import RunFolder
    from wavepipe.pipeline.status import said, status_of

    folder, before = RunFolder.open(run), None
    while True:
        now = status_of(folder)
        news = replace(now, silent_seconds=0.0)  # what only grew older is none
        if news != before:
            click.echo(json.dumps(asdict(now)) if as_json else "\n".join(said(now, folder)))
        before = news
        if not follow or now.state != "running":
            return
        time.sleep(REFRESH)


@click.command()
@run_argument
def cancel(run: Path) -> int:
    """Stop the run in the folder RUN; it can go on with --resume."""
    from wavepipe.pipeline.errors import RunFolderError
    from wavepipe.pipeline.run_folder import RunFolder

    folder = RunFolder.open(run)
    owner = folder.owner()
    if not owner:
        click.echo(f"Nobody is at work in {folder.path}.")
        return exit_codes.DONE
    words = owner.split()
    if len(words) != 4 or words[3] != socket.gethostname():  # process 123 on host
        msg = f"{owner} is at work in {folder.path}: stop it there, with kill -TERM."
        raise RunFolderError(msg)
    try:
        os.kill(int(words[1]), signal.SIGTERM)
    except ProcessLookupError:
        pass  # it has just ended
    except PermissionError as error:
        msg = f"{owner} is at work in {folder.path}, and is another user's, who must stop it."
        raise RunFolderError(msg) from error
    deadline = time.monotonic() + PATIENCE
    while folder.owner() == owner and time.monotonic() < deadline:
        time.sleep(0.1)
    if folder.owner() == owner:
        msg = f"{owner} was asked to stop and has not done so within {PATIENCE:.0f} s."
        raise RunFolderError(msg)
    click.echo(f"Stopped. What was finished is in {folder.path}; go on with --resume.")
    return exit_codes.DONE
