"""Recorded shots and a well-known model: whole jobs on data that were not made for us."""

from pathlib import Path

import numpy as np
import pytest
import zarr
from scipy.ndimage import gaussian_filter
from toy_jobs import write_job

from wavepipe.pipeline.clusters.cluster import InProcess
from wavepipe.pipeline.inversion import invert_survey
from wavepipe.pipeline.job import read_job
from wavepipe.pipeline.migration import migrate_survey
from wavepipe.pipeline.modelling import model_survey
from wavepipe.pipeline.survey import read_survey


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


@pytest.mark.filterwarnings("ignore:.*contact of water and rock")
def test_a_well_known_elastic_model_is_modelled_with_all_components(data_folder, tmp_path):
    """Nodes on the sea floor of Marmousi-II: all components begin with the wave in the water."""
    source = data_folder / "models" / "marmousi2_elastic_20m"
    units = {"vp": "m/s", "vs": "m/s", "rho": "kg/m3"}
    for name in units:
        values = np.fromfile(source / f"marmousi_II_marine.{name}", "<f4").reshape(500, 174).T
        np.save(tmp_path / f"{name}.npy", values[::2, 100:300:2])
    content = {
        "kind": "model",
        "physics": "elastic",
        "earth_model": {
            **{
                name: {"path": f"{name}.npy", "axes": ["z", "x"], "unit": unit}
                for name, unit in units.items()
            },
            "spacing": [40.0, 40.0],
        },
        "survey": {
            "layout": {
                "nodes": {
                    "sources": {"x": [1200.0], "depth": 40.0},
                    "receivers": {"x": {"start": 400.0, "stop": 3600.0, "step": 200.0},
                                  "depth": 400.0},
                }
            },
            "components": ["pressure", "vz", "vx"],
            "dt": 0.008,
            "nt": 300,
        },
        "wavelet": {"ricker": {"peak_frequency": 3.0}},
        "propagator": {"free_surface": ["z0"], "pml_width": 12},
        "output": {"folder": "runs/model"},
    }  # fmt: skip
    outcome = model_survey(read_job(write_job(tmp_path, content)), cluster=InProcess())
    assert outcome.accepted
    survey = read_survey(outcome.folder / "shots_*.sgy", ndim=2)
    assert survey.components == ("pressure", "vz", "vx")
    gather, places = survey.gather(0), survey.shot(0).receiver_positions
    distance = np.linalg.norm(places - survey.source_positions[0], axis=1)
    for rows in survey.component_traces(0).values():
        traces = np.abs(gather[rows])
        onset = 0.008 * np.argmax(traces > 0.05 * traces.max(axis=1, keepdims=True), axis=1)
        # farther away rock is faster, and below the source nothing moves sideways
        near = (distance[rows] < 1500.0) & (distance[rows] > 400.0)
        # the wavelet has risen to a twentieth 0.24 s before its peak at 0.5 s
        assert np.all(np.abs(onset - distance[rows] / 1500.0 - 0.26)[near] < 0.1)
    assert sorted(path.name for path in (outcome.folder / "figures").glob("gather*")) == [
        "gather_pressure.png",
        "gather_vx.png",
        "gather_vz.png",
    ]
