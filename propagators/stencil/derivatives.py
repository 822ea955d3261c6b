"""Finite-difference weights: Taylor's, from the conditions that define them."""

from functools import cache

import numpy as np

ORDERS = (2, 4, 6, 8)


@cache
def second_derivative_weights(order: int) -> tuple[float, ...]:
    """Centred weights (w_0, w_1, ... w_{order/2}) of d2/dx2 on a unit grid.

    Notes
    -----
    ``f'' = w_0 f(0) + sum_k w_k (f(k) + f(-k))`` is exact for polynomials up to `order` + 1:
    ``sum_k 2 w_k k^(2j) = 2 delta_{j1}`` for j = 1 ... order/2, and the weights sum to zero.
    """
    k = np.arange(1, order // 2 + 1, dtype=np.float64)
    moments = 2 * k ** (2 * np.arange(1, order // 2 + 1)[:, None])
    side = np.linalg.solve(moments, np.eye(order // 2)[0] * 2)
    return (float(-2 * side.sum()), *map(float, side))


@cache
def first_derivative_weights(order: int) -> tuple[float, ...]:
    """Centred weights (w_1, ... w_{order/2}) of d/dx on a unit grid; antisymmetric.

    Notes
    -----
    ``f' = sum_k w_k (f(k) - f(-k))`` with ``sum_k 2 w_k k^(2j-1) = delta_{j1}``.
    """
    k = np.arange(1, order // 2 + 1, dtype=np.float64)
    moments = 2 * k ** (2 * np.arange(1, order // 2 + 1)[:, None] - 1)
    return tuple(map(float, np.linalg.solve(moments, np.eye(order // 2)[0])))


@cache
def staggered_weights(order: int) -> tuple[float, ...]:
    """Centred weights (w_1, ... w_{order/2}) of d/dx half-way between nodes; antisymmetric.

    Notes
    -----
    ``f' = sum_k w_k (f(k - 1/2) - f(-(k - 1/2)))`` with
    ``sum_k 2 w_k (k - 1/2)^(2j-1) = delta_{j1}``.
    """
    k = np.arange(1, order // 2 + 1, dtype=np.float64) - 0.5
    moments = 2 * k ** (2 * np.arange(1, order // 2 + 1)[:, None] - 1)
    return tuple(map(float, np.linalg.solve(moments, np.eye(order // 2)[0])))
