"""Images and inversions with a compressed wavefield: `python -m benchmarks.compressed FOLDER`.

The quickstart example's migration and inversion run once with snapshots in memory as they are, and
once for each other way of keeping them; differences go to standard output, and a figure of the
first and the last way, with what differs a thousand times enlarged, into the folder.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import xarray as xr
import yaml
from numpy.typing import NDArray

EXAMPLE = Path(__file__).parents[1] / "examples" / "quickstart"

WAYS = {
    "none": {"mode": "device", "method": "snapshots", "compression": "none"},
    "cosine6": {"mode": "device", "method": "snapshots", "compression": "cosine6"},
    "boundary": {"mode": "disk", "method": "boundary", "compression": "cosine4"},
    "cosine4": {"mode": "disk", "method": "snapshots", "compression": "cosine4"},
}
"""By the name of the run; the first is what others are compared with."""

RESULTS = {"rtm": "image", "fwi": "vp"}

ENLARGED = 1000


def main() -> None:
    """Run every job in every way and say what differs."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1]).resolve() / "quickstart"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("runs", "__pycache__"))
    scratch = folder / "scratch"
    scratch.mkdir()
    python(folder, "-c", "import run; run.write_models(run.true_model())")
    python(folder, "-m", "wavepipe.cli", "model", "model.yaml")
    results = {}
    for kind, variable in RESULTS.items():
        for name, way in WAYS.items():
            job = yaml.safe_load((folder / f"{kind}.yaml").read_text())
            job["storage"] = way | ({"path": str(scratch)} if way["mode"] == "disk" else {})
            job["output"]["folder"] = f"runs/{kind}-{name}"
            (folder / f"{kind}-{name}.yaml").write_text(yaml.safe_dump(job))
            python(folder, "-m", "wavepipe.cli", kind, f"{kind}-{name}.yaml")
            store = xr.open_zarr(folder / job["output"]["folder"] / "results.zarr")
            results[kind, name] = store[variable].values
    print("\n| result | way | difference, L2 | largest, of the largest value |\n|---|---|--:|--:|")
    for (kind, name), found in results.items():
        if name != "none":
            mean, most = differences(kind, found, results[kind, "none"])
            kept = " ".join(WAYS[name].values())
            print(f"| {kind} {RESULTS[kind]} | {kept} | {mean:.1e} | {most:.1e} |")
    print(f"\n{draw(results, folder.parent / 'compressed.png')}")


def python(folder: Path, *arguments: str) -> None:
    """Run Python in a folder; its output goes where ours does not."""
    subprocess.run([sys.executable, *arguments], cwd=folder, check=True, stdout=sys.stderr)


def last(kind: str, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The image, or the model of the last iteration."""
    return values[-1] if kind == "fwi" else values


def differences(
    kind: str, found: NDArray[np.float32], expected: NDArray[np.float32]
) -> tuple[float, float]:
    """In L2, and the largest as a share of the largest value; of models, of what inversion did."""
    start = expected[0] if kind == "fwi" else 0.0
    change, gap = last(kind, expected) - start, last(kind, found) - last(kind, expected)
    return (
        float(np.linalg.norm(gap) / np.linalg.norm(change)),
        float(np.abs(gap).max() / np.abs(change).max()),
    )


def draw(results: dict[tuple[str, str], NDArray[np.float32]], path: Path) -> Path:
    """A row per job: as it is, with the last way, and the difference enlarged."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    name = list(WAYS)[-1]
    figure, axes = plt.subplots(
        len(RESULTS), 3, figsize=(12, 4.6), sharex=True, sharey=True, layout="constrained"
    )
    for row, kind in zip(axes, RESULTS, strict=True):
        plain, packed = (last(kind, results[kind, one]) for one in ("none", name))
        if kind == "rtm":
            clip = float(np.percentile(np.abs(plain), 99))
            low, high, colours = -clip, clip, "gray"
        else:
            low, high, colours = float(plain.min()), float(plain.max()), "viridis"
        width = (high - low) / 2
        row[0].imshow(plain, cmap=colours, vmin=low, vmax=high, aspect="auto")
        row[1].imshow(packed, cmap=colours, vmin=low, vmax=high, aspect="auto")
        gap = ENLARGED * (packed - plain)
        row[2].imshow(gap, cmap="RdBu", vmin=-width, vmax=width, aspect="auto")
        titles = (f"{kind}: uncompressed", f"{name} on disk", f"{ENLARGED} x their difference")
        for axis, title in zip(row, titles, strict=True):
            axis.set_title(title, loc="left", fontsize=10)
            axis.set(xticks=[], yticks=[])
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path


if __name__ == "__main__":
    main()
