"""The section ``storage`` of a job: what is accepted, what is refused, and what the plan makes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from spill_disks import named
from toy_jobs import settings, toy_job, write_job, write_models

from wavepipe.cli.main import cli
from wavepipe.pipeline import keeping, prices, run_start, schedule, wavefields
from wavepipe.pipeline.clusters import workers as workers_of_runs
from wavepipe.pipeline.clusters.cluster import InProcess
from wavepipe.pipeline.errors import JobError
from wavepipe.pipeline.inputs import read_inputs
from wavepipe.pipeline.job import read_job
from wavepipe.pipeline.keeping import scratch_folder
from wavepipe.pipeline.machine import Machine
from wavepipe.pipeline.modelling import model_survey
from wavepipe.pipeline.plan import Plan, make_plan
from wavepipe.pipeline.probe import _unmeasured
from wavepipe.pipeline.quantities import bytes_of
from wavepipe.propagators.storage.choice import CODEC_ERRORS
from wavepipe.propagators.storage.names import COMPRESSIONS, METHODS, MODES

SMALL = Machine(n_workers=2, cores=2, memory=10**9, threads=1)
CONTRACT = (
    "storage={mode: auto, method: auto, compression: none, stride: auto, path: auto, budget: auto, "
    "max_gradient_error: 1.0e-3}"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with modelled data in runs/model and a job file of each kind."""
    folder = tmp_path_factory.mktemp("jobs")
    write_models(folder)
    model_survey(toy_job(folder, "model"), cluster=InProcess())
    for kind in ("model", "rtm", "fwi"):
        write_job(folder, settings(kind))
    return folder


def planned(folder: Path, kind: str = "rtm", machine: Machine = SMALL, **storage: object) -> Plan:
    """Plan of a job with some keys of its section storage."""
    keys = {f"storage__{key}": value for key, value in storage.items()}
    job = toy_job(folder, kind, output__folder="runs/planned", **keys)
    return make_plan(read_inputs(job), machine)


def refusal(folder: Path, kind: str = "rtm", machine: Machine = SMALL, **storage: object) -> str:
    with pytest.raises(JobError) as caught:
        planned(folder, kind, machine, **storage)
    return str(caught.value)


@pytest.mark.parametrize("kind", ["model", "rtm", "fwi"])
def test_the_defaults_are_what_they_are_said_to_be(folder, kind):
    plain = read_job(folder / f"{kind}.yaml")
    assert read_job(folder / f"{kind}.yaml", [CONTRACT]).storage == plain.storage
    again = write_job(folder, plain.resolved(), f"again-{kind}.yaml")
    assert read_job(again).storage == plain.storage


@pytest.mark.parametrize(
    ("key", "names"), [("mode", MODES), ("method", METHODS), ("compression", COMPRESSIONS)]
)
def test_every_name_that_exists_is_accepted(folder, key, names):
    for name in names:
        kind = "model" if name == "none" else "rtm"
        job = read_job(folder / f"{kind}.yaml", [f"storage.{key}={name}"])
        assert getattr(job.storage, key) == name


