"""Which shots are in a result, written into it."""

from collections.abc import Sequence

from wavepipe.pipeline.execution import Run
from wavepipe.pipeline.partial import Failure
from wavepipe.pipeline.results import DONE, FAILED, write_status


def write_shot_status(run: Run, shots: Sequence[int], failures: Sequence[Failure]) -> None:
    """Set the status of every shot in ``results.zarr``.

    Parameters
    ----------
    run
        Whose results.
    shots
        In the result.
    failures
        Not in the result, and why.
    """
    write_status(run.folder.results, shots, DONE)
    failed = [failure.shot for failure in failures]
    write_status(run.folder.results, failed, FAILED, [failure.reason for failure in failures])
