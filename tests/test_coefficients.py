"""Coefficients from an earth model: averages, and arrays that are one where they are equal."""

from itertools import combinations_with_replacement

import pytest
import torch

from wavepipe.propagators.medium import Medium
from wavepipe.propagators.physics import elastic

BURIED = ((False, False),) * 3


def solid(free: tuple[tuple[bool, bool], ...]) -> Medium:
    noise = torch.rand(1, *(5 + k for k in range(len(free))), generator=torch.manual_seed(1))
    vp = 2000.0 + 500.0 * noise
    return Medium({"vp": vp, "vs": 0.5 * vp, "rho": 0.7 * vp}, 1e-3, free)


@pytest.mark.parametrize(
    ("free", "distinct"),
    [
        (BURIED[:2], 2),  # along an axis, and across
        (BURIED, 2),
        (((True, False), *BURIED[:2]), 4),  # z; z with another; another; two others
        (((True, False), (True, False), BURIED[0]), 6),
    ],
)
def test_stiffnesses_that_are_equal_are_one_array(
    free: tuple[tuple[bool, bool], ...], distinct: int
) -> None:
    found = elastic.coefficients(solid(free))
    letters = "zx" if len(free) == 2 else "zyx"
    names = [f"c_{a}{b}" for a, b in combinations_with_replacement(letters, 2)]
    assert len({found[name].data_ptr() for name in names}) == distinct
    for one in names:
        for other in names:
            same = found[one].data_ptr() == found[other].data_ptr()
            assert same == torch.equal(found[one], found[other])


def test_water_elsewhere_does_not_change_a_bit_of_a_harmonic_mean_or_its_gradient() -> None:
    """A shot's numbers may not depend on whether another of its batch has water."""
    medium = Medium({}, 1e-3, BURIED[:2])
    rock = 1.0 + torch.rand(1, 9, 9, generator=torch.manual_seed(2))
    wet = rock.clone()
    wet[:, :3] = 0.0
    results = []
    for values in (rock.requires_grad_(), wet.requires_grad_()):
        mean = medium.harmonic_mean(values, 0, 1)
        mean.square().sum().backward()
        assert values.grad is not None
        results.append((mean.detach()[:, 3:], values.grad[:, 4:]))
    for one, other in zip(*results, strict=True):
        assert torch.equal(one, other)
    assert not medium.harmonic_mean(wet, 0, 1)[:, :3].any()
    assert torch.isfinite(wet.grad).all()