@pytest.mark.parametrize(
    ("written", "size"),
    [("8 GB", 8 * 10**9), ("512 MiB", 2**29), (4096, 4096), ("1.5kB", 1500), (2e9, 2 * 10**9)],
)
def test_a_budget_is_bytes_or_an_amount_with_its_unit(folder, written, size):
    assert bytes_of(written) == size
    assert read_job(folder / "rtm.yaml", [f"storage.budget={written}"]).storage.limit == size


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("mode=tape", ("storage.mode", "'tape'", "auto, device, cpu, disk, none")),
        ("method=guess", ("storage.method", "'guess'", "auto, snapshots")),
        ("compression=zip", ("storage.compression", "'zip'", "none, float16")),
        ("stride=0", ("storage.stride", "0", "at least 1")),
        ("bugdet=3", ("unknown key 'bugdet'", "did you mean 'budget'")),
        ("budget=8 XB", ("storage.budget", "'8 XB'", "kB, MB, GB")),
        ("budget=-1", ("storage.budget", "-1", "positive number of bytes")),
        ("budget=true", ("storage.budget", "True", "such as '8 GB'")),
        ("path=3", ("storage.path", "3", "text")),
        ("max_gradient_error=1.5", ("storage.max_gradient_error", "less than 1")),
        ("{mode: cpu, path: /tmp}", ("'/tmp'", "'cpu' writes nothing to disk", "mode 'disk'")),
        ("{method: recompute, compression: block8}", ("'block8'", "method 'snapshots'")),
        ("mode=none", ("needs it for its gradient", "cpu or disk")),
    ],
)
def test_what_makes_no_sense_is_refused_at_once(folder, override, parts):
    with pytest.raises(JobError) as caught:
        read_job(folder / "rtm.yaml", [f"storage{'=' if override[0] == '{' else '.'}{override}"])
    for part in parts:
        assert part in str(caught.value)


def test_a_model_job_keeps_nothing_whatever_is_asked_for(folder):
    plan = planned(folder, "model", mode="disk", path="/nowhere", compression="cosine1")
    assert plan.keeping == keeping.NOTHING


def test_what_fits_stays_in_memory_as_it_is(folder):
    for kind in ("rtm", "fwi"):
        kept = planned(folder, kind).keeping
        assert (kept.mode, kept.method, kept.compression) == ("device", "snapshots", "none")
        assert kept.is_direct
        assert kept.budget is None


@pytest.mark.parametrize("mode", ["device", "disk"])
@pytest.mark.parametrize("method", ["snapshots", "recompute"])
def test_what_is_named_is_done(folder, mode, method):
    kept = planned(folder, mode=mode, method=method).keeping
    assert (kept.mode, kept.method) == (mode, method)
    assert (kept.shot_disk > 0) == (mode == "disk")


def probed(monkeypatch: pytest.MonkeyPatch, **seconds: float) -> list:
    """Let the probe find these times by codec, mode or method, and an error of 0.1 of the codecs'.

    Codecs that are not named are not measured. What it is asked for is in the list.
    """
    asked = []

    def fake(inputs, one, reference, ways, *_):
        asked.extend(ways)
        assert reference.is_exact
        found = [_unmeasured(way) for way in ways]
        for k, way in enumerate(ways):
            key = {"none": way.mode if way.method == "snapshots" else way.method}.get(
                way.compression, way.compression
            )
            if key in seconds:
                error = 0.1 * CODEC_ERRORS.get(way.compression, 0.0)
                found[k] = replace(found[k], seconds=seconds[key], error=error)
        return tuple(found)

    monkeypatch.setattr(prices, "probe", fake)
    return asked


def half_of(folder: Path) -> int:
    return planned(folder, stride=1).keeping.shot_memory // 2


@pytest.mark.parametrize(
    ("seconds", "storage", "taken"),
    [
        ({"disk": 2.0, "recompute": 3.0}, {}, ("disk", "snapshots", "none")),
        ({"disk": 4.0, "recompute": 3.0}, {}, ("device", "recompute", "none")),
        ({"disk": 4.0, "cosine4": 1.0}, {}, ("disk", "snapshots", "none")),
        (
            {"disk": 1.1, "cosine6": 1.2, "cosine3": 1.0},
            {"compression": "auto"},
            ("disk", "snapshots", "none"),
        ),
        (
            {"disk": 4.0, "recompute": 3.0, "cosine4": 1.0},
            {"compression": "auto"},
            ("device", "snapshots", "cosine4"),
        ),
        (
            {"disk": 4.0, "recompute": 3.0, "cosine4": 1.0},
            {"compression": "auto", "max_gradient_error": 1e-5},
            ("device", "recompute", "none"),
        ),
        ({}, {"compression": "auto"}, ("disk", "snapshots", "none")),
        ({}, {"mode": "device"}, ("device", "recompute", "none")),
    ],
)
def test_of_what_fits_the_fastest_is_taken_that_loses_little(
    folder, monkeypatch, seconds, storage, taken
):
    """By what was measured; without that nothing is lost."""
    half = half_of(folder)
    asked = probed(monkeypatch, **seconds)
    plan = planned(folder, stride=1, budget=half, **storage)
    kept = plan.keeping
    assert (kept.mode, kept.method, kept.compression) == taken
    assert max(kept.shot_memory, kept.budget) <= half
    assert all(way.shot_memory <= half for way in asked)
    assert len(plan.measured) == len(asked)


