"""What the numbers depend on, and the file that they are kept in."""

import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.cases import PML_WIDTH

DISTURBED = 0.2
"""Cores that others may use before a row is marked; a thread that waits at every step for one on
a shared core slows a code down several times."""


def describe_machine(threads: int) -> dict[str, Any]:
    """Processor, load and settings that the numbers depend on."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": threads,
        "load_at_start": os.getloadavg()[0],
        "system": platform.platform(),
        "python": platform.python_version(),
        "compiler": _first_line(["cc", "--version"]),
        "dtype": "float32",
        "pml_width": PML_WIDTH,
    }


def default_threads() -> int:
    """Two, or as many as there are."""
    return min(2, len(os.sched_getaffinity(0)))


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """Replace the file with the rows so far."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(rows, indent=2) + "\n")
    partial.replace(path)


def _processor() -> str:
    """Name of the processor as the kernel gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _first_line(command: list[str]) -> str:
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "none"
    return answer.stdout.splitlines()[0]
