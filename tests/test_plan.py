"""The plan: what is fixed before a run, and what may differ between machines."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_jobs import toy_job, write_models

from wavepipe.pipeline import prices, schedule
from wavepipe.pipeline.clock import highest_vp
from wavepipe.pipeline.clusters.cluster import InProcess
from wavepipe.pipeline.errors import JobError
from wavepipe.pipeline.inputs import Inputs, read_inputs
from wavepipe.pipeline.inverted_parameters import parameter_space
from wavepipe.pipeline.machine import Machine
from wavepipe.pipeline.modelling import model_survey
from wavepipe.pipeline.passes import pass_wavelet
from wavepipe.pipeline.plan import make_plan, shot_windows
from wavepipe.pipeline.windows import Window
from wavepipe.propagators import planning
from wavepipe.propagators.errors import DispersionError, StabilityError
from wavepipe.propagators.physics.catalogue import known_physics
from wavepipe.propagators.stability import stable_time_step

SMALL = Machine(n_workers=2, cores=2, memory=4_000_000_000)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with modelled data in runs/model."""
    folder = tmp_path_factory.mktemp("plan")
    write_models(folder)
    model_survey(toy_job(folder, "model"), cluster=InProcess())
    return folder


def inputs(folder: Path, kind: str, **overrides: object) -> Inputs:
    return read_inputs(toy_job(folder, kind, **overrides))


def test_the_time_step_of_an_inversion_is_that_of_its_bounds(folder):
    plan = make_plan(inputs(folder, "fwi"), SMALL)
    steps = {one.propagation.time_step for one in plan.passes}
    assert steps == {stable_time_step((10.0, 10.0), 2600.0, 6)}
    assert {one.propagation.velocity_bound for one in plan.passes} == {2600.0}


def test_a_velocity_bound_below_what_the_job_allows_is_refused(folder):
    with pytest.raises(JobError, match="bounds allow 2600 m/s"):
        make_plan(inputs(folder, "fwi", propagator__velocity_bound=2500.0), SMALL)


def test_the_bounds_of_an_inversion_without_any_stay_within_the_velocity_of_its_step(folder):
    """Of the fastest wave, which in an anisotropic or a lossy medium is faster than vp."""
    for physics, others, name, bounds in (
        ("acoustic_vti", {"epsilon": 0.2, "delta": 0.1}, "epsilon", [0.1, 0.3]),
        ("viscoacoustic", {"q": 30.0}, "q", [20.0, 80.0]),
    ):
        read = inputs(
            folder,
            "fwi",
            physics=physics,
            **{f"earth_model__{n}": {"constant": v} for n, v in {"rho": 1e3, **others}.items()},
            fwi__parameters={"vp": {}, name: {"bounds": bounds}},
        )
        bound = make_plan(read, SMALL).passes[0].propagation.velocity_bound
        space = parameter_space(read.job, read.earth, read.mask, highest_vp(read, bound))
        model = space.unpack(space.project(9.0 * space.pack(space.start)))
        if physics == "viscoacoustic":
            model["q"][...] = bounds[0]  # more losses, faster high frequencies
        tensors = {name: torch.from_numpy(values) for name, values in model.items()}
        fastest = known_physics(physics).fastest(tensors)[torch.from_numpy(space.mask)]
        assert bound * (1 - 1e-5) < float(fastest.max()) < bound * (1 + 1e-6)


def test_a_wavelet_too_fast_for_the_sample_interval_is_judged(folder):
    plan = make_plan(inputs(folder, "model", survey__dt=0.02, survey__nt=60), SMALL)
    assert "sample interval of 0.02 s" in plan.verdict


def test_every_band_has_its_own_wavelet_and_stride(folder):
    read = inputs(folder, "fwi")
    low, high = make_plan(read, SMALL).passes
    assert low.band < high.band
    assert low.propagation.stride > high.propagation.stride
    assert low.taper_end >= high.taper_end
    spectrum = np.abs(np.fft.rfft(pass_wavelet(read, 10.0)))
    frequency = np.fft.rfftfreq(130, 0.004)
    assert spectrum[frequency > 30].max() < 1e-3 * spectrum.max()


def test_products_of_both_wavefields_are_sampled_finely_enough(folder):
    """1 / (stride step) exceeds the sum of both bandwidths."""
    for one in make_plan(inputs(folder, "fwi"), SMALL).passes:
        p = one.propagation
        assert 1 / (p.stride * p.time_step) > 2.25 * one.band


def test_the_machine_decides_nothing_that_decides_bits(folder):
    read = inputs(folder, "fwi")
    large = Machine(n_workers=64, cores=128, memory=10**12)
    small, big = make_plan(read, SMALL), make_plan(read, large)
    assert small.passes == big.passes
    assert small.schedule != big.schedule
    assert big.schedule.n_workers == read.survey.n_shots


