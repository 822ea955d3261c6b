"""Every physics there is, from the job file to gathers, gradients and an image."""

from pathlib import Path

import numpy as np
import pytest
import zarr
from toy_jobs import settings, write_job, write_models

from wavepipe.pipeline.clusters.cluster import InProcess
from wavepipe.pipeline.execution import start_run
from wavepipe.pipeline.job import Job, read_job
from wavepipe.pipeline.modelling import model_survey
from wavepipe.pipeline.results_gathers import gather_name
from wavepipe.propagators.physics.names import PARAMETERS, receiver_names, source_names

GIVEN = {
    "vs": {"ratio": {"of": "vp", "value": 0.5}},
    "rho": {"gardner": {"of": "vp"}},
    "epsilon": {"constant": 0.1},
    "delta": {"constant": 0.05},
    "q": {"constant": 60.0},
}
"""Parameters beside vp."""


def job(folder: Path, kind: str, physics: str) -> Job:
    """One shot with the last of the physics' sources, recorded by all of its receivers."""
    content = settings(kind, aperture=None)
    source = source_names(physics, 2)[-1]
    content |= {"physics": physics, "wavelet": {"ricker": {"peak_frequency": 6.0}}}
    content["earth_model"] |= {name: GIVEN[name] for name in PARAMETERS[physics][1:]}
    content["output"]["folder"] = f"runs/{physics}-{kind}"
    content["survey"] |= {
        "source": {"moment": [[1, 0.3], [0.3, -1]]} if source == "moment" else source,
        "shots": [3],
    }
    names = receiver_names(physics, 2)
    if kind == "model":
        content["survey"]["components"] = list(names)
    else:
        files = [f"runs/{physics}-model/shots{f'_{n}' * (len(names) > 1)}.sgy" for n in names]
        content["survey"] |= {"data": dict(zip(names, files, strict=True)), "shots": "all"}
    if kind == "fwi":
        content["fwi"] = {"stages": [{"max_frequency": 12.0, "iterations": 1}]}
    return read_job(write_job(folder, content, f"{physics}-{kind}.yaml"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with velocities."""
    folder = tmp_path_factory.mktemp("physics")
    write_models(folder)
    return folder


def model(folder: Path, physics: str) -> zarr.Group:
    """Results of modelling."""
    outcome = model_survey(job(folder, "model", physics), cluster=InProcess())
    assert outcome.accepted
    return zarr.open_group(outcome.folder / "results.zarr", mode="r")


@pytest.mark.parametrize("physics", PARAMETERS)
def test_every_physics_models_all_that_it_records(folder, physics):
    found = model(folder, physics)
    names = receiver_names(physics, 2)
    for name in names:
        gather = np.asarray(found[gather_name(name, names)][...])
        assert np.isfinite(gather).all()
        assert np.abs(gather).max() > 0
        # the last samples have not grown: the time step is stable
        assert np.abs(gather[:, -10:]).max() < np.abs(gather).max()


@pytest.mark.slow
@pytest.mark.parametrize("physics", PARAMETERS)
def test_every_physics_has_gradients_of_all_its_parameters_and_an_image(folder, physics):
    if not (folder / f"runs/{physics}-model").exists():
        model(folder, physics)
    for kind, wanted in (("fwi", "gradient"), ("rtm", "image")):
        variables = PARAMETERS[physics] if kind == "fwi" else ()
        with start_run(job(folder, kind, physics), cluster=InProcess()) as run:
            evaluation = run.describe(wanted, run.plan.passes[0], variables=variables)
            partial = run.evaluate(evaluation, run.shots, "test")
        assert not partial.failures
        assert set(partial.arrays) == set(variables or ("image",))
        for values in partial.arrays.values():
            assert np.isfinite(values).all()
            assert np.count_nonzero(values) > 0.5 * values.size
