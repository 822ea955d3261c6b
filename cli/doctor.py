"""``wavepipe doctor``: what a run would find, before there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from wavepipe.cli import exit_codes

if TYPE_CHECKING:
    from wavepipe.pipeline.doctor import Finding


@click.command()
@click.option("--scratch", metavar="DIR", help="Folder for wavefields on disk to look at.")
@click.option("--scheduler", metavar="ADDRESS", help="Look at every worker of a Dask scheduler.")
def doctor(scratch: str | None, scheduler: str | None) -> int:
    """Look at this machine: versions, compiler, memory, scratch disk, GPU.

    The exit code is 2 if something that runs need is not there.
    """
    from wavepipe.pipeline.clusters.running import running_cluster
    from wavepipe.pipeline.doctor import answer, examine, strangers

    here = examine(scratch)
    findings = [("this machine", here)]
    if scheduler is not None:
        with running_cluster(scheduler) as cluster:
            answers = cluster.everywhere(examine, scratch)
        workers = {address: answer(found) for address, found in answers.items()}
        findings += workers.items()
        findings.append(("differences", tuple(strangers({"the driver": here} | workers))))
    for place, found in findings:
        _show(place, found)
    well = all(one.is_well for _, found in findings for one in found)
    click.echo("All is well." if well else "Mend what is marked with '!' before a run.")
    return exit_codes.DONE if well else exit_codes.REFUSED


def _show(place: str, findings: tuple[Finding, ...]) -> None:
    if findings:
        click.echo(f"{place}:")
    for one in findings:
        click.echo(f"  {' ' if one.is_well else '!'} {one.what}: {one.said}")
