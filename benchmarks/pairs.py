"""Both codes run a case in turn; times, memory and differences become a row."""

import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.bound import against_bound
from benchmarks.cases import Case
from benchmarks.load import LoadMeter
from benchmarks.side import Side

MIN_PAIRS = 7


def measure(pythons: dict[str, Path], case: Case, threads: int, seconds: float) -> dict[str, Any]:
    """Row of one case, from two fresh processes.

    `MIN_PAIRS` pairs are timed; a budget of `seconds`, if it is not zero, may end them earlier,
    but not below three.
    """
    with (
        Side(pythons["ours"], "ours", case, threads) as ours,
        Side(pythons["deepwave"], "deepwave", case, threads) as deepwave,
        tempfile.TemporaryDirectory() as folder,
        ExitStack() as stack,
    ):
        sides = {"ours": ours, "deepwave": deepwave}
        first = {name: side.ask("first", folder=folder) for name, side in sides.items()}
        check_steps(case, first)
        if case.kind == "gradient":
            ours.ask("every_step", folder=folder)
        errors = compare(case, Path(folder))
        if case.kept == "disk":
            same = replace(case, kept="memory")
            sides["in_memory"] = stack.enter_context(Side(pythons["ours"], "ours", same, threads))
        meter = LoadMeter.start([side.pid for side in sides.values()])
        times = interleave(sides, seconds)
        others = meter.others()
        bandwidth = ours.ask("copy")["bandwidth"]
    row = row_of(case, first, times)
    stride = max(1, first["ours"]["chosen"]["stride"])
    bound = against_bound(case, row["ours_s"], stride, bandwidth)
    return row | errors | bound | {"other_load": others}


def check_steps(case: Case, first: dict[str, dict[str, Any]]) -> None:
    """Both codes must take one internal step per sample."""
    for name, answer in first.items():
        steps = answer["chosen"]["steps_per_sample"]
        if steps != 1:
            message = f"{case.name}: {name} takes {steps} internal steps per sample, not 1"
            raise RuntimeError(message)


def interleave(sides: dict[str, Side], seconds: float) -> dict[str, list[float]]:
    """Seconds of every run by code: one run of each per pair, in alternating order."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    start = perf_counter()
    for pair in range(MIN_PAIRS):
        names = list(sides) if pair % 2 == 0 else list(reversed(sides))
        for name in names:
            times[name].append(sides[name].ask("time")["seconds"])
        if seconds and pair >= 2 and perf_counter() - start > seconds:
            break
    return times


def compare(case: Case, folder: Path) -> dict[str, float | None]:
    """Relative L2 differences of the gathers in `folder`, and of the gradients' worst parameter."""
    gathers = [np.load(folder / f"{name}-gather.npy") for name in ("ours", "deepwave")]
    errors: dict[str, float | None] = {
        "gather_error": relative_l2(*gathers),
        "gradient_error": None,
        "gradient_difference": None,
    }
    if case.kind == "gradient":
        ours = np.load(folder / "ours-gradient.npy")
        every_step = np.load(folder / "ours-gradient-stride1.npy")
        peer = np.load(folder / "deepwave-gradient.npy")
        errors["gradient_error"] = max(map(relative_l2, ours, every_step))
        # The outermost cells also hold the gradient of the layers, whose profiles differ.
        inside = (slice(5, -5),) * case.ndim
        errors["gradient_difference"] = max(
            relative_l2(mine[inside], other[inside])
            for mine, other in zip(every_step, peer, strict=True)
        )
    return errors


def relative_l2(value: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
    """|value - reference| / |reference|, in double precision."""
    expected = reference.astype(np.float64)
    return float(np.linalg.norm(value - expected) / np.linalg.norm(expected))


def row_of(
    case: Case, first: dict[str, dict[str, Any]], times: dict[str, list[float]]
) -> dict[str, Any]:
    """Description of the case, times and memory."""
    ratios = [peer / ours for ours, peer in zip(times["ours"], times["deepwave"], strict=True)]
    in_memory = times.get("in_memory", times["ours"])
    slower = [ours / there for ours, there in zip(times["ours"], in_memory, strict=True)]
    return {
        "case": case.name,
        "ndim": case.ndim,
        "shape": list(case.shape),
        "nt": case.nt,
        "shots": case.n_shots,
        "order": case.order,
        "kind": case.kind,
        "physics": case.physics,
        "kept": case.kept,
        "pairs": len(ratios),
        "ours_s": median(times["ours"]),
        "deepwave_s": median(times["deepwave"]),
        "ratio_median": median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
        "over_memory": median(slower),
        "ours_rss_mb": first["ours"]["rss_mb"],
        "deepwave_rss_mb": first["deepwave"]["rss_mb"],
        "ours_chosen": first["ours"]["chosen"],
        "deepwave_chosen": first["deepwave"]["chosen"],
        "versions": first["ours"]["versions"] | first["deepwave"]["versions"],
    }
