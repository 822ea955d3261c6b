"""Bad arguments of a propagator: one clear error before anything is allocated."""

import numpy as np
import pytest
import torch

from wavepipe.propagators import Boundary, scalar, scalar_born
from wavepipe.propagators.errors import (
    GeometryError,
    ModelError,
    OptionError,
    StabilityError,
    WavepipeError,
)
from wavepipe.propagators.stability import DispersionWarning
from wavepipe.propagators.wavelets import ricker

SHAPE, SPACING, DT, NT = (30, 40), 10.0, 2e-3, 120

FREE = torch.tensor([[[50.0, 100.0]]], requires_grad=True)
"""A position that somebody would like to invert for."""


def arguments(**changes):
    """A good call, with some arguments replaced."""
    wavelet = torch.tensor(ricker(12.0, DT, NT), dtype=torch.float32)
    good = {
        "vp": torch.full(SHAPE, 2000.0),
        "spacing": SPACING,
        "dt": DT,
        "source_amplitudes": wavelet[None, None],
        "source_positions": [[[50.0, 100.0]]],
        "receiver_positions": [[[50.0, 200.0], [50.0, 300.0]]],
    }
    return good | changes


def with_value(value, cell=(3, 4)):
    vp = torch.full(SHAPE, 2000.0)
    vp[cell] = value
    return vp


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"vp": with_value(float("nan"))}, ModelError, r"vp is nan m/s at cell \(3, 4\)"),
        ({"vp": with_value(0.0)}, ModelError, r"vp is 0 m/s at cell \(3, 4\) \(1 such"),
        ({"vp": with_value(-5.0)}, ModelError, "must be finite and positive"),
        ({"vp": with_value(float("inf"))}, ModelError, "must be finite and positive"),
        ({"vp": np.full(SHAPE, 2000.0)}, ModelError, "must be a torch tensor"),
        ({"vp": torch.full(SHAPE, 2000)}, ModelError, "float32 or float64"),
        ({"vp": torch.full((4, 30, 40), 2000.0)}, ModelError, "n_shots = 1 as the first"),
        ({"vp": torch.full((1, 40), 2000.0)}, ModelError, "1 cells along z"),
        ({"spacing": (10.0, 10.0, 10.0)}, OptionError, "3 values for a 2-D model"),
        ({"spacing": -1.0}, OptionError, "distances must be positive"),
        ({"order": 5}, OptionError, "order is 5; use one of 2, 4, 6, 8"),
        ({"backend": "cude"}, OptionError, "backend 'cude' does not exist"),
        ({"boundary": Boundary(free_surface=("top",))}, OptionError, "names face 'top'"),
        ({"boundary": Boundary(free_surface="z0")}, OptionError, "pass a list of faces"),
        ({"boundary": Boundary(pml_width=(20, 20))}, OptionError, "pml_width has 2 values"),
        ({"boundary": Boundary(pml_width=-3)}, OptionError, "0 or more"),
        ({"boundary": Boundary(10, -300.0)}, OptionError, "pml_frequency is -300"),
        ({"boundary": Boundary(10, float("nan"))}, OptionError, "pml_frequency is nan"),
        ({"boundary": Boundary(free_surface=None)}, OptionError, "pass a list of faces"),
        ({"boundary": Boundary(2.5)}, OptionError, "whole cells"),
        ({"nt": 0}, OptionError, "nt is 0"),
        ({"nt": 2.7}, OptionError, "nt is 2.7"),
        ({"velocity_bound": 1900.0}, ModelError, "beyond velocity_bound = 1900"),
        ({"time_step": 4e-3}, OptionError, "longer than dt"),
        ({"dt": 5e-3, "time_step": 5e-3}, StabilityError, "is stable only up to"),
        ({"source_positions": [[50.0, 100.0]]}, GeometryError, r"must be \(n_shots, n, ndim\)"),
        ({"source_positions": [[[50.0, 999.0]]]}, GeometryError, r"Shot 0: source 0 at .*999"),
        ({"receiver_positions": [[[np.nan, 9.0]]]}, GeometryError, "Shot 0: receiver 0"),
        ({"source_positions": FREE}, GeometryError, r"source positions require a grad.*\.detach"),
        ({"receiver_positions": FREE}, GeometryError, r"receiver positions require a gradient"),
        ({"source_amplitudes": torch.zeros(1, 2, NT)}, GeometryError, r"\(1, 1, nt\)"),
        ({"source_amplitudes": torch.full((1, 1, NT), float("nan"))}, GeometryError, "shot 0"),
        (
            {"boundary": Boundary(free_surface=("z0",)), "source_positions": [[[0.0, 100.0]]]},
            GeometryError,
            "free surface",
        ),
    ],
)
def test_bad_arguments_are_refused_with_value_limit_and_remedy(changes, error, message):
    """Every class is ours and the builtin a caller would expect."""
    with pytest.raises(error, match=message) as caught:
        scalar(**arguments(**changes))
    assert isinstance(caught.value, WavepipeError)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("scatter", "message"),
    [
        (torch.zeros(30, 41), "scatter of vp has shape"),
        (np.zeros(SHAPE), "must be a torch tensor"),
        (torch.full(SHAPE, float("nan")), "NaN or infinite"),
    ],
)
def test_a_scatter_that_fits_no_model_is_refused(scatter, message):
    """Another shape, another type, or NaN."""
    with pytest.raises(ModelError, match=message):
        scalar_born(scatter=scatter, **arguments())


