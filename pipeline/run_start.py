"""The start of a run: its workers, what its folder begins with, what is said of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from wavepipe.pipeline.clusters.workers import Workers, find_workers
from wavepipe.pipeline.durable import flush
from wavepipe.pipeline.errors import RunFolderError
from wavepipe.pipeline.inputs import Inputs, read_inputs
from wavepipe.pipeline.job.section import listed
from wavepipe.pipeline.keeping import sweep_scratch
from wavepipe.pipeline.provenance import collect_provenance
from wavepipe.pipeline.resume import (
    check_unchanged,
    is_finished,
    is_laid_out,
    may_go_on,
    stored_plan,
)
from wavepipe.pipeline.run_folder import RunFolder

if TYPE_CHECKING:
    from wavepipe.pipeline.clusters.cluster import Cluster
    from wavepipe.pipeline.job import Job
    from wavepipe.pipeline.plan import Plan


@contextmanager
def plan_run(
    job: Job, cluster: Cluster | None = None, *, resume: bool = False
) -> Iterator[tuple[Inputs, Plan, Workers]]:
    """Read and plan a run without starting it; nothing that is written stays.

    Parameters
    ----------
    job
        What to do.
    cluster
        Workers that are there already, instead of those of the job.
    resume
        Take the plan of the run that is in the folder, if it had begun.

    Raises
    ------
    WavepipeError
        The job, its data or its workers cannot be used.
    """
    folder = RunFolder(job.output_folder)
    folder.check(resume)
    goes_on = resume and may_go_on(folder)
    if resume:
        _check_left(folder, job)
    with ExitStack() as stack:
        workers = None
        if cluster is None and job.cluster.kind == "static":
            # The other processes look for it from their start, however long reading takes.
            workers = stack.enter_context(find_workers(job, cluster))
        inputs = read_inputs(job)
        if goes_on:
            check_unchanged(folder, job, collect_provenance(_input_files(job)))
        from wavepipe.pipeline.plan import make_plan  # torch loads here

        sweep_scratch(job)  # a killed run's files would count as a full disk
        workers = workers or stack.enter_context(find_workers(job, cluster))
        make = partial(stored_plan, folder) if goes_on else partial(make_plan, inputs)
        plan = make(workers.machine)
        workers.check(plan)
        yield inputs, plan, workers


def _check_left(folder: RunFolder, job: Job) -> None:
    """Refuse to touch results that are complete, or that nobody knows the beginning of."""
    if is_finished(folder, job):
        raise RunFolderError(f"the run in {folder.path} is finished; nothing is left to do.")
    if folder.results.exists() and not may_go_on(folder):
        missing = ", ".join(path.name for path in folder.beginnings if not path.exists())
        raise RunFolderError(
            f"{folder.path} holds results, but not what their run began with ({missing}), so it "
            "cannot be gone on with. Choose another folder with --output, or delete it first."
        )


def write_start(folder: RunFolder, inputs: Inputs, plan: Plan) -> None:
    """Write what the run starts from, or that it goes on."""
    job = inputs.job
    goes_on = may_go_on(folder)
    # After a loss of power the names of its files would vouch for content that is not there.
    shutil.rmtree(folder.work, ignore_errors=True)
    if not (is_laid_out(folder) or folder.checkpoint.is_dir()):
        # Made again from the ledger's sums; gathers are not in it, but in their files.
        shutil.rmtree(folder.results, ignore_errors=True)
    for unfinished in folder.results.rglob("*.partial"):
        unfinished.unlink(missing_ok=True)
    folder.write_text(folder.resolved_job, job.resolved_yaml())
    if not goes_on:
        folder.write_json(folder.plan, plan.as_dict())
        folder.write_json(folder.provenance, collect_provenance(_input_files(job)))
        inputs.survey.save(folder.survey)
    folder.log_event(
        {
            "event": "resume" if goes_on else "start",
            "kind": job.kind,
            "shots": inputs.survey.n_shots,
            "workers": plan.schedule.n_workers,
            "threads": plan.schedule.threads,
        }
    )
    flush(folder.path)


def _input_files(job: Job) -> list[Path]:
    """List the files a job reads."""
    names = [parameter.path for parameter in job.earth_model.given.values()]
    names.append(job.wavelet.path)
    names.append(job.survey.layout.table if job.survey.layout is not None else None)
    paths = [job.resolve(name) for name in names if name is not None]
    return [*paths, *(job.data_files() if job.survey.data is not None else ())]


def describe_run(inputs: Inputs, plan: Plan) -> Iterator[str]:
    """Lines about the size of the run and what was chosen for it."""
    from wavepipe.pipeline.wavefields import describe_keeping  # torch loads here

    schedule, propagation = plan.schedule, plan.passes[0].propagation
    cells = " x ".join(str(n) for n in plan.largest_window)
    yield (
        f"{plan.n_shots} shots, {inputs.survey.n_traces} traces of {propagation.nt} samples "
        f"({listed(inputs.survey.components)}); "
        f"windows up to {cells} cells, step {1e3 * propagation.time_step:.3g} ms"
    )
    yield (
        f"{schedule.n_workers} workers of {schedule.threads} threads, {schedule.batch_shots} "
        f"shots a batch, about {schedule.shot_bytes / 1e6:.3g} MB a shot"
    )
    if inputs.job.kind != "model":
        tapers = ", ".join(f"{one.taper_end:.3g} s" for one in plan.passes)
        strides = ", ".join(str(one.propagation.stride) for one in plan.passes)
        yield f"trace ends are tapered over {tapers}; every {strides} steps are kept"
        yield describe_keeping(plan.keeping)
        for found in plan.measured:
            yield f"  measured on one shot: {found}"
