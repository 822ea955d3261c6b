"""The memory of a call is what its plan says: measured in a process of its own."""

import json
import subprocess
import sys

import pytest

SCRIPT = """
import gc, json, sys, warnings
from pathlib import Path
import numpy as np
import torch
from wavepipe.propagators import Boundary, Storage, propagate
from wavepipe.propagators.backends.heap import make_room
from wavepipe.propagators.physics.names import PARAMETERS
from wavepipe.propagators.planning import plan_call
from wavepipe.propagators.wavelets import ricker

physics, shape, nt, options, shots = json.loads(sys.argv[1])
gradient = options is not None
storage = Storage(**{"stride": 4} | (options or {}))
settings = dict(boundary=Boundary(10, 10.0), velocity_bound=2100.0)
values = {"vp": 2000.0, "vs": 1000.0, "rho": 2000.0, "q": 50.0}

def status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))

def earth(shape):
    names = PARAMETERS[physics]
    return {name: torch.full(shape, values[name], requires_grad=gradient) for name in names}

def call(models, nt):
    shape = next(iter(models.values())).shape
    amplitudes = torch.tensor(ricker(10.0, 1e-3, nt, 0.12)).float().expand(shots, 1, nt)
    receivers = np.full((shots, 20, len(shape)), 50.0)
    receivers[..., -1] = np.linspace(30, 10 * shape[-1] - 50, 20)
    gather = propagate(
        physics, models, 10.0, 1e-3, sources={"pressure": (amplitudes, receivers[:, :1])},
        receivers={"pressure": receivers}, storage=storage, **settings,
    )["pressure"]
    if gradient:
        gather.backward(gather.detach() * torch.linspace(1, 0, nt) ** 2)

with warnings.catch_warnings(action="ignore"):
    call(earth((24,) * len(shape)), min(nt, 300))
    models = earth(tuple(shape))
    gc.collect()
    make_room(1 << 30)
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    call(models, nt)
plan = plan_call(
    shape, 10.0, 1e-3, nt, shots, 20, physics=physics, wanted=PARAMETERS[physics], n_models=1,
    storage=storage, gradient=gradient, max_frequency=25.0, **settings,
)
print(json.dumps([plan.bytes, status("VmHWM") - before]))
"""

SNAPSHOTS = {"mode": "device", "method": "snapshots"}
CASES = [
    pytest.param("scalar", (500, 500), 210, SNAPSHOTS | {"stride": 1}),
    pytest.param("acoustic", (3000, 3100), 20, None),  # no gradient
    *(
        pytest.param(*case, marks=pytest.mark.slow)
        for case in (
            ("scalar", (700, 700), 2600, SNAPSHOTS | {"compression": "cosine6"}),
            ("elastic", (500, 500), 120, {"mode": "cpu"}),
            ("elastic", (500, 500), 600, SNAPSHOTS | {"compression": "float16"}),
            ("scalar", (130, 120, 130), 200, {"mode": "disk"}),
            ("elastic", (60, 60, 60), 120, {"method": "recompute"}),
            ("scalar", (120, 130, 120), 150, {"mode": "cpu", "method": "boundary"}),
            ("elastic", (500, 600), 700, {"method": "boundary", "compression": "float16"}),
            ("elastic", (120, 120, 130), 60, None),
            ("scalar", (60, 60), 12000, None),
            ("scalar", (4000, 3800), 40, None),
            ("viscoacoustic", (120, 130, 130), 60, None),
            ("viscoacoustic", (100, 90, 100), 100, {"mode": "disk"}),
            ("acoustic", (120, 130, 130), 200, {"mode": "disk"}),
        )
    ),
]


@pytest.mark.parametrize(("physics", "shape", "nt", "options"), CASES)
def test_memory_is_predicted_within_a_tenth(physics, shape, nt, options):
    check(physics, shape, nt, options, 1)


@pytest.mark.slow
@pytest.mark.parametrize("options", [None, SNAPSHOTS | {"stride": 8}])
def test_shots_in_one_earth_model(options):
    """It is there once; wavefields and gradients are there for every shot."""
    check("acoustic", (1300, 1300), 40, options, 8)


def check(physics, shape, nt, options, shots):
    """Peak of the resident memory above what a small call has left, above 200 MB."""
    case = json.dumps([physics, shape, nt, options, shots])
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, case], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    predicted, measured = json.loads(run.stdout)
    assert measured > 200e6
    assert abs(predicted / measured - 1) < 0.1, (predicted, measured)
