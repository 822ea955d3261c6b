"""What the plan predicts against what runs take: `python -m benchmarks.plans --json FILE`.

Six varied jobs on two workers. Every one is planned as `--dry-run` does, with its calibration, and
then run; the table in Markdown goes to standard output, progress to standard error.
"""

import argparse
import json
import logging
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.machine import describe_machine, write
from wavepipe.pipeline.forecast import cpu_seconds, evaluation_seconds, process_bytes
from wavepipe.pipeline.inversion import invert_survey
from wavepipe.pipeline.job import read_job
from wavepipe.pipeline.migration import migrate_survey
from wavepipe.pipeline.modelling import model_survey
from wavepipe.pipeline.run_folder import RunFolder
from wavepipe.pipeline.run_start import plan_run

RUNS = {"model": model_survey, "rtm": migrate_survey, "fwi": invert_survey}

HEAD = (
    "| job | processor time, predicted | taken | ratio | memory of a process, predicted | taken "
    "| ratio |\n|---|--:|--:|--:|--:|--:|--:|"
)


@dataclass(frozen=True)
class Planned:
    """A job whose plan is compared with its run."""

    name: str
    physics: str
    shape: tuple[int, ...]
    nt: int
    kinds: tuple[str, ...]
    """To compare; a survey is modelled first where it is none of them."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Sections of the job file that differ."""


JOBS = (
    Planned("scalar 2-D", "scalar", (300, 800), 2500, ("model", "rtm")),
    Planned("scalar 3-D", "scalar", (60, 100, 100), 300, ("rtm",)),
    Planned("elastic 2-D", "elastic", (300, 600), 1000, ("rtm",)),
    Planned(
        "acoustic 2-D, recomputed",
        "acoustic",
        (300, 600),
        1000,
        ("fwi",),
        {"storage": {"method": "recompute"}},
    ),
    Planned(
        "scalar 2-D, cosine4 on disk",
        "scalar",
        (400, 700),
        2000,
        ("fwi",),
        {"storage": {"mode": "disk", "method": "snapshots", "compression": "cosine4"}},
    ),
)
"""Of layered models on a 10 m grid, nine shots each."""


def main() -> None:
    """Plan and run every job."""
    options = _options()
    logging.getLogger("wavepipe").setLevel(logging.ERROR)
    rows: list[dict[str, Any]] = []
    for one in JOBS:
        if options.only not in one.name:
            continue
        with tempfile.TemporaryDirectory(dir=options.folder) as name:
            rows += [row | {"machine": describe_machine(2)} for row in _compare(one, Path(name))]
            write(options.json, rows)
    print(table(rows))


def _compare(one: Planned, folder: Path) -> list[dict[str, Any]]:
    """Rows of a job."""
    _write_models(one, folder)
    rows = []
    for kind in ("model", *(kind for kind in one.kinds if kind != "model")):
        path = folder / f"{kind}.yaml"
        path.write_text(yaml.safe_dump(_settings(one, kind)))
        # In a process of its own, as from the command line: nothing is loaded before.
        with ProcessPoolExecutor(1, get_context("spawn")) as alone:
            row = alone.submit(_run, kind, path).result()
        if kind in one.kinds:
            rows.append({"job": f"{kind}, {one.name}", **row})
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    return rows


def _run(kind: str, path: Path) -> dict[str, Any]:
    """Plan a job, run it, and compare."""
    job = read_job(path)
    with plan_run(job) as (_, plan, _):
        predicted = {
            "predicted_cpu_s": cpu_seconds(plan) or float("nan"),
            "predicted_s": evaluation_seconds(plan),
            "predicted_mb": process_bytes(plan) / 1e6,
        }
    RUNS[kind](job)
    events = RunFolder(job.output_folder).read_events()
    ends = [n for n, event in enumerate(events) if event["event"] == "evaluation"]
    batches = [event for event in events[: ends[0]] if event["event"] == "batch"]
    taken = {
        "cpu_s": sum(_number(event, "cpu_seconds") for event in batches),
        "s": _number(events[ends[0]], "seconds"),
        "mb": max(_number(event, "peak_bytes") for event in batches) / 1e6,
    }
    return predicted | taken


