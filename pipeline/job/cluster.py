"""The section ``cluster`` of a job file: where the work is done, and who starts it there."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from wavepipe.pipeline.job.section import Count, NaturalNumber, NotNegative, Section
from wavepipe.pipeline.quantities import bytes_of, seconds_of

BATCH_KINDS = ("slurm", "pbs", "lsf", "sge", "oar", "htcondor")
"""Kinds whose workers are jobs of a batch system."""

FOREIGN_KINDS = (*BATCH_KINDS, "address", "static")
"""Kinds whose workers may be on other machines."""

ClusterKind = Literal[
    "local", "cuda", "slurm", "pbs", "lsf", "sge", "oar", "htcondor", "address", "static"
]

Memory = Annotated[int, BeforeValidator(bytes_of)]
Duration = Annotated[int, BeforeValidator(seconds_of)]


class BatchJob(Section):
    """What a job of a batch system asks for."""

    walltime: Duration | None = Field(
        default=None, description="longest run time of the job, H:MM:SS or seconds"
    )
    queue: str | None = Field(default=None, description="queue or partition")
    account: str | None = Field(default=None, description="account or project that pays")
    directives: tuple[str, ...] | None = Field(
        default=None, description="more directives, as in a script but without their prefix"
    )
    prologue: tuple[str, ...] | None = Field(
        default=None, description="shell commands before the program, such as 'module load python'"
    )


class WorkerJobs(BatchJob):
    """The job of each worker; what is left out is as ~/.config/dask says."""

    memory: Memory | None = Field(
        default=None, description="memory of each worker's job, bytes or such as '64 GB'"
    )
    resources: str | None = Field(
        default=None, description="pbs, sge and oar: the resources in the system's own words"
    )
    disk: Memory | None = Field(
        default=None, description="htcondor: disk of each job, bytes or such as '10 GB'"
    )


class DriverJob(BatchJob):
    """The job that 'wavepipe submit' makes of the driver."""

    cores: Count = Field(default=2, description="of the driver's job")
    memory: Memory = Field(
        default=8_000_000_000, description="of the driver's job, bytes or such as '8 GB'"
    )
    warning: Count = Field(
        default=120, description="seconds before the walltime at which the run is told to stop"
    )
    requeue: bool = Field(
        default=False, description="put the driver's job back in the queue when its walltime ends"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.walltime is not None and self.warning >= self.walltime:
            msg = (
                f"warning is {self.warning} s and walltime {self.walltime} s, so the run would be "
                "stopped as soon as it starts; warning must be less than walltime"
            )
            raise ValueError(msg)
        return self


class ClusterSection(Section):
    """Where the work is done."""

    kind: ClusterKind = Field(
        default="local",
        description="this machine's cores or GPUs, jobs of a batch system, a running scheduler, or "
        "the processes that srun or mpirun started",
    )
    address: str | None = Field(
        default=None, description="of a running Dask scheduler, tcp://host:port"
    )
    scheduler_file: str | None = Field(
        default=None, description="of a running Dask scheduler, instead of its address"
    )
    workers: Literal["auto"] | Count = Field(
        default="auto", description="worker processes; on a batch system a job each"
    )
    min_workers: NaturalNumber | None = Field(
        default=None,
        description="batch systems: as few jobs while there is no work for more; null: always all",
    )
    threads_per_worker: Literal["auto"] | Count = Field(
        default="auto", description="threads in each"
    )
    batch_shots: Literal["auto"] | Count = Field(
        default="auto", description="shots per task, a power of two"
    )
    interface: str | None = Field(
        default=None,
        description="network that workers on other machines share with the driver, such as ib0",
    )
    dashboard: str = Field(
        default="127.0.0.1:0", description="where Dask's dashboard listens, host:port; 0: any port"
    )
    tls: bool = Field(
        default=False, description="encrypt and authenticate what goes between the processes"
    )
    grace: NotNegative = Field(
        default=20.0, description="seconds that batches in flight have when a run is stopped"
    )
    jobs: WorkerJobs = Field(
        default=WorkerJobs(), description="batch systems: the job of each worker"
    )
    driver: DriverJob = Field(
        default=DriverJob(), description="the driver's own job, for 'wavepipe submit'"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        named = [key for key in ("address", "scheduler_file") if getattr(self, key) is not None]
        if (self.kind == "address") != (len(named) == 1):
            msg = (
                "kind 'address' and the key address (tcp://host:port) or scheduler_file go "
                "together: give one of them for a running scheduler, neither for other kinds"
            )
            raise ValueError(msg)
        if self.batch_shots != "auto" and self.batch_shots & (self.batch_shots - 1):
            msg = f"batch_shots is {self.batch_shots}; it must be a power of two"
            raise ValueError(msg)
        if self.kind == "address" and self.tls:
            msg = (
                "tls is for schedulers that the run starts; that of a running one is in "
                "distributed.comm.tls of ~/.config/dask, and its address begins with tls://"
            )
            raise ValueError(msg)
        self._check_workers()
        return self

    def _check_workers(self) -> None:
        """ValueError unless the numbers of workers are those of the kind."""
        if self.kind in BATCH_KINDS and self.workers == "auto":
            msg = f"kind {self.kind!r} submits a job for each worker: say how many as workers"
            raise ValueError(msg)
        if self.kind == "static" and self.workers != "auto":
            msg = (
                "kind 'static' has the workers that srun or mpirun starts; leave workers out, and "
                "start one process more than that"
            )
            raise ValueError(msg)
        if self.min_workers is None:
            return
        if self.kind not in BATCH_KINDS or self.workers == "auto":
            msg = f"min_workers is for {', '.join(BATCH_KINDS)}; leave it out with {self.kind!r}"
            raise ValueError(msg)
        if self.min_workers > self.workers:
            msg = f"min_workers is {self.min_workers}, more than workers, which is {self.workers}"
            raise ValueError(msg)

    @property
    def is_batch(self) -> bool:
        """Whether workers are jobs of a batch system."""
        return self.kind in BATCH_KINDS
