"""Powers of two that keep wavefields and gradients within the range of float32."""

import math

import numpy as np
import pytest
from solid_jobs import job_content, run_model, write_solid
from toy_jobs import write_job

from wavepipe.pipeline.clusters.cluster import InProcess
from wavepipe.pipeline.execution import start_run
from wavepipe.pipeline.job import read_job
from wavepipe.pipeline.scales import power_of_two, residual_size, wavefield_size


@pytest.mark.parametrize("size", [1e-30, 3e-7, 0.9, 1.0, 5e11])
def test_a_size_is_brought_near_one(size):
    scale = power_of_two(size)
    assert 0.7 < size * scale < 1.42
    assert math.frexp(scale)[0] == 0.5


@pytest.mark.parametrize("size", [0.0, math.inf, math.nan])
def test_nothing_is_left_as_it_is(size):
    assert power_of_two(size) == 1.0


def test_the_size_of_a_wavefield_is_that_of_its_far_field():
    """Of a force and of a moment rate a wavelength away, Aki and Richards 4.23 and 4.29."""
    vp, rho, frequency = 3000.0, 2200.0, 10.0
    r, angular = vp / frequency, 2 * np.pi * frequency
    force = angular / (4 * np.pi * rho * vp**2 * r)
    assert wavefield_size("N", 5.0, vp, rho, frequency) == pytest.approx(5 * force)
    moment = angular / (4 * np.pi * rho * vp**3 * r)
    assert wavefield_size("N m/s", 1.0, vp, rho, frequency) == pytest.approx(moment)
    assert wavefield_size("Pa", 1.0, vp, rho, frequency) == pytest.approx(1 / (4 * np.pi))


def test_data_are_as_large_as_their_largest_weighted_component():
    largest = {"pressure": 2.0, "vz": 1e-6}
    assert residual_size(largest, {}) == 2.0
    assert residual_size(largest, {"pressure": 0.0, "vz": 3.0}) == pytest.approx(3e-6)
    assert residual_size({}, {}) == 0.0


@pytest.mark.parametrize("kind", ["fwi", "rtm"])
def test_tiny_waves_in_rock_have_a_gradient_and_an_image(tmp_path, kind):
    """Products of both wavefields of a moment rate of 1e-6 N m/s per metre are below 1e-38."""
    write_solid(tmp_path)
    pairs = ["survey.components=[vz]", "survey.shots=[3]", "wavelet.amplitude=1e-6"]
    run_model(tmp_path, "elastic", "model", *pairs)
    content = job_content(kind, "elastic")
    content["survey"] = {"data": "runs/model/shots.sgy"}
    content["wavelet"] = {**content["wavelet"], "amplitude": 1e-6}
    if kind == "fwi":
        content["fwi"] = {"stages": [{"max_frequency": 12.0, "iterations": 1}]}
    job = read_job(write_job(tmp_path, content))
    with start_run(job, cluster=InProcess()) as run:
        band = run.plan.passes[0]
        assert band.source_scale > 1e9
        assert band.result_scale > 1e18
        wanted, name = ("gradient", "vp") if kind == "fwi" else ("image", "image")
        evaluation = run.describe(wanted, band, variables=("vp",) if kind == "fwi" else ())
        partial = run.evaluate(evaluation, run.shots, "test")
    values = partial.spread(name, run.inputs.earth.shape)
    assert values.dtype == np.float64
    assert np.abs(values).max() < 1e-35  # scaled back
    assert np.count_nonzero(values[6:]) == values[6:].size
