"""The benchmark's own side of a comparison runs, and takes the steps that it must take."""

import json
import subprocess
import sys

import numpy as np
import pytest

TINY = {
    "kind": "gradient",
    "shape": [90, 110],
    "nt": 450,
    "n_shots": 2,
    "order": 4,
    "peak_frequency": 12.0,
    "separation": 20,
    "half_spread": 30,
}


@pytest.fixture(scope="module", params=["scalar", "acoustic", "elastic"])
def answers(request, repository, tmp_path_factory):
    """What the worker process answers, and the folder with its arrays."""
    folder = tmp_path_factory.mktemp("benchmark")
    job = {"code": "ours", "case": TINY | {"physics": request.param}, "threads": 1}
    commands = [{"do": "first"}, {"do": "every_step"}, {"do": "time"}]
    lines = [json.dumps({**command, "folder": str(folder)}) for command in commands]
    finished = subprocess.run(
        [sys.executable, "-m", "benchmarks.worker", json.dumps(job)],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        cwd=repository,
    )
    assert finished.returncode == 0, finished.stderr
    return [json.loads(line) for line in finished.stdout.splitlines()], folder


def test_one_internal_step_is_taken_per_sample(answers):
    (_, first, _, _), _ = answers
    assert first["chosen"]["steps_per_sample"] == 1
    assert first["chosen"]["stride"] > 1


def test_a_run_is_timed_and_its_memory_measured(answers):
    (_, first, _, timed), _ = answers
    assert timed["seconds"] > 0
    assert 0 <= first["rss_mb"] < 1000


def test_the_gradient_of_the_chosen_stride_counts(answers):
    _, folder = answers
    every_step = np.load(folder / "ours-gradient-stride1.npy").astype(np.float64)
    error = np.load(folder / "ours-gradient.npy") - every_step
    # A row of the benchmark counts below this.
    for wrong, right in zip(error, every_step, strict=True):
        assert np.linalg.norm(wrong) < 1e-4 * np.linalg.norm(right)


BOUND = """
from benchmarks.bound import against_bound, bytes_per_cell
from benchmarks.cases import Case
wave = (10.0, 5, 16)
wide = Case("forward", "scalar", (400_000,) * 3, 100, 1, 8, *wave)
print(bytes_per_cell(wide))
solid = Case("forward", "elastic", (40, 60), 100, 2, 8, *wave)
print(bytes_per_cell(solid))
row = against_bound(solid, 1.0, 0, 4e9)
print(row["ours_gcells_s"], row["bound_reached"])
"""


def test_the_bound_counts_every_array_once(repository):
    """And the memories of the layers, 40 cells of each axis."""
    command = [sys.executable, "-c", BOUND]
    finished = subprocess.run(command, capture_output=True, text=True, cwd=repository)
    assert finished.returncode == 0, finished.stderr
    wide, solid, rate, reached = map(float, finished.stdout.split())
    assert wide == pytest.approx(16.0, rel=0.01)
    # Five fields read and written, five coefficients; four memories an axis, read and written.
    assert solid == pytest.approx(4 * (15 + 8 * (40 / 80 + 40 / 100)))
    assert rate == pytest.approx(80 * 100 * 2 * 100 / 1e9)
    assert reached == pytest.approx(rate * solid / 4)


STORAGE = """
import sys
from pathlib import Path
import benchmarks.ways
from benchmarks.cases import Case
from benchmarks.storage import Session
from benchmarks.storage_table import tables
from benchmarks.ways import Way
folder = Path(sys.argv[1])
case = Case("gradient", "scalar", (70, 90), 250, 1, 4, 15.0, 5, 30, layers=4)
stored = Way("device", "snapshots", "none")
Session(folder / "rows.json", 1, folder).measure(case, [stored])
session = Session(folder / "rows.json", 1, folder)
session.measure(case, [stored, Way("disk", "snapshots", "bfloat16")])
benchmarks.ways.ROOM = 0.0
session.measure(case, [stored, Way("device", "recompute", "none")])
print(tables(session.rows))
"""


@pytest.fixture(scope="module")
def storage(repository, tmp_path_factory):
    """Rows, table and messages of a storage benchmark that was interrupted and continued."""
    folder = tmp_path_factory.mktemp("storage")
    finished = subprocess.run(
        [sys.executable, "-c", STORAGE, str(folder)],
        capture_output=True,
        text=True,
        cwd=repository,
    )
    assert finished.returncode == 0, finished.stderr
    rows = json.loads((folder / "rows.json").read_text())
    return {row["label"]: row for row in rows}, finished.stdout, finished.stderr


def test_every_way_of_keeping_is_measured_once(storage):
    rows, _, said = storage
    assert len(rows) == 4
    assert [said.count(f"{label} ") for label in rows] == [1, 1, 1, 1]
    assert all(rows[label]["seconds"] > 0 for label in list(rows)[:3])


def test_the_error_of_a_codec_is_seen_and_its_room_on_disk(storage):
    rows, _, _ = storage
    stored, rounded = rows["device snapshots none"], rows["disk snapshots bfloat16"]
    assert stored["error"] == stored["deep_error"] == 0
    # Eight bits of each value are kept: 2^-8 of it is lost at most, and the table of codecs
    # says 3e-3 of a gradient.
    assert 1e-5 < rounded["error"] < 4e-3
    assert 1e-5 < rounded["deep_error"] < 4e-3
    assert stored["disk_bytes"] == 0 < rounded["disk_bytes"] == rounded["predicted"]["disk"]


def test_a_way_that_does_not_fit_is_listed_with_what_it_would_take(storage):
    rows, table, _ = storage
    assert "seconds" not in rows["device recompute none"]
    lines = [line for line in table.splitlines() if line.startswith("|")]
    assert "| device | recompute | none | does not fit |" in lines[-1]
    assert len(lines) == 2 + 3
    # Of every step 4 bytes a cell, with 20 cells of layer and a guard of 2 on each side.
    assert f"Deepwave keeps {4 * 114 * 134 * 250 / 2**20:.0f} MB" in table


def test_the_table_of_a_card_is_written_row_by_row(repository, tmp_path):
    """A case that fails, however it does, costs no other; what is killed costs no row before it."""
    code = """
import json, sys
from benchmarks import cuda
from wavepipe.propagators import errors

path = sys.argv[2]
failures = [
    errors.CardMemoryError("too large"), errors.StorageError("full"), RuntimeError("refused"), None
]

def row_of(case, *_):
    said = [row.get("failed") for row in json.load(open(path))[2:]]
    assert said == ["too large", "full", "refused"][: len(said)]
    failure = failures.pop(0)
    if failure is None:
        raise KeyboardInterrupt
    raise failure

cuda.machine, cuda.copy_bandwidth, cuda.row_of = lambda _: {"card": "none"}, lambda *_: 1.0, row_of
cuda.main()
"""
    table = tmp_path / "cuda.json"
    command = [sys.executable, "-c", code, "--json", str(table)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=repository, check=False)
    assert "KeyboardInterrupt" in done.stderr
    rows = json.loads(table.read_text())
    assert [row.get("failed") for row in rows[2:]] == ["too large", "full", "refused"]
