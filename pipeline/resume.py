"""Going on with a run that was stopped: only as the run that it was.

Of a run's state the plan and the ledger's sums are stored, and of an inversion where it stood after
its last iteration. A run that goes on does everything again from there, and finds in the ledger
what it has computed since; so it ends with the bits that it would have had, line searches included.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import yaml

from wavepipe.pipeline.errors import JobError, RunFolderError
from wavepipe.pipeline.job import Job
from wavepipe.pipeline.plain import from_plain
from wavepipe.pipeline.run_folder import RunFolder

if TYPE_CHECKING:
    from wavepipe.pipeline.machine import Machine
    from wavepipe.pipeline.plan import Plan

FREE = ("cluster", "run.max_failed_shots", "run.allow_mixed_hardware", "output.dask_report")
"""Keys of a job, with those below them, that may change: they change no bit."""

LAID_OUT = "laid out"
"""Event of a modelling run."""

LISTED = 8
"""Differences that are named one by one."""


def may_go_on(folder: RunFolder) -> bool:
    """Whether a run had begun its work: all that it starts from is there."""
    return all(path.exists() for path in folder.beginnings)


def is_finished(folder: RunFolder, job: Job) -> bool:
    """Whether a run has all its results, of as many shots as a job asks for."""
    ends = [event for event in folder.read_events() if event.get("event") == "end"]
    accepted = bool(ends) and ends[-1]["accepted"] is True
    return accepted and int(str(ends[-1]["failed"])) <= job.run.max_failed_shots


def check_free(folder: RunFolder) -> None:
    """Refuse a run folder in which a driver is at work, before anything is started for it.

    Raises
    ------
    RunFolderError
        It names the process.
    """
    if owner := folder.owner():
        raise RunFolderError(
            f"{owner} is at work in {folder.path}. Wait until it has ended, stop it with "
            f"'wavepipe cancel {folder.path}', or choose another folder with --output."
        )


def is_laid_out(folder: RunFolder) -> bool:
    """Whether the empty gathers of a modelling run are complete, for workers to write into."""
    return any(event.get("event") == LAID_OUT for event in folder.read_events())


def check_job(folder: RunFolder, job: Job) -> None:
    """Refuse a job that is not the one of a run.

    Raises
    ------
    JobError
        It lists what was and what is.
    """
    before = yaml.safe_load(folder.resolved_job.read_text(encoding="utf-8"))
    _refuse(folder, list(_differences(before, job.resolved(), FREE)))


def check_unchanged(folder: RunFolder, job: Job, provenance: Mapping[str, Any]) -> None:
    """Refuse to go on with anything that could give other bits.

    Parameters
    ----------
    folder
        Of the run that was stopped.
    job
        As it is now.
    provenance
        Of this process and of the files that the job reads now.

    Raises
    ------
    JobError
        The job, its data, the program or the machine have changed; it lists what was and what is.
    """
    check_job(folder, job)
    then = json.loads(folder.provenance.read_text(encoding="utf-8"))
    _refuse(folder, differing(then, provenance, job))


def differing(before: Mapping[str, Any], now: Mapping[str, Any], job: Job) -> list[str]:
    """What differs between two provenances and could give other bits, with both values."""
    same_machine = () if job.run.allow_mixed_hardware else ("cpu", "machine")
    return list(_differences(_facts(before, same_machine), _facts(now, same_machine)))


def _refuse(folder: RunFolder, found: list[str]) -> None:
    """A JobError if there are differences."""
    if not found:
        return
    listed = "; ".join(found[:LISTED]) + ("; ..." if len(found) > LISTED else "")
    raise JobError(
        f"{folder.path} cannot be gone on with, because what it depends on has changed: {listed}. "
        "Put it back, or start a new run with another --output."
    )


def _facts(provenance: Mapping[str, Any], machine: tuple[str, ...]) -> dict[str, Any]:
    """What decides bits, apart from when and where it was looked at."""
    # Of large files only samples are hashed: their time tells what those do not.
    files = {
        one["path"]: one.get("sha256") or f"{one['sha256_sampled']} of {one['modified']}"
        for one in provenance["inputs"]
    }
    kept = {name: provenance[name] for name in ("versions", "compiler", *machine)}
    return kept | {"content of": files}


def _differences(before: Any, now: Any, free: tuple[str, ...] = (), key: str = "") -> Iterator[str]:
    """Keys whose values differ, with both."""
    if any(key == name or key.startswith(f"{name}.") for name in free):
        return
    if isinstance(before, dict) and isinstance(now, dict):
        for name in {**before, **now}:
            below = f"{key}.{name}" if key else str(name)
            yield from _differences(before.get(name), now.get(name), free, below)
    elif before != now:
        yield f"{key} was {before}, and is {now}"


def stored_plan(folder: RunFolder, machine: "Machine") -> "Plan":
    """The plan of a run that goes on; only how many workers there are is this machine's.

    Raises
    ------
    RunFolderError
        It cannot be read.
    JobError
        More workers than it had do not fit in this machine's memory.
    """
    from wavepipe.pipeline.plan import Plan  # torch loads here

    try:
        plan = from_plain(Plan, json.loads(folder.plan.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError) as error:
        raise RunFolderError(
            f"{folder.plan} cannot be read ({type(error).__name__}: {error}); start a new run with "
            "another --output."
        ) from error
    n_workers = plan.schedule.n_workers if machine.free else machine.n_workers
    if n_workers > plan.schedule.n_workers:
        _check_memory(plan.schedule.worker_bytes, n_workers, machine.memory)
    return replace(plan, schedule=replace(plan.schedule, n_workers=n_workers))


def _check_memory(worker_bytes: int, n_workers: int, memory: int) -> None:
    """Refuse more workers than there is memory for: a call takes what the plan has fixed."""
    from wavepipe.pipeline.prices import MEMORY_SHARE  # torch loads here
    from wavepipe.propagators.storage.amounts import size

    room = int(MEMORY_SHARE * memory)
    if n_workers * worker_bytes > room:
        raise JobError(
            f"cluster.workers: {n_workers} workers of this run take about "
            f"{size(n_workers * worker_bytes)} of memory, and {size(room)} of the {size(memory)} "
            f"that are free may be filled. Set at most {max(1, room // worker_bytes)} workers, or "
            "use a machine with more memory."
        )
