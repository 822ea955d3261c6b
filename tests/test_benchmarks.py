"""The benchmark's own side of a comparison runs, and takes the steps that it must take."""

import json
import subprocess
import sys

import numpy as np
import pytest

TINY = {
    "kind": "gradient",
    "shape": [90, 110],
    "nt": 350,
    "n_shots": 2,
    "order": 4,
    "peak_frequency": 15.0,
    "separation": 20,
    "half_spread": 30,
}


@pytest.fixture(scope="module")
def answers(repository, tmp_path_factory):
    """What the worker process answers, and the folder with its arrays."""
    folder = tmp_path_factory.mktemp("benchmark")
    request = {"code": "ours", "case": TINY, "threads": 1}
    commands = [{"do": "first"}, {"do": "every_step"}, {"do": "time"}]
    lines = [json.dumps({**command, "folder": str(folder)}) for command in commands]
    finished = subprocess.run(
        [sys.executable, "-m", "benchmarks.worker", json.dumps(request)],
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
    assert np.linalg.norm(error) < 1e-4 * np.linalg.norm(every_step)
