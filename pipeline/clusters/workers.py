"""The workers of a run: those that are there already, or what may be started for a plan."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from wavepipe.pipeline.errors import ClusterError, JobError
from wavepipe.pipeline.keeping import folder_problem
from wavepipe.pipeline.machine import (
    Machine,
    Place,
    gpu_machine,
    local_machine,
    machine_of,
    place,
    shared_machine,
)
from wavepipe.pipeline.provenance import collect_provenance
from wavepipe.pipeline.resume import differing

if TYPE_CHECKING:
    from wavepipe.pipeline.clusters.cluster import Cluster, DaskCluster
    from wavepipe.pipeline.clusters.jobs import Jobs
    from wavepipe.pipeline.job import Job
    from wavepipe.pipeline.plan import Plan


@dataclass(frozen=True)
class Workers:
    """Workers that are there already, or how many may be started once the plan is made."""

    machine: Machine
    job: Job
    cluster: Cluster | None = None

    def ready(self, plan: Plan) -> AbstractContextManager[Cluster]:
        """Start what is not there yet."""
        if self.cluster is not None:
            return nullcontext(self.cluster)
        n_workers, threads = plan.schedule.n_workers, plan.schedule.threads
        section = self.job.cluster
        if section.is_batch:
            from wavepipe.pipeline.clusters.alike import Alike
            from wavepipe.pipeline.clusters.batch import batch_cluster

            alike = Alike(collect_provenance(), self.job)
            return batch_cluster(_jobs(self.job), n_workers, _batch_seconds(plan), alike)
        if section.kind == "cuda":
            from wavepipe.pipeline.clusters.cuda import cuda_cluster

            return cuda_cluster(n_workers, threads, section)
        from wavepipe.pipeline.clusters.cluster import local_cluster

        return local_cluster(n_workers, threads, settings=section)

    def check(self, plan: Plan) -> None:
        """Refuse workers that would end before a batch does.

        Raises
        ------
        JobError
            It names the walltime and the time of a batch.
        """
        if self.cluster is None and self.job.cluster.is_batch:
            _jobs(self.job).check(_batch_seconds(plan))

    def describe(self, plan: Plan) -> Iterator[str]:
        """Lines about what would be submitted."""
        if self.cluster is None and self.job.cluster.is_batch:
            jobs = _jobs(self.job)
            yield f"the job of each worker, for {jobs.system.cluster} of dask-jobqueue:"
            for line in jobs.script().splitlines():
                yield f"    {line}".rstrip()


def _jobs(job: Job) -> Jobs:
    """Of the batch system."""
    from wavepipe.pipeline.clusters.jobs import Jobs

    return Jobs(job.cluster, job.output_folder)


def _batch_seconds(plan: Plan) -> float:
    """Time of a batch, s."""
    return plan.schedule.batch_shots * plan.schedule.shot_seconds


@contextmanager
def find_workers(job: Job, cluster: Cluster | None) -> Iterator[Workers]:
    """Connect to workers that are there, or say how many there may be."""
    section = job.cluster
    if cluster is not None:
        machine = replace(local_machine(job), n_workers=cluster.n_workers, free=False)
        yield Workers(machine, job, cluster)
    elif section.is_batch:
        jobs = _jobs(job)
        yield Workers(shared_machine(int(section.workers), jobs.threads, jobs.memory), job)
    elif section.kind == "cuda":
        yield Workers(gpu_machine(job), job)
    elif section.kind == "local":
        yield Workers(local_machine(job), job)
    else:
        with _connected(job) as running:
            _check_nodes(job, running)
            _check_alike(job, running)
            if section.kind == "static":
                from wavepipe.pipeline.clusters.static import kept_alike

                running = kept_alike(running, job)
            threads = section.threads_per_worker
            places = running.everywhere(_place).values()
            machine = machine_of(places, None if threads == "auto" else int(threads))
            yield Workers(machine, job, running)


@contextmanager
def _connected(job: Job) -> Iterator[DaskCluster]:
    """Workers of a running scheduler, or of a static allocation."""
    section = job.cluster
    if section.kind == "static":
        from wavepipe.pipeline.clusters.static import static_cluster

        with static_cluster(job) as running:
            yield running
        return
    from wavepipe.pipeline.clusters.running import read_scheduler_file, running_cluster

    address = section.address
    if section.scheduler_file is not None:
        address = read_scheduler_file(job.resolve(section.scheduler_file))
    with running_cluster(str(address), grace=section.grace) as running:
        yield running


def _place(dask_worker: Any) -> Place:
    """Where a worker runs."""
    return place(dask_worker.memory_manager.memory_limit)


def _check_nodes(job: Job, running: DaskCluster) -> None:
    """Refuse a scratch folder that some worker cannot write to."""
    if job.kind == "model" or job.storage.folder is None:
        return
    path = str(job.resolve(job.storage.folder))
    for worker, problem in running.everywhere(folder_problem, path).items():
        if problem:
            raise JobError(f"storage of {job.path.name}: on worker {worker}, {problem}")


def _check_alike(job: Job, running: DaskCluster) -> None:
    """Refuse workers of which results would depend on who computes what."""
    here = collect_provenance()
    for worker, there in running.everywhere(collect_provenance).items():
        if isinstance(there, Exception):
            raise ClusterError(f"worker {worker} cannot run wavepipe: {there!r}")
        if found := differing(here, there, job):
            raise ClusterError(
                f"worker {worker} would give other bits than this process: {'; '.join(found)}. "
                "Use workers that are alike (run.allow_mixed_hardware accepts other processors)."
            )
