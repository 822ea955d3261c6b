"""Workers that are jobs of a batch system: submitted, replaced when they end, and ended.

Dask does not submit a job again that has ended, whether gracefully before its walltime or killed;
and it never hears of one that was cancelled in the queue or failed before its worker started. So
while a graph is computed the jobs are counted, and where the system lists them, looked for.
"""

import asyncio
import logging
import os
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from getpass import getuser
from pathlib import Path
from typing import Any

import dask
from distributed import Client
from distributed.core import Status

from wavepipe.pipeline.clusters.alike import Alike, Refusals
from wavepipe.pipeline.clusters.cluster import CLOSE_TIMEOUT, SETTINGS, DaskCluster, quiet
from wavepipe.pipeline.clusters.jobs import Jobs
from wavepipe.pipeline.clusters.network import LOOPBACK, OPEN
from wavepipe.pipeline.errors import ClusterError

logger = logging.getLogger(__name__)

LOOK_EVERY = 10.0
"""Seconds between two questions to the batch system."""

ANSWER = 30.0
"""Seconds that the batch system has to answer; it is asked again later."""

SAY_EVERY = 600.0
"""Seconds between two remarks that no worker is there."""

MOST_LOST = 3
"""Jobs in a row that may end before their workers come, as where a command of theirs fails."""

IDLE_LOOKS, IDLE_EVERY = 12, "5s"
"""Where the number of jobs follows the work: how often, and when, a worker must be found idle."""

GONE_AFTER = 60.0
"""Seconds without its worker after which a job has ended: one that died is started again sooner."""

OURSELVES = {"distributed.deploy.lost-worker-timeout": "10000h"}
"""Else Dask would cancel the job that was submitted in the place of a lost one."""

LAST_LINES = 8
"""Of a job's log, shown where jobs end before their workers come."""


@contextmanager
def batch_cluster(
    jobs: Jobs, n_workers: int, batch_seconds: float, alike: Alike
) -> Iterator[DaskCluster]:
    """Jobs of a batch system, a worker each, cancelled when the block ends.

    Parameters
    ----------
    jobs
        What they are.
    n_workers
        How many, or how many at most.
    batch_seconds
        That the longest batch takes.
    alike
        What every worker must be like.

    Raises
    ------
    ClusterError
        A job cannot be submitted.
    """
    section = jobs.section
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(SETTINGS | OURSELVES))
        stack.enter_context(quiet())
        jobs.folder.mkdir(parents=True, exist_ok=True)
        if not section.tls and jobs.listens not in (LOOPBACK, "127.0.0.1", "localhost"):
            logger.warning(OPEN, jobs.listens or "its host's address")
        cluster = jobs.start()
        stack.callback(_close, cluster)
        client = stack.enter_context(Client(cluster))  # type: ignore[no-untyped-call]
        refusals = Refusals(client)
        client.register_plugin(alike)
        if lifetime := jobs.lifetime(batch_seconds):
            client.register_plugin(lifetime)
        tending = Tending(cluster, jobs, refusals)
        # At least one at once, or nobody would hear that jobs are refused.
        tending.submit(n_workers if section.min_workers is None else max(1, section.min_workers))
        if section.min_workers is not None:
            cluster.adapt(
                minimum=section.min_workers,
                maximum=n_workers,
                interval=IDLE_EVERY,
                wait_count=IDLE_LOOKS,
            )
        yield DaskCluster(client, n_workers, section.grace, tending.look)


def _close(cluster: Any) -> None:
    """Cancel the jobs and end the scheduler."""
    try:
        cluster.close(timeout=CLOSE_TIMEOUT)
    except (TimeoutError, RuntimeError) as error:
        logger.warning("jobs may be left in the queue: %s", _one_line(error))


