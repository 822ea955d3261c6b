"""Workers that srun or mpirun has started: every process runs the same command.

Process 0 is the driver. It starts the scheduler and writes where to find it, with certificates if
there are any, into a file of the run folder that only the user can read. The others wait for that
file, work, and end when the scheduler does.
"""

import asyncio
import json
import logging
import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask
from distributed import Client, LocalCluster, Nanny, Security
from distributed.comm.core import connect

from wavepipe.pipeline.clusters.alike import Alike, Refusals
from wavepipe.pipeline.clusters.allocation import Rank, find_rank
from wavepipe.pipeline.clusters.cluster import (
    LOCAL_PORT,
    SETTINGS,
    DaskCluster,
    close_workers,
    quiet,
    thread_environment,
)
from wavepipe.pipeline.clusters.network import (
    LOOPBACK,
    OPEN,
    check_interface,
    temporary_security,
)
from wavepipe.pipeline.errors import ClusterError
from wavepipe.pipeline.job import Job
from wavepipe.pipeline.job.cluster import ClusterSection
from wavepipe.pipeline.machine import available_cores
from wavepipe.pipeline.provenance import collect_provenance
from wavepipe.pipeline.resume import check_free
from wavepipe.pipeline.run_folder import RunFolder

logger = logging.getLogger(__name__)

JOIN_TIMEOUT = 120.0
"""Seconds that processes of an allocation have to find each other."""

ANSWER = 2.0
"""Seconds that a scheduler has to answer a process that has found its address."""

SECRETS = ("tls_ca_file", "tls_client_key", "tls_client_cert", "tls_worker_key", "tls_worker_cert")
"""Of `distributed.Security`, as the scheduler's file holds them."""


def scheduler_file(job: Job) -> Path:
    """Where the driver says how to reach it."""
    return job.output_folder / "scheduler.json"


@contextmanager
def static_cluster(job: Job) -> Iterator[DaskCluster]:
    """The driver's side: a scheduler in this process, and the workers that find it.

    Raises
    ------
    ClusterError
        No process but this one was started, or none has come in time.
    RunFolderError
        A run is at work in the folder.
    """
    section, rank = job.cluster, find_rank()
    check_free(RunFolder(job.output_folder))  # whose workers would come to this one
    if rank is None or rank.count < 2:
        raise ClusterError(
            "cluster.kind static has the processes that srun or mpirun starts, one of which is the "
            "driver, and there is only this one: start at least two, as with "
            f"'srun --ntasks=5 wavepipe {job.kind} {job.path.name}'."
        )
    check_interface("static", section.interface)
    security = temporary_security() if section.tls else None
    if security is None and section.interface != LOOPBACK:
        logger.warning(OPEN, section.interface)
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(SETTINGS))
        stack.enter_context(quiet())
        cluster = LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=0,
            host=None,
            interface=section.interface,
            dashboard_address=section.dashboard,
            security=security,
            silence_logs=logging.ERROR,
        )
        stack.callback(close_workers, cluster)
        client = stack.enter_context(Client(cluster))  # type: ignore[no-untyped-call]
        file = scheduler_file(job)
        _tell(file, cluster.scheduler_address, security)
        stack.callback(file.unlink, missing_ok=True)
        yield DaskCluster(client, _joined(client, rank), section.grace)


def kept_alike(running: DaskCluster, job: Job) -> DaskCluster:
    """The same, in which workers that come late, or again, are compared with the driver too."""
    refusals = Refusals(running.client)
    running.client.register_plugin(Alike(collect_provenance(), job))
    return replace(running, tend=refusals.check)


def _tell(file: Path, address: str, security: Any) -> None:
    """Write how to reach the scheduler, for the user's own processes only."""
    found = {name: getattr(security, name) for name in SECRETS} if security is not None else {}
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        json.dump({"address": address, "security": found}, stream)
    partial.replace(file)


def _joined(client: Any, rank: Rank) -> int:
    """How many workers have come; all, or those that came in time."""
    wanted = rank.count - 1
    try:
        client.wait_for_workers(wanted, timeout=JOIN_TIMEOUT)
    except TimeoutError:
        found = len(client.scheduler_info(n_workers=-1)["workers"])
        if found == 0:
            raise ClusterError(
                f"none of the other {wanted} processes has come as a worker within "
                f"{JOIN_TIMEOUT:.0f} s. Start all with srun or mpirun, on machines that see the "
                "run folder and share cluster.interface."
            ) from None
        logger.warning("%d of %d workers have come; the run starts with them", found, wanted)
        return found
    return wanted


def serve(job: Job, rank: Rank) -> None:
    """A worker's side: work until the scheduler ends.

    Raises
    ------
    ClusterError
        There is no scheduler in time.
    """
    # The batch system tells every process to stop; batches in flight end, and the driver closes.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    with dask.config.set(SETTINGS), quiet():
        asyncio.run(_serve(scheduler_file(job), job.cluster, rank))


async def _serve(file: Path, section: ClusterSection, rank: Rank) -> None:
    """Find the scheduler and work for it."""
    deadline = time.monotonic() + JOIN_TIMEOUT
    while True:
        try:
            address, security = await _scheduler_in(file)
            break
        except (OSError, ValueError) as error:  # not yet there, or of a run that has died
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"process {rank.number}: {file} leads to no scheduler within "
                    f"{JOIN_TIMEOUT:.0f} s ({error})."
                ) from error
        await asyncio.sleep(0.5)
    threads = section.threads_per_worker
    nanny = await Nanny(
        address,
        nthreads=1,
        name=f"rank-{rank.number}",
        interface=section.interface,
        security=security,
        memory_limit=0,  # the allocation's own limits hold, and the plan keeps to what is free
        death_timeout=JOIN_TIMEOUT,
        dashboard=False,
        dashboard_address=LOCAL_PORT,
        env=thread_environment(available_cores() if threads == "auto" else int(threads)),
    )
    await nanny.finished()


async def _scheduler_in(file: Path) -> tuple[str, Any]:
    """Address and certificates of the scheduler that a file names, if that answers."""
    found = json.loads(file.read_text(encoding="utf-8"))
    address, secrets = found["address"], found["security"]
    security = Security(**secrets, require_encryption=bool(secrets))  # type: ignore[no-untyped-call]
    arguments = security.get_connection_args("worker")  # type: ignore[no-untyped-call]
    comm = await connect(address, timeout=ANSWER, **arguments)  # type: ignore[no-untyped-call]
    await comm.close()
    return address, security
