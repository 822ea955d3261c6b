"""One frequency band of an inversion: its evaluations, its preconditioner, its iterations."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from wavepipe.pipeline.evaluation import Wanted
from wavepipe.pipeline.inversion_checkpoint import Arrays, Standing, keep_standing
from wavepipe.pipeline.inversion_output import IterationRecord, flush_results, save_iteration
from wavepipe.pipeline.job.sections import Stage
from wavepipe.pipeline.line_search import Point
from wavepipe.pipeline.optimizers import Optimizer, Problem, Update
from wavepipe.pipeline.parameter_space import Vector
from wavepipe.pipeline.partial import Failure, Partial
from wavepipe.pipeline.passes import Pass
from wavepipe.pipeline.preconditioning import Preconditioner, balance, illumination_weight

if TYPE_CHECKING:
    from wavepipe.pipeline.inversion import Inversion

logger = logging.getLogger(__name__)

_MEMORY = "optimizer/"
"""Prefix of the arrays that an optimizer remembers."""


class ShotsFailedError(Exception):
    """Shots failed in an evaluation, which must start again without them."""

    def __init__(self, failures: Sequence[Failure]) -> None:
        super().__init__(f"{len(failures)} shots failed")
        self.failures = tuple(failures)


@dataclass
class StageState:
    """What lives as long as a frequency band."""

    inversion: "Inversion"
    number: int
    stage: Stage
    band: Pass
    point: Point | None = None
    """Misfit and gradient at the present model over `subset`."""

    subset: tuple[int, ...] = ()
    preconditioners: dict[str, Preconditioner] = field(default_factory=dict)
    """By parameter; empty while unknown."""

    evaluations: int = 0
    first_misfit: float | None = None

    def forget(self) -> None:
        """Drop what belonged to another set of shots."""
        self.point = None
        self.first_misfit = None
        self.preconditioners = {}

    @property
    def draws(self) -> bool:
        """Whether iterations draw shots at random."""
        size = self.stage.minibatch
        return size is not None and size < len(self.inversion.shots)

    def iterate(self, optimizer: Optimizer, count: int) -> Update:
        """Make one iteration and save what it gives."""
        inversion = self.inversion
        self.evaluations = 0
        subset = self._draw(count)
        if self.point is None or subset != self.subset:
            if subset != self.subset:
                self.preconditioners = {}  # other shots light other cells
            self.subset = subset
            self.point = self.evaluate(inversion.vector)
        if self.first_misfit is None:
            self.first_misfit = self.point.misfit
            self._warn_of_nothing(self.point.misfit)
        self._save_known(self.point.misfit)
        problem = Problem(self.evaluate, inversion.space.project, self._precondition)
        update = optimizer.update(self.point, problem)
        before, inversion.vector, self.point = inversion.vector, update.vector, update.point
        if not update.converged:
            self._record(update, before)
        else:
            where = " over the shots drawn" if self.draws else ""
            logger.info("stage %d: no step lowers the misfit%s further", self.number + 1, where)
        return update

    def evaluate(self, vector: Vector) -> Point:
        """Misfit and gradient over the subset, scaled to all shots."""
        space = self.inversion.space
        partial = self._sum("gradient", vector, "inverting")
        gradients = {name: partial.spread(name, space.mask.shape) for name in space.changing}
        gradient = space.pack_gradient(gradients, space.unpack(vector))
        if not self.preconditioners:
            self.preconditioners = self._make_preconditioners(partial, gradient)
        factor = len(self.inversion.shots) / len(self.subset)
        point = Point(vector, factor * partial.scalars["misfit"], factor * gradient)
        self._say_tried(point)
        return point

    def _say_tried(self, point: Point) -> None:
        """Note a point of an iteration: where it starts, or a step of its line search."""
        inversion = self.inversion
        inversion.run.folder.log_event(
            {
                "event": "tried",
                "iteration": inversion.iteration + 1,
                "stage": self.number,
                "misfit": point.misfit,
                "changes": inversion.space.largest_changes(inversion.vector, point.vector),
            }
        )

    def _warn_of_nothing(self, misfit: float) -> None:
        """Say why there may be nothing to invert."""
        if misfit == 0.0:
            logger.warning(
                "stage %d: the misfit is zero before the first iteration, so nothing will change: "
                "the traces are zero, fwi.mute or survey.taper_end leaves nothing of them, they "
                "hold nothing below %g Hz, or they were modelled in the starting model.",
                self.number + 1,
                self.stage.max_frequency,
            )

    def finish(self) -> None:
        """Learn the misfit of the last model, where the optimizer did not need it."""
        records = self.inversion.records
        if not records or np.isfinite(records[-1].misfit):
            return
        self.subset = tuple(shot for shot in self.subset if shot in set(self.inversion.shots))
        if not self.subset:
            return
        partial = self._sum("misfit", self.inversion.vector, "last misfit")
        factor = len(self.inversion.shots) / len(self.subset)
        self._save_known(factor * partial.scalars["misfit"])

    def _sum(self, wanted: Wanted, vector: Vector, title: str) -> Partial:
        """Sum over the subset at a vector; a ShotsFailedError if one fails."""
        run, space = self.inversion.run, self.inversion.space
        model = space.unpack(vector)
        changing = {name: model[name] for name in space.changing}
        variables = space.changing if wanted == "gradient" else ()
        evaluation = run.describe(wanted, self.band, changing, variables)
        if wanted == "gradient" and not self.preconditioners:
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
        if not self.draws:
            return tuple(shots)
        seed = [self.inversion.run.job.run.seed, self.number, count]
        chosen = np.random.default_rng(seed).choice(shots, self.stage.minibatch, replace=False)
        return tuple(sorted(int(shot) for shot in chosen))

    def _make_preconditioners(
        self, partial: Partial, gradient: Vector
    ) -> dict[str, Preconditioner]:
        """Mask, illumination and smoothing of this band for each parameter, in balance.

        Balanced means that the preconditioned first gradient has one size (root mean square) in
        every parameter's part of the vector, so that updates go by the step scales alone, whatever
        the unit of a parameter and how much the data depend on it.
        """
        section, space = self.inversion.section, self.inversion.space
        weight = None
        if section.illumination:
            weight = illumination_weight(
                partial.spread("illumination", space.mask.shape), space.mask
            )
        made = self._unbalanced(weight)
        return balance(made, dict(zip(space.inverted, space.split(gradient), strict=True)))

    def _unbalanced(self, weight: NDArray[np.float64] | None) -> dict[str, Preconditioner]:
        """Mask, weight and smoothing of each parameter."""
        section, space = self.inversion.section, self.inversion.space
        spacing = self.inversion.run.inputs.earth.spacing
        made = {}
        for name, update in section.parameters.inverted.items():
            width = section.smoothing if update.smoothing is None else update.smoothing
            cells = tuple(width / h for h in spacing)
            made[name] = Preconditioner(space.where(name), weight, cells)
        return made

    def keep(self, optimizer: Optimizer, iterations: int) -> None:
        """Make safe where the inversion stands, and drop the sums that led there."""
        inversion, point = self.inversion, self.point
        run = inversion.run
        standing = Standing(
            stage=self.number,
            iterations=iterations,
            shots=tuple(inversion.shots),
            failures=tuple(inversion.failures),
            subset=self.subset,
            misfit=None if point is None else point.misfit,
            first_misfit=self.first_misfit,
            factors={name: one.factor for name, one in self.preconditioners.items()},
            records=tuple(inversion.records),
            left_out={str(shot): found for shot, found in run.left_out.items()},
        )
        arrays = {f"{_MEMORY}{name}": a for name, a in optimizer.memory_arrays().items()}
        arrays["vector"] = inversion.vector
        if point is not None:
            arrays["gradient"] = point.gradient
        for one in self.preconditioners.values():  # which share it
            if one.weight is not None:
                arrays["weight"] = one.weight
        flush_results(run)
        keep_standing(run.folder.checkpoint, standing, arrays)
        run.prune()

    def restore(self, standing: Standing, arrays: Arrays, optimizer: Optimizer) -> None:
        """Go on where an inversion stood in this stage."""
        self.subset, self.first_misfit = standing.subset, standing.first_misfit
        if standing.misfit is not None:
            self.point = Point(self.inversion.vector, standing.misfit, arrays["gradient"])
        if standing.factors:
            self.preconditioners = {
                name: replace(one, factor=standing.factors[name])
                for name, one in self._unbalanced(arrays.get("weight")).items()
            }
        optimizer.remember(
            {
                name.removeprefix(_MEMORY): array
                for name, array in arrays.items()
                if name.startswith(_MEMORY)
            }
        )

    def _precondition(self, vector: Vector) -> Vector:
        """Apply the band's preconditioners."""
        if not self.preconditioners:
            return vector
        return self.inversion.space.precondition(self.preconditioners, vector)

    def _record(self, update: Update, before: Vector) -> None:
        """Save the iteration; its misfit may be known only later."""
        inversion = self.inversion
        inversion.iteration += 1
        record = IterationRecord(
            iteration=inversion.iteration,
            stage=self.number,
            max_frequency=self.stage.max_frequency,
            misfit=update.point.misfit if update.point is not None else float("nan"),
            first_misfit=self.first_misfit or float("nan"),
            changes=inversion.space.largest_changes(before, inversion.vector),
            evaluations=self.evaluations,
            shots=self.subset,
        )
        inversion.records.append(record)
        save_iteration(inversion.run, record, inversion.model)

    def _save_known(self, misfit: float) -> None:
        """Fill in the misfit of the present model where it was not known yet."""
        inversion = self.inversion
        if not inversion.records:
            record = IterationRecord.start(self.stage.max_frequency, misfit)
            inversion.records.append(record)
            save_iteration(inversion.run, record, inversion.model)
        elif not np.isfinite(inversion.records[-1].misfit) and (
            inversion.records[-1].stage == self.number
        ):
            record = replace(inversion.records[-1], misfit=misfit)
            inversion.records[-1] = record
            save_iteration(inversion.run, record, {})
