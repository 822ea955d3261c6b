"""Toy jobs with variable density, and in solids."""

from pathlib import Path

import numpy as np
from toy_jobs import settings, write_job, write_models

from wavepipe.pipeline.clusters.cluster import InProcess
from wavepipe.pipeline.job import read_job
from wavepipe.pipeline.modelling import model_survey
from wavepipe.propagators.physics.names import PARAMETERS

WAVELET = {"ricker": {"peak_frequency": 6.0, "delay": 0.2}}


def job_content(kind: str, physics: str, ndim: int = 2) -> dict:
    """A toy job with density by Gardner's rule and rock below the water."""
    content = settings(kind, ndim, aperture=None)
    of_vp = "true" if kind == "model" else "start"
    given = {
        "vs": {"path": f"{of_vp}_vs.npy", "axes": content["earth_model"]["vp"]["axes"],
               "unit": "m/s"},
        "rho": {"gardner": {"of": "vp"}},
    }  # fmt: skip
    content |= {"physics": physics, "wavelet": WAVELET}
    content["earth_model"] |= {n: given[n] for n in PARAMETERS[physics] if n in given}
    return content


def write_solid(folder: Path, ndim: int = 2) -> None:
    """The toy models, and S-wave velocities: none in the water, half the P-wave's below."""
    write_models(folder, ndim)
    for name in ("true", "start"):
        vp = np.load(folder / f"{name}.npy")
        np.save(folder / f"{name}_vs.npy", np.where(vp > 1500, 0.5 * vp, 0).astype(np.float32))


def run_model(folder: Path, physics: str, name: str, *pairs: str, ndim: int = 2) -> Path:
    """Model a survey and return the run folder."""
    path = write_job(folder, job_content("model", physics, ndim), f"{name}.yaml")
    job = read_job(path, [f"output.folder=runs/{name}", *pairs])
    outcome = model_survey(job, cluster=InProcess())
    assert outcome.accepted
    return outcome.folder
