"""The report says what results and events say, of every kind of run, and needs nothing else."""

import html
import json
import os
import re
import shutil
import signal
from contextlib import suppress
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import segyio
import zarr
from click.testing import CliRunner
from toy_jobs import toy_job, write_models

from wavepipe.cli.main import cli
from wavepipe.pipeline.clusters.cluster import InProcess, local_cluster
from wavepipe.pipeline.errors import JobError
from wavepipe.pipeline.execution import start_run
from wavepipe.pipeline.graph import batches, build_graph, root_of
from wavepipe.pipeline.inversion import invert_survey
from wavepipe.pipeline.job import check_files, read_job
from wavepipe.pipeline.ledger import Ledger
from wavepipe.pipeline.migration import migrate_survey
from wavepipe.pipeline.modelling import model_survey
from wavepipe.pipeline.partial import Partial
from wavepipe.pipeline.run_end import keep_stacks
from wavepipe.pipeline.run_folder import RunFolder

MOST_BYTES = 3_000_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of each kind; of the rtm runs one has a shot that fails, on two workers."""
    folder = tmp_path_factory.mktemp("report")
    write_models(folder)
    model_survey(toy_job(folder, "model"), cluster=InProcess())
    invert_survey(toy_job(folder, "fwi"), cluster=InProcess())
    shutil.copy(folder / "runs/model/shots.sgy", folder / "broken.sgy")
    with segyio.open(folder / "broken.sgy", "r+", ignore_geometry=True) as file:
        for trace in range(5 * 32, 6 * 32):  # too large for the image to be finite
            file.trace[trace] = (5e37 * np.sin(0.3 * np.arange(130))).astype(np.float32)
    job = {"survey__data": folder / "broken.sgy", "cluster__workers": 2, "cluster__batch_shots": 1}
    migrate_survey(toy_job(folder, "rtm", run__max_failed_shots=1, **job))
    strict = toy_job(folder, "rtm", output__folder="runs/strict", **job)
    assert not migrate_survey(strict, cluster=InProcess()).accepted
    return folder


def report(path: Path, *options: str, code: int = 0) -> str:
    """What the command writes into the file, or says where it refuses."""
    result = CliRunner().invoke(cli, ["report", str(path), *options])
    assert result.exit_code == code, result.output
    return result.output if code else (path / "report.html").read_text()


class _Page(HTMLParser):
    """Sections of a report as text, tables as rows, and what it refers to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.references, self.tags, self.sections, self.rows = [], [], {}, {}
        self._section, self._cell = "top", None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        given = dict(attributes)
        self.references += [given[name] for name in ("src", "href") if given.get(name)]
        if tag == "section":
            self._section = given["id"]
        elif tag == "tr":
            self.rows.setdefault(self._section, []).append([])
        elif tag in ("td", "th"):
            self.rows[self._section][-1].append("")
            self._cell = True

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self._cell = None
        elif tag == "section":
            self._section = "bottom"

    def handle_data(self, data):
        self.sections[self._section] = self.sections.get(self._section, "") + data
        if self._cell:
            self.rows[self._section][-1][-1] += data


@pytest.mark.parametrize("kind", ["model", "rtm", "fwi"])
def test_a_report_is_one_small_file_that_needs_no_other(kind, folder):
    text = report(folder / "runs" / kind)
    page = _Page(text)
    own = re.compile(r"#[a-z]+|data:image/png;base64,[A-Za-z0-9+/=]+")
    assert [one for one in page.references if not own.fullmatch(one)] == []
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert not re.search(r"url\(|@import|https?://", text)
    assert page.tags.count("img") == {"model": 5, "rtm": 7, "fwi": 9}[kind]
    assert len(text) < MOST_BYTES
    for name in ("shots", "geometry", "data", "failures", "time", "storage", "provenance", "job"):
        assert f"#{name}" in page.references
        assert "cannot be made" not in page.sections[name]


def test_shots_and_exit_code_are_those_of_the_results(folder):
    """Of a run that accepts a failed shot, and of one that does not."""
    for name, state, code in (("rtm", "Finished", 0), ("strict", "Failed", 3)):
        page = _Page(report(folder / "runs" / name, "--no-figures"))
        store = zarr.open_group(folder / "runs" / name / "results.zarr", mode="r")
        done = store["shots"][...][store["status"][...] == "done"]
        assert list(done) == [0, 1, 2, 3, 4, 6, 7]
        assert "7 shots of 8 in the result: 0-4, 6-7." in page.sections["shots"]
        assert "1 shot failed, and not in it: 5." in page.sections["shots"]
        assert f"{state}: 7 shots done, 1 failed" in page.sections["top"]
        assert f"Exit code {code}." in page.sections["top"]
        row = page.rows["failures"][1]
        assert row[:3] == ["5", str(store["label"][5]), "15, 420"]
        assert row[3] == str(store["failure"][5])


