"""Migration with density and shear waves: the image is that of vp, the other parameters held."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
import zarr

from wavepipe.pipeline.clusters.cluster import InProcess
from wavepipe.pipeline.filters import end_taper
from wavepipe.pipeline.job import Job, read_job
from wavepipe.pipeline.migration import migrate_survey
from wavepipe.pipeline.modelling import model_survey
from wavepipe.pipeline.survey import read_survey
from wavepipe.propagators import Boundary, Storage
from wavepipe.propagators.physics.names import PARAMETERS
from wavepipe.propagators.wavelets import ricker
from wavepipe.propagators.waves import propagate

SHAPE = (44, 64)
INTERFACE = 26
DT, NT, TAPER = 0.004, 170, 0.08
PEAK, DELAY = 8.0, 0.17
AMPLITUDE = 1e6
"""m2/s or N/s: with one of 1, elastic images reach the end of the range of float32."""
COMPONENTS = {"acoustic": "pressure", "elastic": "vz"}


def write_models(folder: Path) -> None:
    """Two layers that differ in vp alone, and the upper one everywhere."""
    for which, lower in (("true", 2200.0), ("start", 1900.0)):
        vp = np.full(SHAPE, 1900.0, dtype=np.float32)
        vp[INTERFACE:] = lower
        np.save(folder / f"vp_{which}.npy", vp)


def job(folder: Path, kind: str, physics: str, name: str = "data", **rtm: object) -> Job:
    which = "true" if kind == "model" else "start"
    earth = {
        "vp": {"path": f"vp_{which}.npy", "axes": ["z", "x"], "unit": "m/s"},
        "vs": {"constant": 1150.0},
        "rho": {"constant": 2050.0},
    }
    content: dict = {
        "kind": kind,
        "physics": physics,
        "earth_model": {name: earth[name] for name in PARAMETERS[physics]}
        | {"spacing": [10.0, 10.0]},
        "survey": {"taper_end": TAPER},
        "wavelet": {"ricker": {"peak_frequency": PEAK, "delay": DELAY}, "amplitude": AMPLITUDE},
        "propagator": {"order": 4, "pml_width": 10},
        "storage": {"stride": 1},
        "output": {"folder": f"runs/{physics}-{name}", "figures": False},
    }
    if kind == "model":
        layout = {
            "sources": {"x": [205.0, 325.0, 455.0], "depth": 25.0},
            "receivers": {"x": {"start": 25.0, "stop": 605.0, "step": 20.0}, "depth": 35.0},
        }
        content["survey"] = {
            "layout": {"fixed_spread": layout},
            "components": [COMPONENTS[physics]],
            "dt": DT,
            "nt": NT,
        }
    else:
        content["survey"]["data"] = f"runs/{physics}-data/shots.sgy"
        content["rtm"] = rtm
    path = folder / f"{physics}-{name}.yaml"
    path.write_text(yaml.safe_dump(content))
    return read_job(path)


@pytest.fixture(scope="module", params=list(COMPONENTS))
def modelled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """Physics, and the folder with its data."""
    folder = tmp_path_factory.mktemp("rtm")
    write_models(folder)
    assert model_survey(job(folder, "model", request.param), cluster=InProcess()).accepted
    return request.param, folder


def image_of(folder: Path, physics: str, name: str, **rtm: object) -> np.ndarray:
    outcome = migrate_survey(job(folder, "rtm", physics, name, **rtm), cluster=InProcess())
    assert outcome.accepted
    group = zarr.open_group(outcome.folder / "results.zarr", mode="r")
    assert np.asarray(group["illumination"][...]).min() >= 0
    assert np.asarray(group["illumination"][...]).max() > 0
    return np.asarray(group["image"][...])


def test_the_image_is_minus_the_gradient_for_a_perturbation_of_vp(modelled):
    physics, folder = modelled
    image = image_of(folder, physics, "plain", mute=None, low_cut=None, illumination=False)
    vp = torch.from_numpy(np.load(folder / "vp_start.npy"))
    models = {"vp": vp, "vs": torch.full_like(vp, 1150.0), "rho": torch.full_like(vp, 2050.0)}
    scatter = torch.zeros_like(vp).requires_grad_()
    survey = read_survey(folder / f"runs/{physics}-data/shots.sgy", ndim=2)
    wavelet = torch.from_numpy((AMPLITUDE * ricker(PEAK, DT, NT, DELAY)).astype(np.float32))
    receivers = np.stack([survey.shot(i).receiver_positions for i in range(3)])
    component = COMPONENTS[physics]
    scattered = propagate(
        physics,
        {name: models[name] for name in PARAMETERS[physics]},
        10.0,
        DT,
        sources={"pressure": (wavelet.expand(3, 1, -1), survey.source_positions[:, None])},
        receivers={component: receivers},
        scatter={"vp": scatter},
        order=4,
        boundary=Boundary(10, PEAK),
        velocity_bound=1900.0,
        storage=Storage(stride=1),
    )[component]
    observed = torch.from_numpy(np.stack([survey.gather(i) for i in range(3)]))
    taper = torch.from_numpy(end_taper(NT, DT, TAPER)).float()
    residual = scattered - observed * taper**2
    (0.5 * residual.square().sum()).backward()
    inner = (slice(1, -1), slice(1, -1))
    expected = -scatter.grad.numpy()[inner]
    # the band limit of the adjoint source; the layers' part in the outermost cells
    assert np.linalg.norm(image[inner] - expected) < 0.01 * np.linalg.norm(expected)


def test_an_increase_of_vp_images_positive_at_its_depth(modelled):
    physics, folder = modelled
    mute = {"velocity": 1900.0, "flat": 0.34, "taper": 0.04}
    image = image_of(folder, physics, "muted", mute=mute, low_cut=40.0)
    column = image[8:40, 20:44].mean(axis=1)
    # a band-limited step is highest an eighth of a wavelength (24 cells) below its place
    assert 0 <= 8 + int(np.argmax(column)) - INTERFACE <= 4
    assert column.max() > -column.min()
