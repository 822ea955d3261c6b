"""What a job asks of its wavefields' storage, and what is said of it before the work starts."""

from pathlib import Path
from shutil import disk_usage

from wavepipe.pipeline.errors import JobError
from wavepipe.pipeline.job import Job
from wavepipe.pipeline.job.storage import ON_DISK
from wavepipe.pipeline.keeping import Keeping, disk_folder, folder_problem
from wavepipe.propagators import Storage
from wavepipe.propagators.physics.catalogue import known_physics
from wavepipe.propagators.storage.amounts import size
from wavepipe.propagators.storage.choice import CODEC_ERRORS, DISK_SHARE


def check_storage(job: Job) -> None:
    """Refuse what the section ``storage`` asks for and this machine, or a codec, cannot give.

    Raises
    ------
    JobError
        A folder that is missing or cannot be written, a codec that loses more than the job allows,
        waves with losses that cannot be taken back.
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
    if section.method == "boundary" and known_physics(job.physics).lossy:
        raise JobError(
            f"storage.method of {job.path.name} is 'boundary', which takes wavefields back step by "
            f"step, and {job.physics} waves lose what that would take. Use snapshots, recompute or "
            "auto."
        )
    if section.folder is None or job.cluster.kind != "local":
        return
    if problem := folder_problem(str(job.resolve(section.folder))):
        raise JobError(f"storage of {job.path.name}: {problem}")


def asked_storage(job: Job, stride: int) -> Storage:
    """What a job asks for, at a stride; its budget is for the plan to share out."""
    section = job.storage
    here = section.mode in ON_DISK and job.cluster.kind == "local"
    return Storage(
        mode=section.mode,  # type: ignore[arg-type]
        method=section.method,  # type: ignore[arg-type]
        compression=section.compression,
        stride=stride,
        path=disk_folder(job) if here else None,
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
    where = "in memory"
    if keeping.mode == "disk":
        own = "$TMPDIR or /tmp of each node, or the run folder where that is in memory"
        where = f"on disk in {keeping.path or own}"
    how = "as they are" if keeping.compression == "none" else keeping.compression
    what = {
        "snapshots": how,
        "boundary": f"those of the layers {how}, {keeping.again:.2g} forward runs taken back",
        "recompute": f"as a few states, {keeping.again:.2g} forward runs made again",
    }[keeping.method]
    disk = f" and {size(keeping.shot_disk)} on disk" if keeping.shot_disk else ""
    return (
        f"wavefields are kept {where}, {what}: {size(keeping.shot_memory)} of memory{disk} a shot"
    )
