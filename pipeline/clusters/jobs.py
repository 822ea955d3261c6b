"""The jobs of a batch system in which workers run, written by dask-jobqueue.

What the job file leaves out is as ~/.config/dask has it (``jobqueue.slurm.queue`` and so on), where
sites keep what holds for all their users.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask

from wavepipe.pipeline.clusters.batch_systems import BATCH_SYSTEMS, SHELL, BatchSystem, check_path
from wavepipe.pipeline.clusters.cluster import LOCAL_PORT, thread_environment
from wavepipe.pipeline.clusters.lifetime import Lifetime
from wavepipe.pipeline.clusters.network import check_interface, temporary_security
from wavepipe.pipeline.errors import ClusterError, JobError
from wavepipe.pipeline.job.cluster import ClusterSection
from wavepipe.pipeline.quantities import bytes_of, clock_time, seconds_of

SPARE = 0.1
"""Part of a walltime, but no more than `MOST_SPARE` seconds, that is not for batches."""

MOST_SPARE = 60.0
"""Seconds."""

STAGGER = 0.5
"""Part of the spare time over which workers leave."""

START = 60.0
"""Seconds after the start of its job at which a worker may begin its first batch."""


@dataclass(frozen=True)
class Jobs:
    """The workers' jobs of a run."""

    section: ClusterSection
    """The job file's ``cluster``."""

    folder: Path
    """The run folder, which every node sees."""

    @property
    def system(self) -> BatchSystem:
        """The batch system's words."""
        return BATCH_SYSTEMS[self.section.kind]

    @property
    def class_(self) -> Any:
        """The cluster of dask-jobqueue."""
        return getattr(_jobqueue(self.section.kind), self.system.cluster)

    def site(self, key: str) -> Any:
        """What ~/.config/dask says, or dask-jobqueue where that says nothing."""
        _jobqueue(self.section.kind)  # which has defaults of its own
        return dask.config.get(f"jobqueue.{self.section.kind}.{key}", None)

    @property
    def scheduler(self) -> dict[str, Any]:
        """Options of the scheduler, as the site has them."""
        found = self.site("scheduler-options") or {}
        return {key: value for key, value in found.items() if value is not None}

    @property
    def interface(self) -> str | None:
        """Network of the workers."""
        found = self.section.interface or self.site("interface")
        return None if found is None else str(found)

    @property
    def listens(self) -> str | None:
        """Where the scheduler can be reached: a host's address, or a network's name."""
        found = self.scheduler.get("host") or self.scheduler.get("interface") or self.interface
        return None if found is None else str(found)

    @property
    def threads(self) -> int:
        """Of each worker, which are the cores of its job."""
        asked = self.section.threads_per_worker
        found = self.site("cores") if asked == "auto" else asked
        if found is None:
            raise JobError(self._missing("the cores of a job", "threads_per_worker", "cores"))
        return int(found)

    @property
    def memory(self) -> int:
        """Of each worker, bytes."""
        asked = self.section.jobs.memory
        found = self.site("memory") if asked is None else asked
        if found is None:
            raise JobError(self._missing("the memory of a job", "jobs.memory", "memory"))
        return bytes_of(found)

    @property
    def walltime(self) -> int | None:
        """Of each job, s; None where nobody says."""
        asked = self.section.jobs.walltime
        if asked is not None:
            return asked
        found = self.site("walltime")
        try:
            return None if found is None else self._seconds(str(found))
        except ValueError as error:
            raise JobError(
                f"jobqueue.{self.section.kind}.walltime of ~/.config/dask: {error}. Give "
                "cluster.jobs.walltime."
            ) from error

    def _seconds(self, walltime: str) -> int:
        """Of a walltime as a site writes it: LSF has no seconds, SLURM's numbers are minutes."""
        kind = self.section.kind
        return seconds_of(
            f"{walltime}:00"
            if kind == "lsf" or (kind == "slurm" and walltime.isdigit())
            else walltime
        )

    @property
    def spare(self) -> float:
        """Seconds at the end of a job that are left for its start and its end."""
        return min(MOST_SPARE, SPARE * (self.walltime or 0))

    def check(self, batch_seconds: float) -> None:
        """Refuse jobs that end before a batch does.

        Parameters
        ----------
        batch_seconds
            That the longest batch takes.
        """
        if self.walltime is None:
            return
        # A worker that left before it began any would be replaced by another, for ever.
        left = max(0.0, self.walltime - self.spare - STAGGER * self.spare - START)
        if batch_seconds > left:
            raise JobError(
                f"a worker's job ends after {clock_time(self.walltime)} (cluster.jobs.walltime), "
                f"which leaves {left:.0f} s for batches, and a batch takes about "
                f"{batch_seconds:.0f} s. Ask for more time, more cluster.threads_per_worker or "
                "fewer cluster.batch_shots."
            )

    def _missing(self, what: str, key: str, site_key: str) -> str:
        kind = self.section.kind
        return (
            f"nothing says {what}: give cluster.{key}, or jobqueue.{kind}.{site_key} in "
            "~/.config/dask/jobqueue.yaml."
        )

    def options(self) -> dict[str, Any]:
        """Arguments of a worker's job, for dask-jobqueue."""
        asked, kind = self.section.jobs, self.section.kind
        check_path(self.folder, kind)
        if not self.scheduler.get("host"):
            check_interface(kind, self.listens)
        stated_prologue = self.site("job-script-prologue") or ()
        prologue = stated_prologue if asked.prologue is None else asked.prologue
        environment: dict[str, object] = {**thread_environment(self.threads)}
        # A driver's silence (it hides what its own closing makes workers say) is not for logs.
        environment |= {"DASK_LOGGING__DISTRIBUTED": "info"}
        exports = [f"export {name}={value}" for name, value in environment.items()]
        found: dict[str, Any] = {
            "cores": self.threads,
            "processes": 1,
            "memory": f"{self.memory}B",
            "interface": self.interface,
            "protocol": "tls://" if self.section.tls else None,
            "job_script_prologue": [*prologue, *exports],
            "worker_extra_args": [
                *(self.site("worker-extra-args") or ()),
                *self._arguments(),
            ],
            "log_directory": self.site("log-directory") or str(self.folder / "logs"),
        }
        stated = {
            "queue": asked.queue,
            "account": asked.account,
            "resources": asked.resources,
            "disk": None if asked.disk is None else f"{asked.disk}B",
            "walltime": None if asked.walltime is None else self._walltime(asked.walltime),
        }
        for key, value in stated.items():
            if value is None:
                continue
            if not (name := self.system.keyword(key)):
                raise JobError(f"cluster.jobs.{key} is nothing that {kind} knows; leave it out.")
            found[name] = value
        if asked.directives is not None:
            found["job_extra_directives"] = self._directives(asked.directives)
        elif self.site("job-extra-directives") is None:
            found["job_extra_directives"] = self._directives(())
        if SHELL in self.system.lines:
            more = found.get("job_extra_directives", self.site("job-extra-directives"))
            found["job_extra_directives"] = [SHELL, *(more or ())]
        return found

    def _walltime(self, seconds: int) -> str:
        text = clock_time(seconds + 59 if self.section.kind == "lsf" else seconds)
        return text[:-3] if self.section.kind == "lsf" else text

    def _directives(self, lines: tuple[str, ...]) -> Any:
        """As dask-jobqueue takes them: HTCondor's have names and values."""
        if self.section.kind != "htcondor":
            return list(lines)
        pairs = [line.partition("=") for line in lines]
        if not all(equals for _, equals, _ in pairs):
            raise JobError(f"cluster.jobs.directives of htcondor are name = value, not {lines}.")
        return {name.strip(): value.strip() for name, _, value in pairs}

    def _arguments(self) -> list[str]:
        """Of the worker's command, after those that dask-jobqueue gives."""
        # The cores are for the threads of one propagator, not for as many tasks; the last one of
        # two values counts.
        return ["--nthreads", "1", "--no-dashboard", "--dashboard-address", LOCAL_PORT]

    def lifetime(self, batch_seconds: float) -> Lifetime | None:
        """When workers leave: a batch that one begins ends before the job, and not all at once."""
        if self.walltime is None:
            return None
        seconds = max(1.0, self.walltime - self.spare - batch_seconds)
        return Lifetime(seconds, min(STAGGER * self.spare, STAGGER * seconds))

    def script(self) -> str:
        """Text of a worker's job; nothing is submitted or left in the run folder."""
        options = self.options()
        logs = Path(options["log_directory"])
        new = [path for path in (logs, *logs.parents) if not path.exists()]
        address = f"{options['protocol'] or 'tcp://'}<scheduler>"
        with _refused(self.section.kind):
            job = self.class_.job_cls(address, name="<worker>", **options)
        for path in new:  # dask-jobqueue has made it
            path.rmdir()
        return str(job.job_script())

    def start(self) -> Any:
        """A scheduler in this process, and jobs when it is scaled."""
        scheduler = {"dashboard_address": self.section.dashboard} | self.scheduler
        if "dashboard" in self.section.model_fields_set:
            scheduler["dashboard_address"] = self.section.dashboard
        security = temporary_security() if self.section.tls else None
        options = self.options()
        with _refused(self.section.kind):
            return self.class_(
                **options,
                security=security,
                shared_temp_directory=self.site("shared-temp-directory") or str(self.folder),
                scheduler_options=scheduler,
            )


@contextmanager
def _refused(kind: str) -> Iterator[None]:
    """Make a JobError of what dask-jobqueue cannot do with a job file and a site's settings."""
    try:
        yield
    except (ValueError, TypeError, OSError, RuntimeError) as error:
        raise JobError(
            f"dask-jobqueue cannot make jobs of {kind} of cluster and jobqueue.{kind} of "
            f"~/.config/dask: {' '.join(str(error).split())}"
        ) from error


def _jobqueue(kind: str) -> Any:
    """The package that writes and submits workers' jobs."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        import dask_jobqueue
    except ImportError as error:
        raise ClusterError(
            f"cluster.kind {kind} needs the package dask-jobqueue, which is not installed: "
            "pip install 'wavepipe[hpc]'."
        ) from error
    # Its import makes Ctrl-C end the process with 0, as if a run that is stopped were done.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, handler)
    return dask_jobqueue
