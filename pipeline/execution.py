"""A run from its start to its outcome: inputs, plan, workers, folder, and evaluations.

What needs torch or Dask is imported where it is used, so that bad input is refused at once.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wavepipe.pipeline.errors import ClusterError
from wavepipe.pipeline.evaluation import (
    Evaluation,
    PointSource,
    Treatment,
    Wanted,
    save_array,
    save_evaluation,
)
from wavepipe.pipeline.inputs import Inputs, read_inputs
from wavepipe.pipeline.job import Job
from wavepipe.pipeline.left_out import LeftOut, describe_left_out, left_out
from wavepipe.pipeline.machine import Machine, local_machine
from wavepipe.pipeline.partial import Failure, Partial
from wavepipe.pipeline.progress import counting, readable_seconds
from wavepipe.pipeline.provenance import collect_provenance
from wavepipe.pipeline.run_folder import RunFolder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wavepipe.pipeline.cluster import Cluster
    from wavepipe.pipeline.passes import Pass
    from wavepipe.pipeline.plan import Plan

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    folder: Path
    """The run folder."""

    shots: tuple[int, ...]
    """Shots that are in the result."""

    failures: tuple[Failure, ...]
    """Shots that are not, and why."""

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
        return self.folder.path / "work"

    def attributes(self) -> dict[str, object]:
        """What is worth knowing beside the results."""
        return {
            "job": self.job.path.name,
            "dropped": list(self.inputs.dropped),
            "assumptions": [*self.inputs.earth.assumptions, *self.inputs.survey.assumptions],
        }

    def describe(self, wanted: Wanted, band: Pass, vp: NDArray[Any]) -> Evaluation:
        """Evaluation of the run's survey in a frequency band.

        Parameters
        ----------
        wanted
            What is computed.
        band
            Of the plan.
        vp : (nz, nx) or (nz, ny, nx), m/s
            Earth model.
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
            )
        return Evaluation(
            wanted=wanted,
            propagation=band.propagation,
            survey=str(self.folder.survey),
            model={"vp": save_array("vp", vp.astype("float32"), self.work)},
            wavelet=save_array("wavelet", wavelet, self.work),
            origin=self.inputs.earth.origin,
            aperture=job.survey.aperture,
            call_shots=self.plan.schedule.call_shots,
            threads=self.plan.schedule.threads,
            treatment=treatment,
        )

    def _point_source(self) -> PointSource:
        """What turns point-source into line-source data: of the start, so that data stay data."""
        velocity = save_array("spreading", self.inputs.earth.vp.astype("float32"), self.work)
        energy = self.inputs.wavelet**2
        centre = float(np.average(np.arange(energy.size), weights=energy)) * self.inputs.survey.dt
        return PointSource(velocity, centre)

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
        from wavepipe.pipeline.graph import batches, build_graph
        from wavepipe.pipeline.leaf import LEAVES

        start = time.perf_counter()
        path = save_evaluation(evaluation, self.work)
        blocks = batches(shots, self.plan.schedule.batch_shots)
        name = question_name(path.stem, self.fingerprint, blocks)
        graph, root = build_graph(name, LEAVES[evaluation.wanted], str(path), blocks)
        with counting(title, len(shots)) as counter:

            def on_batch(event: Mapping[str, object]) -> None:
                counter.advance(int(str(event["shots"])))
                self.folder.log_event(event)

            partial = self.cluster.compute(graph, root, on_batch)
        seconds = time.perf_counter() - start
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
                "seconds": round(seconds, 3),
            }
        )
        return partial

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
        """Delete the earth model of an evaluation that is done."""
        for path in evaluation.model.values():
            Path(path).unlink(missing_ok=True)

    def outcome(self, shots: Sequence[int], failures: Sequence[Failure]) -> Outcome:
        """How the run ended, with these shots done and these failed."""
        accepted = bool(shots) and len(failures) <= self.job.run.max_failed_shots
        if self.left_out:
            from wavepipe.pipeline.results import update_attributes

            label = self.inputs.survey.label
            said = [f"shot {label(i)}: {describe_left_out(n)}" for i, n in self.left_out.items()]
            update_attributes(self.folder.results, {"left_out": said})
        self.folder.log_event(
            {
                "event": "end",
                "shots": len(shots),
                "failed": len(failures),
                "accepted": accepted,
            }
        )
        return Outcome(self.folder.path, tuple(shots), tuple(failures), accepted)


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
def start_run(
    job: Job, *, cluster: Cluster | None = None, started: Started | None = None
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
    """
    start = time.perf_counter()
    RunFolder(job.output_folder).check()
    inputs = read_inputs(job)
    from wavepipe.pipeline.plan import make_plan  # torch loads here

    with _workers(job, cluster) as workers:
        plan = make_plan(inputs, workers.machine)
        with workers.ready(plan) as ready:
            folder = RunFolder.create(job.output_folder)
            if started is not None:
                started(folder.path)
            _write_start(folder, inputs, plan)
            for line in _summary(inputs, plan):
                logger.info("%s", line)
            run = Run(inputs, plan, folder, ready)
            try:
                yield run
            finally:
                shutil.rmtree(run.work, ignore_errors=True)
    seconds = time.perf_counter() - start
    folder.log_event({"event": "closed", "seconds": round(seconds, 3)})
    logger.info("finished in %s: %s", readable_seconds(seconds), folder.path)


@dataclass(frozen=True)
class _Workers:
    """Workers that are there already, or how many may be started once the plan is made."""

    machine: Machine
    cluster: Cluster | None = None

    def ready(self, plan: Plan) -> AbstractContextManager[Cluster]:
        """Start what is not there yet."""
        if self.cluster is not None:
            return nullcontext(self.cluster)
        from wavepipe.pipeline.cluster import local_cluster

        return local_cluster(plan.schedule.n_workers, plan.schedule.threads)


@contextmanager
def _workers(job: Job, cluster: Cluster | None) -> Iterator[_Workers]:
    """Connect to a running scheduler, or say how many local workers there may be."""
    machine = local_machine(job)
    if cluster is not None:
        yield _Workers(replace(machine, n_workers=cluster.n_workers, free=False), cluster)
    elif job.cluster.address is None:
        yield _Workers(machine)
    else:
        from wavepipe.pipeline.cluster import running_cluster

        with running_cluster(job.cluster.address) as running:
            there = replace(machine, n_workers=running.n_workers, threads=1, free=False)
            yield _Workers(there, running)


def _write_start(folder: RunFolder, inputs: Inputs, plan: Plan) -> None:
    """Write what the run starts from."""
    job = inputs.job
    folder.write_text(folder.resolved_job, job.resolved_yaml())
    folder.write_json(folder.plan, plan.as_dict())
    folder.write_json(folder.provenance, collect_provenance(_input_files(job)))
    inputs.survey.save(folder.survey)
    folder.log_event({"event": "start", "kind": job.kind, "shots": inputs.survey.n_shots})


def _input_files(job: Job) -> list[Path]:
    """List the files a job reads."""
    names = [parameter.path for parameter in job.earth_model.given.values()]
    names.append(job.wavelet.path)
    paths = [job.resolve(name) for name in names if name is not None]
    return [*paths, *(job.data_files() if job.survey.data is not None else ())]


def _summary(inputs: Inputs, plan: Plan) -> Iterator[str]:
    """Lines about the size of the run and what was chosen for it."""
    schedule, propagation = plan.schedule, plan.passes[0].propagation
    cells = " x ".join(str(n) for n in plan.largest_window)
    yield (
        f"{plan.n_shots} shots, {inputs.survey.n_traces} traces of {propagation.nt} samples; "
        f"windows up to {cells} cells, step {1e3 * propagation.time_step:.3g} ms"
    )
    yield (
        f"{schedule.n_workers} workers of {schedule.threads} threads, {schedule.batch_shots} "
        f"shots a batch, about {schedule.shot_bytes / 1e6:.3g} MB a shot"
    )
    if inputs.job.kind != "model":
        tapers = ", ".join(f"{one.taper_end:.3g} s" for one in plan.passes)
        strides = ", ".join(str(one.propagation.stride) for one in plan.passes)
        yield f"trace ends are tapered over {tapers}; every {strides} steps are kept"
