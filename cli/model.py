"""``wavepipe model``: gathers of a survey in an earth model."""

from __future__ import annotations

from typing import Any

import click

from wavepipe.cli.messages import show_log
from wavepipe.cli.options import dry_run_option, load_job, run_options, run_started
from wavepipe.cli.outcome import report_outcome, show_plan


@click.command()
@run_options
@dry_run_option
def model(dry_run: bool, **arguments: Any) -> int:
    """Model the gathers of a survey, to SEG-Y and Zarr."""
    show_log()
    job = load_job("model", **arguments)
    if dry_run:
        return show_plan(job)
    from wavepipe.pipeline.modelling import model_survey  # torch loads here

    return report_outcome(model_survey(job, started=run_started))
