"""``wavepipe rtm``: an image by reverse-time migration."""

from __future__ import annotations

from typing import Any

import click

from wavepipe.cli import exit_codes
from wavepipe.cli.messages import show_log
from wavepipe.cli.options import load_job, run_options, run_started
from wavepipe.cli.outcome import report_outcome, says_finished, show_plan


@click.command()
@run_options
def rtm(dry_run: bool, resume: bool, **arguments: Any) -> int:
    """Image a survey by reverse-time migration, to Zarr and SEG-Y."""
    show_log()
    job = load_job("rtm", **arguments, resume=resume)
    if resume and says_finished(job):
        return exit_codes.DONE
    if dry_run:
        return show_plan(job, resume=resume)
    from wavepipe.pipeline.migration import migrate_survey  # torch loads here

    return report_outcome(migrate_survey(job, started=run_started, resume=resume))
