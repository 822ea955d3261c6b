"""How the stages of an inversion begin and end."""

from pathlib import Path

import numpy as np
import pytest
import zarr
from toy_jobs import toy_job, write_models

from wavepipe.pipeline import inversion, leaf
from wavepipe.pipeline.clusters.cluster import InProcess
from wavepipe.pipeline.inversion import invert_survey
from wavepipe.pipeline.modelling import model_survey
from wavepipe.pipeline.optimizers import Lbfgs, Update
from wavepipe.propagators.errors import WavefieldError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with modelled data in runs/model."""
    folder = tmp_path_factory.mktemp("stages")
    write_models(folder)
    assert model_survey(toy_job(folder, "model"), cluster=InProcess()).accepted
    return folder


class FirstFails(Lbfgs):
    """L-BFGS whose first search finds no step that lowers the misfit."""

    asked = 0

    def update(self, point, problem):
        self.asked += 1
        if self.asked == 1:
            return Update(point.vector, point, converged=True)
        return super().update(point, problem)


@pytest.mark.parametrize(("minibatch", "iterations"), [("3", 2), ("null", 0)])
def test_only_a_stage_over_all_shots_ends_where_no_step_is_found(
    folder, monkeypatch, minibatch, iterations
):
    """Another draw of shots may well have one."""
    monkeypatch.setattr(inversion, "_optimizer", lambda *_: FirstFails(first_step=0.01))
    stages = f"[{{max_frequency: 12.0, iterations: 3, minibatch: {minibatch}}}]"
    job = toy_job(folder, "fwi", fwi__stages=stages, output__folder=f"runs/fails-{minibatch}")
    outcome = invert_survey(job, cluster=InProcess())
    group = zarr.open_group(outcome.folder / "results.zarr", mode="r")
    assert group["vp"].shape[0] == 1 + iterations
    changed = np.abs(np.asarray(group["vp"][-1]) - np.asarray(group["vp"][0])).max()
    assert (changed > 0) == (iterations > 0)


def test_shots_of_an_outcome_are_those_of_the_survey_before_its_selection(folder, monkeypatch):
    real = leaf.call

    def call(evaluation, shots, *arguments, **options):
        if any(shot.index == 1 for shot in shots):
            raise WavefieldError("the wavefield became NaN")
        return real(evaluation, shots, *arguments, **options)

    monkeypatch.setattr(leaf, "call", call)
    job = toy_job(
        folder,
        "fwi",
        survey__shots="[2, 5, 7]",
        run__max_failed_shots=1,
        fwi__stages="[{max_frequency: 12.0, iterations: 1}]",
        output__folder="runs/selected",
    )
    outcome = invert_survey(job, cluster=InProcess())
    assert outcome.shots == (2, 7)
    assert [failure.shot for failure in outcome.failures] == [5]
    group = zarr.open_group(outcome.folder / "results.zarr", mode="r")
    assert np.asarray(group["shots"]).tolist() == [2, 5, 7]
    assert list(group["status"][...]) == ["done", "failed", "done"]


def test_a_step_scale_scales_the_first_update_and_what_is_told_of_it(folder):
    """Of one parameter alone: twice the scale, twice the change in m/s."""
    found = []
    for scale in (1.0, 2.0):
        job = toy_job(
            folder,
            "fwi",
            fwi__parameters=f"{{vp: {{bounds: [1400.0, 2600.0], step_scale: {scale}}}}}",
            fwi__optimizer="{sgd: {step_length: 20.0}}",
            fwi__stages="[{max_frequency: 12.0, iterations: 1}]",
            output__folder=f"runs/scale-{scale:g}",
        )
        outcome = invert_survey(job, cluster=InProcess())
        vp = np.asarray(zarr.open_group(outcome.folder / "results.zarr", mode="r")["vp"][...])
        found.append(float(np.abs(vp[1] - vp[0]).max()))
        assert (
            f'"changes": {{"vp": {found[-1]:.3g}' in (outcome.folder / "events.jsonl").read_text()
        )
    assert found == pytest.approx([20.0, 40.0], rel=1e-3)


def test_velocity_and_density_of_an_acoustic_earth_are_inverted_together(folder):
    density = {"earth_model__rho": "{gardner: {of: vp}}", "physics": "acoustic"}
    assert model_survey(
        toy_job(folder, "model", output__folder="runs/acoustic", **density), cluster=InProcess()
    ).accepted
    job = toy_job(
        folder,
        "fwi",
        survey__data="runs/acoustic/shots.sgy",
        fwi__parameters="{vp: {bounds: [1400.0, 2600.0]}, rho: {bounds: [1500.0, 2500.0]}}",
        fwi__stages="[{max_frequency: 12.0, iterations: 2}]",
        output__folder="runs/acoustic-fwi",
        **density,
    )
    outcome = invert_survey(job, cluster=InProcess())
    group = zarr.open_group(outcome.folder / "results.zarr", mode="r")
    misfit = np.asarray(group["misfit"][...])
    assert misfit[2] < misfit[1] < misfit[0]
    for name, unit in (("vp", "m/s"), ("rho", "kg/m3")):
        values = np.asarray(group[name][...])
        assert group[name].attrs["units"] == unit
        assert np.abs(values[2] - values[0]).max() > 1.0
        assert np.array_equal(values[2][:6], values[0][:6])  # water
    # updates of one size relative to the means, by construction: between a tenth and ten times
    sizes = [np.std(group[n][1] - group[n][0]) / np.mean(group[n][0]) for n in ("vp", "rho")]
    assert 0.1 < sizes[0] / sizes[1] < 10.0
