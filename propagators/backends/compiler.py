"""Emitted C to a loaded library, through the machine's compiler and a cache on disk."""

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from wavepipe.propagators.errors import BackendError

logger = logging.getLogger(__name__)

FLAGS = (
    "-std=gnu11",
    "-O3",
    "-march=native",
    "-mprefer-vector-width=512",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fno-strict-aliasing",
    "-ffp-contract=fast",
    "-fopenmp",
    "-fPIC",
    "-shared",
)
"""No -ffast-math: NaN must be seen, and the order of sums is part of the result. Types
may alias: vectors and numbers share memory; gcc 12 has got that wrong, and saying so is free."""


def cache_folder() -> Path:
    """``$WAVEPIPE_CACHE`` or ``~/.cache/wavepipe``."""
    chosen = os.environ.get("WAVEPIPE_CACHE")
    return Path(chosen) if chosen else Path.home() / ".cache" / "wavepipe"


@cache
def find_compiler() -> str | None:
    """Path of the C compiler: ``$CC`` alone where it is set, else cc, gcc or clang; or None."""
    chosen = os.environ.get("CC")
    for name in [chosen] if chosen else ["cc", "gcc", "clang"]:
        path = shutil.which(name)
        if path:
            return path
    return None


@cache
def describe_compiler() -> str:
    """First line of the compiler's version."""
    compiler = find_compiler()
    if compiler is None:
        return "none"
    done = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).splitlines()[0].strip()


@cache
def describe_cpu() -> str:
    """Model and instruction set: a library built for one must not run on another."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    wanted = ("model name", "flags", "Features", "CPU part")
    kept = dict.fromkeys(line for line in lines if line.startswith(wanted))
    return f"{platform.machine()} {' '.join(kept)}"


def check_compiler() -> None:
    """Build and load a small library, so that a run does not find out later that it cannot.

    Raises
    ------
    BackendError
        No compiler, one that fails, or a cache that cannot be written.
    """
    load("#include <omp.h>\nint threads(void) { return omp_get_max_threads(); }\n")


def load(text: str) -> ctypes.CDLL:
    """The library built from `text`, from the cache where it is there.

    Raises
    ------
    BackendError
        There is no compiler, or it refuses the source.
    """
    return _load(text, str(cache_folder()))


@cache
def _load(text: str, folder: str) -> ctypes.CDLL:
    key = "\n".join((text, *FLAGS, describe_compiler(), describe_cpu()))
    name = hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
    library = Path(folder) / f"{name}.so"
    if library.exists():
        try:
            return ctypes.CDLL(str(library))
        except OSError:
            logger.warning("%s in the kernel cache cannot be loaded; building it again", library)
    _build(text, library)
    return ctypes.CDLL(str(library))


def _build(text: str, library: Path) -> None:
    compiler = find_compiler()
    if compiler is None:
        raise BackendError(
            "no C compiler found (CC, cc, gcc, clang). Install one, or use backend 'reference', "
            "which is far slower."
        )
    try:
        library.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=library.parent) as scratch:
            source, built = Path(scratch) / "step.c", Path(scratch) / "step.so"
            source.write_text(text)
            command = [compiler, *FLAGS, str(source), "-o", str(built)]
            logger.debug("compiling %s", library.name)
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                said = done.stderr.strip()[:2000] or f"exit status {done.returncode}, no message"
                raise BackendError(
                    f"the C compiler {compiler} failed: {said}. It needs its standard headers and "
                    "OpenMP (Debian: gcc and libc6-dev); set CC to another one, or use backend "
                    "'reference', which is far slower."
                )
            built.replace(library)  # atomic: workers may race
    except OSError as error:
        raise BackendError(
            f"cannot write to the kernel cache {library.parent}: {error.strerror}. "
            "Set WAVEPIPE_CACHE to a writable folder."
        ) from error
