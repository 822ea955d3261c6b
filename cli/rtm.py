"""``wavepipe rtm``: an image by reverse-time migration."""

from __future__ import annotations

from typing import Any

import click

from wavepipe.cli.messages import show_log
from wavepipe.cli.options import load_job, run_options, run_started
from wavepipe.cli.outcome import report_outcome


@click.command()
@run_options
def rtm(**arguments: Any) -> int:
    """Image a survey by reverse-time migration, to Zarr and SEG-Y."""
    show_log()
    job = load_job("rtm", **arguments)
    from wavepipe.pipeline.migration import migrate_survey  # torch loads here

    return report_outcome(migrate_survey(job, started=run_started))