def test_a_shared_scatter_serves_models_of_every_shot():
    """And the other way round."""
    one, two = torch.full(SHAPE, 10.0), torch.full((2, *SHAPE), 10.0)
    vp, vps = torch.full(SHAPE, 2000.0), torch.full((2, *SHAPE), 2000.0)
    both = {
        name: np.repeat(np.asarray(arguments()[name]), 2, axis=0)
        for name in ("source_positions", "receiver_positions")
    } | {"source_amplitudes": arguments()["source_amplitudes"].expand(2, 1, NT)}
    found = [
        scalar_born(scatter=s, **arguments(vp=v, **both))["pressure"]
        for v, s in ((vp, one), (vps, one), (vp, two))
    ]
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_a_receiver_on_a_free_surface_is_pointed_out():
    """Its trace is exactly zero, which a header of depth zero seldom means."""
    with pytest.warns(UserWarning, match="free surface, where the pressure is zero"):
        traces = scalar(
            **arguments(
                boundary=Boundary(free_surface=("z0",)), receiver_positions=[[[0.0, 200.0]]]
            )
        )["pressure"]
    assert not traces.any()


def test_a_point_between_nodes_beside_a_bare_face_is_pointed_out():
    """Its interpolation is cut there; on a node, or with a layer, nothing is said."""
    bare = Boundary((0, 20, 20, 20))
    with pytest.warns(UserWarning, match="source 0 lies between nodes, 0.5 cells"):
        scalar(**arguments(boundary=bare, source_positions=[[[5.0, 100.0]]]))
    scalar(**arguments(boundary=bare, source_positions=[[[10.0, 100.0]]]))
    scalar(**arguments(source_positions=[[[5.0, 100.0]]]))


@pytest.mark.parametrize(
    ("face", "damped", "good", "limit"),
    [("z0", 90.0, 100.0, "up to z = 100"), ("z1", 200.0, 190.0, "from z = 190")],
)
def test_points_in_a_layer_inside_the_model_are_pointed_out(face, damped, good, limit):
    """They are damped there; on the layer's inner edge nothing is."""
    layers = Boundary(10, inside=(face,))
    away = {"source_positions": [[[good, 100.0]]], "receiver_positions": [[[good, 100.0]]]}
    for points in ("source_positions", "receiver_positions"):
        what = points.removesuffix("_positions")
        said = (
            rf"shot 0: {what} 0 at \(z, x\) = \({damped:g}, 200\) m and 0 .* {face}, .* {limit} m"
        )
        with pytest.warns(UserWarning, match=said):
            scalar(**arguments(boundary=layers, **away | {points: [[[damped, 200.0]]]}))
    scalar(**arguments(boundary=layers, **away))


def test_numbers_of_numpy_are_numbers():
    """As they come out of arrays and files."""
    plain = scalar(**arguments())["pressure"]
    odd = arguments(spacing=np.float32(SPACING), boundary=Boundary(np.int64(20)), nt=np.int64(NT))
    assert torch.equal(scalar(**odd)["pressure"], plain)


def test_a_wavelet_too_high_for_the_grid_warns_with_the_spacing_that_would_do():
    """A propagator warns; a job refuses."""
    wavelet = torch.tensor(ricker(60.0, DT, NT), dtype=torch.float32)[None, None]
    with (
        pytest.warns(DispersionWarning, match="use a spacing of at most"),
        pytest.warns(DispersionWarning, match="are kept unchanged"),
    ):
        scalar(**arguments(source_amplitudes=wavelet))


def test_an_absent_receiver_has_a_zero_trace_and_no_gradient():
    """A row of NaN: zero trace, and its cotangent goes nowhere."""
    vp = torch.full(SHAPE, 2000.0).requires_grad_()
    receivers = [[[50.0, 200.0], [np.nan, np.nan]]]
    traces = scalar(**arguments(vp=vp, receiver_positions=receivers))["pressure"]
    assert traces[0, 0].abs().max() > 0
    assert not traces[0, 1].any()
    (gradient,) = torch.autograd.grad(traces[0, 1].sum(), vp)
    assert not gradient.any()


def test_the_recording_says_what_was_chosen():
    """Step, stride, method, back-end and bytes."""
    vp = torch.full(SHAPE, 2000.0).requires_grad_()
    info = scalar(**arguments(vp=vp)).info
    assert info.time_step <= DT
    assert info.method == "snapshots"
    assert info.backend == "c"
    assert info.bytes > 0
    assert scalar(**arguments()).info.method == "none"
