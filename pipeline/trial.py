"""One shot in mid survey as a run of its own, to measure on before the plan is fixed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from wavepipe.pipeline.clusters.cluster import InProcess
from wavepipe.pipeline.evaluation import Wanted, save_evaluation
from wavepipe.pipeline.execution import Run
from wavepipe.pipeline.keeping import disk_folder
from wavepipe.pipeline.leaf import LEAVES
from wavepipe.pipeline.run_folder import RunFolder
from wavepipe.propagators.storage.scratch import Scratch

if TYPE_CHECKING:
    from wavepipe.pipeline.evaluation import Evaluation
    from wavepipe.pipeline.inputs import Inputs
    from wavepipe.pipeline.keeping import Keeping
    from wavepipe.pipeline.partial import Partial
    from wavepipe.pipeline.passes import Pass

WANTED: dict[str, Wanted] = {"model": "gathers", "rtm": "image", "fwi": "gradient"}
"""What the leaves of each kind of job compute."""


def middle(inputs: Inputs) -> int:
    """Index of the shot that is measured."""
    return inputs.survey.n_shots // 2


@dataclass(frozen=True)
class Trial:
    """The shot, as often as it is asked for."""

    run: Run
    evaluation: Evaluation

    def shot(self, **changes: object) -> Partial:
        """What comes of the shot, with some settings of its evaluation changed."""
        evaluation = replace(self.evaluation, **changes)  # type: ignore[arg-type]
        path = save_evaluation(evaluation, self.run.work)
        return LEAVES[evaluation.wanted](str(path), (0,), 0)


@contextmanager
def trial(
    inputs: Inputs,
    one: Pass,
    keeping: Keeping,
    variables: tuple[str, ...],
    threads: int,
    nt: int | None = None,
) -> Iterator[Trial]:
    """Lay out the shot in mid survey in a scratch folder, gone when the block ends.

    Parameters
    ----------
    one
        Frequency band.
    keeping
        Of the wavefield.
    variables
        Parameters whose gradient is wanted.
    threads
        Of a call.
    nt
        Samples of its record; all if None.
    """
    from wavepipe.pipeline.plan import Plan
    from wavepipe.pipeline.schedule import Schedule

    survey = inputs.survey.keep_shots(np.array([middle(inputs)]))
    if nt is not None:
        survey = replace(survey, nt=nt)
        one = replace(one, propagation=replace(one.propagation, nt=nt))
    inputs = replace(inputs, survey=survey, wavelet=inputs.wavelet[: survey.nt])
    with Scratch(None if inputs.job.kind == "model" else disk_folder(inputs.job)) as scratch:
        folder = RunFolder(scratch.path)
        survey.save(folder.survey)
        schedule = Schedule(1, threads, 1, 1, 0, 0.0)
        run = Run(inputs, Plan((one,), schedule, keeping, (), 1, (), ""), folder, InProcess())
        yield Trial(run, run.describe(WANTED[inputs.job.kind], one, None, variables))
