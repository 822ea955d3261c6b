"""Runs that are stopped go on to the bits they would have had."""

import errno
import fcntl
import os
import random
import signal
import threading
import time
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from toy_jobs import settings, write_job
from whole_runs import RUNS, Stopped, command, job_of, same_results, uninterrupted

from wavepipe.cli.main import cli
from wavepipe.pipeline import evaluation, graph, leaf
from wavepipe.pipeline.clusters.cluster import InProcess
from wavepipe.pipeline.errors import JobError, RunFolderError
from wavepipe.pipeline.execution import start_run
from wavepipe.pipeline.job import read_job
from wavepipe.pipeline.machine import Machine
from wavepipe.pipeline.migration import migrate_survey
from wavepipe.pipeline.modelling import model_survey
from wavepipe.pipeline.plain import from_plain
from wavepipe.pipeline.prices import MEMORY_SHARE
from wavepipe.pipeline.resume import stored_plan
from wavepipe.pipeline.run_folder import RunFolder
from wavepipe.propagators.errors import WavefieldError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Uninterrupted runs of each kind, in runs/<kind>."""
    return uninterrupted(tmp_path_factory.mktemp("resume"))


@pytest.mark.parametrize("kind", RUNS)
def test_a_run_stopped_anywhere_goes_on_to_the_same_bits(kind, folder, monkeypatch):
    """After every few batches, in the middle of line searches too; no batch is made twice."""
    made, stop_after = [], 0
    original = graph.Ledger.keep

    def keep(self, node, partial):
        original(self, node, partial)
        if node[0] == 0:
            made.append((self.folder.name, node))
            if len(made) >= stop_after:
                raise Stopped

    monkeypatch.setattr(graph.Ledger, "keep", keep)
    name, stops = f"stopped-{kind}", 0
    while True:
        stop_after = len(made) + (3 if kind != "fwi" else 11)
        try:
            outcome = RUNS[kind](job_of(folder, kind, name), cluster=InProcess(), resume=True)
        except Stopped:
            stops += 1
            continue
        break
    assert stops >= 2
    assert outcome.accepted
    assert len(set(made)) == len(made)
    assert same_results(folder / "runs" / name, folder / "runs" / kind)
    assert not (folder / "runs" / name / "ledger").exists()
    assert not list((folder / "runs" / name).rglob("*.partial"))


def test_a_finished_run_says_so(folder):
    result = CliRunner().invoke(cli, ["rtm", str(folder / "rtm.yaml"), "--resume"])
    assert result.exit_code == 0, result.output
    assert "is finished; nothing is left to do" in result.output


def test_without_a_run_resume_starts_one_and_without_resume_a_run_is_safe(folder):
    job = job_of(folder, "rtm", "fresh")
    assert migrate_survey(job, cluster=InProcess(), resume=True).accepted
    with pytest.raises(RunFolderError, match=r"already holds a run. Go on with it with --resume"):
        migrate_survey(job, cluster=InProcess())


def stop(folder: Path, kind: str, name: str, **overrides: object) -> None:
    """Leave a run that was stopped before its first batch."""
    job = job_of(folder, kind, name, **overrides)
    with pytest.raises(Stopped), start_run(job, cluster=InProcess()):
        raise Stopped


def test_what_could_change_the_result_is_refused_with_both_values(folder, monkeypatch):
    stop(folder, "rtm", "changed")
    for change, said in (
        ({"propagator__order": 8}, "propagator.order was 6, and is 8"),
        ({"rtm__low_cut": 20.0}, "rtm.low_cut was 40.0, and is 20.0"),
        ({"run__seed": 1}, "run.seed was 0, and is 1"),
    ):
        with pytest.raises(JobError, match=said):
            migrate_survey(
                job_of(folder, "rtm", "changed", **change), cluster=InProcess(), resume=True
            )
    start = folder / "start.npy"
    before = start.read_bytes()
    np.save(start, np.load(start) + 1)
    try:
        with pytest.raises(JobError, match=r"content of.*start.npy was .*, and is "):
            migrate_survey(job_of(folder, "rtm", "changed"), cluster=InProcess(), resume=True)
    finally:
        start.write_bytes(before)
    from wavepipe.pipeline import provenance

    with monkeypatch.context() as patch:
        patch.setattr(provenance, "cpu_model", lambda: "another")
        with pytest.raises(JobError, match=r"cpu was .*, and is another"):
            migrate_survey(job_of(folder, "rtm", "changed"), cluster=InProcess(), resume=True)
        allowed = job_of(folder, "rtm", "changed", run__allow_mixed_hardware=True)
        assert migrate_survey(allowed, cluster=InProcess(), resume=True).accepted


def test_workers_and_the_failures_allowed_may_change(folder):
    stop(folder, "rtm", "freed")
    job = job_of(folder, "rtm", "freed", cluster__workers=3, run__max_failed_shots=2)
    with start_run(job, resume=True) as run:
        assert run.plan.schedule.n_workers == 3
    assert migrate_survey(job, cluster=InProcess(), resume=True).accepted
    assert same_results(folder / "runs/freed", folder / "runs/rtm")


def test_more_workers_than_there_is_memory_for_are_refused(folder):
    """Their calls are as large as the plan had them; as many as before may always go on."""
    stop(folder, "rtm", "greedy")
    run = RunFolder(folder / "runs/greedy")
    before = stored_plan(run, Machine(1, 1, 10**12)).schedule
    most = before.n_workers + 3
    memory = int(1.001 * most * before.worker_bytes / MEMORY_SHARE)
    full = Machine(most, 64, memory, free=False)
    assert stored_plan(run, full).schedule == replace(before, n_workers=most)
    with pytest.raises(JobError, match=rf"{most + 1} workers .*Set at most {most} workers"):
        stored_plan(run, replace(full, n_workers=most + 1))
    tiny = Machine(before.n_workers, 1, 1, free=False)
    assert stored_plan(run, tiny).schedule == before


@pytest.mark.parametrize("kind", RUNS)
def test_shots_that_failed_are_tried_again(kind, folder, monkeypatch):
    """A run with too many failures is not finished; what did not fail is not made again."""
    name, ran = f"failed-{kind}", []
    original = leaf._attempt

    def attempt(evaluation, shots, compute):
        ran.extend(shot.index for shot in shots)
        if broken and any(shot.index == 3 for shot in shots):
            raise_in = [shot for shot in shots if shot.index == 3]

            def failing(*_):
                raise WavefieldError(f"shot {raise_in[0].label} is out of luck")

            return original(evaluation, shots, failing)
        return original(evaluation, shots, compute)

    monkeypatch.setattr(leaf, "_attempt", attempt)
    broken = True
    outcome = RUNS[kind](job_of(folder, kind, name), cluster=InProcess())
    assert not outcome.accepted
    assert [f.shot for f in outcome.failures] == [3]
    broken = False
    ran.clear()
    outcome = RUNS[kind](job_of(folder, kind, name), cluster=InProcess(), resume=True)
    assert outcome.accepted
    if kind != "fwi":
        assert ran == [3]
    assert same_results(folder / "runs" / name, folder / "runs" / kind)


def test_a_lost_line_of_the_log_costs_work_and_nothing_else(folder):
    """Gathers that are made empty again are not called done by the ledger."""
    name, stops = "forgot", []
    original = graph.Ledger.keep

    def keep(self, node, partial):
        original(self, node, partial)
        stops.append(node)
        if len(stops) == 3:
            raise Stopped

    job = job_of(folder, "model", name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graph.Ledger, "keep", keep)
        with pytest.raises(Stopped):
            model_survey(job, cluster=InProcess())
    events = folder / "runs" / name / "events.jsonl"
    lines = [line for line in events.read_text().splitlines() if "laid out" not in line]
    events.write_text("\n".join(lines) + "\n")
    assert model_survey(job_of(folder, "model", name), cluster=InProcess(), resume=True).accepted
    assert same_results(folder / "runs" / name, folder / "runs/model")


def test_a_table_of_positions_that_was_edited_is_refused(folder):
    """It is a file that the job reads, as data are."""
    table = folder / "positions.csv"
    rows = [f"{s},{100 * s},15,{x},20" for s in (1, 2) for x in range(0, 600, 100)]
    table.write_text("shot,source_x,source_z,receiver_x,receiver_z\n" + "\n".join(rows))
    content = settings("model")
    content["survey"] = content["survey"] | {"layout": {"table": str(table)}}
    content["output"]["folder"] = "runs/table"
    job = read_job(write_job(folder, content, "table.yaml"))
    with pytest.raises(Stopped), start_run(job, cluster=InProcess()):
        raise Stopped
    table.write_text(table.read_text().replace(",100,20", ",110,20"))
    with pytest.raises(JobError, match=r"content of.*positions.csv was .*, and is "):
        model_survey(job, cluster=InProcess(), resume=True)


def test_a_finished_run_of_another_job_is_not_called_finished(folder):
    runs = folder / "runs"
    for kind, more in (("rtm", []), ("model", ["--set", "survey.nt=131"])):
        line = [kind, str(folder / f"{kind}.yaml"), "--output", str(runs / "model"), "--resume"]
        result = CliRunner().invoke(cli, [*line, *more])
        assert result.exit_code == 2, result.output
        assert "cannot be gone on with" in result.output


def test_results_without_their_beginnings_are_left_alone(folder):
    job = job_of(folder, "rtm", "headless")
    migrate_survey(job, cluster=InProcess())
    (folder / "runs/headless/plan.json").unlink()
    (folder / "runs/headless/events.jsonl").unlink()
    with pytest.raises(RunFolderError, match=r"holds results, but not .*\(plan.json\)"):
        migrate_survey(job, cluster=InProcess(), resume=True)
    assert same_results(folder / "runs/headless", folder / "runs/rtm")


def test_a_full_disk_under_way_stops_the_run_which_goes_on(folder, monkeypatch):
    """Wherever it shows: here when a try of a batch is noted."""
    path = write_job(folder, settings("rtm"), "full.yaml")
    line = ["rtm", str(path), "--output", str(folder / "runs/full"), "--workers", "1"]
    original, notes = Path.open, []

    def full(self, *arguments, **options):
        if self.suffix == ".tries":
            notes.append(self)
            if len(notes) == 3:
                raise OSError(errno.ENOSPC, "No space left on device")
        return original(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", full)
        patch.setattr(
            "wavepipe.pipeline.clusters.cluster.local_cluster",
            lambda *_, **__: nullcontext(InProcess()),
        )
        result = CliRunner().invoke(cli, [*line, "--set", "cluster.batch_shots=1"])
        assert result.exit_code == 75, result.output
        assert "No space left on device" in result.output
        assert "--resume" in result.output
        again = CliRunner().invoke(cli, [*line, "--set", "cluster.batch_shots=1", "--resume"])
    assert again.exit_code == 0, again.output
    assert same_results(folder / "runs/full", folder / "runs/rtm")


def test_who_only_looks_at_a_lock_is_waited_for(folder):
    run = RunFolder(folder / "runs/rtm")
    with run.lock.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        threading.Timer(0.3, lambda: fcntl.flock(file, fcntl.LOCK_UN)).start()
        with run.locked():
            assert f"process {os.getpid()} on" in run.owner()
    assert run.owner() == ""


def test_two_drivers_do_not_meet_in_one_folder(folder):
    stop(folder, "rtm", "locked")
    job = job_of(folder, "rtm", "locked")
    with (
        RunFolder(job.output_folder).locked(),
        pytest.raises(RunFolderError, match=f"process {os.getpid()} on .* is at work in"),
    ):
        migrate_survey(job, cluster=InProcess(), resume=True)
    assert migrate_survey(job, cluster=InProcess(), resume=True).accepted


def test_a_run_stopped_while_it_began_starts_again(folder):
    """Its plan was not complete, so nothing had been done."""
    stop(folder, "model", "began")
    run = RunFolder(folder / "runs/began")
    run.plan.unlink()
    assert model_survey(job_of(folder, "model", "began"), cluster=InProcess(), resume=True).accepted
    assert same_results(run.path, folder / "runs/model")


def test_a_plan_that_cannot_be_read_is_named(folder):
    stop(folder, "rtm", "torn")
    plan = folder / "runs/torn/plan.json"
    plan.write_text(plan.read_text()[:100])
    with pytest.raises(RunFolderError, match=r"plan\.json cannot be read"):
        migrate_survey(job_of(folder, "rtm", "torn"), cluster=InProcess(), resume=True)


def test_plans_and_evaluations_come_back_as_they_were(folder, tmp_path):
    """Through JSON, to the last bit of every number."""
    import json

    from wavepipe.pipeline.plan import Plan

    for kind in RUNS:
        job = job_of(folder, kind, f"plan-{kind}")
        with start_run(job, cluster=InProcess()) as run:
            again = from_plain(Plan, json.loads(json.dumps(run.plan.as_dict())))
            assert again == run.plan
            wanted = {"model": "gathers", "rtm": "image", "fwi": "gradient"}[kind]
            one = run.describe(wanted, run.plan.passes[0], None, ("vp",))
            path = evaluation.save_evaluation(one, tmp_path)
            assert evaluation.load_evaluation(str(path)) == one


def test_a_stop_signal_says_how_to_go_on(folder):
    """SIGTERM: exit code 75, and the rest with --resume."""
    code, text = killed(folder, "rtm", "term", signal.SIGTERM, after=2)
    assert code == 75, text
    assert "go on with --resume" in text
    result = command(folder, "rtm", "term").communicate()[0]
    assert same_results(folder / "runs/term", folder / "runs/rtm"), result


@pytest.mark.slow
@pytest.mark.parametrize("kind", RUNS)
def test_kill_9_of_the_driver_at_random_moments(kind, folder):
    """Twenty times, then to the end."""
    rng, name, lives = random.Random(kind), f"killed-{kind}", 0
    for _ in range(20):
        code, _ = killed(folder, kind, name, signal.SIGKILL, after=rng.randrange(4))
        lives += code == 0
    command(folder, kind, name).communicate()
    assert same_results(folder / "runs" / name, folder / "runs" / kind)
    assert lives < 20


def killed(
    folder: Path, kind: str, name: str, number: signal.Signals, after: int
) -> tuple[int, str]:
    """Exit code and words of a run that gets a signal when more sums have become safe."""
    ledger = folder / "runs" / name / "ledger"
    run, deadline = command(folder, kind, name), time.monotonic() + 300.0
    # Sums go when others cover them: those that come are counted.
    before = seen = set(ledger.glob("*/*.sum"))
    while run.poll() is None and len(seen - before) < after and time.monotonic() < deadline:
        seen = seen | set(ledger.glob("*/*.sum"))
        time.sleep(0.002)
    if after == 0:
        time.sleep(random.Random(str(ledger)).uniform(0.5, 4.0))
    with suppress(ProcessLookupError):
        os.kill(run.pid, number)
    return run.wait(), run.communicate()[0]
