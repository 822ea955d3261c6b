"""Emitted CUDA C++ to machine code, through NVRTC and a cache on disk; needs no driver and no card.

Nothing of CUDA is imported before something is compiled.
"""

import hashlib
import io
import logging
import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from wavepipe.propagators.backends.compiler import cache_folder
from wavepipe.propagators.backends.emit_cuda import CudaSource
from wavepipe.propagators.errors import BackendError

logger = logging.getLogger(__name__)

STANDARD = "c++17"

REMEDY = "Install wavepipe[cuda] for this driver, or use backend 'c' with tensors on the CPU."

_USAGE = re.compile(
    r"Compiling entry function '(\w+)'.*?(\d+) bytes stack frame, (\d+) bytes spill stores, "
    r"(\d+) bytes spill loads.*?Used (\d+) registers",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Usage:
    """What a kernel needs of a multiprocessor."""

    kernel: str
    registers: int
    """Of a thread."""
    spilled: int
    """Bytes of a thread's registers that go to memory, and of arrays that do."""


@dataclass(frozen=True, slots=True)
class Build:
    """Machine code, and what the compiler said."""

    code: bytes
    usages: tuple[Usage, ...]
    warnings: tuple[str, ...]


@cache
def nvrtc_version() -> tuple[int, int]:
    """Of the NVRTC that cuda.core finds.

    Raises
    ------
    BackendError
        There is none.
    """
    try:
        from cuda.bindings import nvrtc

        status, major, minor = nvrtc.nvrtcVersion()
    except (ImportError, RuntimeError) as error:  # a library that is not found is a RuntimeError
        raise BackendError(f"NVRTC is not there: {error}. {REMEDY}") from error
    if int(status):
        raise BackendError(f"NVRTC does not answer ({status}). {REMEDY}")
    return int(major), int(minor)


def fitting(candidates: Iterable[CudaSource], architecture: str) -> tuple[CudaSource, bytes]:
    """The first source of which no kernel spills registers, and its machine code.

    Raises
    ------
    BackendError
        Of each of them one does.
    """
    for source in candidates:
        code = machine_code(source.text, architecture)
        if code:
            return source, code
    raise BackendError(
        f"kernels for {architecture} spill registers, however they are cut. {REMEDY}"
    )


def machine_code(text: str, architecture: str) -> bytes:
    """Machine code of a source, from the cache where it is there; nothing if a kernel spills."""
    return _machine_code(text, architecture, cache_folder())


@cache
def _machine_code(text: str, architecture: str, folder: Path) -> bytes:
    major, minor = nvrtc_version()
    key = "\n".join((text, architecture, STANDARD, f"NVRTC {major}.{minor}"))
    name = hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
    kept = folder / f"{name}.cubin"
    if kept.exists():
        return kept.read_bytes()
    made = build(text, architecture)
    code = b"" if any(usage.spilled for usage in made.usages) else made.code
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as scratch:
            scratch.write(code)
        Path(scratch.name).replace(kept)  # atomic: workers may race
    except OSError as error:
        raise BackendError(
            f"cannot write to the kernel cache {folder}: {error.strerror}. "
            "Set WAVEPIPE_CACHE to a writable folder."
        ) from error
    return code


def build(text: str, architecture: str) -> Build:
    """A source compiled, with what its kernels need.

    Raises
    ------
    BackendError
        NVRTC is not there, does not know the architecture, or refuses the source.
    """
    major, minor = nvrtc_version()
    try:
        from cuda.core import Program, ProgramOptions
    except ImportError as error:
        raise BackendError(f"cuda.core is not there: {error}. {REMEDY}") from error
    options = ProgramOptions(arch=architecture, std=STANDARD, ptxas_options=["-v"])
    said = io.StringIO()
    logger.debug("compiling for %s", architecture)
    try:
        code = Program(text, "c++", options).compile("cubin", logs=said).code
    except Exception as error:  # cuda.core has no base class of its errors
        raise BackendError(
            f"NVRTC {major}.{minor} cannot build for {architecture}: {str(error)[:2000]}. {REMEDY}"
        ) from error
    log = said.getvalue()
    usages = (
        Usage(kernel, int(registers), max(int(stack), int(stores), int(loads)))
        for kernel, stack, stores, loads, registers in _USAGE.findall(log)
    )
    warnings = (line.strip() for line in log.splitlines() if "warning" in line.lower())
    return Build(bytes(code), tuple(usages), tuple(warnings))
