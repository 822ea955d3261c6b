"""Migration and inversion with wavefields on disk, compressed and computed again."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import zarr
from toy_jobs import settings, toy_job, write_job, write_models

from wavepipe.pipeline import keeping, leaf, prices, shot_calls
from wavepipe.pipeline.clusters.cluster import InProcess
from wavepipe.pipeline.errors import DiskFullError
from wavepipe.pipeline.inversion import invert_survey
from wavepipe.pipeline.migration import migrate_survey
from wavepipe.pipeline.modelling import model_survey
from wavepipe.propagators.errors import StorageError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with modelled data in runs/model."""
    folder = tmp_path_factory.mktemp("jobs")
    write_models(folder)
    model_survey(toy_job(folder, "model"), cluster=InProcess())
    return folder


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A folder for scratch."""
    path = tmp_path / "scratch"
    path.mkdir()
    return path


def image(folder: Path, name: str, batch: object = "auto", **storage: object) -> np.ndarray:
    """Image of the toy survey, without what makes it uneven."""
    job = toy_job(
        folder,
        "rtm",
        output__folder=f"runs/{name}",
        rtm__illumination="false",
        cluster__threads_per_worker=1,
        cluster__batch_shots=batch,
        **{"storage__stride": 2, **{f"storage__{key}": value for key, value in storage.items()}},
    )
    outcome = migrate_survey(job, cluster=InProcess())
    assert outcome.accepted
    return np.asarray(zarr.open_array(outcome.folder / "results.zarr/image", mode="r")[...])


@pytest.fixture(scope="module")
def in_memory(folder: Path) -> np.ndarray:
    """The image with wavefields as they are in memory."""
    return image(folder, "memory")


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


@pytest.mark.parametrize(
    "storage",
    [
        {"mode": "disk"},
        {"mode": "cpu"},
        {"method": "recompute"},
        {"mode": "disk", "method": "recompute"},
        {"budget": 1_000_000},
    ],
)
def test_what_loses_nothing_gives_the_same_image(folder, in_memory, disk, storage):
    """To the bit, and nothing is left on the disk."""
    name = "-".join(map(str, storage.values()))
    if storage.get("mode") == "disk":
        storage = storage | {"path": disk}
    assert np.array_equal(image(folder, name, **storage), in_memory)
    assert not list(disk.iterdir())


def test_steps_taken_back_change_the_image_by_rounding_alone(folder, in_memory, disk):
    """Alike in memory, on disk, and for any batches."""
    back = image(folder, "back", method="boundary")
    assert 0 < relative(back, in_memory) < 1e-4
    for name, storage in (("back-disk", {"mode": "disk", "path": disk}), ("back-1", {"batch": 1})):
        assert np.array_equal(image(folder, name, method="boundary", **storage), back)
    assert not list(disk.iterdir())


def test_without_a_disk_of_its_own_a_node_uses_the_run_folder(folder, in_memory, monkeypatch):
    """Which holds nothing of it afterwards."""
    used, original = [], keeping.scratch_folder
    monkeypatch.setattr(keeping, "in_memory", lambda _: True)
    monkeypatch.setattr(
        keeping, "scratch_folder", lambda *given: used.append(original(*given)) or used[-1]
    )
    found = image(folder, "spare", mode="disk", method="snapshots")
    assert np.array_equal(found, in_memory)
    assert used[-1] == folder / "runs/spare/work/scratch"
    assert {path.parts[-2:] for path in used} == {("work", "scratch")}  # of a trial too
    assert not any(path.parent.exists() for path in used)


def test_a_codec_changes_the_image_little_and_alike_wherever_it_is_kept(folder, in_memory, disk):
    """A mute leaves a small part of the wavefields' product, and the codec's error of all of it."""
    packed = image(folder, "packed", mode="device", compression="cosine6")
    assert 0 < relative(packed, in_memory) < 1e-2
    spilled = image(folder, "packed-disk", mode="disk", path=disk, compression="cosine6")
    assert np.array_equal(spilled, packed)
    assert not list(disk.iterdir())


def test_an_inversion_with_a_compressed_wavefield_on_disk_is_that_in_memory(folder, disk):
    """Its misfits and its model, after three updates."""
    found = {}
    spilled = {"storage__mode": "disk", "storage__path": disk}
    for name, storage in (
        ("memory", {}),
        ("disk", spilled),
        ("packed", spilled | {"storage__compression": "cosine4"}),
    ):
        storage = storage | {"cluster__threads_per_worker": 1}
        job = toy_job(folder, "fwi", output__folder=f"runs/fwi-{name}", **storage)
        group = zarr.open_group(invert_survey(job, cluster=InProcess()).folder / "results.zarr")
        found[name] = [np.asarray(group[key][...]) for key in ("misfit", "vp")]
        assert not list(disk.iterdir())
    for one, expected in zip(found["disk"], found["memory"], strict=True):
        assert np.array_equal(one, expected)
    misfits, models = zip(*(found[name] for name in ("packed", "memory")), strict=True)
    np.testing.assert_allclose(misfits[0], misfits[1], rtol=1e-2)
    change = models[1][-1] - np.load(folder / "start.npy")
    assert not np.array_equal(*models)
    assert np.linalg.norm(models[0][-1] - models[1][-1]) < 0.02 * np.linalg.norm(change)


@pytest.mark.parametrize(
    ("name", "storage"),
    [
        ("whole", {}),
        ("spilled", {"mode": "disk", "method": "snapshots"}),
        ("packed", {"mode": "device", "compression": "cosine4"}),
        ("again", {"method": "recompute"}),
        ("back", {"mode": "device", "method": "boundary"}),
    ],
)
def test_the_plan_predicts_what_calls_take(folder, name, storage, monkeypatch):
    """Of the kept wavefield: to the byte for one shot, and no more than that times the shots."""
    taken, original = [], shot_calls.propagate

    def watched(*given, **options):
        made = original(*given, **options)
        taken.append(made.info)
        return made

    monkeypatch.setattr(shot_calls, "propagate", watched)
    monkeypatch.setattr(prices, "_measured", lambda *_: ())
    for shots in (1, 4):
        taken.clear()
        run = f"predicted-{name}-{shots}"
        image(folder, run, batch=shots, **storage)
        planned = json.loads((folder / "runs" / run / "plan.json").read_text())
        keeping, most = planned["keeping"], planned["schedule"]["call_shots"]
        assert most == shots
        assert {(i.mode, i.method, i.compression) for i in taken} == {
            (keeping["mode"], keeping["method"], keeping["compression"])
        }
        for key, sizes in (
            ("shot_memory", [info.bytes for info in taken]),
            ("shot_disk", [info.disk_bytes for info in taken]),
        ):
            assert max(sizes) <= most * keeping[key]
            assert most > 1 or max(sizes) == keeping[key]


def test_the_next_run_removes_what_a_killed_one_left(folder, disk):
    """kill -9 in the middle of a migration; scratch of the living is not the next run's."""
    content = settings("rtm")
    content["storage"] = {
        "mode": "disk", "method": "snapshots", "path": str(disk), "stride": 1, "budget": 300_000,
    }  # fmt: skip
    content["output"]["folder"] = "runs/killed"
    path = write_job(folder, content, "killed.yaml")
    command = [sys.executable, "-m", "wavepipe.cli", "rtm", str(path), "--workers", "1"]
    run = subprocess.Popen(
        command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 60.0
    while not list(disk.glob("*/owner.lock")):
        assert run.poll() is None, run.stderr.read().decode()
        assert time.monotonic() < deadline
        time.sleep(0.001)
    os.killpg(run.pid, signal.SIGKILL)
    run.communicate()
    assert list(disk.iterdir())
    outcome = migrate_survey(
        toy_job(folder, "rtm", output__folder="runs/next", storage__path=disk), cluster=InProcess()
    )
    assert outcome.accepted
    assert json.loads((outcome.folder / "plan.json").read_text())["keeping"]["mode"] == "device"
    assert not list(disk.iterdir())


def test_a_disk_that_fails_stops_the_run_and_blames_no_shot(folder, disk, monkeypatch):
    """As a full disk for results does: the run can go on when there is room."""

    def full(*_: object, **__: object) -> None:
        raise StorageError("the disk is full.")

    monkeypatch.setattr(leaf, "call", full)
    with pytest.raises(DiskFullError, match=r"wavefield of shot .* cannot be kept: the disk is"):
        image(folder, "full", mode="disk", path=disk)
