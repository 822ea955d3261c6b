"""A run from its start to its outcome: inputs, plan, workers, folder, and evaluations.

What needs torch or Dask is imported where it is used, so that bad input is refused at once.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wavepipe.pipeline.durable import flush
from wavepipe.pipeline.errors import ClusterError, RunFolderError
from wavepipe.pipeline.evaluation import (
    Evaluation,
    PointSource,
    Treatment,
    Wanted,
    save_array,
    save_evaluation,
)
from wavepipe.pipeline.inputs import Inputs
from wavepipe.pipeline.job import Job
from wavepipe.pipeline.keeping import SPARE
from wavepipe.pipeline.ledger import Ledger, forget
from wavepipe.pipeline.left_out import LeftOut, describe_left_out, left_out
from wavepipe.pipeline.partial import Failure, Partial
from wavepipe.pipeline.progress import counting
from wavepipe.pipeline.resume import check_free, may_go_on
from wavepipe.pipeline.run_end import close_run, flush_published, keep_stacks, say_stopped
from wavepipe.pipeline.run_folder import RunFolder
from wavepipe.pipeline.run_start import describe_run, plan_run, write_start
from wavepipe.pipeline.run_warnings import kept_warnings
from wavepipe.pipeline.scales import scaled_back
from wavepipe.propagators.physics.names import PARAMETERS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wavepipe.pipeline.clusters.cluster import Cluster
    from wavepipe.pipeline.clusters.workers import Workers
    from wavepipe.pipeline.passes import Pass
    from wavepipe.pipeline.plan import Plan

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    folder: Path
    """The run folder."""

    shots: tuple[int, ...]
    """Shots that are in the result, as indices in the survey before ``survey.shots`` selects."""

    failures: tuple[Failure, ...]
    """Shots that are not, with the same indices, and why."""

    accepted: bool
    """Whether no more shots failed than the job allows."""


@dataclass(frozen=True)
class Run:
    """A run in progress."""

    inputs: Inputs
    """What was read."""

    plan: Plan
    """What was fixed before the work started."""

    folder: RunFolder
    """Where results go."""

    cluster: Cluster
    """Where the work is done."""

    left_out: dict[int, LeftOut] = field(default_factory=dict)
    """Traces that evaluations found nothing to use in, by shot."""

    @property
    def job(self) -> Job:
        """The job."""
        return self.inputs.job

    @cached_property
    def fingerprint(self) -> str:
        """Of the survey; hashed once a run, not at every evaluation."""
        return self.inputs.survey.fingerprint()

    @property
    def shots(self) -> tuple[int, ...]:
        """Indices of all shots of the survey."""
        return tuple(range(self.inputs.survey.n_shots))

    @property
    def work(self) -> Path:
        """Folder of what workers read."""
        return self.folder.work

    @cached_property
    def start(self) -> dict[str, str]:
        """File of each parameter of the job's earth model that the physics has."""
        self.work.mkdir(exist_ok=True)
        parameters = self.inputs.earth.parameters
        return {
            name: save_array(name, parameters[name], self.work)
            for name in PARAMETERS[self.job.physics]
        }

    def attributes(self) -> dict[str, object]:
        """What is worth knowing beside the results."""
        return {
            "job": self.job.path.name,
            "dropped": list(self.inputs.dropped),
            "assumptions": [*self.inputs.earth.assumptions, *self.inputs.survey.assumptions],
        }

    def describe(
        self,
        wanted: Wanted,
        band: Pass,
        model: Mapping[str, NDArray[Any]] | None = None,
        variables: Sequence[str] = (),
    ) -> Evaluation:
        """Evaluation of the run's survey in a frequency band.

        Parameters
        ----------
        wanted
            What is computed.
        band
            Of the plan.
        model : (nz, nx) or (nz, ny, nx), SI
            Parameters that differ from the job's earth model.
        variables
            Parameters whose gradient is wanted.
        """
        from wavepipe.pipeline.passes import pass_wavelet

        job = self.job
        self.work.mkdir(exist_ok=True)
        wavelet = pass_wavelet(self.inputs, band.max_frequency)
        treatment = Treatment()
        if job.kind != "model":
            section = job.rtm if job.kind == "rtm" else job.fwi
            mute = None if section is None else section.mute
            treatment = Treatment(
                max_frequency=band.max_frequency,
                band=band.band,
                taper_end=band.taper_end,
                mute=None if mute is None else (mute.velocity, mute.flat, mute.taper),
                point_source=self._point_source() if job.survey.spreading == "3d" else None,
                component_weights=job.survey.component_weights.given,
            )
        changed = {
            name: save_array(name, values.astype("float32"), self.work)
            for name, values in (model or {}).items()
        }
        return Evaluation(
            wanted=wanted,
            physics=job.physics,
            propagation=band.propagation,
            survey=str(self.folder.survey),
            model=self.start | changed,
            wavelet=save_array("wavelet", wavelet, self.work),
            source=job.survey.source_name,
            origin=self.inputs.earth.origin,
            aperture=job.survey.aperture,
            call_shots=self.plan.schedule.call_shots,
            threads=self.plan.schedule.threads,
            keeping=self.plan.keeping,
            scratch=str(self.work / SPARE),
            moment=job.survey.moment,
            variables=tuple(variables),
            source_scale=band.source_scale,
            result_scale=band.result_scale,
            treatment=treatment,
        )

    def _point_source(self) -> PointSource:
        """What turns point-source into line-source data: of the start, so that data stay data."""
        energy = self.inputs.wavelet**2
        centre = float(np.average(np.arange(energy.size), weights=energy)) * self.inputs.survey.dt
        return PointSource(self.start["vp"], centre)

    def evaluate(self, evaluation: Evaluation, shots: Sequence[int], title: str) -> Partial:
        """Sum of an evaluation over shots, on the cluster.

        Parameters
        ----------
        evaluation
            From `describe`.
        shots
            Indices in the survey, ascending.
        title
            Shown while it runs.
        """
        from wavepipe.pipeline.graph import batches, build_graph, root_of
        from wavepipe.pipeline.leaf import LEAVES

        start = time.perf_counter()
        path = save_evaluation(evaluation, self.work)
        blocks = batches(shots, self.plan.schedule.batch_shots)
        name = question_name(path.stem, self.fingerprint, blocks)
        safe = Ledger(self.folder.ledger / name, root_of(blocks))
        graph, root = build_graph(
            name, LEAVES[evaluation.wanted], str(path), blocks, safe, self.plan.schedule.patience
        )
        with counting(title, len(shots)) as counter:
            counter.advance(sum(len(blocks[place]) for place in safe.batches(len(blocks))))

            def on_batch(event: Mapping[str, object]) -> None:
                counter.advance(int(str(event["shots"])))
                self.folder.log_event(event)

            partial = self.cluster.compute(graph, root, on_batch)
        partial = scaled_back(partial, evaluation.result_scale)
        seconds = time.perf_counter() - start
        partial = replace(partial, failures=tuple(map(self._named, partial.failures)))
        _require_answer(partial, shots)
        for failure in partial.failures:
            logger.error("shot %s failed: %s", failure.label, failure.reason)
        self._report_left_out(partial)
        self.folder.log_event(
            {
                "event": "evaluation",
                "wanted": evaluation.wanted,
                "name": name,
                "shots": len(partial.shots),
                "failed": len(partial.failures),
                "failures": [asdict(failure) for failure in partial.failures],
                "seconds": round(seconds, 3),
            }
        )
        return partial

    def _named(self, failure: Failure) -> Failure:
        """The same with the survey's name for the shot, which only those who read it know."""
        label = failure.label or self.inputs.survey.label(failure.shot)
        return replace(failure, label=label)

    def _report_left_out(self, partial: Partial) -> None:
        """Say which traces hold nothing to use, once for every shot."""
        found = left_out(partial.scalars)
        new = {shot: counts for shot, counts in found.items() if shot not in self.left_out}
        if not new:
            return
        self.left_out.update(new)
        for shot, counts in new.items():
            label = self.inputs.survey.label(shot)
            logger.warning("shot %s: %s", label, describe_left_out(counts))
            self.folder.log_event({"event": "left out", "shot": shot, **asdict(counts)})

    def forget(self, evaluation: Evaluation) -> None:
        """Delete what an evaluation that is done had of an earth model of its own."""
        for path in set(evaluation.model.values()) - set(self.start.values()):
            Path(path).unlink(missing_ok=True)

    def prune(self) -> None:
        """Delete the sums of all evaluations so far, which a checkpoint makes superfluous."""
        keep_stacks(self.folder)
        forget(self.folder.ledger, keep=self.folder.checkpoint)

    def outcome(self, shots: Sequence[int], failures: Sequence[Failure]) -> Outcome:
        """How the run ended, with these shots done and these failed."""
        accepted = bool(shots) and len(failures) <= self.job.run.max_failed_shots
        if self.left_out:
            from wavepipe.pipeline.results import update_attributes

            label = self.inputs.survey.label
            said = [f"shot {label(i)}: {describe_left_out(n)}" for i, n in self.left_out.items()]
            update_attributes(self.folder.results, {"left_out": said})
        flush_published(self.folder)
        self.folder.log_event(
            {
                "event": "end",
                "shots": len(shots),
                "failed": len(failures),
                "accepted": accepted,
            }
        )
        if accepted:
            flush(self.folder.events)
            keep_stacks(self.folder)
            forget(self.folder.ledger)
        index = [int(original) for original in self.inputs.survey.original_index]
        return Outcome(
            self.folder.path,
            tuple(index[i] for i in shots),
            tuple(replace(failure, shot=index[failure.shot]) for failure in failures),
            accepted,
        )


