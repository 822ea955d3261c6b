"""Full-waveform inversion: stages of frequency bands, each some iterations of an optimizer."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from wavepipe.pipeline.cluster import Cluster
from wavepipe.pipeline.errors import JobError
from wavepipe.pipeline.evaluation import Wanted
from wavepipe.pipeline.execution import Outcome, Run, Started, start_run
from wavepipe.pipeline.inversion_output import (
    IterationRecord,
    begin_output,
    publish,
    save_iteration,
)
from wavepipe.pipeline.job import Job
from wavepipe.pipeline.job_sections import FwiSection, OptimizerSection, Stage
from wavepipe.pipeline.line_search import Point
from wavepipe.pipeline.optimizers import Adam, Lbfgs, Optimizer, Problem, SteepestDescent, Update
from wavepipe.pipeline.parameter_space import ParameterSpace, Vector
from wavepipe.pipeline.partial import Failure, Partial
from wavepipe.pipeline.plan import Pass
from wavepipe.pipeline.preconditioning import Preconditioner, illumination_weight

logger = logging.getLogger(__name__)

FIRST_STEP = 0.01
"""Largest change that a line search tries first, relative to the mean velocity."""


class ShotsFailedError(Exception):
    """Shots failed in an evaluation, which must start again without them."""

    def __init__(self, failures: Sequence[Failure]) -> None:
        super().__init__(f"{len(failures)} shots failed")
        self.failures = tuple(failures)


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


def _begin(run: Run) -> "Inversion":
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
        band = self.run.plan.passes[number]
        optimizer = _optimizer(self.section.optimizer, float(self.vector.mean()))
        state = StageState(self, number, stage, band)
        for count in range(stage.iterations):
            update = self._iterate(state, optimizer, count)
            if update is None or update.converged:
                break
        if self.gave_up:
            return
        state.finish()

    def _iterate(self, state: "StageState", optimizer: Optimizer, count: int) -> Update | None:
        """Make one iteration; again without the shots that fail in it."""
        while not self.gave_up:
            try:
                return state.iterate(optimizer, count)
            except ShotsFailedError as failed:
                self.failures += failed.failures
                gone = {failure.shot for failure in failed.failures}
                self.shots = [shot for shot in self.shots if shot not in gone]
                state.forget()
                optimizer.reset()
        return None


@dataclass
class StageState:
    """What lives as long as a frequency band."""

    inversion: Inversion
    number: int
    stage: Stage
    band: Pass
    point: Point | None = None
    """Misfit and gradient at the present model over `subset`."""

    subset: tuple[int, ...] = ()
    preconditioner: Preconditioner | None = None
    evaluations: int = 0
    first_misfit: float | None = None

    def forget(self) -> None:
        """Drop what belonged to another set of shots."""
        self.point = None

    def iterate(self, optimizer: Optimizer, count: int) -> Update:
        """Make one iteration and save what it gives."""
        inversion = self.inversion
        self.evaluations = 0
        subset = self._draw(count)
        if self.point is None or subset != self.subset:
            self.subset = subset
            self.point = self.evaluate(inversion.vector)
        if self.first_misfit is None:
            self.first_misfit = self.point.misfit
        self._save_known(self.point.misfit)
        problem = Problem(self.evaluate, inversion.space.project, self._precondition)
        update = optimizer.update(self.point, problem)
        inversion.vector, self.point = update.vector, update.point
        if not update.converged:
            self._record(update)
        else:
            logger.info("stage %d: no step lowers the misfit further", self.number + 1)
        return update

    def evaluate(self, vector: Vector) -> Point:
        """Misfit and gradient over the subset, scaled to all shots."""
        partial = self._sum("gradient", vector, "inverting")
        shape = self.inversion.space.mask.shape
        if self.preconditioner is None:
            self.preconditioner = self._make_preconditioner(partial)
        factor = len(self.inversion.shots) / len(self.subset)
        gradient = self.inversion.space.pack_gradient({"vp": partial.spread("vp", shape)})
        return Point(vector, factor * partial.scalars["misfit"], factor * gradient)

    def finish(self) -> None:
        """Learn the misfit of the last model, where the optimizer did not need it."""
        records = self.inversion.records
        if not records or np.isfinite(records[-1].misfit):
            return
        try:
            partial = self._sum("misfit", self.inversion.vector, "last misfit")
        except ShotsFailedError:
            return
        factor = len(self.inversion.shots) / len(self.subset)
        self._save_known(factor * partial.scalars["misfit"])

    def _sum(self, wanted: Wanted, vector: Vector, title: str) -> Partial:
        """Sum over the subset at a vector; a ShotsFailedError if one fails."""
        run = self.inversion.run
        model = self.inversion.space.unpack(vector)
        evaluation = run.describe(wanted, self.band, model["vp"])
        if wanted == "gradient" and self.preconditioner is None:
            evaluation = replace(evaluation, illumination=self.inversion.section.illumination)
        where = f"{title}, stage {self.number + 1}, iteration {self.inversion.iteration + 1}"
        partial = run.evaluate(evaluation, self.subset, where)
        run.forget(evaluation)
        self.evaluations += 1
        if partial.failures:
            raise ShotsFailedError(partial.failures)
        return partial

    def _draw(self, count: int) -> tuple[int, ...]:
        """Shots of this iteration: all, or some at random."""
        shots = self.inversion.shots
        size = self.stage.minibatch
        if size is None or size >= len(shots):
            return tuple(shots)
        seed = [self.inversion.run.job.run.seed, self.number, count]
        chosen = np.random.default_rng(seed).choice(shots, size, replace=False)
        return tuple(sorted(int(shot) for shot in chosen))

    def _make_preconditioner(self, partial: Partial) -> Preconditioner:
        """Mask, illumination and smoothing of this band."""
        section, space = self.inversion.section, self.inversion.space
        weight = None
        if section.illumination:
            weight = illumination_weight(
                partial.spread("illumination", space.mask.shape), space.mask
            )
        spacing = self.inversion.run.inputs.earth.spacing
        return Preconditioner(space.mask, weight, tuple(section.smoothing / h for h in spacing))

    def _precondition(self, vector: Vector) -> Vector:
        """Apply the band's preconditioner."""
        if self.preconditioner is None:
            return vector
        return self.inversion.space.precondition(self.preconditioner, vector)

    def _record(self, update: Update) -> None:
        """Save the iteration; its misfit may be known only later."""
        inversion = self.inversion
        inversion.iteration += 1
        record = IterationRecord(
            iteration=inversion.iteration,
            stage=self.number,
            max_frequency=self.stage.max_frequency,
            misfit=update.point.misfit if update.point is not None else float("nan"),
            first_misfit=self.first_misfit or float("nan"),
            step_length=update.step_length,
            evaluations=self.evaluations,
            shots=self.subset,
        )
        inversion.records.append(record)
        save_iteration(inversion.run, record, inversion.space.unpack(inversion.vector))

    def _save_known(self, misfit: float) -> None:
        """Fill in the misfit of the present model where it was not known yet."""
        inversion = self.inversion
        if not inversion.records:
            record = IterationRecord.start(self.stage.max_frequency, misfit)
            inversion.records.append(record)
            save_iteration(inversion.run, record, inversion.space.unpack(inversion.vector))
        elif not np.isfinite(inversion.records[-1].misfit) and (
            inversion.records[-1].stage == self.number
        ):
            record = replace(inversion.records[-1], misfit=misfit)
            inversion.records[-1] = record
            save_iteration(inversion.run, record, {})


def _optimizer(section: OptimizerSection, mean_velocity: float) -> Optimizer:
    """Make the optimizer that the job asks for."""
    if section.adam is not None:
        return Adam(section.adam.step_length, section.adam.decay, section.adam.square_decay)
    if section.sgd is not None:
        return SteepestDescent(section.sgd.step_length, section.sgd.momentum)
    memory = section.lbfgs.memory if section.lbfgs is not None else 8
    return Lbfgs(memory=memory, first_step=FIRST_STEP * mean_velocity)
