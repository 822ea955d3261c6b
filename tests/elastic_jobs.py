"""A small elastic earth with anomalies of its own in vp and in vs, and jobs on it."""

from pathlib import Path

import numpy as np
import yaml

SHAPE = (60, 80)
BACKGROUND = {"vp": 2000.0, "vs": 1150.0, "rho": 2000.0}
ANOMALIES = {"vp": ((24, 26), 0.08), "vs": ((36, 54), -0.08)}
"""Centre in cells and relative size; of rho there is none."""
RADIUS = 8.0
"""Of an anomaly, cells."""


def write_models(folder: Path) -> None:
    """Write {vp,vs,rho}_{true,start}.npy."""
    z, x = np.indices(SHAPE)
    for name, value in BACKGROUND.items():
        start = np.full(SHAPE, value, dtype=np.float32)
        true = start.copy()
        if name in ANOMALIES:
            (cz, cx), size = ANOMALIES[name]
            distance = np.hypot(z - cz, x - cx)
            # smooth edges: what waves of this length can show
            true *= 1.0 + size * 0.5 * (1.0 - np.tanh((distance - RADIUS) / 2.0))
        np.save(folder / f"{name}_true.npy", true.astype(np.float32))
        np.save(folder / f"{name}_start.npy", start)


def settings(kind: str) -> dict:
    """Content of a job file: vertical forces above and to the left, receivers below and around."""
    which = "true" if kind == "model" else "start"
    axes = {"axes": ["z", "x"]}
    units = {"vp": "m/s", "vs": "m/s", "rho": "kg/m3"}
    job: dict = {
        "kind": kind,
        "physics": "elastic",
        "earth_model": {
            **{
                name: {"path": f"{name}_{which}.npy", "unit": unit, **axes}
                for name, unit in units.items()
            },
            "spacing": [10.0, 10.0],
        },
        "survey": {"source": "fz"},
        "wavelet": {"ricker": {"peak_frequency": 8.0, "delay": 0.17}},
        "propagator": {"order": 4, "pml_width": 10},
        "output": {"folder": f"runs/{kind}", "figures": False},
    }
    if kind == "model":
        sides = [10.0 * i for i in range(4, 58, 3)]
        top = [10.0 * i for i in range(4, 78, 3)]
        receivers_x = [*top, *top, *([30.0] * len(sides)), *([760.0] * len(sides))]
        receivers_z = [*([25.0] * len(top)), *([565.0] * len(top)), *sides, *sides]
        sources = {
            "x": [100.0, 300.0, 500.0, 700.0, 45.0, 45.0, 755.0, 755.0],
            "depth": [45.0, 45.0, 45.0, 45.0, 200.0, 400.0, 200.0, 400.0],
        }
        job["survey"] |= {
            "layout": {
                "fixed_spread": {
                    "sources": sources,
                    "receivers": {"x": receivers_x, "depth": receivers_z},
                }
            },
            "components": ["vz", "vx"],
            "dt": 0.004,
            "nt": 260,
        }
    else:
        job["survey"]["data"] = {name: f"runs/model/shots_{name}.sgy" for name in ("vz", "vx")}
    if kind == "fwi":
        job["fwi"] = {
            "parameters": {
                "vp": {"bounds": [1700.0, 2400.0]},
                "vs": {"bounds": [900.0, 1400.0]},
                "rho": "fixed",
            },
            "stages": [{"max_frequency": 12.0, "iterations": 6}],
            "smoothing": 15.0,
        }
    return job


def write_job(folder: Path, content: dict, name: str | None = None) -> Path:
    """Write a job file and return its path."""
    path = folder / f"{name or content['kind']}.yaml"
    path.write_text(yaml.safe_dump(content))
    return path
