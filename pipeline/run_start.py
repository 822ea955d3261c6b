"""The start of a run: its workers, what its folder begins with, what is said of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from wavepipe.pipeline.errors import JobError
from wavepipe.pipeline.inputs import Inputs, read_inputs
from wavepipe.pipeline.job_section import listed
from wavepipe.pipeline.keeping import folder_problem
from wavepipe.pipeline.machine import Machine, local_machine
from wavepipe.pipeline.provenance import collect_provenance
from wavepipe.pipeline.run_folder import RunFolder

if TYPE_CHECKING:
    from wavepipe.pipeline.cluster import Cluster, DaskCluster
    from wavepipe.pipeline.job import Job
    from wavepipe.pipeline.plan import Plan


@dataclass(frozen=True)
class Workers:
    """Workers that are there already, or how many may be started once the plan is made."""

    machine: Machine
    cluster: Cluster | None = None

    def ready(self, plan: Plan) -> AbstractContextManager[Cluster]:
        """Start what is not there yet."""
        if self.cluster is not None:
            return nullcontext(self.cluster)
        from wavepipe.pipeline.cluster import local_cluster

        return local_cluster(plan.schedule.n_workers, plan.schedule.threads)


@contextmanager
def find_workers(job: Job, cluster: Cluster | None) -> Iterator[Workers]:
    """Connect to a running scheduler, or say how many local workers there may be."""
    machine = local_machine(job)
    if cluster is not None:
        yield Workers(replace(machine, n_workers=cluster.n_workers, free=False), cluster)
    elif job.cluster.address is None:
        yield Workers(machine)
    else:
        from wavepipe.pipeline.cluster import running_cluster

        with running_cluster(job.cluster.address) as running:
            _check_nodes(job, running)
            there = replace(machine, n_workers=running.n_workers, threads=1, free=False)
            yield Workers(there, running)


def _check_nodes(job: Job, running: DaskCluster) -> None:
    """Refuse a scratch folder that some worker cannot write to."""
    if job.kind == "model" or job.storage.folder is None:
        return
    path = str(job.resolve(job.storage.folder))
    for worker, problem in running.everywhere(folder_problem, path).items():
        if problem:
            raise JobError(f"storage of {job.path.name}: on worker {worker}, {problem}")


def plan_run(job: Job) -> tuple[Inputs, Plan]:
    """Read and plan a run without starting it; nothing is written.

    Raises
    ------
    WavepipeError
        As the run would before it starts.
    """
    RunFolder(job.output_folder).check()
    inputs = read_inputs(job)
    from wavepipe.pipeline.plan import make_plan  # torch loads here

    with find_workers(job, None) as workers:
        return inputs, make_plan(inputs, workers.machine)


def write_start(folder: RunFolder, inputs: Inputs, plan: Plan) -> None:
    """Write what the run starts from."""
    job = inputs.job
    folder.write_text(folder.resolved_job, job.resolved_yaml())
    folder.write_json(folder.plan, plan.as_dict())
    folder.write_json(folder.provenance, collect_provenance(_input_files(job)))
    inputs.survey.save(folder.survey)
    folder.log_event({"event": "start", "kind": job.kind, "shots": inputs.survey.n_shots})


def _input_files(job: Job) -> list[Path]:
    """List the files a job reads."""
    names = [parameter.path for parameter in job.earth_model.given.values()]
    names.append(job.wavelet.path)
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
