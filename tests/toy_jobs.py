"""Tiny jobs that tests run: an earth model, its survey, and job files for all three kinds."""

from pathlib import Path

import numpy as np
import yaml

from wavepipe.pipeline.job import Job, read_job


def write_models(folder: Path, ndim: int = 2) -> None:
    """Write true.npy and start.npy: water over a half space with a block in it."""
    shape = (30, 64) if ndim == 2 else (20, 22, 26)
    true = np.full(shape, 1500.0, dtype=np.float32)
    true[6:] = 1900.0
    start = true.copy()
    if ndim == 2:
        true[14:20, 25:40] = 2200.0
    else:
        true[10:15, 8:15, 9:17] = 2200.0
    np.save(folder / "true.npy", true)
    np.save(folder / "start.npy", start)


def settings(kind: str, ndim: int = 2, aperture: float | None = 100.0) -> dict:
    """Content of a job file."""
    axes = ["z", "x"] if ndim == 2 else ["z", "y", "x"]
    sources = {"x": {"start": 70, "stop": 570, "step": 70}, "depth": 15}
    receivers = {"x": {"start": 0, "stop": 630, "step": 20}, "depth": 20}
    if ndim == 3:
        sources = {"x": [60, 190], "y": [55, 150], "depth": 15}
        receivers = {
            "x": {"start": 10, "stop": 240, "step": 30},
            "y": {"start": 10, "stop": 200, "step": 30},
            "depth": 20,
        }
    job: dict = {
        "kind": kind,
        "earth_model": {
            "vp": {
                "path": "true.npy" if kind == "model" else "start.npy",
                "axes": axes,
                "unit": "m/s",
            },
            "spacing": [10.0] * ndim,
        },
        "survey": {"aperture": aperture},
        "wavelet": {"ricker": {"peak_frequency": 10.0, "delay": 0.13}},
        "propagator": {"order": 6, "pml_width": 8},
        "output": {"folder": f"runs/{kind}", "figures": False},
    }
    if kind == "model":
        job["survey"] |= {
            "layout": {"fixed_spread": {"sources": sources, "receivers": receivers}},
            "dt": 0.004,
            "nt": 130,
        }
    else:
        job["survey"]["data"] = "runs/model/shots.sgy"
    if kind == "rtm":
        job["rtm"] = {"mute": {"velocity": 1500.0, "flat": 0.2, "taper": 0.05}, "low_cut": 40.0}
    if kind == "fwi":
        job["fwi"] = {
            "parameters": {"vp": {"bounds": [1400.0, 2600.0]}},
            "stages": [
                {"max_frequency": 10.0, "iterations": 2},
                {"max_frequency": 16.0, "iterations": 1},
            ],
            "mask": {"water": True},
            "smoothing": 10.0,
        }
    return job


def write_job(folder: Path, content: dict, name: str | None = None) -> Path:
    """Write a job file and return its path."""
    path = folder / (name or f"{content['kind']}.yaml")
    path.write_text(yaml.safe_dump(content))
    return path


def toy_job(folder: Path, kind: str, ndim: int = 2, **overrides: object) -> Job:
    """Job of a kind in `folder`; `overrides` are ``section__key=value``."""
    path = write_job(folder, settings(kind, ndim))
    pairs = [f"{key.replace('__', '.')}={value}" for key, value in overrides.items()]
    return read_job(path, pairs)
