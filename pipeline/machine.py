"""What there is to compute on: workers asked for, cores, memory."""

import os
from dataclasses import dataclass

from wavepipe.pipeline.job import Job
from wavepipe.propagators.storage.memory import free_memory


@dataclass(frozen=True, slots=True)
class Machine:
    """Workers and what they may use."""

    n_workers: int
    """Worker processes wanted, or the most there may be if `free`."""

    cores: int
    """Cores for all workers."""

    memory: int
    """Free memory for all workers, bytes."""

    threads: int | None = None
    """In each worker; None shares the cores among the workers."""

    free: bool = True
    """Whether the plan may take fewer workers."""


def local_machine(job: Job) -> Machine:
    """Describe this machine, as the job wants to use it.

    Parameters
    ----------
    job
        Its section ``cluster`` is used.
    """
    cores = available_cores()
    asked = job.cluster.workers
    free = asked == "auto"
    threads = job.cluster.threads_per_worker
    wanted = cores if asked == "auto" else int(asked)
    if free and threads != "auto":
        wanted = max(1, cores // int(threads))
    return Machine(
        n_workers=wanted,
        cores=cores,
        memory=free_memory(),
        threads=None if threads == "auto" else int(threads),
        free=free,
    )


def available_cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