def test_a_probe_measures_errors_times_and_bytes(folder, tmp_path, monkeypatch):
    """On a shot of the survey: nothing is lost without a codec, more by a coarser one."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    options = {"stride": 1, "budget": half_of(folder), "compression": "auto"}
    for kind in ("rtm", "fwi"):
        plan = planned(folder, kind, **options, max_gradient_error=0.9)
        errors = {found.compression: found.error for found in plan.measured}
        exact = {one.method: one.error for one in plan.measured if one.compression == "none"}
        assert exact["snapshots"] == exact["recompute"] == 0 < exact["boundary"] < 1e-4
        assert 0 < errors["cosine6"] < errors["cosine3"] < errors["cosine1"] < 0.9
        assert all(found.seconds > 0 and found.memory > 0 for found in plan.measured)
        assert {found.mode for found in plan.measured if found.disk} == {"disk"}
        fastest = min(found.seconds for found in plan.measured)
        fast = [one for one in plan.measured if one.seconds <= prices.AS_FAST * fastest]
        assert plan.keeping.compression == fast[0].compression
        assert len(json.loads(json.dumps(plan.as_dict()))["measured"]) == len(plan.measured)
    strict = planned(folder, **options, max_gradient_error=1e-6)
    assert strict.keeping.is_exact
    known = {found.compression for found in strict.measured if found.error >= 0}
    assert known == {"none", "cosine6"}  # coarser ones lose more
    assert not list(tmp_path.iterdir())


def test_a_probe_ends_in_time(folder, monkeypatch):
    """When its share of the run's work is used up; and where one gradient is more, none is made."""
    half = half_of(folder)
    monkeypatch.setattr(prices, "PROBE_SECONDS", 0.0)
    monkeypatch.setattr(prices, "PROBE_SHARE", 1.0)
    monkeypatch.setattr(prices, "SLOWEST", 1e15)
    plan = planned(folder, stride=1, budget=half, compression="auto")
    assert plan.keeping.is_exact
    assert plan.measured
    assert not any(found.error >= 0 for found in plan.measured)
    assert all(row["error"] is None for row in plan.as_dict()["measured"])
    monkeypatch.setattr(prices, "PROBE_SHARE", 0.0)
    assert planned(folder, stride=1, budget=half).measured == ()


def test_a_codec_that_was_asked_for_is_taken_with_a_warning(folder, caplog):
    plan = planned(folder, compression="cosine4", mode="device", method="snapshots")
    assert plan.keeping.compression == "cosine4"
    assert "cosine4 changes the gradient of a shot by" in caplog.text


def test_small_machines_keep_less_in_memory(folder):
    whole = planned(folder, stride=1)
    memory = int(0.8 * whole.schedule.shot_bytes / schedule.MEMORY_SHARE)
    small = replace(SMALL, memory=memory)
    crowded = planned(folder, machine=small, stride=1)
    assert crowded.keeping.is_exact
    assert not crowded.keeping.is_direct
    needed = crowded.schedule.n_workers * crowded.schedule.shot_bytes
    assert needed <= schedule.MEMORY_SHARE * memory


def test_the_stages_of_an_inversion_keep_wavefields_alike(folder):
    """By the stage that keeps the most."""
    plan = planned(folder, "fwi", method="recompute")
    finest = min(one.propagation.stride for one in plan.passes)
    assert plan.keeping == planned(folder, "fwi", method="recompute", stride=finest).keeping


