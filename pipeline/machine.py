"""What there is to compute on: workers asked for, cores, memory."""

import os
import socket
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from wavepipe.pipeline.errors import ClusterError
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
    return len(_cores())


def _cores() -> Sequence[int]:
    """Numbers of the cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return range(os.cpu_count() or 1)


def gpu_machine(job: Job) -> Machine:
    """Describe this machine with a worker for each GPU.

    Raises
    ------
    ClusterError
        There is no GPU.
    """
    import torch

    count = torch.cuda.device_count()
    if count == 0:
        raise ClusterError(
            "cluster.kind cuda starts a worker for each CUDA device, and this machine shows none "
            "(nvidia-smi lists what the driver sees). Use cluster.kind local."
        )
    asked = job.cluster.workers
    return replace(local_machine(job), n_workers=count if asked == "auto" else int(asked))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a worker runs, and what it finds there."""

    host: str
    cores: tuple[int, ...]
    """Numbers of those it may use; other workers may be allowed the same."""
    memory: int
    """Free on its host, bytes."""
    limit: int | None = None
    """Of the worker itself, bytes; None for no limit of its own."""


def place(limit: int | None = None) -> Place:
    """Where this process runs."""
    return Place(socket.gethostname(), tuple(_cores()), free_memory(), limit)


def machine_of(places: Iterable[Place], threads: int | None) -> Machine:
    """Describe workers that are there: each has its part of its host.

    Parameters
    ----------
    places
        Of all workers.
    threads
        In each worker; None for its part of the cores.
    """
    hosts: dict[str, list[Place]] = defaultdict(list)
    for one in places:
        hosts[one.host].append(one)
    fewest, least = [], []
    for here in hosts.values():
        fewest.append(len({core for one in here for core in one.cores}) // len(here))
        free = min(one.memory for one in here) // len(here)
        least += [min(free, one.limit or free) for one in here]
    return shared_machine(len(least), threads or max(1, min(fewest)), min(least))


def shared_machine(n_workers: int, threads: int, memory: int) -> Machine:
    """Describe workers that are alike, on any number of nodes.

    Parameters
    ----------
    memory
        Of each, bytes.
    """
    return Machine(n_workers, n_workers * threads, n_workers * memory, threads, free=False)
