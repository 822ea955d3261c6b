"""Workers whose job has a walltime leave before it ends, with their last batch done.

Dask's own lifetime waits half a minute at most for the batch in flight, and begins anew with every
process that a nanny starts in the same job.
"""

import asyncio
import os
import random
import time
from dataclasses import dataclass
from typing import Any

import psutil
from distributed import WorkerPlugin
from distributed.core import Status

REASON = "the walltime of its job ends"


@dataclass
class Lifetime(WorkerPlugin):
    """Makes a worker leave in time."""

    seconds: float
    """After the start of its job at which it begins no batch any more."""

    stagger: float
    """Seconds over which workers that were started together leave."""

    name = "wavepipe-lifetime"

    def setup(self, worker: Any) -> None:
        """Set the worker's clock."""
        # The nanny is as old as the job, nearly.
        started = psutil.Process(os.getppid()).create_time()
        left = started + self.seconds - time.time() - random.uniform(0.0, self.stagger)
        worker.loop.call_later(max(0.0, left), self._leave, worker)

    async def _leave(self, worker: Any) -> None:
        """Take no batch any more, end the one in flight, hand over the sums and go."""
        worker.status = Status.closing_gracefully
        while worker.active_threads:
            await asyncio.sleep(0.1)
        await worker.scheduler.retire_workers(
            workers=[worker.address], close_workers=False, remove=True, stimulus_id=self.name
        )
        await worker.close(nanny=True, reason=REASON)