def _number(event: Mapping[str, object], name: str) -> float:
    return float(str(event[name]))


def _write_models(one: Planned, folder: Path) -> None:
    """Layers that dip a little, slower by a few per cent in the starting model."""
    depth = np.arange(one.shape[0], dtype=np.float32).reshape(-1, *[1] * (len(one.shape) - 1))
    slope = 0.05 * np.arange(one.shape[-1], dtype=np.float32)
    layers = np.floor((depth + slope) / 25.0) + np.zeros(one.shape, np.float32)
    vp = (2000.0 + 120.0 * layers).astype(np.float32)
    np.save(folder / "true.npy", vp)
    np.save(folder / "start.npy", (0.97 * vp).astype(np.float32))


def _settings(one: Planned, kind: str) -> dict[str, Any]:
    """Content of a job file."""
    ndim, width = len(one.shape), 10.0 * one.shape[-1]
    line = {"start": 0.3 * width, "stop": 0.71 * width, "step": 0.05 * width}
    sources: dict[str, Any] = {"x": line, "depth": 20}
    receivers: dict[str, Any] = {"x": {"start": 0, "stop": width - 10, "step": 20}, "depth": 30}
    if ndim == 3:
        sources["y"] = 0.5 * width
        receivers["x"]["step"] = 40
        receivers["y"] = {"start": 0, "stop": width - 10, "step": 40}
    model: dict[str, Any] = {
        "vp": {
            "path": "true.npy" if kind == "model" else "start.npy",
            "axes": ["z", "x"] if ndim == 2 else ["z", "y", "x"],
            "unit": "m/s",
        },
        "spacing": [10.0] * ndim,
    }
    if one.physics == "elastic":
        model |= {"vs": {"ratio": {"of": "vp", "value": 0.577}}}
    if one.physics != "scalar":
        model |= {"rho": {"gardner": {"of": "vp"}}}
    survey: dict[str, Any] = {"aperture": None, "data": "runs/model/shots.sgy"}
    if kind == "model":
        layout = {"fixed_spread": {"sources": sources, "receivers": receivers}}
        survey = {"aperture": None, "layout": layout, "dt": 0.002, "nt": one.nt}
    return {
        "kind": kind,
        "physics": one.physics,
        "earth_model": model,
        "survey": survey,
        "wavelet": {"ricker": {"peak_frequency": 12.0 if one.physics != "elastic" else 8.0}},
        "propagator": {"order": 4},
        "cluster": {"workers": 2, "threads_per_worker": 1},
        "output": {"folder": f"runs/{kind}", "figures": False},
        **({} if kind == "model" else one.settings),
        **(
            {
                "fwi": {
                    "parameters": {"vp": {"bounds": [1500, 6500]}},
                    "optimizer": {"adam": {"step_length": 10.0}},
                    "stages": [{"max_frequency": 15.0, "iterations": 1}],
                }
            }
            if kind == "fwi"
            else {}
        ),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Rows in Markdown."""
    lines = [HEAD]
    for row in rows:
        cpu, memory = row["predicted_cpu_s"] / row["cpu_s"], row["predicted_mb"] / row["mb"]
        lines.append(
            f"| {row['job']} | {row['predicted_cpu_s']:.3g} s | {row['cpu_s']:.3g} s | {cpu:.2f} "
            f"| {row['predicted_mb']:.0f} MB | {row['mb']:.0f} MB | {memory:.2f} |"
        )
    return "\n".join(lines)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plans", description=__doc__)
    parser.add_argument("--json", type=Path, required=True, help="file for the rows")
    parser.add_argument("--only", default="", help="jobs with this text in their names")
    parser.add_argument("--folder", type=Path, default=None, help="for models, data and runs")
    return parser.parse_args()


if __name__ == "__main__":
    main()
