"""Points beside a contact of water and rock."""

import warnings

import numpy as np
import pytest
import torch

from wavepipe.propagators import elastic
from wavepipe.propagators.contacts import ContactWarning

SHAPE, SPACING = (40, 40), 10.0


def record(depth, component="vz"):
    vs = torch.full(SHAPE, 800.0)
    vs[:20] = 0.0  # water down to 195 m
    wavelet = torch.zeros(1, 1, 20)
    return elastic(
        torch.full(SHAPE, 2000.0),
        vs,
        torch.full(SHAPE, 1500.0),
        SPACING,
        1e-3,
        sources={"pressure": (wavelet, np.array([[[50.0, 200.0]]]))},
        receivers={component: np.array([[[50.0, 100.0], [depth, 150.0]]])},
    )


@pytest.mark.parametrize("depth", [170.0, 212.0])
def test_a_point_read_on_both_sides_warns(depth):
    """It names the first, and how many."""
    with pytest.warns(
        ContactWarning, match="shot 0: receiver 1 of vz and 0 others lie off their nodes"
    ):
        record(depth)


@pytest.mark.parametrize(
    ("depth", "component"), [(120.0, "vz"), (300.0, "vz"), (190.0, "pressure")]
)
def test_points_on_one_side_do_not(depth, component):
    """Neither does one on its own node beside the contact."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        record(depth, component)