def test_memory_limits_the_workers_and_the_shots_of_a_call(folder):
    read = inputs(folder, "fwi", storage__mode="device", storage__method="snapshots")
    plan = make_plan(read, SMALL)
    needed = plan.schedule.held_bytes + plan.schedule.shot_bytes
    tight = replace(SMALL, memory=2 * needed)
    assert make_plan(read, tight).schedule.n_workers == 1
    assert make_plan(read, tight).schedule.call_shots == 1
    with pytest.raises(JobError, match=r"one shot needs about .* GB"):
        make_plan(read, replace(SMALL, memory=needed))


def test_changes_of_clocks_count_once_in_a_worker(folder, monkeypatch):
    """A long record's matrices are no part of what another shot of a call takes."""
    clocks, read = 10**9, inputs(folder, "rtm", cluster__batch_shots=8)
    plain = make_plan(read, SMALL).schedule

    def plan_call(*given, **options):
        call = planning.plan_call(*given, **options)
        return replace(call, bytes=call.bytes + clocks, clock_bytes=call.clock_bytes + clocks)

    monkeypatch.setattr(prices, "plan_call", plan_call)
    needed = plain.held_bytes + clocks + 5 * plain.shot_bytes
    machine = Machine(1, 1, int(1.001 * needed / prices.MEMORY_SHARE), free=False)
    found = make_plan(read, machine).schedule
    assert found.shot_bytes == plain.shot_bytes
    assert found.held_bytes == plain.held_bytes + clocks
    assert found.call_shots == 5
    assert found.worker_bytes == needed


def test_sums_of_moving_windows_count_as_large_as_they_grow(folder, monkeypatch):
    """Near the root they cover the survey, not the window of a shot; every worker holds some."""
    read = inputs(folder, "rtm", cluster__batch_shots=1)
    windows = [Window((0, 5 * i), (30, 5 * i + 20)) for i in range(read.survey.n_shots)]
    whole = 30 * (5 * read.survey.n_shots + 15)
    passes = make_plan(read, SMALL).passes

    def planned(sums, machine=SMALL):
        monkeypatch.setattr(schedule, "SUMS", sums)
        return schedule.plan_schedule(read, passes, windows, machine)[0]

    without = planned(0)
    memory = int(4 * 1.001 * without.worker_bytes / prices.MEMORY_SHARE)
    machine = Machine(n_workers=8, cores=8, memory=memory)
    assert planned(0, machine).n_workers == 4
    assert planned(3).held_bytes == without.held_bytes + 3 * 8 * whole
    assert planned(-(-without.worker_bytes // (8 * whole)), machine).n_workers in (1, 2)


def test_batches_are_powers_of_two_that_leave_work_for_every_worker(folder):
    read = inputs(folder, "model")
    for n_workers in (1, 2, 4):
        machine = Machine(n_workers=n_workers, cores=4, memory=10**10)
        size = make_plan(read, machine).schedule.batch_shots
        assert size & (size - 1) == 0
        assert -(-read.survey.n_shots // size) >= min(2 * n_workers, read.survey.n_shots)


def test_windows_hold_every_source_and_receiver(folder):
    read = inputs(folder, "model", survey__aperture=0.0)
    for i, window in enumerate(shot_windows(read)):
        points = np.vstack(
            [read.survey.source_positions[i], read.survey.shot(i).receiver_positions]
        )
        cells = points / 10.0
        assert (cells >= np.array(window.start) - 1e-6).all()
        assert (cells <= np.array(window.stop) - 1 + 1e-6).all()


def test_a_grid_too_coarse_is_refused_and_a_coarse_one_is_judged(folder):
    with pytest.raises(DispersionError, match="spacing"):
        make_plan(inputs(folder, "model", wavelet__ricker__peak_frequency=60.0), SMALL)
    plan = make_plan(inputs(folder, "model", wavelet__ricker__peak_frequency=20.0), SMALL)
    assert "phase velocity is wrong" in plan.verdict
    assert make_plan(inputs(folder, "model"), SMALL).verdict == ""


def test_a_grid_is_judged_by_the_slowest_direction(folder):
    """An anisotropy that halves the velocity sideways is as bad as twice the frequency."""
    for anisotropy, verdict in ((-0.375, "Hz at 750 m/s"), (0.0, "")):
        given = {"rho": 1e3, "epsilon": anisotropy, "delta": anisotropy}
        read = inputs(
            folder,
            "model",
            physics="acoustic_vti",
            **{f"earth_model__{name}": {"constant": value} for name, value in given.items()},
        )
        found = make_plan(read, SMALL).verdict
        assert verdict in found if verdict else not found


def test_a_step_beyond_the_limit_is_refused(folder):
    with pytest.raises(StabilityError, match="stable only up to"):
        make_plan(inputs(folder, "model", propagator__time_step=0.0039), SMALL)


def test_the_run_folder_holds_the_plan(folder):
    plan = json.loads((folder / "runs/model/plan.json").read_text())
    assert plan["n_shots"] == 8
    assert plan["passes"][0]["propagation"]["backend"] == "c"
    assert set(plan["schedule"]) >= {"n_workers", "threads", "batch_shots", "call_shots"}
