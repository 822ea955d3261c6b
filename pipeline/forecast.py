"""What a run will take, by its plan: time, and memory of a worker's process."""

import logging
import subprocess
import sys
from collections.abc import Iterator

from wavepipe.pipeline.inputs import Inputs
from wavepipe.pipeline.plan import Plan
from wavepipe.pipeline.prices import n_evaluations
from wavepipe.pipeline.progress import readable_seconds
from wavepipe.pipeline.trial import middle
from wavepipe.propagators.storage.amounts import size

logger = logging.getLogger(__name__)

_IDLE = """
import distributed, psutil, torch, wavepipe.pipeline.leaf
from wavepipe.propagators import scalar
vp = torch.full((1, 20, 20), 2000.0, requires_grad=True)
source, receiver = [[[50.0, 50.0]]], [[[50.0, 80.0]]]
gather = scalar(vp, 10.0, 0.002, source_amplitudes=torch.zeros(1, 1, 40), source_positions=source,
                receiver_positions=receiver)["pressure"]
gather.square().sum().backward()
print(psutil.Process().memory_info().rss)
"""


def forecast(inputs: Inputs, plan: Plan) -> Iterator[str]:
    """Lines about time and memory."""
    schedule, rounds = plan.schedule, n_evaluations(inputs.job)
    batches = -(-plan.n_shots // schedule.batch_shots)
    how = "roughly: nothing could be measured"
    cpu = cpu_seconds(plan)
    if cpu is not None:
        label = inputs.survey.label(middle(inputs))
        how = f"{readable_seconds(cpu)} of processor time, by short records of shot {label}"
    each = evaluation_seconds(plan)
    yield f"{batches} batches; about {readable_seconds(each)} of work ({how})"
    if rounds > 1:
        yield (
            f"{rounds} such evaluations or more, as line searches need: "
            f"from {readable_seconds(rounds * each)} on"
        )
    try:
        memory = process_bytes(plan)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        logger.debug("the memory of a process cannot be measured: %s", error)
        return
    yield (
        f"a worker's process takes about {size(memory)} of memory, and "
        f"{schedule.ledger_share:.1%} of its time to make sums safe"
    )


def cpu_seconds(plan: Plan) -> float | None:
    """Processor time of the first pass over the shots; None where nothing was measured."""
    schedule = plan.schedule
    if schedule.shot_cpu_seconds is None:
        return None
    starts = schedule.n_workers * schedule.start_cpu_seconds
    return plan.n_shots * schedule.shot_cpu_seconds + starts


def evaluation_seconds(plan: Plan) -> float:
    """Time of one pass over the shots."""
    schedule = plan.schedule
    work = plan.n_shots * schedule.shot_seconds / schedule.n_workers
    return work / (1.0 - min(schedule.ledger_share, 0.9))


def process_bytes(plan: Plan) -> int:
    """Peak memory of a worker's process."""
    return _idle_bytes() + plan.schedule.worker_bytes


def _idle_bytes() -> int:
    """Memory of a process that has loaded what a worker needs, and used it."""
    said = subprocess.run(
        [sys.executable, "-c", _IDLE], check=True, capture_output=True, text=True, timeout=120
    )
    return int(said.stdout)
