"""Everything a card has to show, in one table.

    python -m benchmarks.cuda [--json FILE] [--seconds 450] [--no-tests]

First what a copy of the card's memory reaches, forward steps and gradients against that bound, and
Deepwave beside ours where it is installed for the same Python; then the tests marked `gpu`, and
some of them under compute-sanitizer where that is installed. A case that would begin in the last 30
seconds is skipped, and says so; one that has begun is not interrupted, so all of it may take longer
than was given. The file is written after every row. Nothing of it has run on a card yet.
"""

import argparse
import gc
import json
import math
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from benchmarks.cases import Case
from benchmarks.codes import CODES, Code
from benchmarks.cuda_steps import ORDER, bytes_of, copy_bandwidth, program_of, seconds
from wavepipe.propagators.backends.cuda_compiler import nvrtc_version
from wavepipe.propagators.errors import WavepipeError

BYTES_OF_A_CELL = 16
"""Two wavefields and the velocity of a scalar step read, one written, in single precision."""

CASES = (
    Case("forward", "scalar", (400, 400, 400), 200, 1, 8, 21.0, 5, 16),
    Case("gradient", "scalar", (200, 200, 200), 300, 1, 8, 21.0, 15, 16),
    Case("forward", "scalar", (200, 200), 1000, 1, 4, 15.0, 30, 40),
    Case("gradient", "scalar", (200, 200), 1000, 1, 4, 15.0, 30, 40),
    Case("forward", "elastic", (200, 200, 200), 200, 1, 8, 13.0, 5, 16),
)

WANTED = {
    "forward-scalar-3d-400x400x400-order8": "60 % of the copy's bound, 2 x Deepwave",
    "gradient-scalar-3d-200x200x200-order8": "3 x Deepwave, a quarter of its memory",
    "forward-scalar-2d-200x200-order4": "3 x Deepwave",
    "gradient-scalar-2d-200x200-order4": "3 x Deepwave",
}

TESTS = "tests/test_cuda_sweeps.py"

Row = dict[str, Any]


def moved(code: Code, place: torch.device) -> Code:
    """A code with its inputs on the card."""

    def there(value: object) -> object:
        return value.to(place) if isinstance(value, torch.Tensor) else value

    for name, value in vars(code).items():
        if isinstance(value, dict):
            value = {key: there(one) for key, one in value.items()}
        setattr(code, name, there(value))
    return code


def tested(name: str, command: list[str], limit: float) -> Row:
    """The last line that a run of tests prints."""
    start = perf_counter()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
        lines = done.stdout.strip().splitlines() or done.stderr.strip().splitlines() or ["nothing"]
        good, said = done.returncode == 0, lines[-1]
    except subprocess.TimeoutExpired:
        good, said = False, f"not done in {limit:.0f} s"
    return {"case": name, "passed": good, "said": said, "wall_s": perf_counter() - start}


def tests(left: Callable[[], float]) -> Iterator[Row]:
    """Tests on the card, and some of them under compute-sanitizer."""
    pytest = [sys.executable, "-m", "pytest", "-q", "-m", "gpu and not slow"]
    yield tested("tests marked gpu", [*pytest, "tests"], 0.4 * left())
    sanitizer = shutil.which("compute-sanitizer")
    if sanitizer is None:
        yield {"case": "compute-sanitizer", "said": "not installed"}
        return
    for tool in ("memcheck", "racecheck"):
        command = [sanitizer, "--tool", tool, "--error-exitcode", "1", *pytest, TESTS]
        yield tested(f"compute-sanitizer {tool}", command, 0.25 * left())


def measured(name: str, case: Case, place: torch.device) -> Row:
    """Time and memory of one code."""
    gc.collect()
    torch.cuda.empty_cache()
    code = moved(CODES[name](case), place)
    torch.cuda.reset_peak_memory_stats(place)
    before = torch.cuda.memory_allocated(place)
    first = code.run()
    peak = torch.cuda.max_memory_allocated(place) - before
    again = code.run()
    same = torch.equal(first.gather, again.gather)
    if first.gradient is not None and again.gradient is not None:
        same = same and torch.equal(first.gradient, again.gradient)
    wall = seconds(code.run, str(place))
    return {"s": wall, "mb": peak / 2**20, "same_bits": same, "result": first, **code.chosen}


