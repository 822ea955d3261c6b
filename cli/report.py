"""``wavepipe report``: all that a run folder tells, in one file."""

from __future__ import annotations

from pathlib import Path

import click

from wavepipe.cli.status import run_argument


@click.command()
@run_argument
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The file to write, instead of report.html in RUN.",
)
@click.option("--figures/--no-figures", default=True, help="Draw figures, or none.")
def report(run: Path, output: Path | None, figures: bool) -> None:
    """Write the report of the run in the folder RUN, as it is now: one HTML file.

    Any run has one: finished, failed, stopped or under way.
    """
    from wavepipe.pipeline.report.report import write_report
    from wavepipe.pipeline.run_folder import RunFolder

    click.echo(f"Wrote {write_report(RunFolder.open(run), output, figures=figures)}")