def question_name(evaluation: str, survey: str, blocks: Sequence[tuple[int, ...]]) -> str:
    """Name of an evaluation of some shots of a survey.

    A scheduler that still knows a key answers with its old result: two questions that differ in
    anything, the batches of shots included, must not share one.
    """
    content = repr((survey, tuple(blocks))).encode()
    return f"{evaluation}-{hashlib.blake2b(content, digest_size=6).hexdigest()}"


def _require_answer(partial: Partial, shots: Sequence[int]) -> None:
    """Refuse a sum that is not over the shots asked for."""
    found = sorted([*partial.shots, *(failure.shot for failure in partial.failures)])
    if found != sorted(shots):
        raise ClusterError(
            f"the workers answered for shots {found[:10]}..., but {sorted(shots)[:10]}... were "
            "asked for. Is another run using the same scheduler? Start this one on its own."
        )


def draw(figures: Callable[[], None]) -> None:
    """Draw figures; results that are written are not lost to a figure that fails."""
    try:
        figures()
    except Exception as error:  # whatever it is, the run's results are complete
        logger.warning("figures could not be drawn: %s: %s", type(error).__name__, error)


Started = Callable[[Path], None]
"""Told the run folder as soon as there is one."""


@contextmanager
def _started(workers: Workers, plan: Plan) -> Iterator[Cluster]:
    """Start workers, if no other driver is at work: jobs would be submitted for nothing."""
    check_free(RunFolder(workers.job.output_folder))
    with workers.ready(plan) as ready:
        yield ready


