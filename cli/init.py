"""``wavepipe init``: a commented job file to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click


def _print_keys(context: click.Context, _: click.Parameter, asked: bool) -> None:
    """Print every key of a job file, and stop."""
    if not asked or context.resilient_parsing:
        return
    from wavepipe.pipeline.job.reference import job_keys

    for key, values, default, meaning in job_keys():
        click.echo(f"{key}: {meaning}")
        click.echo(f"    {values}" + (f"; default {default}" if default else ""))
    context.exit()


@click.command()
@click.option(
    "--keys",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_keys,
    help="Print every key of a job file with its values, default and meaning.",
)
@click.argument("kind", type=click.Choice(["model", "rtm", "fwi"]))
@click.argument("file", required=False, type=click.Path(path_type=Path))
def init(kind: Literal["model", "rtm", "fwi"], file: Path | None) -> None:
    """Write a commented job file of KIND that runs as it is; KIND.yaml if no FILE is named.

    The data of rtm and fwi are those that the model job writes: where they are not there, its
    job file is written too.
    """
    from wavepipe.pipeline.durable import write_new
    from wavepipe.pipeline.job.template import DATA_OF_MODEL, job_template

    file = file or Path(f"{kind}.yaml")
    write_new(file, job_template(kind, file.name))
    click.echo(f"Wrote {file}.")
    if kind != "model" and not (file.parent / DATA_OF_MODEL).exists():
        model = file.parent / "model.yaml"
        if not model.exists():
            write_new(model, job_template("model", model.name))
            click.echo(f"Wrote {model}, which makes data for it.")
        click.echo(f"Next: wavepipe model {model}")
    click.echo(f"{'Then' if kind != 'model' else 'Next'}: wavepipe {kind} {file}")