def relative(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """Difference over the size of what it is compared with, in L2."""
    ours, theirs = ours.double().cpu(), theirs.double().cpu()
    return float((ours - theirs).norm() / theirs.norm())


def row_of(case: Case, place: torch.device, bandwidth: float) -> Row:
    """One case: ours against the bound, and Deepwave beside it."""
    ours = measured("ours", case, place)
    result = ours.pop("result")
    cells = math.prod(case.padded_shape) * case.n_shots * ours["n_steps"]
    row: Row = {"case": case.name, "wanted": WANTED.get(case.name, "")}
    row |= {f"ours_{key}": value for key, value in ours.items()}
    row["cells_per_second"] = cells / ours["s"]
    if case.physics == "scalar" and case.kind == "forward":
        row["part_of_bound"] = cells * BYTES_OF_A_CELL / ours["s"] / bandwidth
    if case.order == ORDER and case.kind == "forward":
        needed = bytes_of(program_of(case.physics, case.shape), 4)
        row["part_of_bytes_needed"] = cells * needed / ours["s"] / bandwidth
    if math.prod(case.shape) <= 300**2:
        on_cpu = CODES["ours"](case).run()
        row["cpu_gather_difference"] = relative(result.gather, on_cpu.gather)
        if result.gradient is not None and on_cpu.gradient is not None:
            row["cpu_gradient_difference"] = relative(result.gradient, on_cpu.gradient)
    if find_spec("deepwave") is None:
        return row | {"deepwave": "not installed"}
    theirs = measured("deepwave", case, place)
    peer = theirs.pop("result")
    row |= {"deepwave_s": theirs["s"], "deepwave_mb": theirs["mb"]}
    row |= {"times_faster": theirs["s"] / ours["s"], "part_of_memory": ours["mb"] / theirs["mb"]}
    row["gather_difference"] = relative(result.gather, peer.gather)
    if result.gradient is not None and peer.gradient is not None:
        row["gradient_difference"] = relative(result.gradient, peer.gradient)
    return row


def machine(place: torch.device) -> Row:
    """What it is measured on."""
    properties = torch.cuda.get_device_properties(place)
    driver = "unknown"
    if shutil.which("nvidia-smi"):
        ask = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        said = subprocess.run(ask, capture_output=True, text=True, check=False).stdout
        driver = (said.splitlines() or [driver])[0]
    return {
        "card": properties.name,
        "gib": round(properties.total_memory / 2**30, 1),
        "driver": driver,
        "torch": torch.__version__,
        "nvrtc": ".".join(map(str, nvrtc_version())),
    }


def shown(row: Row) -> str:
    """A row as a line."""
    return "  ".join(
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in row.items()
        if value != ""
    )


def main() -> None:
    """Print the table as it is made, and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--seconds", type=float, default=450.0, help="for about all of it")
    parser.add_argument("--no-tests", action="store_true")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    end, rows = perf_counter() + float(given.seconds), list[Row]()
    place = torch.device(given.device)

    def left() -> float:
        return max(1.0, end - perf_counter())

    def add(row: Row) -> None:
        rows.append(row)
        print(shown(row), flush=True)
        if given.json:  # what comes next may be killed
            given.json.write_text(json.dumps(rows, indent=1))

    add(machine(place))
    bandwidth = copy_bandwidth(str(place), 440**3)
    add({"case": "copy of the card's memory", "bytes_per_second": bandwidth})
    for case in CASES:
        if left() < 30:
            add({"case": case.name, "said": "no time left"})
            continue
        try:
            add(row_of(case, place, bandwidth))
        except (WavepipeError, RuntimeError, MemoryError) as error:  # the other cases may do
            add({"case": case.name, "failed": str(error)[:300]})
    if not given.no_tests:
        for row in tests(left):
            add(row)


if __name__ == "__main__":
    main()
