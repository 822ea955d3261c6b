"""The three jobs in 2-D: what they compute and what they write."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr
from toy_jobs import settings, toy_job, write_job, write_models

from wavepipe.pipeline import leaf
from wavepipe.pipeline.clusters.cluster import InProcess
from wavepipe.pipeline.execution import Run, start_run
from wavepipe.pipeline.filters import low_cut
from wavepipe.pipeline.inversion import invert_survey
from wavepipe.pipeline.job import read_job
from wavepipe.pipeline.migration import migrate_survey
from wavepipe.pipeline.modelling import model_survey
from wavepipe.pipeline.shots import Survey
from wavepipe.pipeline.survey import read_survey
from wavepipe.propagators import Boundary, Storage, scalar, scalar_born
from wavepipe.propagators.errors import WavefieldError
from wavepipe.propagators.wavelets import ricker


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with modelled data in runs/model."""
    folder = tmp_path_factory.mktemp("jobs")
    write_models(folder)
    outcome = model_survey(toy_job(folder, "model"), cluster=InProcess())
    assert outcome.accepted
    return folder


def results(folder: Path) -> zarr.Group:
    return zarr.open_group(folder / "results.zarr", mode="r")


def propagate(folder: Path, model: str, propagator=scalar, **extra):
    """One call on the whole model, as a user of the propagators would write it."""
    survey = read_survey(folder / "runs/model/shots.sgy", ndim=2)
    vp = torch.from_numpy(np.load(folder / model))
    receivers = np.stack([survey.shot(i).receiver_positions for i in range(survey.n_shots)])
    wavelet = torch.from_numpy(ricker(10.0, 0.004, 130, 0.13).astype(np.float32))
    scatter = torch.zeros_like(vp).requires_grad_()
    arguments = (vp, scatter) if propagator is scalar_born else (vp.requires_grad_(),)
    recording = propagator(
        *arguments,
        10.0,
        0.004,
        source_amplitudes=wavelet.expand(survey.n_shots, 1, -1),
        source_positions=survey.source_positions[:, None],
        receiver_positions=receivers,
        order=6,
        boundary=Boundary(8, 10.0),
        storage=Storage(stride=1),
        **extra,
    )
    return recording["pressure"], arguments[-1], survey


def relative(found, expected) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def test_modelled_gathers_are_those_of_the_propagator(folder):
    pressure, _, survey = propagate(folder, "true.npy", velocity_bound=2200.0)
    stored = np.asarray(results(folder / "runs/model")["gather"][...])
    expected = pressure.detach().numpy().reshape(stored.shape)
    # what the absorbing layers of the apertures' windows let through
    assert relative(stored, expected) < 0.01
    segy = np.concatenate([survey.gather(i) for i in range(survey.n_shots)])
    assert np.array_equal(segy, stored)


def test_the_whole_model_gives_the_propagators_gathers_to_rounding(folder):
    job = toy_job(folder, "model", output__folder="runs/whole", survey__aperture="null")
    model_survey(job, cluster=InProcess())
    pressure, _, _ = propagate(folder, "true.npy", velocity_bound=2200.0)
    stored = np.asarray(results(folder / "runs/whole")["gather"][...])
    # float32, and a peak frequency measured on the wavelet instead of 10 Hz for the layers
    assert relative(stored, pressure.detach().numpy().reshape(stored.shape)) < 1e-3


def test_the_geometry_of_a_file_gives_the_gathers_of_its_layout(folder):
    """The positions in the headers are those of the layout, and dt and nt are the file's."""
    content = settings("model")
    content["survey"] = {"data": "runs/model/shots.sgy", "aperture": 100.0}
    content["output"]["folder"] = "runs/again"
    model_survey(read_job(write_job(folder, content, "again.yaml")), cluster=InProcess())
    again, first = (folder / "runs" / name / "shots.sgy" for name in ("again", "model"))
    assert again.read_bytes() == first.read_bytes()


