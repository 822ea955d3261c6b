"""Faces without a layer that are not free: reflectors, alike on both sides."""

import warnings

import numpy as np
import pytest
import torch
from random_surveys import RandomSurvey, dot_gap
from waves import relative

from wavepipe.propagators import Boundary, propagate
from wavepipe.propagators.physics.names import PARAMETERS
from wavepipe.propagators.wavelets import ricker

SHAPE, SPACING, DT, NT = (26, 31), 10.0, 1e-3, 400
MODEL = {"vp": 2100.0, "vs": 1100.0, "rho": 1800.0, "epsilon": 0.1, "delta": 0.05, "q": 50.0}
LAST = np.array(SHAPE) - 1.0


def record(physics, sources, receivers, kind="pressure", shape=SHAPE, order=4):
    """Traces of one shot, sources and receivers in cells."""
    wavelet = torch.as_tensor(ricker(6.0, DT, NT)).expand(1, len(sources), NT).contiguous()
    return propagate(
        physics,
        {name: torch.full(shape, MODEL[name]).double() for name in PARAMETERS[physics]},
        SPACING,
        DT,
        sources={kind: (wavelet, np.array([sources]) * SPACING)},
        receivers={name: np.array([at]) * SPACING for name, at in receivers.items()},
        order=order,
        boundary=Boundary(0),
    )


@pytest.mark.parametrize("physics", PARAMETERS)
def test_both_sides_reflect_alike(physics):
    """A source and receivers mirrored about the middle record the mirrored wavefield."""
    source, receiver = np.array([7.0, 11.0]), np.array([12.0, 17.0])
    places = {"pressure": receiver}
    if physics != "scalar":
        places |= {"vz": receiver + np.array([0.5, 0.0]), "vx": receiver + np.array([0.0, 0.5])}
    one = record(physics, [source], {name: [at] for name, at in places.items()})
    other = record(physics, [LAST - source], {name: [LAST - at] for name, at in places.items()})
    for name, traces in one.items():
        sign = 1.0 if name == "pressure" else -1.0
        late = traces[0, 0, 250:]
        assert late.norm() > 0.1 * traces.norm()  # reflections take part
        assert torch.allclose(sign * other[name], traces, rtol=0, atol=1e-9 * float(late.norm()))


def test_a_wall_is_rigid_half_a_cell_beyond_its_nodes():
    """At order 2 its reflections are the waves of a mirror image, to rounding."""
    n, source, receiver = SHAPE[0], np.array([8.0, 15.0]), np.array([3.0, 18.0])
    found = record("acoustic", [source], {"pressure": [receiver]}, order=2)
    image, down = source * [-1, 1] + [n - 1, 0], np.array([n, 0])
    twice = record(
        "acoustic",
        [source + down, image],
        {"pressure": [receiver + down]},
        shape=(2 * n, SHAPE[1]),
        order=2,
    )
    assert torch.allclose(found["pressure"], twice["pressure"], rtol=0, atol=1e-12)


@pytest.mark.parametrize(("depth", "warned"), [(1.0, True), (1.5, False), (4.0, False)])
def test_a_force_between_its_components_nodes_beside_a_bare_face_is_pointed_out(depth, warned):
    """fz lies half a cell below the nodes: on a node it is interpolated."""
    for at in (depth, LAST[0] - depth):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            record("elastic", [[at, 12.0]], {"pressure": [[10.0, 10.0]]}, "fz")
        said = [str(one.message) for one in caught]
        assert bool(said) == warned
        if warned:
            assert "source 0 lies between the nodes of its component" in said[0]


@pytest.mark.parametrize(("physics", "ndim"), [("acoustic", 2), ("acoustic", 3), ("elastic", 2)])
def test_waves_and_gradients_beside_them_are_exact(physics, ndim):
    """Forward and adjoint are transposes, derivatives too, and both back-ends agree."""
    widths = (0, 0, 5, 0) if ndim == 2 else (5, 0, 0, 0, 0, 5)
    found = []
    for backend in ("c", "reference"):
        options = {"boundary": Boundary(widths, 20.0)}
        survey = RandomSurvey(physics, ndim, backend=backend, options=options)
        amplitudes = {name: one.requires_grad_() for name, one in survey.amplitudes.items()}
        forward = joined(survey.record(amplitudes=amplitudes))
        scatter = {n: torch.zeros_like(m).requires_grad_() for n, m in survey.models.items()}
        born = joined(survey.record(scatter=scatter))
        change = survey.direction(*survey.models)
        cotangent = survey.noise(forward.shape)
        for output, variables, given, made in (
            (forward, amplitudes, amplitudes, forward),
            (born, scatter, change, joined(survey.record(scatter=change))),
        ):
            gradient = torch.autograd.grad(output, tuple(variables.values()), cotangent)
            back = torch.cat([one.flatten() for one in gradient])
            assert dot_gap(made, cotangent, joined(given), back) < 1e-13
            found += [made.detach(), back]
    for ours, reference in zip(found[:4], found[4:], strict=True):
        assert relative(ours, reference) < 1e-11


def joined(tensors):
    """All of them in one."""
    return torch.cat([one.flatten() for one in tensors.values()])
