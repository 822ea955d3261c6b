"""``wavepipe model``: gathers of a survey in an earth model."""

from __future__ import annotations

from typing import Any

import click

from wavepipe.cli import exit_codes
from wavepipe.cli.messages import show_log
from wavepipe.cli.options import load_job, run_options, run_started
from wavepipe.cli.outcome import report_outcome, says_finished, show_plan


@click.command()
@run_options
def model(dry_run: bool, resume: bool, **arguments: Any) -> int:
    """Model the gathers of a survey, to SEG-Y and Zarr."""
    show_log()
    job = load_job("model", **arguments, resume=resume)
    if resume and says_finished(job):
        return exit_codes.DONE
    if dry_run:
        return show_plan(job, resume=resume)
    from wavepipe.pipeline.modelling import model_survey  # torch loads here

    return report_outcome(model_survey(job, started=run_started, resume=resume))
