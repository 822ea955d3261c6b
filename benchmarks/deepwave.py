"""Compare our propagators with Deepwave: `python -m benchmarks.deepwave --json FILE`."""

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.cases import PML_WIDTH, all_cases
from benchmarks.environment import deepwave_python
from benchmarks.pairs import measure

QUICK_SECONDS = 8.0
"""Time that a quick run gives to the pairs of one case."""

DISTURBED = 0.2
"""Cores that others may use before a row is marked; a thread that waits at every step for one on
a shared core slows a code down several times."""

HEADER = (
    f"{'case':42}{'ours s':>9}{'peer s':>9}{'ratio':>7}{'min':>7}{'max':>7}"
    f"{'ours MB':>9}{'peer MB':>9}{'gradient':>10}{'gather':>10}{'of bound':>9}"
)


def main() -> None:
    """Run every case and write the rows after each, so that an interrupted run keeps them."""
    options = _options()
    pythons = {"ours": Path(sys.executable), "deepwave": deepwave_python()}
    cases = [case for case in all_cases(options.quick) if options.only in case.name]
    if not cases:
        sys.exit(f"no case has {options.only!r} in its name")
    machine = describe_machine(options.threads)
    seconds = QUICK_SECONDS if options.quick else 0.0
    rows: list[dict[str, Any]] = []
    print(HEADER, flush=True)
    for case in cases:
        row = measure(pythons, case, options.threads, seconds) | {"machine": machine}
        rows.append(row)
        write(options.json, rows)
        print(line_of(row), flush=True)
    if max(row["other_load"] for row in rows) > DISTURBED:
        print("Cases marked * were disturbed by other processes: do not trust their ratios.")


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


def line_of(row: dict[str, Any]) -> str:
    """One line of the table on the terminal."""
    error = row["gradient_error"]
    gradient = f"{'-':>10}" if error is None else f"{error:>10.1e}"
    return (
        f"{row['case']:42}{row['ours_s']:>9.3f}{row['deepwave_s']:>9.3f}"
        f"{row['ratio_median']:>7.2f}{row['ratio_min']:>7.2f}{row['ratio_max']:>7.2f}"
        f"{row['ours_rss_mb']:>9.0f}{row['deepwave_rss_mb']:>9.0f}"
        f"{gradient}{row['gather_error']:>10.1e}{row['bound_reached']:>9.0%}"
        f"{' *' if row['other_load'] > DISTURBED else ''}"
    )


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """Replace the file with the rows so far."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(rows, indent=2) + "\n")
    partial.replace(path)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.deepwave", description=__doc__)
    parser.add_argument("--json", type=Path, required=True, help="file for the rows")
    parser.add_argument("--quick", action="store_true", help="shorter runs: some ten minutes")
    parser.add_argument("--only", default="", help="cases with this text in their names")
    parser.add_argument("--threads", type=int, default=min(2, len(os.sched_getaffinity(0))))
    return parser.parse_args()


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


if __name__ == "__main__":
    main()
