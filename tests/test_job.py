"""The job file: what is accepted, and how everything else is refused."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from wavepipe.pipeline.errors import JobError, SegyError, SurveyError
from wavepipe.pipeline.job import Job, check_files, check_kind, make_wavelet, read_job
from wavepipe.pipeline.segy.images import write_image_segy

FWI = """\
kind: fwi
physics: scalar
earth_model:
  vp: {path: start.zarr, name: vp}
  spacing: [10, 10]
  origin: [0, 0]
survey:
  data: shots.sgy
  layout: null
  shots: all
  depths: auto
  outside: error
  aperture: 1000
  spreading: 2d
wavelet: {ricker: {peak_frequency: 8, delay: 0.15}}
propagator: {order: 8, pml_width: 20, pml_frequency: auto, free_surface: [], velocity_bound: auto,
             time_step: auto, backend: auto}
storage: {mode: auto, method: auto, compression: none, stride: auto, path: auto, budget: auto,
          max_gradient_error: 1.0e-3}
rtm: {mute: {velocity: 1700, flat: 0.1, taper: 0.2}, low_cut: 40, illumination: true,
      least_squares: null}
fwi:
  parameters: {vp: {bounds: [1400, 5000], step_scale: 1.0}}
  misfit: l2
  optimizer: {lbfgs: {memory: 8}}
  stages:
    - {max_frequency: 3, iterations: 10}
    - {max_frequency: 6, iterations: 10, minibatch: 20}
  mask: {water: true}
  smoothing: 30