def test_a_contradiction_between_results_and_the_end_is_pointed_out(folder, tmp_path):
    copy = Path(shutil.copytree(folder / "runs/rtm", tmp_path / "rtm"))
    status = zarr.open_array(copy / "results.zarr/status", mode="r+")
    status[2] = "failed"
    page = _Page(report(copy, "--no-figures"))
    assert (
        "lists 6 shots as done and 2 as failed, but the run ended with 7 and 1"
        in (page.sections["shots"])
    )


def test_the_time_line_has_every_batch_and_the_logs_the_traceback(folder):
    """Of the run on two workers."""
    run = RunFolder(folder / "runs/rtm")
    text = report(run.path, "--no-figures")
    page = _Page(text)
    batches = [one for one in run.read_events() if one.get("event") == "batch"]
    assert len(batches) == 8
    assert sorted(k for one in batches for k in one["indices"]) == list(range(8))
    bars = re.findall(r'<rect[^>]*class="(batch [a-z]+)"><title>(.*?)</title>', text)
    assert sorted(title.split(":")[0] for _, title in bars) == [f"shots {k}" for k in range(8)]
    assert [title[:7] for look, title in bars if look == "batch failed"] == ["shots 5"]
    (evaluation,) = [one for one in run.read_events() if one.get("event") == "evaluation"]
    busy = sum(one["seconds"] for one in batches)
    idle = 100 * (1 - busy / (2 * evaluation["seconds"]))
    assert page.rows["time"][1][3:6] == ["2 x 1 threads", "1", "8"]
    assert page.rows["time"][1][6] == f"{idle:.2g} %"
    peak = max(one["peak_bytes"] for one in batches)
    measured = next(row for row in page.rows["storage"] if row[0] == "Memory of a worker")[2]
    assert f"largest process {peak / 1e6:.3g} MB" in measured
    (failed,) = [one for one in batches if one.get("failed")]
    assert page.rows["failures"][1][4] == failed["worker"]
    assert "Traceback (most recent call last)" in page.sections["failures"]
    assert "WavefieldError" in page.sections["failures"]
    (log,) = run.logs.iterdir()  # the worker without a failure says nothing
    assert log.name == f"worker-{failed['worker'].split('//')[1].replace(':', '-')}.log"


def test_convergence_is_that_of_the_results(folder):
    """Misfits, steps and what line searches tried."""
    run = folder / "runs/fwi"
    rows = _Page(report(run, "--no-figures")).rows["convergence"][1:]
    store = zarr.open_group(run / "results.zarr", mode="r")
    assert [row[2] for row in rows] == [f"{x:.4g}" for x in store["misfit"][...]]
    assert [row[1] for row in rows] == [str(int(x) + 1) for x in store["stage"][...]]
    parts = 100 * store["misfit"][...] / store["first_misfit"][...]
    assert [row[3] for row in rows] == [f"{x:.3g} %" for x in parts]
    for number, row in enumerate(rows[1:], 1):
        change = np.abs(store["vp"][number] - store["vp"][number - 1]).max()
        assert row[4] == f"vp {change:.3g} m/s"
        assert row[7].split("; ")[-1] == f"vp {change:.3g} m/s: {store['misfit'][number]:.4g}"


def test_models_and_images_have_the_numbers_of_the_results(folder):
    run = folder / "runs/fwi"
    last = zarr.open_group(run / "results.zarr", mode="r")["vp"][3]
    row = _Page(report(run)).rows["models"][1]
    assert row[:4] == ["vp", "3", f"{last.min():.4g} m/s", f"{last.max():.4g} m/s"]


