"""Gathers of acoustic and elastic media against Deepwave 0.1.0, an independent code.

Both solve the same first-order equations on the same staggered grid, average density
arithmetically and the shear modulus harmonically, and step by leapfrog. In the units of a gather
they differ only by conventions, which `deepwave_input` translates; what then remains is the echo
of two different absorbing layers, and our interpolation by half a step.

============  ================================  =============================================
              ours                              Deepwave
============  ================================  =============================================
pressure      volume rate, m3/s (acoustic), or  ``volume_rate`` or ``pressure_rate``: the same
source        isotropic moment rate, N m/s;     per cell volume, the same sign; sample n acts
              sample n at n dt                  at (n + 1/2) dt
force         N, +z down; sample n at n dt      per cell volume, the same sign; sample n acts
                                                at n dt
pressure      minus the mean normal stress;     the same, at n dt
receiver      sample n at n dt
velocity      m/s; sample n at n dt             the same, but sample n at (n - 1/2) dt
receiver
axes          z, (y,) x; vz is the first        named from the last: x, y, z; in 2-D the first
                                                axis is y
positions     m, anywhere; a component's node   cells; a component's location names the node
              is half a cell after the node     that it is half a cell after
              along its axis
models        vp, vs, rho                       acoustic: v, rho; elastic: lambda, mu, 1 / rho
time step     any                               a whole part of dt, at Courant number 0.6 of a
                                                bound that exceeds the largest vp where density
                                                varies; a lower ``max_vel`` is refused
============  ================================  =============================================

A record is linear in the wavelet and the earth does not change in time, so the half steps need no
interpolation: Deepwave is given the wavelet at other times, one shot for the receivers of pressure
and one for those of velocity.
"""

import json
import subprocess

import numpy as np
import pytest
import torch

from wavepipe.propagators import Boundary, propagate

SPACING = 10.0
COURANT_NUMBER = 0.6
CRITICAL_COURANT_NUMBER = 0.777
"""Deepwave's for staggered grids at order 8, the smallest of any order."""

CHANNELS = {2: {"z": "y", "x": "x"}, 3: {"z": "z", "y": "y", "x": "x"}}
"""Our name of an axis -> Deepwave's."""


