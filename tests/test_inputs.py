"""What a run reads before it starts: the keys of the job reach the readers."""

import numpy as np
import pytest
from toy_jobs import settings, write_job, write_models

from wavepipe.pipeline import inputs
from wavepipe.pipeline.cluster import InProcess
from wavepipe.pipeline.errors import JobError
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
