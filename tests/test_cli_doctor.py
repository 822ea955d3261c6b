"""`wavepipe doctor`: what a run would find, before there is one."""

from dataclasses import replace

import pytest
from click.testing import CliRunner
from distributed import LocalCluster
from toy_jobs import toy_job, write_models

from wavepipe.cli.main import cli
from wavepipe.pipeline import doctor
from wavepipe.pipeline.clusters import workers as workers_of_runs
from wavepipe.pipeline.errors import ClusterError


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli, ["doctor", *arguments])
    return result.exit_code, result.output


def test_a_machine_that_is_well(tmp_path):
    code, text = run("--scratch", str(tmp_path))
    assert code == 0, text
    assert "torch 2" in text
    assert f"scratch: {tmp_path}" in text
    assert "All is well." in text


def test_what_is_missing_is_marked(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "find_compiler", lambda: None)
    code, text = run("--scratch", str(tmp_path / "missing"))
    assert code == 2
    assert "! compiler: " in text
    assert "! scratch: " in text
    assert "does not exist" in text


def test_every_worker_is_looked_at():
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0"
    ) as cluster:
        code, text = run("--scheduler", cluster.scheduler_address)
    assert code == 0, text
    assert text.count("compiler: ") == 3
    assert "differences" not in text


@pytest.mark.parametrize("what", doctor.ALIKE)
def test_a_worker_that_would_give_other_bits_is_named(what):
    here = doctor.examine()
    other = tuple(replace(one, said="another") if one.what == what else one for one in here)
    (found,) = doctor.strangers({"the driver": here, "tcp://a": here, "tcp://b": other})
    assert found.what == "tcp://b"
    assert f"{what}: another; on the driver " in found.said
    assert not found.is_well


def test_a_worker_that_cannot_look_is_named():
    (found,) = doctor.answer(ModuleNotFoundError("No module named 'wavepipe'"))
    assert not found.is_well
    assert "No module named 'wavepipe'" in found.said


def test_a_run_refuses_workers_that_would_give_other_bits(tmp_path):
    """By name, with what differs; one that cannot run wavepipe too."""
    here = workers_of_runs.collect_provenance()
    old = here | {"versions": here["versions"] | {"torch": "1.0"}}
    write_models(tmp_path)
    job = toy_job(tmp_path, "model")
    for there, said in (
        (old, "tcp://b would give other bits .* versions.torch was .*, and is 1.0"),
        (here | {"cpu": "another"}, "cpu was .*, and is another"),
        (ModuleNotFoundError("wavepipe"), "tcp://b cannot run wavepipe"),
    ):
        workers = {"tcp://a": here, "tcp://b": there}
        running = type("Running", (), {"everywhere": lambda self, _, w=workers: w})()
        with pytest.raises(ClusterError, match=said):
            workers_of_runs._check_alike(job, running)
    mixed = toy_job(tmp_path, "model", run__allow_mixed_hardware=True)
    workers = {"tcp://b": here | {"cpu": "another"}}
    workers_of_runs._check_alike(mixed, type("R", (), {"everywhere": lambda self, _: workers})())


def test_a_scheduler_that_does_not_answer():
    code, text = run("--scheduler", "tcp://127.0.0.1:1")
    assert code == 2
    assert "no Dask scheduler answers" in text