class Tending:
    """Looks after the jobs of a cluster while it computes.

    Parameters
    ----------
    cluster
        Of dask-jobqueue.
    jobs
        What its jobs are.
    refusals
        Workers that were sent away.
    """

    def __init__(self, cluster: Any, jobs: Jobs, refusals: "Refusals") -> None:
        self._cluster = cluster
        self._jobs = jobs
        self._refusals = refusals
        self._seen: dict[str, float] = {}
        """When the workers of jobs were last there, by the number of the job."""
        self._lost: list[str] = []
        """Numbers of jobs, the last in a row, whose workers never came."""
        self._looked = time.monotonic()
        self._said = time.monotonic()
        self._refused = ""
        """What the batch system said when it refused a job."""

    def submit(self, n_jobs: int) -> None:
        """Submit jobs; that their workers come is not waited for.

        Raises
        ------
        ClusterError
            The batch system refuses them, or is not there.
        """
        for _ in range(n_jobs):
            self._cluster.worker_spec.update(self._cluster.new_worker_spec())
        system = self._jobs.system
        try:
            self._cluster.sync(self._settle)
        except FileNotFoundError as error:
            raise ClusterError(
                f"cluster.kind {self._jobs.section.kind} submits jobs with '{system.submit}', and "
                "this machine has no such command. Start the run on a machine that has, or choose "
                "another cluster.kind."
            ) from error
        except (RuntimeError, ValueError) as error:
            raise ClusterError(f"a job could not be submitted: {_one_line(error)}") from error

    async def _settle(self) -> None:
        """Submit what is not yet submitted."""
        try:
            await self._cluster
        finally:
            for job in self._cluster.workers.values():
                if job.job_id is None:  # refused; who is neither that nor closed stops the closing
                    job.status = Status.failed

    def look(self) -> None:
        """Submit jobs in the place of those that have ended, from time to time.

        Raises
        ------
        ClusterError
            Jobs end before their workers come, or workers that come are of no use.
        """
        self._refusals.check()
        now = time.monotonic()
        if now - self._looked < LOOK_EVERY:
            return
        self._looked = now
        try:
            replaced = self._cluster.sync(self._replace)
        except (RuntimeError, ValueError, OSError) as error:
            self._complain(_one_line(error))
            replaced = 0
        if replaced:
            logger.info("%d workers' jobs had ended; others are submitted in their place", replaced)
        if len(self._lost) >= MOST_LOST:
            raise ClusterError(self._why_lost())
        if self._cluster.scheduler.workers:
            self._said = now
        elif now - self._said > SAY_EVERY:
            self._said = now
            logger.info("no worker is there; %d jobs wait", len(self._cluster.workers))

    def _complain(self, refused: str) -> None:
        """Say once that jobs are refused: that may pass."""
        if refused != self._refused:
            logger.warning("a job could not be submitted again: %s", refused)
        self._refused = refused

    async def _replace(self) -> int:
        """Submit again what has ended; how many."""
        cluster = self._cluster
        here = {str(one.name): address for address, one in cluster.scheduler.workers.items()}
        listed = await self._listed()
        for name, job in list(cluster.workers.items()):
            if not self._has_ended(job, str(name) in here, listed):
                continue
            if address := here.get(str(name)):  # its node is gone, and nobody has noticed
                await cluster.scheduler.remove_worker(address, stimulus_id="job-ended")
            await job.close()
            cluster.workers.pop(name, None)
        missing = set(cluster.worker_spec) - set(cluster.workers)
        if missing and len(self._lost) < MOST_LOST:
            await self._settle()
        return len(missing)

    def _has_ended(self, job: Any, is_here: bool, listed: set[str] | None) -> bool:
        """Whether a job is no more, by the batch system or by its worker."""
        now = time.monotonic()
        if is_here:
            self._seen[job.job_id] = now
            self._lost.clear()
        if job.job_id is None:  # it was refused
            return True
        if listed is not None and job.job_id not in listed:
            if job.job_id not in self._seen:
                self._lost.append(job.job_id)
            return True
        return now - self._seen.get(job.job_id, now) > GONE_AFTER

    async def _listed(self) -> set[str] | None:
        """Numbers of the jobs that wait or run; None where the system is not asked."""
        command = [word.format(user=getuser()) for word in self._jobs.system.listing]
        if not command:
            return None
        # A user's own filters would hide jobs, which then would be submitted again.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SQUEUE_")}
        process = await asyncio.create_subprocess_exec(
            *command,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=environment,
        )
        try:
            output, _ = await asyncio.wait_for(process.communicate(), ANSWER)
        except TimeoutError:
            process.kill()
            await process.wait()
            return None
        return set(output.decode().split()) if process.returncode == 0 else None

    def _why_lost(self) -> str:
        """What is known of jobs that ended before their workers came."""
        said = ""
        folder = Path(self._jobs.options()["log_directory"])
        logs = [
            path
            for number in self._lost
            for path in folder.glob(f"*{number}*.err")
            if re.search(rf"(?<!\d){number}(?!\d)", path.name)
        ]
        for path in logs[-1:]:
            lines = path.read_text(errors="replace").strip().splitlines()[-LAST_LINES:]
            said = f" The last lines of {path}:\n" + "\n".join(lines)
        return (
            f"{len(self._lost)} jobs in a row ({', '.join(self._lost)}) ended before their workers "
            f"came. Their logs are in {folder}; the script is what --dry-run shows.{said}"
        )


def _one_line(error: BaseException) -> str:
    """What a command of the batch system said."""
    text = str(error)
    _, _, said = text.partition("stderr:\n")
    return " ".join((said or text).split())