def test_the_image_is_minus_the_gradient_of_half_the_data_energy(folder):
    job = toy_job(
        folder,
        "rtm",
        output__folder="runs/plain",
        survey__aperture="null",
        rtm__mute="null",
        rtm__low_cut="null",
        rtm__illumination="false",
        survey__taper_end=0.08,
        storage__stride=1,
    )
    migrate_survey(job, cluster=InProcess())
    image = np.asarray(results(folder / "runs/plain")["image"][...])
    pressure, scatter, survey = propagate(folder, "start.npy", scalar_born, velocity_bound=1900.0)
    observed = torch.from_numpy(np.stack([survey.gather(i) for i in range(survey.n_shots)]))
    taper = torch.ones(130)
    taper[-20:] = 0.5 * (1 + torch.cos(torch.pi * torch.arange(1, 21) / 20))
    residual = pressure - observed * taper**2
    (0.5 * residual.square().sum()).backward()
    inner = (slice(1, -1), slice(1, -1))
    # the band limit of the adjoint source; the model's outermost cells collect the layers' part
    assert relative(image[inner], -scatter.grad.numpy()[inner]) < 5e-3


def test_the_image_has_the_block_where_it_is(folder):
    migrate_survey(toy_job(folder, "rtm"), cluster=InProcess())
    group = results(folder / "runs/rtm")
    image = np.asarray(group["image"][...])
    change = np.load(folder / "true.npy") - np.load(folder / "start.npy")
    place = (slice(10, 26), slice(20, 45))
    # the block as a band-limited image can show it
    expected = low_cut(change, (10.0, 10.0), 40.0)[place]
    assert np.corrcoef(image[place].ravel(), expected.ravel())[0, 1] > 0.5
    assert np.asarray(group["illumination"][...]).min() >= 0
    assert list(group["status"][...]) == ["done"] * 8
    names = {path.name for path in (folder / "runs/rtm").iterdir()}
    assert {"image.sgy", "illumination.sgy", "plan.json", "job.resolved.yaml"} <= names


def gradient_at(run: Run, vp: np.ndarray, shots: tuple[int, ...]):
    evaluation = run.describe("gradient", run.plan.passes[0], {"vp": vp}, ("vp",))
    return run.evaluate(evaluation, shots, "test")


def test_a_gradient_in_a_window_is_the_whole_models_where_waves_stay_inside(tmp_path):
    """A window whose edges no wave reaches in time changes nothing but the cells outside it."""
    vp = np.full((30, 160), 1800.0, dtype=np.float32)
    vp[12:] = 2000.0
    np.save(tmp_path / "true.npy", vp)
    np.save(tmp_path / "start.npy", np.full_like(vp, 1800.0))
    layout = (
        "{fixed_spread: {sources: {x: [800], depth: 20}, receivers: {x: [700, 800, 900], "
        "depth: 20}}}"
    )
    model_survey(toy_job(tmp_path, "model", survey__layout=layout), cluster=InProcess())
    found = {}
    for aperture in ("null", "450"):
        job = toy_job(
            tmp_path,
            "fwi",
            survey__aperture=aperture,
            fwi__mask__water="false",
            output__folder=f"runs/{aperture}",
        )
        with start_run(job, cluster=InProcess()) as run:
            partial = gradient_at(run, run.inputs.earth.vp, (0,))
        found[aperture] = partial.spread("vp", vp.shape)
        if aperture == "450":
            assert partial.window.shape[1] < 160
            assert partial.window.inside == ("x0", "x1")
    # 0.52 s at 2000 m/s: there and back within 520 m of the source
    assert relative(found["450"], found["null"]) < 1e-5


