"""Whole runs of toy jobs of each kind, and whether two of them have the same bits."""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import zarr
from toy_jobs import settings, toy_job, write_job, write_models

from wavepipe.pipeline.clusters.cluster import InProcess
from wavepipe.pipeline.inversion import invert_survey
from wavepipe.pipeline.job import Job
from wavepipe.pipeline.migration import migrate_survey
from wavepipe.pipeline.modelling import model_survey

RUNS = {"model": model_survey, "rtm": migrate_survey, "fwi": invert_survey}
SMALL = {"cluster__batch_shots": 1}


def worker_processes(driver: psutil.Process) -> list[psutil.Process]:
    """Processes of a driver's workers; any of them may end at any time, and the driver too."""
    found = []
    with suppress(psutil.Error):
        for one in driver.children(recursive=True):
            with suppress(psutil.Error):
                found += [one] * ("spawn_main" in " ".join(one.cmdline()))
    return found


class Stopped(BaseException):
    """As if the process had died here."""


def uninterrupted(folder: Path) -> Path:
    """Make a run of each kind, in runs/<kind>."""
    write_models(folder)
    for kind, run in RUNS.items():
        assert run(toy_job(folder, kind, **SMALL), cluster=InProcess()).accepted
    return folder


def job_of(folder: Path, kind: str, name: str, **overrides: object) -> Job:
    """Job of a run of another name."""
    return toy_job(folder, kind, output__folder=f"runs/{name}", **SMALL, **overrides)


def command(folder: Path, kind: str, name: str, *more: str) -> subprocess.Popen[str]:
    """A run, or its continuation, on two workers unless more is said."""
    path = write_job(folder, settings(kind), f"{name}.yaml")
    line = [sys.executable, "-m", "wavepipe.cli", kind, str(path), "--resume"]
    line += ["--output", str(folder / "runs" / name), "--set", "cluster.batch_shots=1"]
    line += more or ("--workers", "2", "--set", "cluster.threads_per_worker=1")
    return subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def same_results(a: Path, b: Path) -> bool:
    """Whether all arrays and SEG-Y files of two runs are the same, bit by bit."""
    groups = [zarr.open_group(path / "results.zarr", mode="r") for path in (a, b)]
    names = sorted(groups[0].array_keys())
    assert names == sorted(groups[1].array_keys())
    arrays = all(
        np.asarray(groups[0][name][...]).tobytes() == np.asarray(groups[1][name][...]).tobytes()
        for name in names
    )
    files = sorted(path.name for path in a.glob("*.sgy"))
    assert files == sorted(path.name for path in b.glob("*.sgy"))
    return arrays and all((a / f).read_bytes() == (b / f).read_bytes() for f in files)
