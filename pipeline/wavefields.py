"""What a job asks of its wavefields' storage, and what is said of it before the work starts."""

from pathlib import Path
from shutil import disk_usage

from wavepipe.pipeline.errors import JobError
from wavepipe.pipeline.job import Job
from wavepipe.pipeline.job_storage import ON_DISK
from wavepipe.pipeline.keeping import Keeping, disk_folder
from wavepipe.propagators import Storage
from wavepipe.propagators.errors import StorageError
from wavepipe.propagators.storage.choice import CODEC_ERRORS, DISK_SHARE, size
from wavepipe.propagators.storage.scratch import check_folder


def check_storage(job: Job) -> None:
    """Refuse what the section ``storage`` asks for and this machine, or a codec, cannot give.

    Raises
    ------
    JobError
        A folder that is missing or cannot be written, a codec that loses more than the job allows.
    """
    section = job.storage
    if job.kind == "model":
        return
    loss = CODEC_ERRORS.get(section.compression, 0.0)
    if loss > section.max_gradient_error:
        good = [name for name, e in CODEC_ERRORS.items() if e <= section.max_gradient_error]
        raise JobError(
            f"storage.compression of {job.path.name} is {section.compression!r}, which changes "
            f"gradients by up to {loss:g}, and storage.max_gradient_error is "
            f"{section.max_gradient_error:g}. Use {' or '.join([*good, 'none'])}, or allow more."
        )
    if section.folder is None or job.cluster.kind != "local":
        return
    try:
        check_folder(job.resolve(section.folder))
    except StorageError as error:
        raise JobError(f"storage of {job.path.name}: {error}") from None


def asked_storage(job: Job, stride: int, limit: int | None = None) -> Storage:
    """What a job asks for, at a stride and within a limit of memory for one call (bytes)."""
    section = job.storage
    here = section.mode in ON_DISK and job.cluster.kind == "local"
    return Storage(
        mode=section.mode,  # type: ignore[arg-type]
        method=section.method,  # type: ignore[arg-type]
        compression=section.compression,
        stride=stride,
        path=disk_folder(job) if here else None,
        budget=limit,
        max_gradient_error=section.max_gradient_error,
    )


def in_memory_storage(job: Job, stride: int) -> Storage | None:
    """The whole wavefield in memory as it is, if a job allows that."""
    section = job.storage
    allowed = (
        section.mode in ("auto", "device", "cpu")
        and section.method in ("auto", "snapshots")
        and section.compression in ("auto", "none")
    )
    if not allowed:
        return None
    mode = "device" if section.mode == "auto" else section.mode
    return Storage(mode, "snapshots", stride=stride)  # type: ignore[arg-type]


def free_disk(job: Job) -> tuple[Path, int]:
    """Where wavefields go on this machine, and the bytes that are free there."""
    path = disk_folder(job)
    return path, disk_usage(path).free


def has_room(job: Job, needed: int) -> bool:
    """Whether the scratch disk has room, with some to spare, as far as can be seen from here."""
    return job.cluster.kind != "local" or needed <= DISK_SHARE * free_disk(job)[1]


def describe_keeping(keeping: Keeping) -> str:
    """One line on where the wavefields of a run go."""
    where = {"disk": "on disk"}.get(keeping.mode, "in memory")
    what = {
        "snapshots": "as they are" if keeping.compression == "none" else keeping.compression,
        "recompute": f"as a few states, {keeping.again:.2g} forward runs made again",
    }[keeping.method]
    disk = f" and {size(keeping.shot_disk)} on disk" if keeping.shot_disk else ""
    folder = keeping.path or "$TMPDIR of each node"
    place = f" in {folder}" if keeping.mode == "disk" else ""
    return (
        f"wavefields are kept {where}{place}, {what}: {size(keeping.shot_memory)} of memory{disk} "
        "a shot"
    )
