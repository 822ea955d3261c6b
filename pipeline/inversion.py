"""Full-waveform inversion: stages of frequency bands, each some iterations of an optimizer."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from wavepipe.pipeline.errors import JobError
from wavepipe.pipeline.execution import Outcome, Run, Started, start_run
from wavepipe.pipeline.inverted_parameters import parameter_space
from wavepipe.pipeline.optimizers import Adam, Lbfgs, Optimizer, SteepestDescent, Update
from wavepipe.pipeline.parameter_space import Model, ParameterSpace, Vector

if TYPE_CHECKING:
    from wavepipe.pipeline.clusters.cluster import Cluster
    from wavepipe.pipeline.inversion_checkpoint import Arrays, Standing
    from wavepipe.pipeline.inversion_output import IterationRecord
    from wavepipe.pipeline.inversion_stage import StageState
    from wavepipe.pipeline.job import Job
    from wavepipe.pipeline.job.sections import FwiSection, Stage
    from wavepipe.pipeline.partial import Failure

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

FIRST_STEP = 0.01
"""Largest change that a line search tries first, relative to the mean of a parameter, times its
step scale."""


def invert_survey(
    job: Job,
    *,
    cluster: Cluster | None = None,
    started: Started | None = None,
    resume: bool = False,
) -> Outcome:
    """Invert a survey for the earth model.

    Parameters
    ----------
    job
        Of kind ``fwi``.
    cluster
        Workers that are there already, instead of those of the job.
    started
        Told the run folder when the work begins.
    resume
        Go on with the run that is in the folder, if there is one.

    Returns
    -------
    Outcome
        Which shots are in the result.
    """
    with start_run(job, cluster=cluster, started=started, resume=resume) as run:
        from wavepipe.pipeline.inversion_output import begin_output, publish

        inversion = _begin(run)
        goes_on = inversion.go_on()
        begin_output(run, inversion.space, goes_on=goes_on)
        inversion.run_stages()
        publish(
            run,
            inversion.model,
            inversion.records,
            inversion.shots,
            inversion.failures,
        )
        return run.outcome(inversion.shots, inversion.failures)


def _begin(run: Run) -> Inversion:
    """Start from the job's earth model."""
    section = run.job.fwi
    if section is None:
        raise JobError("an inversion needs a section fwi in the job file.")
    from wavepipe.pipeline.clock import highest_vp

    highest = highest_vp(run.inputs, run.plan.passes[0].propagation.velocity_bound)
    space = parameter_space(run.job, run.inputs.earth, run.inputs.mask, highest)
    return Inversion(run, section, space, space.project(space.pack(space.start)), list(run.shots))


@dataclass
class Inversion:
    """The state of an inversion."""

    run: Run
    section: FwiSection
    space: ParameterSpace
    vector: Vector
    """What is inverted for, as the optimizer sees it."""

    shots: list[int]
    """Shots that have not failed, as indices in the selection."""

    failures: list[Failure] = field(default_factory=list)
    iteration: int = 0
    records: list[IterationRecord] = field(default_factory=list)
    stood: tuple[Standing, Arrays] | None = None
    """Where the run was stopped, until its stage goes on from there."""

    def go_on(self) -> bool:
        """Go back to where a run that was stopped stood, if that is known."""
        from wavepipe.pipeline.inversion_checkpoint import forget_standing, last_standing

        folder = self.run.folder
        most = self.run.job.run.max_failed_shots
        if not folder.results.exists():
            forget_standing(folder.checkpoint)  # iterations that it counts on are gone
        self.stood = last_standing(folder.checkpoint, most)
        if self.stood is None:
            return False
        standing, arrays = self.stood
        self.vector, self.shots = arrays["vector"], list(standing.shots)
        self.failures, self.records = list(standing.failures), list(standing.records)
        self.iteration = self.records[-1].iteration
        found = {int(shot): counts for shot, counts in standing.left_out.items()}
        self.run.left_out.update(found)
        logger.info("goes on after iteration %d", self.iteration)
        return True

    def run_stages(self) -> None:
        """Make the iterations of all frequency bands, or those that are left."""
        first = 0 if self.stood is None else self.stood[0].stage
        for number, stage in list(enumerate(self.section.stages))[first:]:
            self.run_stage(number, stage)
            if self.gave_up:
                return

    @property
    def model(self) -> Model:
        """The parameters that change, as they are now."""
        found = self.space.unpack(self.vector)
        return {name: found[name] for name in self.space.changing}

    @property
    def gave_up(self) -> bool:
        """Whether more shots failed than allowed, or all."""
        return len(self.failures) > self.run.job.run.max_failed_shots or not self.shots

    def run_stage(self, number: int, stage: Stage) -> None:
        """Make the iterations of one frequency band."""
        from wavepipe.pipeline.inversion_stage import StageState

        band = self.run.plan.passes[number]
        optimizer = _optimizer(self.section, self.space)
        state = StageState(self, number, stage, band)
        count = 0
        if self.stood is not None:
            standing, arrays = self.stood
            state.restore(standing, arrays, optimizer)
            count, self.stood = standing.iterations, None
        while count < stage.iterations:
            update = self._iterate(state, optimizer, count)
            if update is None:
                break
            # Where no step helps, no other iteration over the same shots will.
            count = stage.iterations if update.converged and not state.draws else count + 1
            state.keep(optimizer, count)
        self._without_failures(state, optimizer, state.finish)

    def _iterate(self, state: StageState, optimizer: Optimizer, count: int) -> Update | None:
        """Make one iteration; None where too many shots have failed."""
        return self._without_failures(state, optimizer, lambda: state.iterate(optimizer, count))

    def _without_failures(
        self, state: StageState, optimizer: Optimizer, work: Callable[[], Result]
    ) -> Result | None:
        """Do some work of a stage; again without the shots that fail in it."""
        from wavepipe.pipeline.inversion_stage import ShotsFailedError

        while not self.gave_up:
            try:
                return work()
            except ShotsFailedError as failed:
                self.failures += failed.failures
                gone = {failure.shot for failure in failed.failures}
                self.shots = [shot for shot in self.shots if shot not in gone]
                state.forget()
                optimizer.reset()
        return None


def _optimizer(section: FwiSection, space: ParameterSpace) -> Optimizer:
    """Make the optimizer that the job asks for.

    Its step lengths are in the unit of the first parameter; the others change by the same part of
    their means, times their step scales.
    """
    asked, first = section.optimizer, space.inverted[0]
    scale = getattr(section.parameters, first).step_scale / space.scales[first]
    if asked.adam is not None:
        return Adam(scale * asked.adam.step_length, asked.adam.decay, asked.adam.square_decay)
    if asked.sgd is not None:
        return SteepestDescent(scale * asked.sgd.step_length, asked.sgd.momentum)
    memory = asked.lbfgs.memory if asked.lbfgs is not None else 8
    return Lbfgs(memory=memory, first_step=FIRST_STEP)
