"""Runs that could be silently wrong, and are not."""

import numpy as np
import pytest
import torch
from toy_jobs import settings, write_job, write_models

from wavepipe.pipeline import migration
from wavepipe.pipeline.clusters.cluster import InProcess
from wavepipe.pipeline.errors import ClusterError, JobError
from wavepipe.pipeline.evaluation import Treatment, save_array
from wavepipe.pipeline.execution import _require_answer, question_name
from wavepipe.pipeline.filters import line_source
from wavepipe.pipeline.gathers import trace_weights
from wavepipe.pipeline.job import read_job
from wavepipe.pipeline.modelling import model_survey
from wavepipe.pipeline.partial import Partial
from wavepipe.propagators import scalar
from wavepipe.propagators.wavelets import ricker


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Modelled data and a job file of each kind."""
    folder = tmp_path_factory.mktemp("honest")
    write_models(folder)
    for kind in ("model", "rtm", "fwi"):
        write_job(folder, settings(kind))
    model_survey(read_job(folder / "model.yaml"), cluster=InProcess())
    return folder


def test_two_questions_never_share_a_key():
    """Other shots, other batches of the same shots, another survey: another name."""
    base = ("evaluation-1", "survey", [(0, 1), (2,)])
    others = [
        ("evaluation-2", "survey", [(0, 1), (2,)]),
        ("evaluation-1", "other", [(0, 1), (2,)]),
        ("evaluation-1", "survey", [(0, 1), (3,)]),
        ("evaluation-1", "survey", [(0,), (1,), (2,)]),
    ]
    assert len({question_name(*q) for q in (base, *others)}) == 5
    assert question_name(*base) == question_name(*base)


def test_an_answer_for_other_shots_is_refused():
    """A sum over other shots than asked for is an error, never a result."""
    with pytest.raises(ClusterError, match="answered for shots"):
        _require_answer(Partial(shots=(0, 1)), [0, 1, 2])


def test_arrays_of_one_content_and_two_shapes_have_two_names(tmp_path):
    """A constant model of another shape is another model."""
    names = {save_array("vp", np.full(s, 2000.0), tmp_path) for s in ((3, 4), (4, 3), (12,))}
    assert len(names) == 3


def test_nothing_is_compared_before_a_trace_starts():
    """With a delay of 0.2 s, samples before it weigh nothing, and a taper follows."""
    source, receivers = np.array([0.0, 0.0]), np.array([[0.0, 100.0], [0.0, 200.0]])
    live = np.ones(2, dtype=bool)
    treatment = Treatment(taper_end=0.1)
    weights = trace_weights(source, receivers, live, 200, 0.004, treatment, np.array([0.0, 0.2]))
    assert weights[0, 0] == 1.0
    assert not weights[1, :50].any()
    assert 0 < weights[1, 60] < 1
    assert weights[1, 80] == 1.0


@pytest.mark.parametrize("offset", [300.0, 900.0])
def test_point_source_data_become_line_source_data_from_the_first_arrival_on(offset):
    """Spreading counts from the wavelet's own time: 3-D traces against a 2-D propagator."""
    dt, nt, c, delay = 0.002, 500, 2000.0, 0.12
    wavelet = ricker(12.0, dt, nt, delay)
    t = np.arange(nt) * dt
    point = np.interp(t - offset / c, t, wavelet, left=0.0) / (4 * np.pi * offset)
    line = scalar(
        torch.full((120, 200), c),
        8.0,
        dt,
        source_amplitudes=torch.tensor(wavelet, dtype=torch.float32)[None, None],
        source_positions=[[[480.0, 320.0]]],
        receiver_positions=[[[480.0, 320.0 + offset]]],
        order=8,
    )["pressure"][0, 0].numpy()
    turned = line_source(point, dt, c, start=delay)
    # A far-field correction; counted from zero the error is a third at 300 m.
    assert np.linalg.norm(turned - line) < 0.08 * np.linalg.norm(line)


def test_data_do_not_change_with_the_model_they_are_compared_with(folder):
    """With spreading 3d the misfit's gradient predicts the misfit: data are data."""
    from wavepipe.pipeline.execution import start_run

    job = read_job(folder / "fwi.yaml", ["survey.spreading=3d", f"output.folder={folder / 'a'}"])
    with start_run(job, cluster=InProcess()) as run:
        band = run.plan.passes[0]
        models = [run.inputs.earth.vp, run.inputs.earth.vp * np.float32(1.05)]
        described = [run.describe("gradient", band, {"vp": vp}, ("vp",)) for vp in models]
    assert described[0].treatment == described[1].treatment
    assert described[0].model != described[1].model


def test_a_stride_that_aliases_is_refused(folder):
    """Naming the largest that does not."""
    with pytest.raises(JobError, match=r"storage.stride is 60, .* alias beyond"):
        migration.migrate_survey(
            read_job(folder / "rtm.yaml", ["storage.stride=60", f"output.folder={folder / 'b'}"]),
            cluster=InProcess(),
        )


def test_a_figure_that_fails_loses_no_result(folder, monkeypatch, caplog):
    """The image is written, the run ends well, and the log says what happened."""

    def broken(*_):
        raise ValueError("no such colour")

    monkeypatch.setattr(migration, "_draw", broken)
    pairs = [f"output.folder={folder / 'c'}"]
    outcome = migration.migrate_survey(read_job(folder / "rtm.yaml", pairs), cluster=InProcess())
    assert outcome.accepted
    assert (folder / "c" / "image.sgy").exists()
    assert "figures could not be drawn: ValueError: no such colour" in caplog.text
    assert not (folder / "c" / "work").exists()


def test_a_full_disk_is_no_fault_of_a_shot():
    """It stops the run with a remedy, instead of failing every shot in turn."""
    import errno

    from wavepipe.pipeline.errors import DiskFullError
    from wavepipe.pipeline.leaf import _attempt

    class Shot:
        index, label = 0, "7"

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DiskFullError, match="no room left on the disk while working on shot 7"):
        list(_attempt(None, [Shot()], full))


@pytest.mark.parametrize(("begun", "code"), [(False, 2), (True, 75)])
def test_what_stops_a_run_from_outside_has_its_own_exit_code(begun, code, monkeypatch, tmp_path):
    """A lost scheduler refuses a job before the work has begun, and stops it afterwards."""
    from wavepipe.cli import main

    progress = type("P", (), {"run_folder": tmp_path if begun else None})
    monkeypatch.setattr(main, "Progress", lambda: progress)

    def lost(*_, **__):
        raise ClusterError("the scheduler was lost")

    monkeypatch.setattr(main.click.Group, "main", lost)
    with pytest.raises(SystemExit) as caught:
        main.cli.main(["model"])
    assert caught.value.code == code


def test_a_band_that_rings_beyond_the_record_is_pointed_out_once(folder, caplog):
    """When the plan is made, not at every evaluation."""
    from wavepipe.pipeline import inputs, passes

    pairs = ["fwi.stages=[{max_frequency: 2.5, iterations: 1}]"]
    read = inputs.read_inputs(read_job(folder / "fwi.yaml", pairs))
    passes.plan_passes(read)
    assert caplog.text.count("rings beyond the end of the record") == 1
    passes.pass_wavelet(read, 2.5)
    assert caplog.text.count("rings beyond the end of the record") == 1
