"""Sources and receivers as a user names them: what is refused, and in which words."""

import numpy as np
import pytest
import torch

from wavepipe.propagators.errors import GeometryError, OptionError
from wavepipe.propagators.physics.names import receiver_names, source_names
from wavepipe.propagators.ports import checked_moment, checked_ports

PAIR = (torch.zeros(1, 1, 10), [[[0.0, 0.0]]])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"moment": (*PAIR, np.eye(2))},
            r"acoustic has no source 'moment'; it has pressure, fz, fx",
        ),
        ({"fy": PAIR}, r"acoustic has no source 'fy'"),
        ({"vz": PAIR}, r"acoustic has no source 'vz'"),
        ({}, r"sources is empty.*\{\"fz\": \(amplitudes, positions\)\}.*has pressure, fz, fx"),
        (PAIR, r"sources is tuple; it is a mapping"),
        ({"fz": PAIR[0]}, r"source 'fz' is Tensor of torch\.float32 \(1, 1, 10\).*must be a tuple"),
        ({"fz": (*PAIR, np.eye(2))}, r"source 'fz' has 3 values.*\(amplitudes, positions\)"),
        ({"fz": PAIR[:1]}, r"source 'fz' has 1 values"),
    ],
)
def test_sources_that_a_physics_lacks_or_of_the_wrong_kind_are_refused(
    given: object, message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        checked_ports(given, source_names("acoustic", 2), "source", "acoustic")


def test_a_moment_needs_its_tensors() -> None:
    known = source_names("elastic", 3)
    checked_ports({"moment": (*PAIR, np.eye(3)), "fy": list(PAIR)}, known, "source", "elastic")
    with pytest.raises(OptionError, match=r"source 'moment' has 2 values.*positions, tensors\)"):
        checked_ports({"moment": PAIR}, known, "source", "elastic")
    # Before the dimension is known, the values alone.
    checked_ports({"nothing": PAIR}, None, "source")


def test_receivers_that_a_physics_lacks_are_refused() -> None:
    known = receiver_names("scalar", 2)
    checked_ports({"pressure": PAIR[1]}, known, "receiver", "scalar")
    with pytest.raises(OptionError, match="scalar has no receiver 'vz'; it has pressure"):
        checked_ports({"vz": PAIR[1]}, known, "receiver", "scalar")
    with pytest.raises(OptionError, match=r"receivers is empty.*\{\"vz\": positions\}"):
        checked_ports({}, known, "receiver", "scalar")


def test_a_moment_tensor_for_all_sources_is_repeated() -> None:
    tensor = [[1.0, 2.0], [2.0, -3.0]]
    found = checked_moment(tensor, 3, 2, 2)
    assert found.shape == (3, 2, 2, 2)
    assert found.dtype == torch.float64
    assert torch.equal(found[2, 1], torch.tensor(tensor, dtype=torch.float64))
    each = torch.eye(3).expand(3, 2, 3, 3)
    assert torch.equal(checked_moment(each, 3, 2, 3), each.double())
    # Rounding is no asymmetry.
    checked_moment([[1.0, 2.0], [2.000001, -3.0]], 1, 1, 2)


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (np.eye(3), r"shape \(3, 3\); they must be \(2, 2\).*or \(3, 4, 2, 2\)"),
        (np.ones((4, 2, 2)), r"shape \(4, 2, 2\)"),
        (np.ones(2), r"shape \(2,\)"),
        (np.eye(2) * 1j, "complex128; they must be real"),
        (
            [[1.0, 2.0], [3.0, 1.0]],
            r"shot 0: .*source 0 is not symmetric: \[0, 1\] is 2 and \[1, 0",
        ),
        ([[float("nan"), 0.0], [0.0, 1.0]], "shot 0: the moment tensor of source 0 is not finite"),
    ],
)
def test_moment_tensors_of_the_wrong_shape_or_not_symmetric_are_refused(
    tensor: object, message: str
) -> None:
    with pytest.raises(GeometryError, match=message):
        checked_moment(tensor, 3, 4, 2)


def test_the_source_whose_tensor_is_not_symmetric_is_named() -> None:
    tensors = np.tile(np.eye(3), (2, 3, 1, 1))
    tensors[1, 2, 0, 2] = 0.5
    with pytest.raises(GeometryError, match=r"shot 1: the moment tensor of source 2.*\[0, 2\]"):
        checked_moment(tensors, 2, 3, 3)
