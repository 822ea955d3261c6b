"""What a run will take is told from short records of one of its shots."""

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from toy_jobs import toy_job, write_models

from wavepipe.cli.main import cli
from wavepipe.pipeline import shot_calls
from wavepipe.pipeline.calibration import SHORTEST, Pace, _record, _relative_size, calibrate
from wavepipe.pipeline.clusters.cluster import InProcess
from wavepipe.pipeline.inputs import read_inputs
from wavepipe.pipeline.machine import Machine
from wavepipe.pipeline.modelling import model_survey
from wavepipe.pipeline.plan import make_plan, shot_windows
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


@pytest.mark.parametrize("nt", [10, SHORTEST, 100, 3000, 10**6])
def test_a_record_is_told_from_two_shorter_ones(nt):
    """A time of its own and one for every sample; nothing longer than it is measured."""
    lengths = []

    def timed(n):
        lengths.append(n)
        return Pace(0.02 + 0.001 * n, 0.04 + 0.002 * n)

    found = _record(timed, nt)
    assert found.seconds == pytest.approx(0.02 + 0.001 * nt)
    assert found.cpu_seconds == pytest.approx(0.04 + 0.002 * nt)
    assert max(lengths) <= min(nt, 500)
    assert len(lengths) <= 2


def test_shots_with_more_cells_take_longer():
    windows = [Window((0, 0), (10, size)) for size in (10, 20, 60)]
    assert _relative_size(windows, 1) == pytest.approx(1.5)


@pytest.mark.parametrize("kind", ["model", "rtm", "fwi"])
def test_every_kind_of_job_is_measured_and_leaves_nothing(kind, folder):
    before = set(folder.rglob("*"))
    found = measured(folder, kind, workers=2)
    assert 0 < found.cpu_seconds < 5
    assert 0 < found.seconds < 5
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
