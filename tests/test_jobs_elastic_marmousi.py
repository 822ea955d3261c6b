"""The elastic Marmousi-II model: a whole inversion on a model that was not made for us."""

from pathlib import Path

import numpy as np
import pytest
import yaml
import zarr

from wavepipe.pipeline.clusters.cluster import InProcess
from wavepipe.pipeline.inversion import invert_survey
from wavepipe.pipeline.job import read_job
from wavepipe.pipeline.modelling import model_survey

WATER = 11
"""Rows of water at 40 m."""


def write_models(data_folder: Path, folder: Path) -> None:
    """The true and the smooth model at 40 m."""
    source = data_folder / "models" / "marmousi2_elastic_20m"
    for which, name in (("true", "marine"), ("start", "smooth2")):
        for parameter in ("vp", "vs", "rho"):
            values = np.fromfile(source / f"marmousi_II_{name}.{parameter}", "<f4")
            np.save(folder / f"{parameter}_{which}.npy", values.reshape(500, 174).T[::2, ::2])


def settings(kind: str) -> dict:
    """Explosions in the water, geophones and hydrophones on the sea floor."""
    which = "true" if kind == "model" else "start"
    units = {"vp": "m/s", "vs": "m/s", "rho": "kg/m3"}
    content: dict = {
        "kind": kind,
        "physics": "elastic",
        "earth_model": {
            **{
                name: {"path": f"{name}_{which}.npy", "axes": ["z", "x"], "unit": unit}
                for name, unit in units.items()
            },
            "spacing": [40.0, 40.0],
        },
        "survey": {"aperture": 1500.0},
        "wavelet": {"ricker": {"peak_frequency": 2.5, "delay": 0.6}, "amplitude": 1e9},
        "propagator": {"order": 8, "pml_width": 15},
        "output": {"folder": f"runs/{kind}"},
    }
    if kind == "model":
        layout = {
            "sources": {"x": {"start": 600.0, "stop": 9400.0, "step": 800.0}, "depth": 80.0},
            "receivers": {"x": {"start": 400.0, "stop": 9560.0, "step": 80.0}, "depth": 480.0},
        }
        content["survey"] |= {
            "layout": {"fixed_spread": layout},
            "components": ["vz", "vx"],
            "dt": 0.008,
            "nt": 625,
        }
    else:
        content["survey"]["data"] = {c: f"runs/model/shots_{c}.sgy" for c in ("vz", "vx")}
        content["fwi"] = {
            "parameters": {
                "vp": {"bounds": [1400.0, 4800.0]},
                "vs": {"bounds": [600.0, 2800.0]},
            },
            "stages": [
                {"max_frequency": 2.5, "iterations": 5},
                {"max_frequency": 4.0, "iterations": 6},
            ],
            "mask": {"water": True},
            "smoothing": 60.0,
        }
    return content


@pytest.mark.slow
def test_marmousi_comes_closer_to_the_truth_in_vp_and_in_vs(data_folder, tmp_path):
    write_models(data_folder, tmp_path)
    runs = {"model": model_survey, "fwi": invert_survey}
    for kind, run in runs.items():
        path = tmp_path / f"{kind}.yaml"
        path.write_text(yaml.safe_dump(settings(kind)))
        assert run(read_job(path), cluster=InProcess()).accepted
    group = zarr.open_group(tmp_path / "runs" / "fwi" / "results.zarr", mode="r")
    rock = (slice(WATER, None), slice(10, 240))
    for name in ("vp", "vs"):
        true = np.load(tmp_path / f"{name}_true.npy")
        errors = [
            float(np.linalg.norm((values - true)[rock]) / np.linalg.norm(true[rock]))
            for values in np.asarray(group[name][...])
        ]
        assert errors[-1] < 0.95 * errors[0], name
        assert np.array_equal(np.asarray(group[name][-1])[:WATER], true[:WATER])
