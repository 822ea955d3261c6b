"""What a result was made with: versions, machine, compiler and inputs."""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = ("wavepipe", "torch", "numpy", "scipy", "dask", "distributed", "zarr", "segyio")
_WHOLE_BELOW = 64 * 2**20
_SAMPLE = 2**20
_SAMPLES = 16


def collect_provenance(inputs: Iterable[Path] = ()) -> dict[str, object]:
    """Facts about this process and the files it reads, ready for JSON.

    Parameters
    ----------
    inputs
        Files to fingerprint; folders (Zarr stores) count with all their files.
    """
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
        "versions": {"python": platform.python_version(), **package_versions()},
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpu": cpu_model(),
        "cpu_count": os.cpu_count(),
        "compiler": _compiler(),
        "inputs": [fingerprint(path) for path in inputs],
    }


def fingerprint(path: Path) -> dict[str, object]:
    """Size, time and content hash of a file or of all files of a folder.

    Files of 64 MiB and more are hashed at 16 places of 1 MiB each, and said to be.
    """
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    digest = hashlib.sha256()
    size = 0
    modified = 0.0
    sampled = False
    for file in files:
        status = file.stat()
        size += status.st_size
        modified = max(modified, status.st_mtime)
        digest.update(f"{file.relative_to(path)}\0{status.st_size}\0".encode())
        sampled |= _hash_content(file, status.st_size, digest)
    return {
        "path": str(path),
        "bytes": size,
        "modified": datetime.fromtimestamp(modified, UTC).isoformat(timespec="seconds"),
        "sha256_sampled" if sampled else "sha256": digest.hexdigest(),
    }


def _hash_content(path: Path, size: int, digest: "hashlib._Hash") -> bool:
    """Add a file to `digest`; whether only parts of it were read."""
    with path.open("rb") as file:
        if size < _WHOLE_BELOW:
            while block := file.read(_SAMPLE):
                digest.update(block)
            return False
        for sample in range(_SAMPLES):
            file.seek((size - _SAMPLE) * sample // (_SAMPLES - 1))
            digest.update(file.read(_SAMPLE))
    return True


def cpu_model() -> str:
    """The processor's name."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def package_versions() -> dict[str, str]:
    """Installed versions, without importing anything."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def _compiler() -> str:
    """First line of the C compiler's version, or why there is none."""
    command = os.environ.get("CC", "cc").split()
    if not command or shutil.which(command[0]) is None:
        return "none"
    try:
        output = subprocess.run(
            [*command, "--version"], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        return f"{command[0]}: {error}"
    return (output.stdout.splitlines() or [command[0]])[0]
