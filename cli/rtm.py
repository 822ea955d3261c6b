"""``wavepipe rtm``: an image by reverse-time migration."""

from __future__ import annotations

from typing import Any

import click

from wavepipe.cli.messages import show_log
from wavepipe.cli.options import dry_run_option, load_job, run_options, run_started
from wavepipe.cli.outcome import report_outcome, show_plan


@click.command()
@run_options
@dry_run_option
def rtm(dry_run: bool, **arguments: Any) -> int:
    """Image a survey by reverse-time migration, to Zarr and SEG-Y."""
    show_log()
    job = load_job("rtm", **arguments)
    if dry_run:
        return show_plan(job)
    from wavepipe.pipeline.migration import migrate_survey  # torch loads here

    return report_outcome(migrate_survey(job, started=run_started))
