"""Keys of a job file that depend on the physics: parameters, sources, components."""

from pathlib import Path

import pytest
import yaml

from wavepipe.pipeline.errors import JobError
from wavepipe.pipeline.job import Job, read_job

ELASTIC = """\
kind: model
physics: elastic
earth_model:
  vp: {constant: 2500}
  vs: {ratio: {of: vp, value: 0.577}}
  rho: {gardner: {of: vp}}
  spacing: [10, 10]
  shape: [20, 30]
survey:
  layout: {table: places.csv}
  dt: 0.002
  nt: 100
  components: [vz, vx, pressure]
  source: {moment: [[1, 0.5], [0.5, -2]]}
wavelet: {ricker: {peak_frequency: 8}}
"""


@pytest.fixture
def job_file(tmp_path: Path) -> Path:
    """An elastic job with a moment tensor."""
    path = tmp_path / "job.yaml"
    path.write_text(ELASTIC)
    return path


def refusal(path: Path, *overrides: str) -> str:
    """The message that refuses a job."""
    with pytest.raises(JobError) as caught:
        read_job(path, overrides)
    return str(caught.value)


def resolved(job: Job) -> dict:
    """The job as a file would have it."""
    return yaml.safe_load(job.resolved_yaml())


def test_an_elastic_job_is_read(job_file):
    job = read_job(job_file)
    assert list(job.earth_model.given) == ["vp", "vs", "rho"]
    assert job.survey.components == ("vz", "vx", "pressure")
    assert job.survey.source_name == "moment"
    assert job.survey.moment == ((1.0, 0.5), (0.5, -2.0))
    assert resolved(job)["survey"]["source"] == {"moment": [[1.0, 0.5], [0.5, -2.0]]}


@pytest.mark.parametrize("source", ["pressure", "fz", "fx"])
def test_a_source_is_named(job_file, source):
    job = read_job(job_file, [f"survey.source={source}"])
    assert job.survey.source_name == source
    assert job.survey.moment is None


def test_files_are_named_by_component(job_file, tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.sgy").write_bytes(b"x")
    changes = ["survey.layout=null", "survey.dt=null", "survey.nt=null", "survey.components=null"]
    job = read_job(job_file, [*changes, "survey.data={vx: c.sgy, vz: [a.sgy, b.sgy]}"])
    found = job.survey_files()
    assert found == {
        "vz": (tmp_path / "a.sgy", tmp_path / "b.sgy"),
        "vx": (tmp_path / "c.sgy",),
    }
    assert job.data_files() == (*found["vz"], *found["vx"])
    again = job_file.with_name("again.yaml")
    again.write_text(job.resolved_yaml())
    assert read_job(again).survey_files() == found


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (["earth_model.vs=null"], ("needs vp, vs and rho", "add earth_model.vs", "value: 0.577")),
        (["earth_model.rho=null"], ("has no rho", "{gardner: {of: vp}}")),
        (["earth_model.vs={gardner: {of: vp}}"], ("earth_model.vs", "use it for rho")),
        (["earth_model.vz={constant: 3}"], ("unknown key 'vz'", "rho, shape, spacing, vp and vs")),
        (["earth_model.vs={ratio: {of: vz, value: 1}}"], ("ratio.of", "'vz'", "vp, vs, rho")),
        (["survey.components=[vz, vq]"], ("survey.components[1]", "'vq'", "pressure, vz, vy, vx")),
        (["survey.components=[vz, vz]"], ("names one more than once",)),
        (["survey.components=[]"], ("survey.components", "at least 1")),
        (["survey.source=fq"], ("survey.source", "'fq'", "pressure, fz, fy, fx")),
        (["physics=acoustic"], ("survey.source is 'moment'", "pressure, fz, fy and fx")),
        (
            ["physics=scalar", "survey.source=pressure"],
            ("survey.components names 'vz'", "physics scalar records pressure only"),
        ),
        (["physics=scalar", "survey.source=fz"], ("survey.source is 'fz'", "has pressure only")),
        (["survey.source={moment: [[1, 2], [3, 4]]}"], ("not symmetric", "[0][1] is 2", "3;")),
        (["survey.source={moment: [[1, 2, 3], [2, 1]]}"], ("3 by 3 in 3-D",)),
        (["survey.source={moment: [1, 2]}"], ("survey.source.moment[0]", "a list")),
        (["survey.source={moment: [[0, 0], [0, 0]]}"], ("moment is zero",)),
        (["survey.source={momnt: [[1, 0], [0, 1]]}"], ("'momnt'", "did you mean 'moment'")),
        (
            ["survey.component_weights={vq: 1}"],
            ("'vq'", "component_weights", "pressure, vx, vy and vz"),
        ),
        (["survey.component_weights={vz: -1}"], ("component_weights.vz", "at least 0")),
        (
            ["kind=rtm", "survey.layout=null", "survey.data=a.sgy"],
            ("survey.components is for kind model", "leave it out"),
        ),
        (
            ["survey.layout=null", "survey.components=null", "survey.data={}"],
            ("data names no file", "pressure, vz"),
        ),
        (
            ["survey.layout=null", "survey.components=null", "survey.data={vq: a.sgy}"],
            ("unknown key 'vq'", "survey.data", "pressure, vx, vy and vz"),
        ),
    ],
)  # fmt: skip
def test_what_a_physics_lacks_is_refused_with_what_it_has(job_file, overrides, parts):
    message = refusal(job_file, *overrides)
    assert "\n" not in message
    for part in parts:
        assert part in message
