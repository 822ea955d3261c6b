"""Traces that hold nothing to use, and data or bands that leave nothing to invert, are said."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import zarr
from toy_jobs import toy_job, write_models

from wavepipe.pipeline.clusters.cluster import InProcess
from wavepipe.pipeline.inversion import invert_survey
from wavepipe.pipeline.migration import migrate_survey
from wavepipe.pipeline.modelling import model_survey

FEW = {"survey__shots": "[0, 1, 2]"}
ONE_STAGE = "[{max_frequency: 10.0, iterations: 1}]"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with modelled data, and the same with a NaN and two zero traces."""
    folder = tmp_path_factory.mktemp("left_out")
    write_models(folder)
    model_survey(toy_job(folder, "model"), cluster=InProcess())
    file = bytearray((folder / "runs" / "model" / "shots.sgy").read_bytes())
    traces = np.frombuffer(file, dtype=np.uint8, offset=3600).reshape(-1, 240 + 4 * 130)
    samples = traces[:, 240:].view(">f4")
    samples[33, 7] = np.nan
    samples[70:72] = 0.0
    (folder / "holes.sgy").write_bytes(file)
    return folder


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    """Warnings of the package, also after a command that has sent them to the terminal."""
    logger = logging.getLogger("wavepipe")
    monkeypatch.setattr(logger, "handlers", [caplog.handler])
    monkeypatch.setattr(logger, "propagate", False)
    caplog.set_level(logging.WARNING, "wavepipe")
    return caplog


@pytest.mark.parametrize(("kind", "job"), [("rtm", migrate_survey), ("fwi", invert_survey)])
def test_traces_with_nan_and_all_zero_traces_are_counted_once(folder, said, kind, job):
    more = {"fwi__stages": ONE_STAGE} if kind == "fwi" else {}
    settings = toy_job(
        folder, kind, survey__data="holes.sgy", output__folder=f"runs/{kind}", **FEW, **more
    )
    outcome = job(settings, cluster=InProcess())
    expected = [
        "shot 2: 1 trace with NaN or infinity left out",
        "shot 3: 2 all-zero traces left out",
    ]
    assert [line for line in said.messages if "left out" in line] == expected
    assert zarr.open_group(outcome.folder / "results.zarr").attrs["left_out"] == expected
    lines = (outcome.folder / "events.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    assert [one["shot"] for one in events if one.get("event") == "left out"] == [1, 2]


def test_an_inversion_of_nothing_says_why(folder, said):
    job = toy_job(
        folder,
        "fwi",
        fwi__stages=ONE_STAGE,
        fwi__mute="{velocity: 100.0, flat: 2.0, taper: 0.01}",
        output__folder="runs/nothing",
        **FEW,
    )
    invert_survey(job, cluster=InProcess())
    assert any("the misfit is zero before the first iteration" in one for one in said.messages)


def test_an_image_of_nothing_says_why(folder, said):
    job = toy_job(
        folder,
        "rtm",
        rtm__mute="{velocity: 100.0, flat: 2.0, taper: 0.01}",
        output__folder="runs/black",
        **FEW,
    )
    migrate_survey(job, cluster=InProcess())
    assert any("the image is zero everywhere" in one for one in said.messages)
