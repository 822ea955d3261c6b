"""Recorded shots and a well-known model: whole jobs on data that were not made for us."""

from pathlib import Path

import numpy as np
import zarr
from scipy.ndimage import gaussian_filter
from toy_jobs import write_job

from wavepipe.pipeline.cluster import InProcess
from wavepipe.pipeline.inversion import invert_survey
from wavepipe.pipeline.job import read_job
from wavepipe.pipeline.migration import migrate_survey
from wavepipe.pipeline.modelling import model_survey


def test_recorded_marine_shots_migrate_in_a_simple_velocity_model(data_folder, tmp_path):
    """Four shots of a streamer; their units field is wrong, and their headers disagree on ns."""
    content = {
        "kind": "rtm",
        "earth_model": {
            "vp": {"gradient": {"top": 1500.0, "per_metre": 0.6}},
            "spacing": [12.5, 12.5],
            "shape": [140, 290],
        },
        "survey": {"data": str(data_folder / "segy" / "viking_small.segy"), "aperture": 200.0},
        "wavelet": {"ricker": {"peak_frequency": 10.0}},
        "propagator": {"order": 8, "pml_width": 12},
        "rtm": {"mute": {"velocity": 1500.0, "flat": 0.2, "taper": 0.1}, "low_cut": 60.0},
        "output": {"folder": "runs/rtm"},
    }
    outcome = migrate_survey(read_job(write_job(tmp_path, content)), cluster=InProcess())
    assert outcome.accepted
    group = zarr.open_group(outcome.folder / "results.zarr", mode="r")
    image = np.asarray(group["image"][...])
    assert np.isfinite(image).all()
    assert list(group["status"][...]) == ["done"] * 4
    # the sources stand at 3.24 to 3.31 km: reflections come from between them and the streamer
    energy = np.square(image[30:]).sum(axis=0)
    assert 150 < np.average(np.arange(290), weights=energy) < 265


def marmousi(data_folder: Path, folder: Path) -> dict[str, np.ndarray]:
    """Write a Marmousi-II model at 40 m, and smooth ones to migrate in and start from."""
    vp = np.load(data_folder / "models" / "agl_marmousi2_vp_20m.npy")[::2, ::2]
    water = np.logical_and.accumulate(vp <= 1510.0, axis=0)
    models = {"true": vp}
    for name, cells in (("migration", 2), ("start", 8)):
        smooth = 1.0 / gaussian_filter(1.0 / vp.astype(np.float64), cells)
        models[name] = np.where(water, 1500.0, smooth)
    for name, values in models.items():
        np.save(folder / f"{name}.npy", values.astype(np.float32))
    return models | {"rock": ~water}


def test_a_marmousi_survey_is_modelled_imaged_and_inverted(data_folder, tmp_path):
    models = marmousi(data_folder, tmp_path)
    common = {
        "wavelet": {"ricker": {"peak_frequency": 3.5}},
        "propagator": {"order": 8},
    }
    layout = {
        "towed": {
            "sources": {"x": {"start": 5000, "stop": 16400, "step": 600}, "depth": 40},
            "near_offset": 200,
            "spacing": 80,
            "count": 60,
            "receiver_depth": 40,
        }
    }
    jobs = {
        "model": {"survey": {"layout": layout, "dt": 0.008, "nt": 500}},
        "rtm": {"rtm": {"mute": {"velocity": 1500.0, "flat": 0.8, "taper": 0.2}, "low_cut": 120.0}},
        "fwi": {
            "fwi": {
                "parameters": {"vp": {"bounds": [1450.0, 4800.0]}},
                "stages": [{"max_frequency": 3.0, "iterations": 5}],
                "mask": {"water": True},
                "smoothing": 60.0,
            }
        },
    }
    start = {"model": "true", "rtm": "migration", "fwi": "start"}
    runs = {"model": model_survey, "rtm": migrate_survey, "fwi": invert_survey}
    for kind, more in jobs.items():
        vp = {"path": f"{start[kind]}.npy", "axes": ["z", "x"], "unit": "m/s"}
        survey = {"data": "runs/model/shots.sgy"} | more.pop("survey", {})
        if kind == "model":
            del survey["data"]
        content = {
            "kind": kind,
            "earth_model": {"vp": vp, "spacing": [40.0, 40.0]},
            "survey": survey | {"aperture": 1500.0},
            "output": {"folder": f"runs/{kind}"},
            **common,
            **more,
        }
        outcome = runs[kind](read_job(write_job(tmp_path, content)), cluster=InProcess())
        assert outcome.accepted
        assert len(outcome.shots) == 20
    found = np.load(tmp_path / "runs" / "fwi" / "vp.npy")
    # where the streamer's reflections come from
    place = (slice(0, 50), slice(125, 400))
    rock, true = models["rock"][place], models["true"][place]

    def error(vp: np.ndarray) -> float:
        return float(np.linalg.norm((vp[place] - true)[rock]))

    assert error(found) < 0.9 * error(models["start"])