class Problem:
    """A random earth, a source in its middle, and receivers around it.

    Parameters
    ----------
    n : cells along every axis
    reach : cells
        Of the receivers from the source, along every axis.
    """

    def __init__(self, physics, ndim, n, reach, nt, peak, order, width):
        self.physics, self.ndim, self.nt, self.peak, self.order = physics, ndim, nt, peak, order
        self.width = width
        random = np.random.default_rng(7)
        self.models = earth(physics, (n,) * ndim, random)
        self.bound = stable_velocity(self.models)
        self.dt = 0.999 * COURANT_NUMBER * SPACING / (self.bound * np.sqrt(ndim))
        self.source = np.full(ndim, n // 2)
        places = random.integers(-reach, reach + 1, (12, ndim))
        self.receivers = self.source + np.unique(places, axis=0)
        self.kinds = ["pressure", *(f"f{a}" for a in CHANNELS[ndim])]
        self.names = ["pressure", *(f"v{a}" for a in CHANNELS[ndim])]

    def wavelet(self, advance):
        """Ricker wavelet (nt,) `advance` steps early, delayed to start at a millionth."""
        phase = np.pi * self.peak * ((np.arange(self.nt) + advance) * self.dt - 1.3 / self.peak)
        return (1 - 2 * phase**2) * np.exp(-(phase**2))


def earth(physics, shape, random):
    """Smooth models with three per cent of noise, float64."""
    grids = np.meshgrid(*(np.linspace(0, 1, n) for n in shape), indexing="ij")

    def around(value, part):
        smooth = np.prod([np.cos(3 * g + random.uniform(0, 6)) for g in grids], axis=0)
        return value * (1 + part * smooth + 0.03 * random.uniform(-1, 1, shape))

    models = {"vp": around(2200.0, 0.1), "rho": around(2100.0, 0.1)}
    if physics == "elastic":
        models["vs"] = models["vp"] / 1.5 * around(1.0, 0.03)
    return models


def stable_velocity(models):
    """At least the velocity that Deepwave derives its step from, m/s."""
    vp, rho = models["vp"], models["rho"]
    if "vs" not in models:  # its bound is higher for contrasts above 1 : 1.6 only
        return 1.001 * vp.max()
    stiffness = rho * (vp**2 + (vp.ndim - 1) * np.abs(vp**2 - 2 * models["vs"] ** 2))
    operator = COURANT_NUMBER / CRITICAL_COURANT_NUMBER * np.sqrt(stiffness.max() / rho.min())
    return 1.001 * max(vp.max(), operator)


def half(name, axes):
    """Cells from a node to the node of a force or velocity component."""
    return np.array([0.5 if name[1:] == a else 0.0 for a in axes])


def our_gathers(problem):
    """Receiver -> (n_kinds, n_receivers, nt): every shot has one kind of source."""
    axes, kinds = list(CHANNELS[problem.ndim]), problem.kinds
    sources = {}
    for shot, kind in enumerate(kinds):
        amplitudes = np.zeros((len(kinds), 1, problem.nt))
        amplitudes[shot] = problem.wavelet(0.0)
        place = np.tile((problem.source + half(kind, axes)) * SPACING, (len(kinds), 1, 1))
        sources[kind] = (torch.from_numpy(amplitudes), place)
    receivers = {
        name: np.tile((problem.receivers + half(name, axes)) * SPACING, (len(kinds), 1, 1))
        for name in problem.names
    }
    found = propagate(
        problem.physics,
        {name: torch.from_numpy(model) for name, model in problem.models.items()},
        SPACING,
        problem.dt,
        sources=sources,
        receivers=receivers,
        order=problem.order,
        boundary=Boundary(problem.width, problem.peak),
        velocity_bound=problem.bound,
        time_step=problem.dt,
        correct_time_dispersion=False,
    )
    return {name: found[name].numpy() for name in problem.names}


def deepwave_input(problem):
    """Arrays for `deepwave_gathers.py`: per kind of source one shot for pressure, one for velocity.

    Sample n of a source acts at ``n + late`` steps and sample n of a receiver is taken at
    ``n - early``: the wavelet is taken ``late + early`` steps ahead.
    """
    channels, kinds = CHANNELS[problem.ndim], problem.kinds
    rate = "pressure_rate" if problem.physics == "elastic" else "volume_rate"
    arrays = {f"model_{name}": model for name, model in problem.models.items()}
    n_shots = 2 * len(kinds)
    for index, kind in enumerate(kinds):
        late = 0.5 if kind == "pressure" else 0.0
        amplitudes = np.zeros((n_shots, 1, problem.nt))
        for shot, early in ((2 * index, 0.0), (2 * index + 1, 0.5)):
            amplitudes[shot] = problem.wavelet(late + early) / SPACING**problem.ndim
        channel = channels.get(kind[1:], rate)
        arrays[f"amplitudes_{channel}"] = amplitudes
        arrays[f"sources_{channel}"] = np.tile(problem.source, (n_shots, 1, 1))
    for name in problem.names:
        channel = channels.get(name[1:], "p")
        arrays[f"receivers_{channel}"] = np.tile(problem.receivers, (n_shots, 1, 1))
    options = {
        "physics": problem.physics,
        "grid_spacing": SPACING,
        "dt": problem.dt,
        "accuracy": problem.order,
        "pml_width": problem.width,
        "pml_freq": problem.peak,
        "max_vel": problem.bound,
    }
    return arrays | {"options": json.dumps(options)}


def deepwave_gathers(problem, repository, folder):
    """As `our_gathers`, from the other code."""
    environment = repository / ".venv-deepwave"
    if not (environment / ".ready").exists():
        pytest.skip("needs the environment that `make benchmark` makes for Deepwave")
    np.savez(folder / "in.npz", **deepwave_input(problem))
    script = repository / "tests" / "deepwave_gathers.py"
    command = [environment / "bin" / "python", script, folder / "in.npz", folder / "out.npz"]
    finished = subprocess.run(command, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    found = np.load(folder / "out.npz")
    channels = CHANNELS[problem.ndim]
    return {
        name: found[channels.get(name[1:], "p")][0 if name == "pressure" else 1 :: 2]
        for name in problem.names
    }


def differences(problem, repository, folder):
    """(source, receiver) -> relative L2 difference over all traces."""
    theirs, ours = deepwave_gathers(problem, repository, folder), our_gathers(problem)
    return {
        (kind, name): float(
            np.linalg.norm(ours[name][shot] - theirs[name][shot])
            / np.linalg.norm(theirs[name][shot])
        )
        for shot, kind in enumerate(problem.kinds)
        for name in problem.names
    }


EARLY = {
    ("acoustic", 2): {"n": 120, "reach": 25, "nt": 200, "peak": 12.0, "width": 20},
    ("elastic", 2): {"n": 120, "reach": 25, "nt": 200, "peak": 12.0, "width": 20},
    ("acoustic", 3): {"n": 32, "reach": 6, "nt": 80, "peak": 20.0, "width": 6},
    ("elastic", 3): {"n": 36, "reach": 5, "nt": 128, "peak": 15.0, "width": 8},
}
"""Records that hold the whole wavelet, and end before much comes back from the layers."""

ECHO = {("acoustic", 2): 1e-13, ("elastic", 2): 1e-13, ("acoustic", 3): 1e-7, ("elastic", 3): 2e-5}
"""What has come back: nothing in 2-D, where rounding remains; a little from the thin 3-D layers."""


# Both disperse alike.
@pytest.mark.filterwarnings("ignore::wavepipe.propagators.stability.DispersionWarning")
@pytest.mark.parametrize("order", [8, pytest.param(4, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("physics", "ndim"), EARLY)
def test_early_gathers_are_those_of_deepwave(physics, ndim, order, repository, tmp_path):
    problem = Problem(physics, ndim, order=order, **EARLY[physics, ndim])
    found = differences(problem, repository, tmp_path)
    # Half a step of ours is interpolated to 5e-5 of the amplitude.
    assert max(found.values()) < 5e-5
    # Nothing is interpolated between a force and a pressure: there only the layers differ.
    exact = [found[kind, "pressure"] for kind in problem.kinds if kind != "pressure"]
    assert max(exact) < ECHO[physics, ndim]


@pytest.mark.slow
@pytest.mark.parametrize("physics", ["acoustic", "elastic"])
def test_gathers_stay_those_of_deepwave_while_waves_leave_through_the_layers(
    physics, repository, tmp_path
):
    problem = Problem(physics, 2, n=90, reach=25, nt=900, peak=12.0, order=8, width=20)
    # Two layers with profiles of their own, each good for an echo of some 1e-4.
    assert max(differences(problem, repository, tmp_path).values()) < 1e-3
