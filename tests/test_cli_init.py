"""``wavepipe init``: templates that are valid jobs and fit together."""

import pytest
from click.testing import CliRunner

from wavepipe.cli.main import cli
from wavepipe.pipeline.earth_model import load_earth_model
from wavepipe.pipeline.job import read_job
from wavepipe.pipeline.job.reference import job_reference


@pytest.mark.parametrize("kind", ["model", "rtm", "fwi"])
def test_a_template_is_a_valid_commented_job(tmp_path, kind):
    path = tmp_path / "job.yaml"
    result = CliRunner().invoke(cli, ["init", kind, str(path)])
    assert result.exit_code == 0
    job = read_job(path)
    assert job.kind == kind
    assert load_earth_model(job).shape == (101, 301)
    assert path.read_text().count("#") > 10


def test_the_data_of_rtm_and_fwi_are_what_the_model_job_writes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, ["init", "rtm"])
    assert result.exit_code == 0
    assert "wavepipe model model.yaml" in result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.yaml", "rtm.yaml"]
    written = read_job(tmp_path / "model.yaml").output_folder / "shots.sgy"
    written.parent.mkdir(parents=True)
    written.write_bytes(b"x")
    assert read_job(tmp_path / "rtm.yaml").data_files() == (written,)


def test_an_existing_file_is_kept(tmp_path):
    path = tmp_path / "job.yaml"
    path.write_text("mine")
    result = CliRunner().invoke(cli, ["init", "model", str(path)])
    assert result.exit_code == 2
    assert "exists already" in result.stderr
    assert path.read_text() == "mine"


LAYOUT = ("towed.receiver_depth: ", "towed.side: ", "towed.streamers.y: ", "sources.x.step: ")


def test_every_key_is_listed_with_its_default():
    result = CliRunner().invoke(cli, ["init", "--keys"])
    assert result.exit_code == 0
    for part in ("fwi.stages[].max_frequency: ", "default 20", "auto or device or cpu", *LAYOUT):
        assert part in result.output


def test_the_page_of_keys_is_that_of_the_sections(repository):
    page = repository / "docs" / "job.md"
    assert page.read_text() == job_reference(), (
        "write it again: python -c 'from wavepipe.pipeline.job.reference import job_reference; "
        'print(job_reference(), end="")\' > docs/job.md'
    )