@pytest.mark.parametrize("free", ["[]", "[z0]"], ids=["absorbing", "free surface"])
def test_the_gradient_predicts_the_change_of_the_misfit(folder, free):
    """Central differences of the misfit, with mute, taper, band limit and low-pass at work."""
    job = toy_job(
        folder,
        "fwi",
        output__folder=f"runs/taylor{len(free)}",
        propagator__free_surface=free,
        fwi__mute="{velocity: 1500.0, flat: 0.05, taper: 0.1}",
    )
    rng = np.random.default_rng(7)
    with start_run(job, cluster=InProcess()) as run:
        vp = run.inputs.earth.vp.astype(np.float64)
        change = np.zeros_like(vp)
        change[8:26, 10:54] = rng.standard_normal((18, 44))
        partial = gradient_at(run, vp, run.shots)
        slope = float(np.sum(partial.spread("vp", vp.shape).astype(np.float64) * change))
        sides = []
        for step in (4.0, -4.0):
            evaluation = run.describe("misfit", run.plan.passes[0], {"vp": vp + step * change})
            sides.append(run.evaluate(evaluation, run.shots, "test").scalars["misfit"])
    # float32 wavefields, and the curvature of the misfit over 8 m/s
    assert (sides[0] - sides[1]) / 8.0 == pytest.approx(slope, rel=0.01)


def test_an_inversion_moves_towards_the_true_model(folder):
    outcome = invert_survey(toy_job(folder, "fwi"), cluster=InProcess())
    assert outcome.accepted
    group = results(outcome.folder)
    vp, misfit = np.asarray(group["vp"][...]), np.asarray(group["misfit"][...])
    true, start = np.load(folder / "true.npy"), np.load(folder / "start.npy")
    assert vp.shape == (4, 30, 64)
    assert np.array_equal(vp[0], start)
    assert misfit[2] < misfit[1] < misfit[0]
    assert np.linalg.norm(vp[3] - true) < np.linalg.norm(start - true)
    assert np.array_equal(vp[3][:6], start[:6])
    assert 1400 <= vp.min() <= vp.max() <= 2600
    assert np.array_equal(np.load(outcome.folder / "vp.npy"), vp[3])
    events = (outcome.folder / "events.jsonl").read_text()
    assert events.count('"iteration"') >= 4


@pytest.mark.parametrize("optimizer", ["{adam: {step_length: 30.0}}", "{sgd: {step_length: 40.0}}"])
def test_random_subsets_are_drawn_again_from_the_same_seed(folder, optimizer):
    stages = "[{max_frequency: 14.0, iterations: 3, minibatch: 3}]"
    found = []
    for attempt, seed in enumerate((1, 1, 2)):
        name = f"runs/{optimizer[1:4]}-{attempt}"
        job = toy_job(
            folder,
            "fwi",
            output__folder=name,
            fwi__optimizer=optimizer,
            fwi__stages=stages,
            run__seed=seed,
        )
        invert_survey(job, cluster=InProcess())
        found.append(np.asarray(results(folder / name)["vp"][...]))
    assert np.array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])
    assert np.isfinite(np.asarray(results(folder / name)["misfit"][...])).all()


