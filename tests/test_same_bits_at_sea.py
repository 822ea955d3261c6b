"""A coast, along which some windows have water and others none: bits depend on no batch."""

from pathlib import Path

import numpy as np
import pytest
import zarr
from solid_jobs import job_content
from toy_jobs import write_job

from wavepipe.pipeline.clusters.cluster import InProcess
from wavepipe.pipeline.inversion import invert_survey
from wavepipe.pipeline.job import read_job
from wavepipe.pipeline.migration import migrate_survey
from wavepipe.pipeline.modelling import model_survey

JOBS = {"model": model_survey, "rtm": migrate_survey, "fwi": invert_survey}
ARRAYS = {"model": ["gather"], "rtm": ["image"], "fwi": ["vp", "misfit"]}


def run(folder: Path, kind: str, batch: int) -> dict[str, bytes]:
    """Results of a run, as bytes."""
    content = job_content(kind, "elastic")
    content["survey"] |= {"aperture": 60.0}
    content["propagator"] |= {"order": 4}
    if kind == "model":
        sources = {"x": {"start": 300, "stop": 1420, "step": 160}, "depth": 105}
        towed = {"near_offset": 20, "spacing": 20, "count": 5, "receiver_depth": 85}
        content["survey"]["layout"] = {"towed": {"sources": sources, **towed}}
    if kind == "fwi":
        content["fwi"]["mask"] = {"water": False}
        content["fwi"]["parameters"]["vp"] = {"bounds": [1300.0, 2600.0]}
    path = write_job(folder, content, f"{kind}-{batch}.yaml")
    pairs = [f"output.folder=runs/{kind}" + ("" if batch == 1 else f"-{batch}")]
    outcome = JOBS[kind](
        read_job(path, [*pairs, f"cluster.batch_shots={batch}"]), cluster=InProcess()
    )
    assert outcome.accepted
    group = zarr.open_group(outcome.folder / "results.zarr", mode="r")
    return {name: np.asarray(group[name][...]).tobytes() for name in ARRAYS[kind]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Water over rock, which rises out of it to the right."""
    folder = tmp_path_factory.mktemp("coast")
    z, x = np.indices((30, 160))
    water = z < np.minimum(16, 90 - x)
    for name, rock in (("true", 2000.0), ("start", 1900.0)):
        vp = np.where(water, 1500.0, rock).astype(np.float32)
        np.save(folder / f"{name}.npy", vp)
        np.save(folder / f"{name}_vs.npy", np.where(water, 0, 0.5 * vp).astype(np.float32))
    return folder


def test_the_batch_size_changes_no_bit(folder):
    for kind in JOBS:
        assert run(folder, kind, 1) == run(folder, kind, 8), kind
