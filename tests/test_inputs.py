"""What a run reads before it starts: the keys of the job reach the readers."""

import logging

import numpy as np
import pytest
from toy_jobs import settings, write_job, write_models

from wavepipe.pipeline import inputs
from wavepipe.pipeline.clusters.cluster import InProcess
from wavepipe.pipeline.errors import JobError, SurveyError
from wavepipe.pipeline.job import read_job
from wavepipe.pipeline.modelling import model_survey


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Modelled data and a job that migrates them."""
    folder = tmp_path_factory.mktemp("inputs")
    write_models(folder)
    for kind in ("model", "rtm"):
        write_job(folder, settings(kind))
    model_survey(read_job(folder / "model.yaml"), cluster=InProcess())
    return folder


def test_the_line_of_the_survey_is_the_one_the_job_gives(folder):
    """An origin 10 m along the line moves every position by as much."""
    plain = inputs.read_inputs(read_job(folder / "rtm.yaml")).survey
    pairs = ["survey.line_origin=[10, 0]", "survey.line_azimuth=90", "survey.outside=drop"]
    moved = inputs.read_inputs(read_job(folder / "rtm.yaml", pairs)).survey
    shift = plain.source_positions[-1, 1] - moved.source_positions[-1, 1]
    assert shift == pytest.approx(10.0, abs=1e-6)
    assert np.allclose(plain.source_positions[-1, 0], moved.source_positions[-1, 0])


def test_point_source_spreading_is_for_two_dimensions_only(folder, monkeypatch):
    """In 3-D there is nothing to turn into line-source data."""
    job = read_job(folder / "rtm.yaml", ["survey.spreading=3d"])
    assert inputs.read_inputs(job).survey.n_shots > 0
    earth = inputs.read_inputs(job).earth
    monkeypatch.setattr(type(earth), "ndim", property(lambda _: 3))
    with pytest.raises(JobError, match="the earth model is 3-D"):
        inputs._survey(job, earth)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    """Warnings of the package, also after a command that has sent them to the terminal."""
    logger = logging.getLogger("wavepipe")
    monkeypatch.setattr(logger, "handlers", [caplog.handler])
    monkeypatch.setattr(logger, "propagate", False)
    caplog.set_level(logging.WARNING, "wavepipe")
    return caplog


def _with_binary_interval(folder, microseconds):
    """A copy of the data whose binary header gives another sample interval."""
    file = bytearray((folder / "runs" / "model" / "shots.sgy").read_bytes())
    file[3216:3218] = microseconds.to_bytes(2, "big")
    (folder / "interval.sgy").write_bytes(file)


def test_headers_that_contradict_each_other_are_a_warning_that_the_job_can_settle(folder, said):
    _with_binary_interval(folder, 2000)
    pairs = ["survey.data=interval.sgy"]
    assert inputs.read_inputs(read_job(folder / "rtm.yaml", pairs)).survey.dt == 0.002
    assert any("set survey.dt: 0.004 if that is right" in line for line in said.messages)
    said.clear()
    settled = inputs.read_inputs(read_job(folder / "rtm.yaml", [*pairs, "survey.dt=0.004"]))
    assert settled.survey.dt == 0.004
    assert not said.messages
    with pytest.raises(JobError, match=r"survey\.dt is 0\.003 s"):
        inputs.read_inputs(read_job(folder / "rtm.yaml", [*pairs, "survey.dt=0.003"]))


def test_a_band_far_below_the_wavelet_is_a_warning(folder, said):
    write_job(folder, settings("fwi"))
    pairs = ["fwi.stages=[{max_frequency: 1.5, iterations: 1}]"]
    inputs.read_inputs(read_job(folder / "fwi.yaml", pairs))
    (line,) = said.messages
    assert "fwi.stages.0.max_frequency of fwi.yaml is 1.5 Hz" in line


def test_bounds_need_not_hold_where_nothing_may_change(folder):
    """The water is masked, so that bounds above its velocity are no contradiction."""
    write_job(folder, settings("fwi"))
    pairs = ["fwi.parameters.vp.bounds=[1700, 2600]"]
    assert inputs.read_inputs(read_job(folder / "fwi.yaml", pairs)).mask.any()


def test_receivers_on_a_free_surface_are_pointed_out(folder):
    """Where all of them are there, there is nothing to migrate."""
    at_top = "survey.depths={source: 10, receiver: 0}"
    free = "propagator.free_surface=[z0]"
    job = read_job(folder / "rtm.yaml", [at_top, free])
    with pytest.raises(SurveyError, match="receivers lie on the free surface z0"):
        inputs.read_inputs(job)