@pytest.fixture
def broken_shot(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shot 3 blows up, whatever is computed for it."""
    real = leaf.call

    def call(evaluation, shots, *arguments, **options):
        if any(shot.index == 3 for shot in shots):
            raise WavefieldError("the wavefield became NaN")
        return real(evaluation, shots, *arguments, **options)

    monkeypatch.setattr(leaf, "call", call)


def test_a_failed_shot_is_named_and_the_others_are_kept(folder, broken_shot):
    outcome = migrate_survey(
        toy_job(folder, "rtm", output__folder="runs/failed", cluster__batch_shots=4),
        cluster=InProcess(),
    )
    assert not outcome.accepted
    assert [failure.shot for failure in outcome.failures] == [3]
    assert "NaN" in outcome.failures[0].reason
    group = results(outcome.folder)
    assert list(group["status"][...]) == ["done"] * 3 + ["failed"] + ["done"] * 4
    assert np.asarray(group["image"][...]).any()


def test_an_inversion_goes_on_without_a_failed_shot_where_the_job_allows_it(folder, broken_shot):
    strict = invert_survey(
        toy_job(folder, "fwi", output__folder="runs/strict"), cluster=InProcess()
    )
    assert not strict.accepted
    assert np.load(strict.folder / "vp.npy").shape == (30, 64)
    patient = invert_survey(
        toy_job(folder, "fwi", output__folder="runs/patient", run__max_failed_shots=1),
        cluster=InProcess(),
    )
    assert patient.accepted
    assert patient.shots == (0, 1, 2, 4, 5, 6, 7)
    assert results(patient.folder)["misfit"].shape == (4,)


def test_evaluations_with_equal_content_share_a_name_and_others_do_not(folder):
    job = toy_job(folder, "rtm", output__folder="runs/names")
    with start_run(job, cluster=InProcess()) as run:
        band = run.plan.passes[0]
        vp = run.inputs.earth.vp
        first = run.describe("image", band, {"vp": vp})
        assert first == run.describe("image", band, {"vp": vp.copy()})
        changed = vp.copy()
        changed[5, 5] += 0.001
        assert first != run.describe("image", band, {"vp": changed})
        assert first != replace(first, illumination=True)


def test_an_image_fades_out_at_the_edges_of_its_apertures(folder):
    """No stripe: what the outermost cells of a window hold is small beside the image."""
    points = "[250.0, 270.0, 290.0, 310.0, 330.0, 350.0]"
    layout = (
        f"{{fixed_spread: {{sources: {{x: [280.0], depth: 15}}, receivers: {{x: {points}, "
        "depth: 20}}}"
    )
    data = toy_job(folder, "model", output__folder="runs/short", survey__layout=layout)
    model_survey(data, cluster=InProcess())
    content = settings("rtm", aperture=0.0)
    content["survey"]["data"] = "runs/short/shots.sgy"
    content["rtm"] |= {"low_cut": None, "illumination": False}
    content["output"]["folder"] = "runs/edges"
    content["propagator"]["pml_width"] = 12
    job = read_job(write_job(folder, content, "edges.yaml"))
    migrate_survey(job, cluster=InProcess())
    image = np.asarray(results(folder / "runs/edges")["image"][...])
    lit = np.flatnonzero(np.abs(image).max(axis=0))
    assert 0 < lit[0] < lit[-1] < 63
    largest = np.abs(image[:, 25:36]).max()
    # the layers take the waves down by the square of their one-way loss before the edge
    for column in (lit[0], lit[-1]):
        assert np.abs(image[:, column]).max() < 0.02 * largest


@pytest.mark.parametrize("record", ["whole", "noisy", "cut"])
def test_the_planned_stride_costs_no_more_than_the_job_allows(folder, monkeypatch, record):
    """Also where the data hold frequencies that the wavefield has not, or end in an arrival."""
    read = Survey.read_gather
    rng = np.random.default_rng(9)

    def read_noisy(survey, i):
        gather = read(survey, i)
        noise = 0.3 * gather.samples.std() * rng.standard_normal(gather.samples.shape)
        return replace(gather, samples=gather.samples + noise.astype(np.float32))

    if record == "noisy":
        monkeypatch.setattr(Survey, "read_gather", read_noisy)
    job = toy_job(
        folder,
        "fwi",
        output__folder=f"runs/stride-{record}",
        **({"survey__nt": 75} if record == "cut" else {}),
    )
    gradients = []
    with start_run(job, cluster=InProcess()) as run:
        band = run.plan.passes[1]
        assert band.propagation.stride > 3
        for stride in (band.propagation.stride, 1):
            rng = np.random.default_rng(9)
            one = replace(band, propagation=replace(band.propagation, stride=stride))
            evaluation = run.describe("gradient", one, variables=("vp",))
            partial = run.evaluate(evaluation, run.shots, "test")
            gradients.append(partial.spread("vp", run.inputs.earth.shape))
    assert relative(*gradients) < 1e-3
