"""Full-waveform inversion: stages of frequency bands, each some iterations of an optimizer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from wavepipe.pipeline.errors import JobError
from wavepipe.pipeline.execution import Outcome, Run, Started, start_run
from wavepipe.pipeline.optimizers import Adam, Lbfgs, Optimizer, SteepestDescent, Update
from wavepipe.pipeline.parameter_space import ParameterSpace, Vector

if TYPE_CHECKING:
    from wavepipe.pipeline.cluster import Cluster
    from wavepipe.pipeline.inversion_output import IterationRecord
    from wavepipe.pipeline.inversion_stage import StageState
    from wavepipe.pipeline.job import Job
    from wavepipe.pipeline.job_sections import FwiSection, OptimizerSection, Stage
    from wavepipe.pipeline.partial import Failure

Result = TypeVar("Result")

FIRST_STEP = 0.01
"""Largest change that a line search tries first, relative to the mean velocity."""


def invert_survey(
    job: Job, *, cluster: Cluster | None = None, started: Started | None = None
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

    Returns
    -------
    Outcome
        Which shots are in the result.
    """
    with start_run(job, cluster=cluster, started=started) as run:
        from wavepipe.pipeline.inversion_output import begin_output, publish

        inversion = _begin(run)
        begin_output(run, inversion.space)
        for number, stage in enumerate(inversion.section.stages):
            inversion.run_stage(number, stage)
            if inversion.gave_up:
                break
        publish(
            run,
            inversion.space.unpack(inversion.vector),
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
    vp = run.inputs.earth.vp
    wanted = section.parameters.vp
    fastest = run.plan.passes[0].propagation.velocity_bound
    space = ParameterSpace(
        start={"vp": vp},
        mask=run.inputs.mask,
        bounds={"vp": wanted.bounds or (0.5 * float(vp.min()), fastest)},
        scales={"vp": wanted.step_scale},
    )
    return Inversion(run, section, space, space.project(space.pack({"vp": vp})), list(run.shots))


@dataclass
class Inversion:
    """The state of an inversion."""

    run: Run
    section: FwiSection
    space: ParameterSpace
    vector: Vector
    """The earth model, as the optimizer sees it."""

    shots: list[int]
    """Shots that have not failed."""

    failures: list[Failure] = field(default_factory=list)
    iteration: int = 0
    records: list[IterationRecord] = field(default_factory=list)

    @property
    def gave_up(self) -> bool:
        """Whether more shots failed than allowed, or all."""
        return len(self.failures) > self.run.job.run.max_failed_shots or not self.shots

    def run_stage(self, number: int, stage: Stage) -> None:
        """Make the iterations of one frequency band."""
        from wavepipe.pipeline.inversion_stage import StageState

        band = self.run.plan.passes[number]
        optimizer = _optimizer(self.section.optimizer, float(self.run.inputs.earth.vp.mean()))
        state = StageState(self, number, stage, band)
        for count in range(stage.iterations):
            update = self._iterate(state, optimizer, count)
            if update is None or update.converged:
                break
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


def _optimizer(section: OptimizerSection, mean_velocity: float) -> Optimizer:
    """Make the optimizer that the job asks for."""
    if section.adam is not None:
        return Adam(section.adam.step_length, section.adam.decay, section.adam.square_decay)
    if section.sgd is not None:
        return SteepestDescent(section.sgd.step_length, section.sgd.momentum)
    memory = section.lbfgs.memory if section.lbfgs is not None else 8
    return Lbfgs(memory=memory, first_step=FIRST_STEP * mean_velocity)
