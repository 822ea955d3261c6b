"""Workers that come while a run goes on: one that would give other bits is sent away, by name."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from distributed import WorkerPlugin

from wavepipe.pipeline.errors import ClusterError
from wavepipe.pipeline.job import Job
from wavepipe.pipeline.provenance import collect_provenance
from wavepipe.pipeline.resume import differing

logger = logging.getLogger(__name__)

TOPIC_REFUSED = "wavepipe-refused"
"""Name under which workers say why they leave."""

MOST_REFUSED = 3
"""Workers that are sent away before the run stops: others would be no better."""


class Alike(WorkerPlugin):
    """Compares a worker with the driver before it gets any work.

    Parameters
    ----------
    here
        Provenance of the driver.
    job
        Its ``run.allow_mixed_hardware`` counts.
    """

    name = "wavepipe-alike"

    def __init__(self, here: Mapping[str, Any], job: Job) -> None:
        self.here = here
        self.job = job

    async def setup(self, worker: Any) -> None:
        """End a worker that differs; it gets tasks only after this."""
        there = await asyncio.to_thread(collect_provenance)
        if found := differing(self.here, there, self.job):
            reason = f"worker {worker.name} on {worker.address}: {'; '.join(found)}"
            worker.log_event(TOPIC_REFUSED, reason)
            await worker.close(nanny=True, executor_wait=False, reason=reason)


class Refusals:
    """What workers that were sent away have said.

    Parameters
    ----------
    client
        Of the scheduler.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._told = 0

    def check(self) -> None:
        """ClusterError after too many of them; what is new is logged."""
        # Asked for, not subscribed to: a client may miss what comes soon after it subscribes.
        try:
            events = self._client.get_events(TOPIC_REFUSED)
        except OSError:  # the scheduler is gone, which the run hears of elsewhere
            return
        said = [reason for _, reason in events]
        for reason in said[self._told :]:
            logger.error("sent away, since it would give other bits: %s", reason)
        self._told = len(said)
        if len(said) >= MOST_REFUSED:
            raise ClusterError(
                f"{len(said)} workers would give other bits than this process; the last: "
                f"{said[-1]}. Ask for machines that are alike (cluster.jobs.directives, or "
                "run.allow_mixed_hardware), and let them use this process's Python."
            )
