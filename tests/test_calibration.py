"""What a run will take is told from short records of one of its shots."""

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from toy_jobs import toy_job, write_models

from wavepipe.cli.main import cli
from wavepipe.pipeline import shot_calls
from wavepipe.pipeline.calibration import SHORTEST, Pace, _record, _relative_size, calibrate
from wavepipe.pipeline.clusters.cluster import InProcess
from wavepipe.pipeline.forecast import forecast
from wavepipe.pipeline.inputs import read_inputs
from wavepipe.pipeline.machine import Machine
from wavepipe.pipeline.modelling import model_survey
from wavepipe.pipeline.plan import make_plan, shot_windows
from wavepipe.pipeline.prices import MEMORY_SHARE
from wavepipe.pipeline.schedule import variables
from wavepipe.pipeline.windows import Window

SMALL = Machine(n_workers=2, cores=2, memory=4_000_000_000)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Modelled data and a job file of each kind."""
    folder = tmp_path_factory.mktemp("calibration")
    write_models(folder)
    model_survey(toy_job(folder, "model"), cluster=InProcess())
    for kind in ("rtm", "fwi"):
        toy_job(folder, kind)
    return folder


def measured(folder: Path, kind: str, workers: int = 1, **overrides: object) -> Pace | None:
    """Pace of a toy job."""
    inputs = read_inputs(toy_job(folder, kind, **overrides))
    plan = make_plan(inputs, SMALL)
    return calibrate(
        inputs,
        plan.passes[0],
        replace(plan.keeping, budget=None),
        variables(inputs.job),
        shot_windows(inputs),
        workers,
        1,
    )


def steps(nt: int) -> int:
    """Of a record: kernels add as many to a short one as to a long one."""
    return 3 * nt + 68


@pytest.mark.parametrize("nt", [10, SHORTEST, 100, 3000, 10**6])
def test_a_record_is_told_from_two_shorter_ones(nt):
    """A time of its own and one for every step; nothing longer than it is measured."""
    lengths = []

    def timed(n):
        lengths.append(n)
        return Pace(0.02 + 0.0003 * steps(n), 0.04 + 0.0006 * steps(n))

    found = _record(timed, nt, steps)
    assert found.seconds == pytest.approx(0.02 + 0.0003 * steps(nt))
    assert found.cpu_seconds == pytest.approx(0.04 + 0.0006 * steps(nt))
    assert max(lengths) <= min(nt, 500)
    assert len(lengths) <= 2
    assert len(lengths) == 1 or steps(lengths[1]) >= min(3 * steps(lengths[0]), steps(nt))


@pytest.mark.parametrize("seconds", [0.02, 0.5, 5.0])
def test_noise_in_short_records_is_not_multiplied(seconds):
    """Of two that are nearly as long a third of many times their length would be anything."""
    rng, nt = np.random.default_rng(0), 3000
    each = seconds / steps(SHORTEST)
    for _ in range(500):
        noise = rng.uniform(0.8, 1.25, 2)

        def timed(n, noise=noise):
            taken = each * steps(n) * noise[int(n > SHORTEST)]
            return Pace(taken, taken)

        found = _record(timed, nt, steps)
        assert 0.5 < found.seconds / (each * steps(nt)) < 1.5
        assert found.cpu_seconds == found.seconds


def test_a_longer_record_that_took_less_costs_nothing_more():
    """A machine that was busy for a while gives no time below zero."""
    times = iter([Pace(3.0, 3.0), Pace(1.0, 1.0)])
    found = _record(lambda _: next(times), 10**5, steps)
    assert found == Pace(1.0, 1.0)


def test_shots_with_more_cells_take_longer():
    windows = [Window((0, 0), (10, size)) for size in (10, 20, 60)]
    assert _relative_size(windows, 1) == pytest.approx(1.5)


@pytest.mark.parametrize("kind", ["model", "rtm", "fwi"])
def test_every_kind_of_job_is_measured_and_leaves_nothing(kind, folder):
    before = set(folder.rglob("*"))
    found = measured(folder, kind, workers=2)
    assert found.cpu_seconds > 0
    assert found.seconds > 0
    assert {path for path in set(folder.rglob("*")) - before if path.suffix != ".yaml"} == set()


def test_a_shot_that_fails_or_workers_elsewhere_leave_it_open(folder, monkeypatch):
    """The run itself will say what is wrong."""
    elsewhere = {"cluster__kind": "address", "cluster__address": "tcp://127.0.0.1:8786"}
    assert measured(folder, "rtm", **elsewhere) is None
    original = shot_calls._source

    def source(evaluation, shots, corner):
        amplitudes, *rest = original(evaluation, shots, corner)
        return (amplitudes + 3e38, *rest)

    monkeypatch.setattr(shot_calls, "_source", source)
    assert measured(folder, "model") is None


@pytest.mark.parametrize("kind", ["model", "rtm"])
def test_where_there_is_no_room_to_measure_nothing_is_measured(kind, folder, monkeypatch, caplog):
    """A full /tmp, which the run itself may not need."""

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("wavepipe.pipeline.trial.save_evaluation", full)
    assert measured(folder, kind) is None
    assert "could not be measured: [Errno 28]" in caplog.text
    job = toy_job(folder, kind)
    line = [kind, str(folder / f"{kind}.yaml"), "--dry-run", "--output", str(folder / "full")]
    said = CliRunner().invoke(cli, line)
    assert said.exit_code == 0, said.output
    assert "roughly: nothing could be measured" in said.output
    assert make_plan(read_inputs(job), SMALL).schedule.shot_cpu_seconds is None


def test_ways_of_keeping_that_cannot_be_measured_leave_an_exact_one(folder, monkeypatch, caplog):
    def full(*_):
        raise OSError(28, "No space left on device")

    job = toy_job(folder, "rtm")
    whole = make_plan(read_inputs(job), SMALL).schedule
    monkeypatch.setattr("wavepipe.pipeline.trial.save_evaluation", full)
    memory = int((whole.held_bytes + 0.8 * whole.shot_bytes) / MEMORY_SHARE)
    plan = make_plan(read_inputs(job), replace(SMALL, memory=memory))
    assert "ways of keeping wavefields could not be measured" in caplog.text
    assert plan.measured
    assert plan.keeping.is_exact


@pytest.mark.parametrize(
    "error", [subprocess.TimeoutExpired("python", 120), subprocess.CalledProcessError(1, "python")]
)
def test_a_process_that_cannot_be_measured_leaves_the_line_out(error, folder, monkeypatch):
    def fails(*_, **__):
        raise error

    inputs = read_inputs(toy_job(folder, "model"))
    plan = make_plan(inputs, SMALL)
    monkeypatch.setattr("wavepipe.pipeline.forecast.subprocess.run", fails)
    said = list(forecast(inputs, plan))
    assert "batches" in said[0]
    assert not any("process" in line and "memory" in line for line in said)


def test_batches_are_as_long_as_they_are_measured_to_be(folder, monkeypatch):
    """A machine that is slow has smaller ones."""
    sizes = {}
    for seconds in (0.6, 0.2):
        slow = Pace(seconds, seconds)
        monkeypatch.setattr("wavepipe.pipeline.schedule.calibrate", lambda *_, slow=slow: slow)
        inputs = read_inputs(toy_job(folder, "rtm"))
        plan = make_plan(inputs, replace(SMALL, n_workers=1, free=False))
        assert plan.schedule.shot_seconds == seconds
        sizes[seconds] = plan.schedule.batch_shots
    assert sizes == {0.6: 2, 0.2: 4}


@pytest.mark.parametrize("kind", ["model", "rtm", "fwi"])
def test_a_dry_run_says_what_a_run_will_take(kind, folder):
    line = [kind, str(folder / f"{kind}.yaml"), "--dry-run", "--output", str(folder / "dry")]
    said = CliRunner().invoke(cli, line)
    assert said.exit_code == 0, said.output
    assert "of processor time, by short records of shot 5" in said.output
    assert "a worker's process takes about" in said.output
    assert "of its time to make sums safe" in said.output
    assert ("3 such evaluations or more" in said.output) == (kind == "fwi")