def test_what_users_wrote_is_escaped(folder, tmp_path):
    """In the job, in the names of folders, and in what failed."""
    copy = Path(shutil.copytree(folder / "runs/rtm", tmp_path / "<b>run & co"))
    evil = "<script>alert('x')</script>"
    job = copy / "job.resolved.yaml"
    job.write_text(job.read_text() + f"# {evil}\n")
    RunFolder(copy).log_event({"event": "warning", "message": evil})
    failure = zarr.open_array(copy / "results.zarr/failure", mode="r+")
    failure[5] = evil
    text = report(copy, "--no-figures")
    assert "<script" not in text
    assert "<b>run" not in text
    assert text.count(html.escape(evil).replace("&#x27;", "&#39;")) == 3
    assert "&lt;b&gt;run &amp; co" in text


class Stopped(BaseException):
    """As if the process had died here."""


def test_a_run_under_way_one_that_stopped_and_one_that_goes_on(folder):
    """Each says so, and how to go on, which works as it is said."""
    job = toy_job(folder, "rtm", output__folder="runs/later")
    with suppress(Stopped), start_run(job, cluster=InProcess()):
        page = _Page(report(job.output_folder, "--no-figures"))
        assert "Under way, by process " in page.sections["top"]
        assert "wavepipe cancel" in page.sections["again"]
        raise Stopped
    page = _Page(report(job.output_folder))
    assert "Stopped before its end, by Stopped: . It can go on" in page.sections["top"]
    assert "No results were begun" in page.sections["shots"]
    assert "No image has been written yet" in page.sections["image"]
    line = f"wavepipe rtm {job.output_folder / 'job.resolved.yaml'} --resume "
    assert line in page.sections["again"]
    resolved = read_job(job.output_folder / "job.resolved.yaml")
    assert migrate_survey(resolved, cluster=InProcess(), resume=True).accepted
    page = _Page((job.output_folder / "report.html").read_text())
    assert "without figures" in page.sections["bottom"]  # as the job asks
    assert "Finished: 8 shots done, 0 failed" in page.sections["top"]
    assert [row[0] for row in page.rows["time"][1:]] == ["1, started", "2, resumed"]


def test_a_job_writes_its_report_and_a_report_that_fails_ends_no_run(folder, monkeypatch, caplog):
    """It is a warning, and an event."""
    from wavepipe.pipeline.report import report as module

    def fail(*_, **__):
        raise OSError("no ink")

    monkeypatch.setattr(module, "write_report", fail)
    job = toy_job(folder, "rtm", output__folder="runs/inkless")
    assert migrate_survey(job, cluster=InProcess()).accepted
    assert not (job.output_folder / "report.html").exists()
    last = RunFolder(job.output_folder).read_events()[-1]
    assert last["event"] == "warning"
    assert "the report could not be written (OSError: no ink)" in last["message"]
    assert last["message"] in caplog.text


def test_events_are_used_up_to_where_they_are_cut(folder, tmp_path):
    """And an event that follows the cut is not lost in it."""
    copy = Path(shutil.copytree(folder / "runs/fwi", tmp_path / "fwi"))
    lines = (copy / "events.jsonl").read_text().splitlines(keepends=True)
    second = next(k for k, line in enumerate(lines) if '"iteration": 2, "stage"' in line)
    (copy / "events.jsonl").write_text("".join(lines[:second]) + lines[second][:40])
    page = _Page(report(copy, "--no-figures"))
    assert "Stopped before its end, without a word" in page.sections["top"]
    assert [row[0] for row in page.rows["convergence"][1:]] == ["Iteration", "start", "1"][1:]
    RunFolder(copy).log_event({"event": "warning", "message": "after the cut"})
    assert "after the cut" in report(copy, "--no-figures")


def test_values_that_are_not_finite_are_counted_and_left_blank(folder, tmp_path):
    copy = Path(shutil.copytree(folder / "runs/rtm", tmp_path / "rtm"))
    image = zarr.open_array(copy / "results.zarr/image", mode="r+")
    image[3:5, 10:14] = np.nan
    page = _Page(report(copy))
    assert f"8 of {image.size} values of image are not finite" in page.sections["image"]


def test_what_is_gone_or_broken_is_said_in_its_place(folder, tmp_path):
    copy = Path(shutil.copytree(folder / "runs/rtm", tmp_path / "rtm"))
    for name in ("plan.json", "provenance.json", "survey.npz"):
        (copy / name).unlink()
    (copy / "results.zarr/status/zarr.json").write_text("{")
    page = _Page(report(copy))
    assert "plan.json is not there" in page.sections["storage"]
    assert "provenance.json is not there" in page.sections["provenance"]
    assert "This part cannot be made" in page.sections["geometry"]
    assert "This part cannot be made" in page.sections["shots"]
    assert "kind: rtm" in page.sections["job"]


