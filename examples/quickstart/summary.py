"""One figure of the whole example: true model, start, image and inverted model."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import xarray as xr
from numpy.typing import NDArray

mpl.use("Agg")

import matplotlib.pyplot as plt


def draw_summary(runs: Path, spacing: float) -> Path:
    """Draw ``summary.png`` from the results of the three jobs.

    Parameters
    ----------
    runs
        Folder of the runs.
    spacing : m
        Of the earth model.
    """
    true = np.load(runs / "earth_model" / "true.npy")
    image = xr.open_zarr(runs / "rtm" / "results.zarr")["image"].values
    vp = xr.open_zarr(runs / "fwi" / "results.zarr")["vp"].values
    figure, axes = plt.subplots(
        2, 2, figsize=(11, 5.4), sharex=True, sharey=True, layout="constrained"
    )
    extent = (0.0, true.shape[1] * spacing / 1e3, true.shape[0] * spacing / 1e3, 0.0)
    clip = float(np.percentile(np.abs(image), 99))

    def panel(place: tuple[int, int], values: NDArray, title: str, **look: object) -> object:
        shown = axes[place].imshow(values, extent=extent, aspect="auto", **look)
        axes[place].set_title(title, loc="left", fontsize=10)
        return shown

    speed = {"cmap": "viridis", "vmin": float(true.min()), "vmax": float(true.max())}
    velocity = panel((0, 0), true, "true velocity", **speed)
    panel((0, 1), image, "wavepipe rtm: image", cmap="gray", vmin=-clip, vmax=clip)
    panel((1, 0), vp[0], "where the inversion starts", **speed)
    panel((1, 1), vp[-1], f"wavepipe fwi: after {len(vp) - 1} iterations", **speed)
    for row in axes:
        row[0].set_ylabel("depth (km)")
    for lowest in axes[-1]:
        lowest.set_xlabel("x (km)")
    figure.colorbar(velocity, ax=axes, label="velocity (m/s)", shrink=0.8)
    path = runs / "summary.png"
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path
