"""Run the example: make an earth model, model a survey in it, image the survey and invert it.

    python examples/quickstart/run.py

Everything it writes lies in ``runs/`` beside this file, and is made anew each time.
"""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import xarray as xr
from earth_model import SPACING, WATER, smooth_model, true_model
from numpy.typing import NDArray
from summary import draw_summary

from wavepipe.pipeline.filters import low_cut

HERE = Path(__file__).resolve().parent
RUNS = HERE / "runs"

MIGRATION_SMOOTHING = 60.0
START_SMOOTHING = 180.0
LOW_CUT = 40.0
"""m, as in rtm.yaml."""


def main() -> None:
    """Run the three jobs and compare their results with the earth model."""
    start = time.perf_counter()
    shutil.rmtree(RUNS, ignore_errors=True)
    vp = true_model()
    write_models(vp)
    for kind in ("model", "rtm", "fwi"):
        wavepipe(kind)
    print()
    report_image(vp)
    report_inversion(vp)
    print(f"\nOne figure of all: {draw_summary(RUNS, SPACING)}")
    print(f"Figures, SEG-Y and Zarr results are in {RUNS}")
    print(f"{time.perf_counter() - start:.0f} s in all")


def write_models(vp: NDArray[np.float32]) -> None:
    """Write the true model, and what migration and inversion start from."""
    folder = RUNS / "earth_model"
    folder.mkdir(parents=True)
    np.save(folder / "true.npy", vp)
    np.save(folder / "migration.npy", smooth_model(vp, MIGRATION_SMOOTHING))
    np.save(folder / "start.npy", smooth_model(vp, START_SMOOTHING))


def wavepipe(kind: str) -> None:
    """Run one command as a user would."""
    command = [sys.executable, "-m", "wavepipe.cli", kind, f"{kind}.yaml"]
    print(f"\n$ wavepipe {kind} {kind}.yaml", flush=True)
    start = time.perf_counter()
    subprocess.run(command, cwd=HERE, check=True)
    print(f"  {time.perf_counter() - start:.0f} s")


def report_image(vp: NDArray[np.float32]) -> None:
    """Say how far the image's reflectors lie from the model's, column by column."""
    image = xr.open_zarr(RUNS / "rtm" / "results.zarr")["image"].values
    expected = low_cut(vp - smooth_model(vp, MIGRATION_SMOOTHING), (SPACING, SPACING), LOW_CUT)
    rows = slice(int(np.argmax((vp != WATER).all(axis=1))) + 4, vp.shape[0] - 8)
    columns = range(24, vp.shape[1] - 24)
    shifts = [depth_shift(image[rows, j], expected[rows, j]) for j in columns]
    offsets = np.abs(shifts)
    print(
        f"RTM: the image's reflectors lie {np.median(shifts):+.1f} m (median) from the model's; "
        f"{100 * np.mean(offsets <= SPACING):.0f} % of the columns within one cell "
        f"({SPACING} m)"
    )


def depth_shift(image: NDArray, expected: NDArray, largest: float = 60.0) -> float:
    """Shift of `image` against `expected` along depth (m) at which they correlate best."""
    fine = 10
    depth = np.arange(len(image))
    dense = np.arange(0, len(image) - 1, 1 / fine)
    a, b = (np.interp(dense, depth, values) for values in (image, expected))
    lags = np.arange(-int(largest / SPACING * fine), int(largest / SPACING * fine) + 1)
    edge = lags.max()
    inner = b[edge:-edge]
    scores = [inner @ a[edge + lag : len(a) - edge + lag] for lag in lags]
    return float(lags[int(np.argmax(scores))]) * SPACING / fine


def report_inversion(vp: NDArray[np.float32]) -> None:
    """Say how close the start and the result are to the true model, below the sea floor."""
    result = xr.open_zarr(RUNS / "fwi" / "results.zarr")["vp"].values
    rock = vp != WATER

    def error(model: NDArray) -> float:
        return float(np.linalg.norm((model - vp)[rock]) / np.linalg.norm(vp[rock]))

    before, after = error(result[0]), error(result[-1])
    print(
        f"FWI: relative model error below the sea floor {before:.4f} before, {after:.4f} after "
        f"({100 * (1 - after / before):.0f} % less)"
    )


if __name__ == "__main__":
    main()
