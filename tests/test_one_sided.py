"""Closures of the staggered differences: exact, adjoint, no stiffer, good for Rayleigh waves."""

import numpy as np
import pytest
from numpy.typing import NDArray

from wavepipe.propagators.stencil.derivatives import ORDERS, staggered_weights
from wavepipe.propagators.stencil.one_sided import DEGREE, closed_gain, interior, one_sided

Matrix = NDArray[np.float64]


def pair(order: int, n: int) -> tuple[Matrix, Matrix, Matrix, Matrix]:
    """D, G and the norms of half points and nodes on n of each, rigid beyond the last."""
    closure = one_sided(order)
    d = interior(order, n, n)
    g = -d.T.copy()
    for matrix, rows in ((d, closure.plus), (g, closure.minus)):
        matrix[: rows.shape[0], : rows.shape[1]] = rows
    half, node = np.ones(n), np.ones(n)
    half[: len(closure.half_norm)] = closure.half_norm
    node[: len(closure.node_norm)] = closure.node_norm
    return d, g, half, node


@pytest.mark.parametrize("order", ORDERS)
def test_staggered_weights_differentiate_polynomials(order: int) -> None:
    weights = np.array(staggered_weights(order))
    x = np.arange(order // 2) + 0.5
    for m in range(1, order, 2):
        assert 2 * weights @ x**m == pytest.approx(float(m == 1), abs=1e-12)


@pytest.mark.parametrize("order", ORDERS)
def test_the_pair_is_exact_on_polynomials(order: int) -> None:
    d, g, _, node = pair(order, 24)
    x = np.arange(24.0)
    y = x + 0.5
    inner = slice(0, 24 - order)
    for m in range(DEGREE[order] + 1):
        scale = 24.0**m
        slope = m * y ** max(m - 1, 0)
        np.testing.assert_allclose((d @ x**m)[inner], slope[inner], rtol=0, atol=1e-14 * scale)
        slope = m * x ** max(m - 1, 0)
        slope[0] += (m == 0) / node[0]  # as if the quantity jumped to zero at the surface
        np.testing.assert_allclose((g @ y**m)[inner], slope[inner], rtol=0, atol=1e-14 * scale)


@pytest.mark.parametrize("order", ORDERS)
def test_the_pair_is_skew_adjoint_in_positive_norms(order: int) -> None:
    d, g, half, node = pair(order, 24)
    np.testing.assert_allclose(half[:, None] * d, -(node[:, None] * g).T, rtol=0, atol=1e-14)
    assert min(half.min(), node.min()) > 0.3
    # The norms integrate: they weigh the nodes by the cells around them.
    assert (node - 1).sum() == pytest.approx(-0.5, abs=1e-12)
    assert (half - 1).sum() == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("order", ORDERS)
def test_the_closure_costs_no_time_step(order: int) -> None:
    assert closed_gain(order) == 1.0


@pytest.mark.parametrize(
    ("order", "bounds"),
    [(2, (0.0042, 0.017)), (4, (1.1e-4, 9e-4)), (6, (2e-5, 1.2e-3)), (8, (2e-5, 1.2e-3))],
)
def test_waves_are_reflected_at_normal_incidence(order: int, bounds: tuple[float, float]) -> None:
    """The modes of a plate of 40 cells, free on both sides, of 20 and 10 points a wavelength."""
    n = 41
    closure = one_sided(order)
    d = interior(order, n - 1, n)
    rows, cols = closure.plus.shape
    d[:rows, :cols] = closure.plus
    d[-rows:, -cols:] = -closure.plus[::-1, ::-1]
    half, node = np.ones(n - 1), np.ones(n)
    half[:rows], half[-rows:] = closure.half_norm, closure.half_norm[::-1]
    nodes = len(closure.node_norm)
    node[:nodes], node[-nodes:] = closure.node_norm, closure.node_norm[::-1]
    scaled = np.sqrt(half)[:, None] * d / np.sqrt(node)
    # S: velocity on all nodes, traction on half points; P: normal traction is zero on the faces.
    for matrix in (scaled, scaled[:, 1:-1]):
        modes = np.sort(np.linalg.svd(matrix, compute_uv=False))
        for number, bound in zip((4, 8), bounds, strict=True):
            assert modes[number - 1] == pytest.approx(np.pi * number / 40, rel=bound)


def operators(
    order: int, lam: Matrix, mu_nodes: Matrix, mu_half: Matrix, k: float
) -> tuple[Matrix, Matrix]:
    """Of a unit-density half-space: accelerations from stresses, stress rates from velocities.

    Along the surface vx and sxz go as sin kx, vz, sxx and szz as cos kx. Order of the unknowns:
    vx (nodes), vz (half points); sxx (nodes), szz (nodes), sxz (half points).
    """
    n = len(lam)
    d, g, _, _ = pair(order, n)
    inside = np.diag((np.arange(n) > 0) * 1.0)
    unit, zero = np.eye(n), np.zeros((n, n))
    accelerations = np.block([[-k * unit, zero, g], [zero, d @ inside, k * unit]])
    p = np.diag(lam + 2 * mu_nodes)
    plane = p.copy()
    if p[0, 0] > 0:
        plane[0, 0] -= lam[0] ** 2 / p[0, 0]
    coupling = np.diag(lam) @ inside
    mu = np.diag(mu_half)
    rates = np.block([[k * plane, coupling @ g], [k * coupling, inside @ p @ g], [mu @ d, -k * mu]])
    return accelerations, rates


@pytest.mark.parametrize("order", ORDERS)
def test_any_layers_only_oscillate(order: int) -> None:
    """Squared frequencies are real and not negative, with water and hard rock in turns."""
    rng = np.random.default_rng(order)
    n = 40
    lam = rng.uniform(0.3, 10.0, n)
    mu = rng.uniform(0.1, 5.0, (2, n)) * (rng.random(n) < 0.7)
    accelerations, rates = operators(order, lam, *mu, k=0.4)
    squared = -np.linalg.eigvals(accelerations @ rates)
    largest = np.abs(squared).max()
    assert np.abs(squared.imag).max() < 1e-7 * largest
    assert squared.real.min() > -1e-7 * largest
    stiffest = (lam + 2 * mu[0]).max() * (2 * sum(map(abs, staggered_weights(order)))) ** 2
    assert largest < 1.1 * stiffest


def rayleigh_velocity(ratio: float) -> float:
    """Over the S velocity, for a ratio of P to S velocities."""
    low, high = 0.3, 1.0 - 1e-12
    while high - low > 1e-14:
        c = (low + high) / 2
        value = (2 - c**2) ** 2 - 4 * np.sqrt((1 - (c / ratio) ** 2) * (1 - c**2))
        low, high = (c, high) if value < 0 else (low, c)
    return low


@pytest.mark.parametrize("ratio", [np.sqrt(3.0), 4.0])
@pytest.mark.parametrize(
    ("order", "bounds"),
    [
        (2, (0.037, 0.0195, 0.012, 0.0051)),
        (4, (0.0018, 0.0005, 0.0004, 0.0001)),
        (6, (0.0040, 0.0016, 0.0007, 0.00011)),
        (8, (0.0050, 0.0018, 0.0008, 0.00011)),
    ],
)
def test_rayleigh_waves_travel_at_their_velocity(
    order: int, bounds: tuple[float, ...], ratio: float
) -> None:
    """At 6, 8, 10 and 15 points per S wavelength, for soft and hard ground."""
    velocity = rayleigh_velocity(ratio)
    for points, bound in zip((6, 8, 10, 15), bounds, strict=True):
        k = 2 * np.pi / points / velocity
        half = np.arange(order // 2) + 0.5
        seen = float(2 * np.array(staggered_weights(order)) @ np.sin(half * k))
        n = 5 * points + 20
        one = np.ones(n)
        accelerations, rates = operators(order, one * (ratio**2 - 2), one, one, seen)
        squared = -np.linalg.eigvals(accelerations @ rates)
        error = np.sqrt(squared.real.min()) / (velocity * k) - 1
        assert abs(error) < bound