def test_budgets_cut_batches_into_calls(folder):
    one = planned(folder).keeping.shot_memory
    for shots in (1, 2):
        assert planned(folder, budget=shots * one).schedule.call_shots == shots


def test_a_budget_that_nothing_fits_says_what_would(folder):
    message = refusal(folder, stride=1, mode="device", method="snapshots", budget="300 kB")
    assert "storage of rtm.yaml" in message
    assert "the budget is 300 kB" in message
    assert "What fits: " in message
    assert "mode 'disk'" in message
    assert "Nothing does; the least is" in refusal(folder, budget="1 kB")


def test_waves_with_losses_are_not_taken_back(folder):
    """The key is named before anything runs; auto does not try."""
    lossy = {"physics": "viscoacoustic"} | {
        f"earth_model__{name}": {"constant": value} for name, value in (("rho", 1e3), ("q", 30.0))
    }
    job = toy_job(folder, "rtm", output__folder="runs/lossy", storage__method="boundary", **lossy)
    with pytest.raises(JobError, match=r"storage\.method of .* is 'boundary'.*viscoacoustic waves"):
        make_plan(read_inputs(job), SMALL)
    job = toy_job(folder, "rtm", output__folder="runs/lossy", storage__compression="auto", **lossy)
    assert prices._methods(job, "none") == ("snapshots", "recompute")
    assert prices._methods(toy_job(folder, "rtm", storage__compression="auto"), "none")[-1] == (
        "boundary"
    )


def test_folders_that_cannot_be_used_are_refused(folder, tmp_path):
    assert "does not exist. Make the folder" in refusal(folder, path=tmp_path / "no")
    assert "is a file" in refusal(folder, mode="disk", path=folder / "rtm.yaml")
    assert "'/proc' cannot be written" in refusal(folder, mode="disk", path="/proc")


