"""Whether a machine, or every worker of a cluster, can do what a run needs."""

import importlib.util
import os
import platform
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from wavepipe.pipeline.clusters.batch_systems import BATCH_SYSTEMS
from wavepipe.pipeline.keeping import scratch_folder
from wavepipe.pipeline.machine import available_cores
from wavepipe.pipeline.provenance import cpu_model, package_versions
from wavepipe.propagators.backends.compiler import (
    cache_folder,
    check_compiler,
    describe_compiler,
    find_compiler,
)
from wavepipe.propagators.errors import BackendError, WavepipeError
from wavepipe.propagators.storage.amounts import size
from wavepipe.propagators.storage.bandwidth import bandwidth, in_memory
from wavepipe.propagators.storage.memory import free_memory

ALIKE = ("versions", "processor", "compiler")
"""Findings that must be the same on every worker: bits depend on them."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    said: str
    is_well: bool = True


def examine(scratch: str | None = None) -> tuple[Finding, ...]:
    """Look at the machine that this runs on.

    Parameters
    ----------
    scratch
        Folder for wavefields on disk; of this node if None.
    """
    versions = ", ".join(f"{name} {number}" for name, number in package_versions().items())
    return (
        Finding("host", f"{socket.gethostname()}, {platform.platform()}"),
        Finding("versions", f"python {platform.python_version()}, {versions}"),
        Finding("processor", cpu_model()),
        Finding("resources", f"{available_cores()} cores, {size(free_memory())} of memory free"),
        _judged("compiler", _compiler),
        _judged("scratch", lambda: _scratch(scratch)),
        Finding("libraries", f"of compiled propagators, in {cache_folder()}"),
        Finding("gpu", _gpu()),
        Finding("batch systems", _batch_systems()),
    )


def _judged(what: str, look: Callable[[], str]) -> Finding:
    """What a look finds, or the error that it ends with."""
    try:
        return Finding(what, look())
    except WavepipeError as error:
        return Finding(what, str(error), is_well=False)


def _compiler() -> str:
    if find_compiler() is None:  # which a library that was built before would hide
        raise BackendError("none is found ($CC, cc, gcc, clang). Install one, or name it as $CC.")
    check_compiler()
    return describe_compiler()


def _scratch(given: str | None) -> str:
    folder = scratch_folder(given, Path.cwd())
    speed = bandwidth(folder)
    status = os.statvfs(folder)
    kind = " (in memory)" if in_memory(folder) else ""
    return (
        f"{folder}{kind}, {size(status.f_bavail * status.f_frsize)} free, writes "
        f"{size(speed.write)}/s, reads {size(speed.read)}/s"
    )


def _gpu() -> str:
    if not torch.cuda.is_available():
        return "none that torch can use"
    names = [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())]
    return f"{', '.join(names)}; not used yet"


def _batch_systems() -> str:
    """Batch systems whose commands are here, and whether their jobs can be workers."""
    there = [name for name, one in BATCH_SYSTEMS.items() if shutil.which(one.submit.split()[0])]
    package = importlib.util.find_spec("dask_jobqueue")
    lacking = "" if package else "; dask-jobqueue, which submits workers, is not installed"
    return (", ".join(there) or "none has its commands here") + lacking


def answer(found: object) -> tuple[Finding, ...]:
    """What a worker found, or that it could not look."""
    if isinstance(found, tuple):
        return found
    return (Finding("wavepipe", f"cannot be asked here: {found!r}", is_well=False),)


def strangers(found: Mapping[str, tuple[Finding, ...]]) -> Iterator[Finding]:
    """Workers that differ from the first where all must be alike.

    Parameters
    ----------
    found
        Of each worker, by its address.
    """
    (first, known), *others = found.items()
    expected = {one.what: one.said for one in known if one.what in ALIKE}
    for address, findings in others:
        for one in findings:
            if expected.get(one.what, one.said) != one.said:
                yield Finding(
                    address,
                    f"{one.what}: {one.said}; on {first} {expected[one.what]}. Results would "
                    "depend on which of them computes what.",
                    is_well=False,
                )
