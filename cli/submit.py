"""``wavepipe submit``: the driver of a run as a job of a batch system."""

from __future__ import annotations

from pathlib import Path

import click

from wavepipe.cli import exit_codes
from wavepipe.cli.options import job_argument, output_option, overrides_of, set_option


@click.command()
@job_argument
@set_option
@output_option
@click.option(
    "--on",
    metavar="SYSTEM",
    type=click.Choice(["slurm", "pbs", "lsf", "sge", "oar", "htcondor"]),
    help="Batch system, where cluster.kind is none: slurm, pbs, lsf, sge, oar or htcondor.",
)
@click.option("--dry-run", is_flag=True, help="Show the script, and submit nothing.")
def submit(
    job_file: Path, overrides: tuple[str, ...], output: Path | None, on: str | None, dry_run: bool
) -> int:
    """Submit the run of a job file to a batch system.

    The job is the driver: with a cluster.kind of a batch system it submits the jobs of its workers
    when it starts, with kind local it does the work itself. It goes on with a run that was stopped.
    """
    from wavepipe.pipeline.clusters.driver_job import Driver, batch_kind
    from wavepipe.pipeline.job import check_files, read_job

    given = overrides_of(overrides, output)
    job = read_job(job_file, given)
    check_files(job)
    arguments = tuple(word for pair in given for word in ("--set", pair))
    driver = Driver(job, batch_kind(job, on), arguments)
    if dry_run:
        for path, text in driver.files().items():
            click.echo(f"--- {path}\n{text}")
        click.echo(f"Nothing was written. It would be submitted with '{driver.system.submit}'.")
        return exit_codes.DONE
    click.echo(driver.submit())
    click.echo(f"The driver says what it does in {driver.logs}.")
    click.echo(f"See how it is doing: wavepipe status {job.output_folder}")
    return exit_codes.DONE