cluster: {kind: local, workers: auto, threads_per_worker: auto}
run: {max_failed_shots: 0, allow_mixed_hardware: false, seed: 0}
output: {folder: runs/example, segy: true, figures: true}
"""


@pytest.fixture
def job_file(tmp_path: Path) -> Path:
    """The complete example."""
    path = tmp_path / "job.yaml"
    path.write_text(FWI)
    return path


def refusal(path: Path, *overrides: str) -> str:
    """The message that refuses a job."""
    with pytest.raises(JobError) as caught:
        read_job(path, overrides)
    return str(caught.value)


def test_the_complete_example_is_read(job_file):
    job = read_job(job_file)
    assert job.fwi is not None
    assert job.fwi.stages[1].minibatch == 20
    assert job.fwi.parameters.vp.bounds == (1400.0, 5000.0)
    assert job.rtm.mute is not None
    assert job.rtm.mute.velocity == 1700.0
    assert job.survey.aperture == 1000.0
    assert job.folder == job_file.parent
    assert job.output_folder == job_file.parent / "runs" / "example"


def test_a_minimal_job_has_defaults_for_every_other_section(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(
        "kind: model\nearth_model: {vp: {constant: 1500}, spacing: [10, 10], shape: [5, 5]}\n"
        "survey: {layout: {table: g.csv}, dt: 0.004, nt: 100}\n"
        "wavelet: {ricker: {peak_frequency: 8}}\nrtm:\n"
    )
    job = read_job(path)
    assert job.propagator.order == 8
    assert job.storage.mode == "auto"
    assert job.cluster.kind == "local"
    assert job.output_folder == tmp_path / "runs" / "small"


def test_a_misspelt_key_is_refused_with_the_nearest_key_section_file_and_line(tmp_path):
    path = tmp_path / "job.yaml"
    path.write_text(FWI.replace("max_frequency: 3", "max_frequencyy: 3"))
    assert refusal(path) == (
        "unknown key 'max_frequencyy' in section fwi.stages[0] of job.yaml; "
        "did you mean 'max_frequency'? (line 27)"
    )


def test_an_unknown_key_that_resembles_none_is_refused_with_the_keys_that_exist(job_file):
    message = refusal(job_file, "fwi.qqqq=1")
    assert "valid keys are" in message
    assert "stages" in message


def test_a_misspelt_section_is_refused(tmp_path):
    path = tmp_path / "job.yaml"
    path.write_text(FWI.replace("propagator:", "propagatr:"))
    assert "unknown key 'propagatr' in job.yaml; did you mean 'propagator'?" in refusal(path)


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("kind=migrate", ("kind of job.yaml is 'migrate'", "one of model, rtm, fwi")),
        ("physics=maxwell", ("physics", "'maxwell'", "one of scalar, acoustic, elastic")),
        ("storage.mode=tape", ("storage.mode", "'tape'", "auto, device, cpu, disk, none")),
        ("storage.method=magic", ("storage.method", "'magic'", "auto, snapshots, boundary")),
        ("storage.compression=zip", ("storage.compression", "'zip'", "none, float16")),
        ("rtm.least_squares=5", ("rtm.least_squares", "5", "null")),
        ("fwi.encoding=random", ("unknown key 'encoding'", "fwi")),
        ("fwi.misfit=wasserstein", ("fwi.misfit", "l2")),
        ("fwi.optimizer={newton: {}}", ("'newton'", "adam, lbfgs and sgd")),
        ("fwi.optimizer={adam: {}, sgd: {}}", ("exactly one", "adam and sgd are given")),
        ("cluster.kind=cloud", ("cluster.kind", "'cloud'", "local, cuda, slurm, pbs, lsf")),
        ("cluster.kind=slurm", ("'slurm' submits a job for each worker", "as workers")),
        ("cluster={kind: static, workers: 2}", ("srun or mpirun", "leave workers out")),
        ("cluster.min_workers=1", ("min_workers is for slurm, pbs", "'local'")),
        ("cluster={kind: slurm, workers: 2, min_workers: 3}", ("min_workers is 3", "which is 2")),
        ("cluster.jobs.walltime=soon", ("'soon' is no duration", "12:00:00")),
        ("cluster.jobs.memory=much", ("'much' is no amount of memory", "'8 GB'")),
        ("cluster={kind: address, address: a, tls: true}", ("distributed.comm.tls",)),
        ("cluster.kind=address", ("address", "tcp://host:port")),
        ("cluster.batch_shots=3", ("batch_shots is 3", "power of two")),
        ("survey.spreading=4d", ("survey.spreading", "'4d'", "2d")),
        ("survey.shots=first", ("shots is 'first'", "0:100:2")),
        ("survey.shots=[1, -2]", ("survey.shots[1]", "-2", "at least 0")),
        ("survey.depths={source: 6}", ("survey.depths", "has no 'receiver'")),
        ("survey.data={vz: a.sgy}", ("'vz'", "pressure")),
        ("survey.data=null", ("survey.data",)),
        ("propagator.order=7", ("propagator.order", "7", "2, 4, 6, 8")),
        ("propagator.time_step=fast", ("time_step", "'fast'", "auto or a number")),
        ("propagator.pml_width=2.5", ("pml_width", "2.5", "whole number")),
        ("propagator.free_surface=[top]", ("free_surface[0]", "'top'", "z0")),
        ("fwi.stages=[]", ("fwi.stages", "at least 1")),
        ("fwi.stages.0.max_frequency=-3", ("fwi.stages[0].max_frequency", "-3", "greater than 0")),
        ("fwi.stages.0={iterations: 2}", ("fwi.stages[0]", "no 'max_frequency'")),
        ("fwi.parameters.vp.bounds=[3, 2]", ("bounds [3.0, 2.0]", "below")),
        ("fwi.smoothing=.nan", ("fwi.smoothing", "finite")),
        ("fwi=null", ("fwi", "stages")),
        ("earth_model.spacing=[10]", ("earth_model.spacing", "[10]", "at least 2")),
        ("earth_model.spacing=[10, 10, 10]", ("spacing has 3", "origin has 2")),
        ("earth_model.vp={constant: 1500, path: a.npy}", ("exactly one", "path and constant")),
        ("earth_model.vp={constant: 1500, unit: m/s}", ("'unit' belongs to a file",)),
        ("earth_model.vp={constant: -3}", ("vp.constant holds -3", "greater than 0")),
        ("earth_model.vp={constant: 0}", ("vp.constant holds 0", "greater than 0")),
        ("earth_model.vs={constant: -3}", ("vs.constant holds -3", "at least 0")),
        ("earth_model.vp={layers: {tops: [0], values: [0]}}", ("vp.layers.values holds 0",)),
        ("survey.shots=[1, 5, 1]", ("shot 1 more than once",)),
        ("survey.layout={table: a.csv}", ("dt (s) and nt",)),
        ("survey={layout: {table: a}, dt: 1e-3, nt: 9}", ("in the place of survey.layout",)),
        ("survey={layout: {table: a}, data: a, dt: 1e-3, nt: 9}", ("leave out survey.layout",)),
        (
            "survey.layout.towed.nearoffset=3",
            ("'nearoffset'", "survey.layout.towed", "near_offset"),
        ),
        ("survey.layout.towed={near_offset: 3}", ("survey.layout.towed", "no 'sources'")),
        ("survey.layout.nodes.source=3", ("'source'", "survey.layout.nodes", "'sources'")),
        ("survey.layout.nodes.sources.x.strt=3", ("nodes.sources.x", "did you mean 'start'")),
        ("survey.layout.nodes={sources: {x: {start: 0, stop: 9}}}", ("stop is given",)),
        ("survey.layout.nodes.sources.x=far", ("'far'", "a number, a list")),
        ("wavelet={ricker: 8}", ("wavelet.ricker", "8", "section with keys")),
        ("wavelet={path: w.npy}", ("sample interval", "dt")),
        ("output.segy=3", ("output.segy", "3", "true or false")),
        ("output.folder=${NOT_SET_ANYWHERE}/x", ("'NOT_SET_ANYWHERE'", "not set")),
        ("fwi.stages.7.iterations=1", ("list of 2", "0 to 1")),
        ("fwi.smoothing", ("KEY=VALUE",)),
        ("kind.deeper=1", ("kind of job.yaml is 'fwi'", "has no key 'deeper'")),
    ],
)
def test_a_bad_value_is_refused_with_key_value_and_what_is_valid(job_file, override, parts):
    message = refusal(job_file, override)
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_a_sample_interval_in_milliseconds_is_hinted_at(job_file):
    with pytest.warns(UserWarning, match=r"is 4 s.*write 0\.004 if 4 ms"):
        read_job(job_file, ["survey.dt=4"])


def test_a_gradient_without_storage_is_refused(job_file):
    assert "needs it for its gradient" in refusal(job_file, "storage.mode=none")


def test_a_repeated_key_is_refused_at_its_line(tmp_path):
    path = tmp_path / "job.yaml"
    path.write_text("kind: model\nphysics: scalar\nkind: rtm\n")
    assert "job.yaml:3:1: key 'kind' is written twice, first on line 1" in refusal(path)


def test_broken_yaml_is_refused_at_its_line(tmp_path):
    path = tmp_path / "job.yaml"
    path.write_text("kind: model\nsurvey: {data: [a.sgy\nwavelet: 3\n")
    assert "job.yaml:3" in refusal(path)


@pytest.mark.parametrize(
    ("content", "part"),
    [(b"", "is empty"), (b"- 1\n- 2\n", "not sections"), (b"\xff\xfe\x00", "not a text file")],
)
def test_a_file_that_is_no_job_is_refused(tmp_path, content, part):
    path = tmp_path / "job.yaml"
    path.write_bytes(content)
    assert part in refusal(path)


def test_a_missing_job_file_is_refused_with_the_folder_that_was_searched(tmp_path):
    assert str(tmp_path) in refusal(tmp_path / "nowhere.yaml")


def test_overrides_are_yaml_and_reach_into_lists(job_file):
    job = read_job(job_file, ["fwi.stages.0.iterations=2", "survey.shots=[1, 5]", "run.seed=7"])
    assert job.fwi is not None
    assert job.fwi.stages[0].iterations == 2
    assert job.survey.shots == (1, 5)
    assert job.run.seed == 7


def test_an_exponent_without_a_point_is_a_number(job_file):
    assert (
        read_job(job_file, ["storage.max_gradient_error=1e-4"]).storage.max_gradient_error == 1e-4
    )


def test_variables_are_expanded(job_file, monkeypatch):
    monkeypatch.setenv("SCRATCH_FOLDER", "/scratch/me")
    monkeypatch.setenv("N_WORKERS", "3")
    job = read_job(
        job_file, ["output.folder=${SCRATCH_FOLDER}/run", "cluster.workers=${N_WORKERS}"]
    )
    assert job.output_folder == Path("/scratch/me/run")
    assert job.cluster.workers == 3
    assert read_job(job_file, ["output.folder=${N_WORKERS}"]).output_folder.name == "3"


def test_the_resolved_job_reads_back_as_the_same_job_from_any_folder(job_file, tmp_path):
    (tmp_path / "shots.sgy").write_bytes(b"x")
    job = read_job(job_file)
    moved = tmp_path / "elsewhere" / "resolved.yaml"
    moved.parent.mkdir()
    moved.write_text(job.resolved_yaml())
    again = read_job(moved)
    assert again.resolved() == job.resolved()
    assert again.output_folder == job.output_folder
    assert yaml.safe_load(job.resolved_yaml())["survey"]["data"] == [str(tmp_path / "shots.sgy")]


def test_a_job_cannot_be_changed(job_file):
    job = read_job(job_file)
    with pytest.raises(ValueError, match="frozen"):
        job.kind = "rtm"


def test_a_job_of_another_kind_is_refused_with_the_command_that_fits(job_file):
    with pytest.raises(JobError, match=r"kind 'fwi'.*wavepipe rtm.*--set kind=rtm"):
        check_kind(read_job(job_file), "rtm")


def test_patterns_in_data_are_expanded_and_sorted(job_file, tmp_path):
    for name in ("b.sgy", "a.sgy"):
        (tmp_path / name).write_bytes(b"x")
    job = read_job(job_file, ["survey.data='*.sgy'"])
    assert [path.name for path in job.data_files()] == ["a.sgy", "b.sgy"]


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("shots.sgy", None, "does not exist"),
        ("*.segy", None, "no file matches"),
        ("shots.sgy", b"", "is empty"),
    ],
)
def test_data_that_are_not_there_are_refused_before_anything_is_read(
    job_file, tmp_path, name, content, part
):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    job = read_job(job_file, [f"survey.data='{name}'", "earth_model.vp={constant: 1500}"])
    with pytest.raises(SurveyError, match=part):
        check_files(job)


def test_a_missing_model_file_is_refused_before_anything_is_read(job_file):
    with pytest.raises(JobError, match=r"earth_model.vp.path of job.yaml: .*start.zarr"):
        check_files(read_job(job_file))


def wavelet_job(job_file: Path, section: str) -> Job:
    """The example with another wavelet."""
    return read_job(job_file, [f"wavelet={section}"])


def test_a_ricker_wavelet_peaks_at_its_delay(job_file):
    job = wavelet_job(job_file, "{ricker: {peak_frequency: 10, delay: 0.2}, amplitude: 3}")
    samples = make_wavelet(job.wavelet, 0.002, 500)
    assert samples.shape == (500,)
    assert np.argmax(samples) == 100
    # The peak falls on a sample, where a Ricker wavelet is exactly 1.
    assert samples[100] == pytest.approx(3.0, rel=1e-12)


def test_a_wavelet_file_is_padded_and_its_interval_checked(job_file, tmp_path):
    np.save(tmp_path / "w.npy", np.arange(3.0))
    job = wavelet_job(job_file, "{path: w.npy, dt: 0.002}")
    np.testing.assert_array_equal(
        make_wavelet(job.wavelet, 0.002, 5, job.folder), [0.0, 1.0, 2.0, 0.0, 0.0]
    )
    with pytest.raises(JobError, match=r"0\.002 s and the data at 0\.004 s"):
        make_wavelet(job.wavelet, 0.004, 5, job.folder)


def test_a_wavelet_file_with_nan_is_refused(job_file, tmp_path):
    np.save(tmp_path / "w.npy", np.array([0.0, np.nan]))
    job = wavelet_job(job_file, "{path: w.npy, dt: 0.002}")
    with pytest.raises(JobError, match="nan at sample 1"):
        make_wavelet(job.wavelet, 0.002, 5, job.folder)


def test_segy_that_is_cut_short_or_something_else_is_refused_before_it_is_read(job_file, tmp_path):
    write_image_segy(tmp_path / "shots.sgy", np.ones((50, 4)), (5.0, 10.0), (0.0, 0.0), "test")
    job = read_job(job_file, ["earth_model.vp={constant: 1500}"])
    check_files(job)
    content = (tmp_path / "shots.sgy").read_bytes()
    (tmp_path / "shots.sgy").write_bytes(content[:-100])
    with pytest.raises(SegyError, match=r"shots.sgy is cut short: after 3 whole traces"):
        check_files(job)
    (tmp_path / "shots.sgy").write_bytes(b"\x89PNG" * 2000)
    with pytest.raises(SegyError, match=r"shots.sgy"):
        check_files(job)
