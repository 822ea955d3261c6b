"""Arguments and options that the commands share, and the job they lead to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

if TYPE_CHECKING:
    from wavepipe.pipeline.job import Job

F = TypeVar("F", bound=Callable[..., Any])

job_argument = click.argument("job_file", metavar="JOB.yaml", type=click.Path(path_type=Path))

set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Replace a value of the job file: fwi.smoothing=30, fwi.stages.0.iterations=2. "
    "May be given several times; the value is YAML. A path in it is relative to the folder of "
    "JOB.yaml, as in the file.",
)

output_option = click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Run folder, instead of output.folder; relative to the current folder. It must not hold "
    "a run.",
)

workers_option = click.option(
    "--workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="Worker processes, instead of cluster.workers.",
)

scheduler_option = click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Address of a running Dask scheduler, such as tcp://127.0.0.1:8786.",
)

dry_run_option = click.option(
    "--dry-run",
    is_flag=True,
    help="Read and check everything, show the plan with memory and disk, and stop before any work.",
)


resume_option = click.option(
    "--resume",
    is_flag=True,
    help="Go on with the run in the run folder, if it was stopped: what was finished is not "
    "computed again. Without one there, start.",
)


def run_options(command: F) -> F:
    """Add everything that ``model``, ``rtm`` and ``fwi`` share to `command`.

    The command gets ``dry_run`` and ``resume``, and ``job_file``, ``overrides``, ``output``,
    ``workers`` and ``scheduler``, which it passes on to `load_job`.
    """
    for option in (
        resume_option,
        dry_run_option,
        scheduler_option,
        workers_option,
        output_option,
        set_option,
        job_argument,
    ):
        command = option(command)
    return command


def load_job(
    kind: Literal["model", "rtm", "fwi"],
    job_file: Path,
    overrides: tuple[str, ...] = (),
    output: Path | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    *,
    resume: bool = False,
) -> Job:
    """The checked job of a command line; nothing heavy is imported and no data is read.

    Raises
    ------
    click.UsageError
        Both `workers` and `scheduler` are given.
    WavepipeError
        The job is wrong, is of another kind, names files that are not there, or its run folder
        cannot be used.
    """
    from wavepipe.pipeline.job import check_files, check_kind, read_job
    from wavepipe.pipeline.run_folder import RunFolder

    if workers is not None and scheduler is not None:
        msg = (
            "--workers starts workers on this machine, and --scheduler uses those that are there; "
            "give one of them."
        )
        raise click.UsageError(msg)
    given = overrides_of(overrides, output)
    if scheduler is not None:
        given.append(f"cluster.address={_quoted(scheduler)}")
        given += ["cluster.kind=address", "cluster.scheduler_file=null", "cluster.min_workers=null"]
    if workers is not None:
        given.append(f"cluster.workers={workers}")
    job = read_job(job_file, given)
    check_kind(job, kind)
    check_files(job)
    _serve_allocation(job, resume)
    RunFolder(job.output_folder).check(resume)
    return job


def overrides_of(overrides: tuple[str, ...], output: Path | None) -> list[str]:
    """Overrides of a job file, with the run folder among them."""
    if output is None:
        return list(overrides)
    return [*overrides, f"output.folder={_quoted(str(output.absolute()))}"]


def _serve_allocation(job: Job, resume: bool) -> None:
    """Work for the driver, and end, if this is another process of a static allocation."""
    from wavepipe.pipeline.clusters.allocation import find_rank
    from wavepipe.pipeline.resume import is_finished
    from wavepipe.pipeline.run_folder import RunFolder

    rank = find_rank() if job.cluster.kind == "static" else None
    if rank is None or rank.number == 0:
        return
    if not (resume and is_finished(RunFolder(job.output_folder), job)):
        from wavepipe.pipeline.clusters.static import serve  # Dask loads here

        serve(job, rank)
    raise click.exceptions.Exit(0)


def _quoted(text: str) -> str:
    """`text` as a YAML string, whatever it looks like."""
    return "'" + text.replace("'", "''") + "'"


def run_started(folder: Path) -> None:
    """Note that work has begun in `folder`: from here on an interruption is exit code 75."""
    from wavepipe.cli.main import Progress

    context = click.get_current_context(silent=True)
    progress = context.find_object(Progress) if context is not None else None
    if progress is not None:
        progress.run_folder = folder
