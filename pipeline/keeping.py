"""How every call of a run keeps its forward wavefield: one way, fixed in the plan.

With it every worker and every repetition does the same. Of the way only the codec, and steps that
are taken back, can change a bit of the result.
"""

from dataclasses import dataclass
from pathlib import Path

from wavepipe.pipeline.job import Job
from wavepipe.propagators.errors import StorageError
from wavepipe.propagators.storage.bandwidth import in_memory
from wavepipe.propagators.storage.policy import Storage
from wavepipe.propagators.storage.scratch import check_folder, default_folder, sweep

SPARE = "scratch"
"""Folder in the run's work area, where a node's own is in memory."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """How the forward wavefield of a gradient is kept."""

    mode: str
    """``device``, ``cpu`` or ``disk``; ``none`` where there is no gradient."""

    method: str
    """``snapshots``, ``boundary`` or ``recompute``."""

    compression: str
    """Codec of the snapshots."""

    path: str | None = None
    """Scratch folder; None: of each node, see `scratch_folder`."""

    budget: int | None = None
    """Bytes of memory for the wavefield of one call; None: what it takes."""

    shot_memory: int = 0
    """Bytes of memory for the wavefield of one shot, buffers included."""

    shot_disk: int = 0
    """Bytes on disk for the wavefield of one shot."""

    again: float = 0.0
    """Forward runs that a gradient makes again, or back."""

    is_direct: bool = False
    """Whether it stays as it is in memory: nothing is encoded, moved or made again."""

    @property
    def is_exact(self) -> bool:
        """Whether nothing is lost, not even to rounding."""
        return self.compression == "none" and self.method != "boundary"

    def storage(self, stride: int, max_gradient_error: float, spare: str) -> Storage:
        """For the propagator, on the node that it runs on.

        Parameters
        ----------
        stride
            Steps between snapshots.
        max_gradient_error
            That the stride may cause.
        spare
            Folder for wavefields where the node's own is in memory.
        """
        on_disk = self.mode == "disk"
        return Storage(
            mode=self.mode,  # type: ignore[arg-type]
            method=self.method,  # type: ignore[arg-type]
            compression=self.compression,
            stride=stride,
            path=scratch_folder(self.path, Path(spare)) if on_disk else None,
            budget=self.budget,
            max_gradient_error=max_gradient_error,
        )


NOTHING = Keeping("none", "none", "none")
"""Without a gradient."""


def scratch_folder(asked: str | None, spare: Path) -> Path:
    """The folder that was asked for, else $TMPDIR or /tmp of this node, unless that is in memory.

    A node's own disk is nearer than one that all nodes share; `spare` is made if it is used.
    """
    if asked is not None:
        return Path(asked)
    own = default_folder()
    if _keeps_files(own):
        return own
    spare.mkdir(parents=True, exist_ok=True)
    return spare


def disk_folder(job: Job) -> Path:
    """Where wavefields of a job go on this node before its run folder is there."""
    if job.storage.folder is not None:
        return job.resolve(job.storage.folder)
    own = default_folder()
    if _keeps_files(own):
        return own
    return next(p for p in (job.output_folder, *job.output_folder.parents) if p.is_dir())


def _keeps_files(folder: Path) -> bool:
    """Whether a folder is there and on a disk; that of an old $TMPDIR may be gone."""
    return folder.is_dir() and not in_memory(folder)


def folder_problem(folder: str) -> str:
    """Why wavefields cannot be written to a folder of this node; empty if they can."""
    try:
        check_folder(Path(folder))
    except StorageError as error:
        return str(error)
    return ""


def sweep_scratch(job: Job) -> None:
    """Remove what runs that were killed left in the scratch folders of this node."""
    for folder in {default_folder(), disk_folder(job)}:
        sweep(folder)
