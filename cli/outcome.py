"""How a run would go, and how it ended: in words and as an exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from wavepipe.cli import exit_codes

if TYPE_CHECKING:
    from wavepipe.pipeline.execution import Outcome
    from wavepipe.pipeline.job import Job

LISTED = 10
"""Failed shots that are named one by one."""


def report_outcome(outcome: Outcome) -> int:
    """Say where the results are and which shots are missing; the exit code."""
    click.echo(f"{len(outcome.shots)} shots done; results in {outcome.folder}")
    for failure in outcome.failures[:LISTED]:
        click.echo(f"shot {failure.label} failed: {failure.reason}", err=True)
    if len(outcome.failures) > LISTED:
        click.echo(f"... and {len(outcome.failures) - LISTED} more", err=True)
    if outcome.accepted:
        return exit_codes.DONE
    click.echo(
        f"Error: {len(outcome.failures)} shots failed, more than run.max_failed_shots allows.",
        err=True,
    )
    return exit_codes.FAILED_SHOTS


def says_finished(job: Job) -> bool:
    """Whether the run of a job has nothing left to do; it says so.

    Raises
    ------
    JobError
        The run that is finished is that of another job.
    """
    from wavepipe.pipeline.resume import check_job, is_finished
    from wavepipe.pipeline.run_folder import RunFolder

    folder = RunFolder(job.output_folder)
    finished = is_finished(folder, job)
    if finished:
        check_job(folder, job)
        click.echo(f"The run in {job.output_folder} is finished; nothing is left to do.")
    return finished


def show_plan(job: Job, *, resume: bool = False) -> int:
    """Say what a run of a job would do, without starting it; the exit code."""
    from wavepipe.pipeline.forecast import forecast  # torch loads here
    from wavepipe.pipeline.run_start import describe_run, plan_run

    with plan_run(job, resume=resume) as (inputs, plan, workers):
        lines = (*describe_run(inputs, plan), *forecast(inputs, plan), *workers.describe(plan))
        for line in lines:
            click.echo(line)
    click.echo(f"Nothing was started or written. Results would go to {job.output_folder}.")
    return exit_codes.DONE
