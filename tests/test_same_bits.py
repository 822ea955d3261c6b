"""Gathers, images and inverted models have the same bits for any workers, batches and threads."""

from pathlib import Path

import numpy as np
import pytest
import zarr
from toy_jobs import toy_job, write_models

from wavepipe.pipeline.clusters.cluster import Cluster, InProcess, local_cluster
from wavepipe.pipeline.inversion import invert_survey
from wavepipe.pipeline.migration import migrate_survey
from wavepipe.pipeline.modelling import model_survey

JOBS = {"model": model_survey, "rtm": migrate_survey, "fwi": invert_survey}
ARRAYS = {"model": ["gather"], "rtm": ["image", "illumination"], "fwi": ["vp", "misfit"]}

Bits = dict[str, bytes]


def run(folder: Path, kind: str, name: str, cluster: Cluster | None, **overrides: object) -> Bits:
    """Results of a run, as bytes."""
    job = toy_job(folder, kind, output__folder=f"runs/{kind}-{name}", **overrides)
    outcome = JOBS[kind](job, cluster=cluster)
    assert outcome.accepted
    group = zarr.open_group(outcome.folder / "results.zarr", mode="r")
    found = {array: np.asarray(group[array][...]).tobytes() for array in ARRAYS[kind]}
    return found | {path.name: path.read_bytes() for path in outcome.folder.glob("*.sgy")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the models and the data that rtm and fwi use."""
    folder = tmp_path_factory.mktemp("bits")
    write_models(folder)
    model_survey(toy_job(folder, "model"), cluster=InProcess())
    return folder


@pytest.fixture(scope="module")
def expected(folder: Path) -> dict[str, Bits]:
    """What a plain loop over single shots gives."""
    return {kind: run(folder, kind, "loop", InProcess(), cluster__batch_shots=1) for kind in JOBS}


@pytest.mark.parametrize("size", [2, 4, 8])
@pytest.mark.parametrize("kind", JOBS)
def test_the_batch_size_changes_no_bit(folder, expected, kind, size):
    found = run(folder, kind, f"batch{size}", InProcess(), cluster__batch_shots=size)
    assert found == expected[kind]


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_the_number_of_workers_changes_no_bit(folder, expected, workers):
    """Nor does the number of threads that each propagator uses."""
    with local_cluster(workers, threads=3 - min(workers, 2)) as cluster:
        for kind in JOBS:
            found = run(folder, kind, f"workers{workers}", cluster, cluster__batch_shots=2)
            assert found == expected[kind], kind


def test_the_results_are_not_trivial(expected):
    image = np.frombuffer(expected["rtm"]["image"], dtype=np.float32)
    vp = np.frombuffer(expected["fwi"]["vp"], dtype=np.float32).reshape(4, 30, 64)
    assert np.abs(image).max() > 0
    assert np.isfinite(image).all()
    assert np.abs(vp[3] - vp[0]).max() > 10.0
