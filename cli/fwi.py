"""``wavepipe fwi``: an earth model by full-waveform inversion."""

from __future__ import annotations

from typing import Any

import click

from wavepipe.cli import exit_codes
from wavepipe.cli.messages import show_log
from wavepipe.cli.options import load_job, run_options, run_started
from wavepipe.cli.outcome import report_outcome, says_finished, show_plan


@click.command()
@run_options
def fwi(dry_run: bool, resume: bool, **arguments: Any) -> int:
    """Invert a survey for the earth model, to Zarr and SEG-Y."""
    show_log()
    job = load_job("fwi", **arguments, resume=resume)
    if resume and says_finished(job):
        return exit_codes.DONE
    if dry_run:
        return show_plan(job, resume=resume)
    from wavepipe.pipeline.inversion import invert_survey  # torch loads here

    return report_outcome(invert_survey(job, started=run_started, resume=resume))