def test_an_earth_model_that_has_changed_since_is_not_drawn_as_if_it_were_the_runs(
    folder, tmp_path
):
    job = toy_job(folder, "rtm", output__folder=str(tmp_path / "rtm"))
    assert migrate_survey(job, cluster=InProcess()).accepted
    start = folder / "start.npy"
    before = start.read_bytes()
    np.save(start, np.load(start) + 1)
    try:
        page = _Page(report(tmp_path / "rtm"))
    finally:
        start.write_bytes(before)
    assert "is not to be had any more" in page.sections["geometry"]
    assert "cannot be made" not in page.sections["image"]


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("events.jsonl", r'("event": "(?:start|end)".*?"shots": )\d+', r"\1null"),
        ("job.resolved.yaml", r"(?m)^run: .*\n", "run: 5\n"),
    ],
    ids=["events", "job"],
)
def test_a_broken_file_leaves_a_report(name, before, after, folder, tmp_path):
    """Whose head says so, and whose other parts stand."""
    copy = Path(shutil.copytree(folder / "runs/rtm", tmp_path / "rtm"))
    text = (copy / name).read_text()
    assert re.search(before, text)
    (copy / name).write_text(re.sub(before, after, text))
    page = _Page(report(copy, "--no-figures"))
    assert "Reverse-time migration: rtm" in page.sections["top"]
    assert "How it ended cannot be said: what is recorded is broken." in page.sections["top"]
    assert "wavepipe" in page.sections["provenance"]
    assert "cannot be made" not in page.sections["provenance"]


def test_bad_folders_are_refused(folder, tmp_path):
    assert "is not a run folder" in report(tmp_path, code=2)
    assert "is not a run folder" in report(tmp_path / "nothing", code=2)
    copy = Path(shutil.copytree(folder / "runs/rtm", tmp_path / "rtm"))
    known = json.loads((copy / "provenance.json").read_text())
    known["versions"]["wavepipe"] = "99.1"
    (copy / "provenance.json").write_text(json.dumps(known))
    assert "was written by wavepipe 99.1, and this is " in report(copy, code=2)
    elsewhere = tmp_path / "elsewhere.html"
    report(folder / "runs/rtm", "--no-figures", "--output", str(elsewhere))
    assert elsewhere.read_text().startswith("<!doctype html>")


def test_workers_that_ended_with_a_batch_are_named(folder, tmp_path):
    """By the event of the batch, which another worker did."""

    def leaf(argument, shots, _halvings):
        once = Path(argument) / "once"
        if shots[0] == 1 and not once.exists():
            once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return Partial(shots)

    copy = RunFolder(Path(shutil.copytree(folder / "runs/rtm", tmp_path / "rtm")))
    blocks = batches(range(3), 1)
    safe = Ledger(tmp_path / "ledger", root_of(blocks))
    graph, root = build_graph("deaths", leaf, str(tmp_path), blocks, safe)
    copy.log_event({"event": "resume", "kind": "rtm", "shots": 3, "workers": 1, "threads": 1})
    with local_cluster(1, 1) as cluster, cluster.logged(copy.logs):
        cluster.compute(graph, root, copy.log_event)
    page = _Page(report(copy.path, "--no-figures"))
    (event,) = [one for one in copy.read_events() if one.get("died")]
    (dead,) = event["died"]
    assert dead != event["worker"]
    assert page.rows["failures"][-1] == ["1", "2", dead, event["worker"], "yes"]
    assert 'class="batch again"' in (copy.path / "report.html").read_text()


def test_a_batch_that_hung_leaves_its_stacks(tmp_path):
    """After the ledger has gone, too."""
    folder = RunFolder(tmp_path)
    stacks = folder.ledger / "evaluation-1234567890ab" / "2-try1.stacks"
    stacks.parent.mkdir(parents=True)
    stacks.write_text("Timeout")
    keep_stacks(folder)
    (kept,) = folder.logs.iterdir()
    assert kept.name == "hung-1234567890ab-2-try1.log"
    assert kept.read_text() == "Timeout"


@pytest.mark.skipif(find_spec("bokeh") is not None, reason="bokeh is there")
def test_dasks_own_account_is_refused_before_the_run_where_it_cannot_be_written(folder):
    job = toy_job(folder, "rtm", output__dask_report=True)
    with pytest.raises(JobError, match=r"output.dask_report .* needs bokeh: pip install bokeh"):
        check_files(job)
