"""Where an inversion stands after an iteration is safe, and is all that it needs to go on."""

import errno
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from toy_jobs import settings, write_job
from whole_runs import Stopped, job_of, same_results, uninterrupted

from wavepipe.pipeline import inversion_stage, leaf
from wavepipe.pipeline.clusters.cluster import InProcess
from wavepipe.pipeline.errors import DiskFullError
from wavepipe.pipeline.execution import Run
from wavepipe.pipeline.inversion import invert_survey
from wavepipe.pipeline.inversion_checkpoint import Standing, keep_standing, last_standing
from wavepipe.pipeline.inversion_output import IterationRecord
from wavepipe.pipeline.job import read_job
from wavepipe.pipeline.left_out import LeftOut
from wavepipe.pipeline.partial import Failure
from wavepipe.propagators.errors import WavefieldError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Uninterrupted runs of each kind, in runs/<kind>."""
    return uninterrupted(tmp_path_factory.mktemp("checkpoint"))


SEARCHES = {
    "lbfgs": {"lbfgs": {"memory": 2}},
    "adam": {"adam": {"step_length": 20.0}},
    "sgd": {"sgd": {"step_length": 20.0, "momentum": 0.5}},
}


@pytest.mark.parametrize("optimizer", SEARCHES)
@pytest.mark.parametrize("minibatch", [None, 3])
def test_an_inversion_goes_on_from_its_last_iteration(optimizer, minibatch, folder, monkeypatch):
    """Whatever an optimizer remembers; sums that led there are gone, and not made again."""
    content = settings("fwi")
    content["fwi"]["optimizer"] = SEARCHES[optimizer]
    content["fwi"]["stages"] = [
        {"max_frequency": 10.0, "iterations": 3} | ({"minibatch": minibatch} if minibatch else {}),
        {"max_frequency": 16.0, "iterations": 2},
    ]
    name = f"steps-{optimizer}-{minibatch}"
    path = write_job(folder, content, f"{name}.yaml")

    def run(place: str, *, resume: bool) -> bool:
        job = read_job(path, [f"output.folder=runs/{place}", "cluster.batch_shots=2"])
        return invert_survey(job, cluster=InProcess(), resume=resume).accepted

    assert run(f"{name}-whole", resume=False)
    original, iterations, evaluated = inversion_stage.keep_standing, [], []

    def keep(place, standing, arrays):
        original(place, standing, arrays)
        iterations.append((standing.stage, standing.iterations))
        raise Stopped

    def evaluate(self, evaluation, shots, title, run=Run.evaluate):
        evaluated.append((evaluation, tuple(shots)))
        assert len(list(self.folder.ledger.glob("*/*.sum"))) <= 2 * 6  # a line search at most
        return run(self, evaluation, shots, title)

    monkeypatch.setattr(inversion_stage, "keep_standing", keep)
    monkeypatch.setattr(Run, "evaluate", evaluate)
    while True:
        with suppress(Stopped):
            assert run(name, resume=True)
            break
    assert iterations == [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2)]
    assert len(evaluated) <= len({repr(one) for one in evaluated}) + 2  # last misfits of stages
    assert same_results(folder / "runs" / name, folder / "runs" / f"{name}-whole")


def test_an_inversion_that_cannot_read_where_it_stood_begins_again(folder, monkeypatch, caplog):
    """Stopped once more, it goes on from there: nothing rotten is taken for what it makes again."""
    original = inversion_stage.keep_standing
    caplog.set_level("INFO")

    def keep(place, standing, arrays):
        original(place, standing, arrays)
        if standing.iterations == 2:
            raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(inversion_stage, "keep_standing", keep)
        with pytest.raises(Stopped):
            invert_survey(job_of(folder, "fwi", "torn-standing"), cluster=InProcess())
    for array in (folder / "runs/torn-standing/ledger/checkpoint").glob("*.npy"):
        content = bytearray(array.read_bytes())
        content[-1] ^= 1
        array.write_bytes(content)
    job = job_of(folder, "fwi", "torn-standing")
    with monkeypatch.context() as patch:
        patch.setattr(inversion_stage, "keep_standing", keep)
        with pytest.raises(Stopped):
            invert_survey(job, cluster=InProcess(), resume=True)
    assert caplog.text.count("holds other bytes than were written") == 1
    assert "goes on after iteration" not in caplog.text
    assert invert_survey(job, cluster=InProcess(), resume=True).accepted
    assert caplog.text.count("holds other bytes than were written") == 1
    assert "goes on after iteration 2" in caplog.text
    assert same_results(folder / "runs/torn-standing", folder / "runs/fwi")


def test_with_fewer_failures_allowed_than_there_were_an_inversion_begins_again(folder, monkeypatch):
    """Shots that an earlier command could do without are tried again."""
    name, original = "strict", leaf._attempt

    def attempt(evaluation, shots, compute):
        def failing(*_):
            raise WavefieldError("out of luck")

        unlucky = any(shot.index == 3 for shot in shots)
        return original(evaluation, shots, failing if unlucky else compute)

    def keep(place, standing, arrays, run=inversion_stage.keep_standing):
        run(place, standing, arrays)
        raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(leaf, "_attempt", attempt)
        patch.setattr(inversion_stage, "keep_standing", keep)
        lenient = job_of(folder, "fwi", name, run__max_failed_shots=1)
        with pytest.raises(Stopped):
            invert_survey(lenient, cluster=InProcess())
    outcome = invert_survey(job_of(folder, "fwi", name), cluster=InProcess(), resume=True)
    assert outcome.accepted
    assert not outcome.failures
    assert same_results(folder / "runs" / name, folder / "runs/fwi")


def standing(iterations: int) -> Standing:
    """Where an inversion might stand."""
    first = IterationRecord.start(5.0, 2.0)
    records = (first, replace(first, iteration=1, changes={"vp": 0.1}, shots=(0, 1)))
    left_out = {"3": LeftOut(1, 2)}
    return Standing(
        0, iterations, (0, 1), (Failure(2, "3", "NaN"),), (1,), None, 2.0, {"vp": 0.5}, records,
        left_out,
    )  # fmt: skip


def test_it_comes_back_as_it_was_and_arrays_that_stay_are_written_once(tmp_path):
    rng = np.random.default_rng(1)
    stays, goes, comes = rng.standard_normal((3, 50))
    keep_standing(tmp_path, standing(1), {"change0": goes, "change1": stays})
    before = {path.name: path.stat().st_ino for path in tmp_path.glob("*.npy")}
    keep_standing(tmp_path, standing(2), {"change0": stays, "change1": comes})
    after = {path.name: path.stat().st_ino for path in tmp_path.glob("*.npy")}
    assert len(before) == len(after) == 2
    assert len(set(before.items()) & set(after.items())) == 1
    found, arrays = last_standing(tmp_path, most_failures=1)
    assert found == standing(2)
    assert arrays["change0"].tobytes() == stays.tobytes()
    assert arrays["change1"].tobytes() == comes.tobytes()
    assert last_standing(tmp_path, most_failures=0) is None
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_the_last_one_good(tmp_path, monkeypatch):
    keep_standing(tmp_path, standing(1), {"vector": np.ones(3)})

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(DiskFullError, match=r"No space left on device.*output.folder"):
            keep_standing(tmp_path, standing(2), {"vector": np.zeros(3)})
    found, arrays = last_standing(tmp_path, most_failures=1)
    assert found.iterations == 1
    assert arrays["vector"].all()
    assert len(list(tmp_path.iterdir())) == 2  # what was half done is swept
