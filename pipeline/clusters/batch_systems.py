"""Batch systems: one row for each, with its words for what a job asks for.

Workers' jobs are written and submitted by dask-jobqueue, which knows the systems but names some
things by their own words. The driver's job is written here, from the lines of its row.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from string import Formatter

from wavepipe.pipeline.errors import JobError
from wavepipe.pipeline.quantities import clock_time

AGAIN = 99
"""Exit status with which LSF, SGE, OAR and HTCondor put a job back in the queue."""

SHELL = "-S /bin/bash"
"""Directive of PBS and SGE, some of which choose another shell whatever a script begins with."""


@dataclass(frozen=True, slots=True)
class BatchSystem:
    """What one batch system calls things."""

    cluster: str
    """Class of dask-jobqueue for the workers."""

    submit: str
    """Command that submits the driver's script."""

    prefix: str
    """Of a directive in a script."""

    lines: tuple[str, ...]
    """Directives of the driver's job; those of which something is not given are left out."""

    requeue: str = ""
    """Directive without which the system puts no job back in the queue."""

    again: str = f"exit {AGAIN}"
    """Shell command that puts the driver's job back in the queue."""

    warns: bool = False
    """Whether the script gets USR1 before the walltime, and nobody else does."""

    keywords: tuple[tuple[str, str], ...] = ()
    """Of dask-jobqueue, for those of `WorkerJobs` that it knows by other names; "" where none."""

    listing: tuple[str, ...] = ()
    """Command that lists the numbers of a user's jobs that wait or run; none where untried."""

    def keyword(self, key: str) -> str:
        """Name of a key of `WorkerJobs` for dask-jobqueue; empty if the system has none."""
        return dict(self.keywords).get(key, key)

    def has_line(self, name: str) -> bool:
        """Whether a directive of the driver's job says something."""
        return any(name in _names(line) for line in self.lines)

    def directives(self, requeue: bool, given: dict[str, object]) -> list[str]:
        """Directives of the driver's job.

        Parameters
        ----------
        requeue
            Whether the job may go back into the queue.
        given
            ``name``, ``logs``, ``script``, ``cores``, ``memory`` (MB), ``walltime`` and ``warning``
            (s), ``queue`` and ``account``; None where one is not.
        """
        known = {key: value for key, value in given.items() if value is not None}
        known["limit"] = ""
        if isinstance(seconds := known.get("walltime"), int):
            known |= {
                "walltime": clock_time(seconds),
                "limit": f",walltime={clock_time(seconds)}",
                "hours_minutes": clock_time(seconds + 59)[:-3],
                "seconds": seconds,
            }
        lines = (*self.lines, self.requeue) if requeue and self.requeue else self.lines
        return [
            f"{self.prefix}{line.format(**known)}"
            for line in lines
            if all(name in known for name in _names(line))
        ]


def _names(line: str) -> list[str]:
    """What a directive says."""
    return [name for _, name, _, _ in Formatter().parse(line) if name]


def check_path(path: Path, kind: str) -> None:
    """Refuse a run folder that cannot stand in directives, which know no quotes.

    Raises
    ------
    JobError
        It has blanks, or characters that mean something to some batch system.
    """
    if found := sorted(set(re.findall(r"[^\w./+=@~-]", str(path)))):
        raise JobError(
            f"the run folder {path} cannot be named in the script of a {kind} job, because of "
            f"{' '.join(map(repr, found))}. Choose another with --output."
        )


BATCH_SYSTEMS = {
    "slurm": BatchSystem(
        cluster="SLURMCluster",
        submit="sbatch",
        prefix="#SBATCH ",
        lines=(
            "--job-name={name}",
            "--output={logs}/driver-%j.log",
            "--open-mode=append",
            "--ntasks=1",
            "--cpus-per-task={cores}",
            "--mem={memory}M",
            "--time={walltime}",
            "--partition={queue}",
            "--account={account}",
            "--signal=B:USR1@{warning}",
        ),
        requeue="--requeue",
        again='scontrol requeue "$SLURM_JOB_ID"',
        warns=True,
        keywords=(("resources", ""), ("disk", "")),
        listing=("squeue", "--user={user}", "--noheader", "--format=%A"),
    ),
    "pbs": BatchSystem(
        cluster="PBSCluster",
        submit="qsub",
        prefix="#PBS ",
        lines=(
            "-N {name}",
            SHELL,
            "-o {logs}/",
            "-j oe",
            "-l select=1:ncpus={cores}:mem={memory}mb",
            "-l walltime={walltime}",
            "-q {queue}",
            "-A {account}",
        ),
        again="qsub {script}",
        keywords=(("resources", "resource_spec"), ("disk", "")),
    ),
    "lsf": BatchSystem(
        cluster="LSFCluster",
        submit="bsub <",
        prefix="#BSUB ",
        lines=(
            "-J {name}",
            "-o {logs}/driver-%J.log",
            "-n {cores}",
            '-R "span[hosts=1]"',
            "-M {memory}MB",
            "-W {hours_minutes}",
            "-q {queue}",
            '-P "{account}"',
        ),
        requeue=f'-Q "{AGAIN}"',
        keywords=(("account", "project"), ("resources", ""), ("disk", "")),
    ),
    "sge": BatchSystem(
        cluster="SGECluster",
        submit="qsub",
        prefix="#$ ",
        # Cores are a parallel environment and memory a resource, both named by the site.
        lines=(
            "-N {name}",
            SHELL,
            "-o {logs}/",
            "-j y",
            "-l h_rt={walltime}",
            "-q {queue}",
            "-P {account}",
        ),
        requeue="-r y",
        keywords=(("account", "project"), ("resources", "resource_spec"), ("disk", "")),
    ),
    "oar": BatchSystem(
        cluster="OARCluster",
        submit="oarsub -S",
        prefix="#OAR ",
        lines=(
            "-n {name}",
            "-O {logs}/driver-%jobid%.log",
            "-E {logs}/driver-%jobid%.log",
            "-l /nodes=1/core={cores}{limit}",
            "-q {queue}",
            "--project {account}",
        ),
        requeue="-t idempotent",
        keywords=(("account", "project"), ("resources", "resource_spec"), ("disk", "")),
    ),
    "htcondor": BatchSystem(
        cluster="HTCondorCluster",
        submit="condor_submit",
        prefix="",
        lines=(
            "batch_name = {name}",
            "executable = {script}",
            "output = {logs}/driver-$(ClusterId).log",
            "error = {logs}/driver-$(ClusterId).log",
            "log = {logs}/driver-$(ClusterId).events",
            "request_cpus = {cores}",
            "request_memory = {memory}MB",
            "allowed_job_duration = {seconds}",
            "accounting_group = {account}",
        ),
        requeue=f"on_exit_remove = ExitCode =!= {AGAIN}",
        keywords=(("queue", ""), ("account", ""), ("walltime", ""), ("resources", "")),
    ),
}
"""By the kind of cluster in a job file."""