@contextmanager
def start_run(
    job: Job,
    *,
    cluster: Cluster | None = None,
    started: Started | None = None,
    resume: bool = False,
) -> Iterator[Run]:
    """Read, plan, find workers, and only then make the run folder.

    Parameters
    ----------
    job
        What to do.
    cluster
        Workers that are there already, instead of those of the job.
    started
        Told the run folder when the work begins.
    resume
        Go on with the run that is in the folder, if there is one.
    """
    start = time.perf_counter()
    goes_on = resume and may_go_on(RunFolder(job.output_folder))
    with kept_warnings() as kept:
        with (
            plan_run(job, cluster, resume=resume) as (inputs, plan, workers),
            _started(workers, plan) as ready,
        ):
            folder = RunFolder.create(job.output_folder, resume)
            with folder.locked():
                if may_go_on(folder) != goes_on:
                    raise RunFolderError(
                        f"another run was at work in {folder.path} meanwhile; give the command "
                        "again."
                    )
                if started is not None:
                    started(folder.path)
                write_start(folder, inputs, plan)
                kept.keep_in(folder)
                for line in describe_run(inputs, plan):
                    logger.info("%s", line)
                run = Run(inputs, plan, folder, ready)
                try:
                    with ExitStack() as watching:
                        watching.enter_context(ready.logged(folder.logs))
                        if job.output.dask_report:
                            watching.enter_context(ready.profiled(folder.dask_report))
                        yield run
                except BaseException as error:
                    say_stopped(folder, error)
                    raise
                finally:
                    shutil.rmtree(run.work, ignore_errors=True)
        close_run(folder, time.perf_counter() - start, figures=job.output.figures)
