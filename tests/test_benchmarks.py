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