def test_a_disk_with_too_little_room_is_refused(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(schedule, "free_disk", lambda _: (tmp_path, 1000))
    message = refusal(folder, mode="disk", method="snapshots", path=tmp_path)
    assert "takes" in message
    assert f"{tmp_path} has 1 kB free" in message
    assert "storage.compression" in message


def test_workers_share_the_disk(folder, tmp_path, monkeypatch):
    """As many shots at a time as there is room for."""
    shot = planned(folder, mode="disk", method="snapshots", path=tmp_path).keeping.shot_disk
    monkeypatch.setattr(schedule, "free_disk", lambda _: (tmp_path, 4 * shot))
    plan = planned(folder, mode="disk", method="snapshots", path=tmp_path)
    assert plan.schedule.n_workers * plan.schedule.call_shots <= 3
    monkeypatch.setattr(schedule, "free_disk", lambda _: (tmp_path, 1.1 * shot))
    assert planned(folder, mode="disk", method="snapshots", path=tmp_path).schedule.n_workers == 1


def test_a_codec_that_loses_too_much_is_refused(folder):
    message = refusal(folder, compression="cosine1")
    assert "'cosine1', which changes gradients by up to 0.02" in message
    assert "cosine6 or " in message
    assert planned(folder, compression="cosine1", max_gradient_error=0.05).keeping.mode == "device"


def test_the_scratch_folder_is_the_nodes_own_unless_that_is_in_memory(tmp_path, monkeypatch):
    spare = tmp_path / "run/work/scratch"
    assert scratch_folder("/somewhere", spare) == Path("/somewhere")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(keeping, "in_memory", lambda _: False)
    assert scratch_folder(None, spare) == tmp_path
    assert not spare.exists()
    monkeypatch.setattr(keeping, "in_memory", lambda _: True)
    assert scratch_folder(None, spare) == spare
    assert spare.is_dir()


def test_an_old_folder_for_temporary_files_may_be_gone(folder, tmp_path, monkeypatch):
    """A batch system removes its jobs' own: the run folder serves then."""
    monkeypatch.setattr(keeping, "default_folder", lambda: tmp_path / "gone")
    assert scratch_folder(None, tmp_path / "spare") == tmp_path / "spare"
    keeping.sweep_scratch(toy_job(folder, "rtm", output__folder="runs/planned"))
    assert planned(folder, mode="disk").keeping.mode == "disk"


def test_what_a_killed_run_left_does_not_count_as_a_full_disk(folder, tmp_path, monkeypatch):
    """It is removed before the plan looks at the disk."""
    left = named(tmp_path, pid="999999999")
    room = type("Room", (), {"free": property(lambda _: 0 if left.exists() else 1 << 40)})()
    monkeypatch.setattr(wavefields, "disk_usage", lambda _: room)
    keys = {"mode": "disk", "method": "snapshots", "path": str(tmp_path)}
    assert "has 0 bytes free" in refusal(folder, **keys)
    stored = {f"storage__{key}": value for key, value in keys.items()}
    with run_start.plan_run(toy_job(folder, "rtm", output__folder="runs/x", **stored)) as planned_:
        assert planned_[1].keeping.mode == "disk"


def test_a_relative_path_starts_at_the_job_file(folder):
    (folder / "scratch").mkdir(exist_ok=True)
    plan = planned(folder, mode="disk", path="scratch")
    assert plan.keeping.path == str(folder / "scratch")
    job = toy_job(folder, "rtm", storage__mode="disk", storage__path="scratch")
    assert yaml.safe_load(job.resolved_yaml())["storage"]["path"] == str(folder / "scratch")


def test_a_remote_worker_judges_its_own_folder(folder):
    """A folder of other nodes may be missing here."""
    job = toy_job(
        folder, "rtm", storage__path="/local/scratch", storage__mode="disk",
        cluster__address="tcp://a:1", cluster__kind="address",
    )  # fmt: skip
    plan = make_plan(read_inputs(job), replace(SMALL, free=False))
    assert plan.keeping.path == "/local/scratch"

    class Nodes:
        def everywhere(self, function, *arguments):
            return {"tcp://a:1": "", "tcp://b:1": function(*arguments)}

    with pytest.raises(JobError, match="on worker tcp://b:1, storage path '/local/scratch' does"):
        workers_of_runs._check_nodes(job, Nodes())
    assert keeping.folder_problem(str(folder)) == ""


def test_a_dry_run_shows_the_plan_and_writes_nothing(folder):
    before = set(folder.rglob("*"))
    arguments = ["rtm", str(folder / "rtm.yaml"), "--dry-run"]
    for pair in ("storage.mode=disk", "cluster.threads_per_worker=1"):
        arguments += ["--set", pair]
    shown = CliRunner().invoke(cli, arguments)
    assert shown.exit_code == 0, shown.output
    assert "wavefields are kept on disk" in shown.output
    assert "Nothing was started or written" in shown.output
    assert set(folder.rglob("*")) == before


@pytest.mark.parametrize("dry", [["--dry-run"], []])
@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("storage.budget=10 kB", "the least is"),
        ("storage.path=/nowhere", "does not exist"),
        ("storage.compression=block8", "max_gradient_error"),
    ],
)
def test_refusals_come_before_anything_runs(folder, dry, override, said):
    arguments = ["rtm", str(folder / "rtm.yaml"), *dry, "--set", override]
    shown = CliRunner().invoke(cli, arguments)
    assert shown.exit_code == 2, shown.output
    assert said in shown.output
    assert not (folder / "runs/rtm").exists()


def test_plans_are_plain_and_say_how(folder):
    plan = json.loads(json.dumps(planned(folder, mode="disk", method="snapshots").as_dict()))
    assert plan["keeping"]["shot_disk"] > 0
    line = wavefields.describe_keeping(planned(folder, method="recompute").keeping)
    assert "forward runs made again" in line
