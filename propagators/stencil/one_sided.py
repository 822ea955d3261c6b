r"""Staggered first differences at a free surface: closures by summation by parts.

On the half-line, in cells, nodes are :math:`x_k = k` (the surface is node 0) and half points are
:math:`y_j = j + 1/2`. :math:`D` takes nodes to half points; its partner
:math:`G = -H_n^{-1} D^T H_h` takes half points to nodes and differentiates a quantity that
vanishes at the surface. :math:`H_n` and :math:`H_h` are diagonal and positive, so an elastic
medium stepped with the pair keeps its energy exactly, whatever its velocities.

Away from the surface the rows are Taylor's. Near it, :math:`Q = H_h D`, :math:`H_h` and
:math:`H_n` satisfy (linear) conditions of exactness on polynomials up to degree `DEGREE`:

.. math::
    \sum_k Q_{jk} x_k^m = H_{h,j}\, m\, y_j^{m-1}, \qquad
    -\sum_j Q_{jk} y_j^m = H_{n,k}\, m\, x_k^{m-1} + \delta_{k0} \delta_{m0}.

What they leave free minimises the squared residuals of the same conditions for waves
:math:`e^{ikx}` and :math:`e^{-kx}` of the wavenumbers up to `FITTED`. With a wide enough `BLOCK`
the fit has positive norms and its largest singular value is the interior's: no smaller time steps.

The error of the Rayleigh velocity on a half-space, in per cent at 6, 8, 10, 15 and 20 points per
S wavelength, with exact time and the interior's difference along the surface:

===== ================================== ==================================
order vp/vs = 1.73                       vp/vs = 4
===== ================================== ==================================
2     -3.35, -1.68, -1.00, -0.40, -0.22  -3.69, -1.95, -1.20, -0.50, -0.28
4     -0.04, 0.05, 0.03, 0.007, 0.002    -0.17, -0.01, 0.01, 0.003, 0.001
6     0.39, 0.16, 0.06, 0.010, 0.002     0.25, 0.11, 0.05, 0.008, 0.002
8     0.49, 0.18, 0.07, 0.010, 0.002     0.34, 0.13, 0.05, 0.008, 0.002
===== ================================== ==================================

Part of it is the interior's own: at order 4 its -0.75 at 6 points cancels the surface's +0.72.
A wave reflected at normal incidence keeps its amplitude; its phase is wrong by 0.12, 0.02, 0.013
and 0.001 rad at 6, 8, 10 and 15 points per wavelength (exact at order 2).

References
----------
O. O'Reilly, T. Lundquist, E. M. Dunham and J. Nordström (2017), Energy stable and high-order-
accurate finite difference methods on staggered grids, J. Comput. Phys. 346: pairs of this kind.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wavepipe.propagators.stencil.derivatives import staggered_weights

BLOCK = {2: (1, 1), 4: (5, 6), 6: (7, 8), 8: (7, 8)}
"""Half points and nodes whose rows differ from the interior's, per order."""

DEGREE = {2: 1, 4: 2, 6: 3, 8: 3}
"""Highest degree of polynomials differentiated exactly. At order 8, degree 4 needs rows of 9 and 10
points, and turns the phase of a reflected wave of 10 points a wavelength twice as far."""

FITTED = 2 * np.pi / 18
"""Largest wavenumber of the fit, radians per cell: of 0.2 ... 1, the one with least errors of
Rayleigh waves and of reflections at 8 to 10 points a wavelength, no stiffer than the interior."""

_SAMPLES = 24

_DEPENDENT = 1e-9
"""A pivot below this is rounding: the equation depends on others."""

_Function = Callable[[NDArray[Any]], NDArray[Any]]
_Shapes = tuple[_Function, _Function]
"""Functions of x (n,) and their slopes: each (shapes, n)."""
_Equations = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class OneSided:
    """The rows of a pair (D, G) at a free surface on node 0, per cell."""

    plus: NDArray[np.float64]
    """(rows, cols): D at the first half points from nodes 0 ... cols - 1; later rows: interior."""
    minus: NDArray[np.float64]
    """(rows, cols): G at the first nodes from half points 0 ... cols - 1; later rows: interior."""
    node_norm: NDArray[np.float64]
    """Weights H_n of the first nodes, cells; 1 afterwards."""
    half_norm: NDArray[np.float64]
    """Weights H_h of the first half points, cells; 1 afterwards."""


@cache
def one_sided(order: int) -> OneSided:
    """The closure of an interior order: 2, 4, 6 or 8."""
    halves, nodes = BLOCK[order]
    reach = order // 2
    exact = _conditions(order, _polynomials(DEGREE[order]))
    unknowns = _fit(exact, _conditions(order, _waves(FITTED)))
    block, half_norm, node_norm = np.split(unknowns, [halves * nodes, halves * (nodes + 1)])
    q = interior(order, nodes + reach, halves + nodes + 2 * reach)
    q[:halves, :nodes] = block.reshape(halves, nodes)
    plus = q[:halves, : max(nodes, halves + reach)] / half_norm[:, None]
    minus = -q[: max(halves, nodes + reach - 1), :nodes].T / node_norm[:, None]
    for values in (plus, minus, node_norm, half_norm):
        values.flags.writeable = False
    return OneSided(plus, minus, node_norm, half_norm)


@cache
def closed_gain(order: int) -> float:
    """Largest singular value of the closed pair over the interior's, 2 sum |w|; at least 1.

    The limit of the time step is divided by it.
    """
    n = 64
    closure = one_sided(order)
    rows, cols = closure.plus.shape
    d = interior(order, n, n)
    d[:rows, :cols] = closure.plus
    half, node = np.ones(n), np.ones(n)
    half[:rows] = closure.half_norm
    node[: len(closure.node_norm)] = closure.node_norm
    largest = np.linalg.norm(np.sqrt(half)[:, None] * d / np.sqrt(node), 2)
    return max(1.0, float(largest) / (2 * sum(map(abs, staggered_weights(order)))))


def interior(order: int, halves: int, nodes: int) -> NDArray[np.float64]:
    """(halves, nodes): the interior's difference, cut at the edges of the matrix."""
    distance = np.arange(nodes) - np.arange(halves)[:, None]
    matrix = np.zeros((halves, nodes))
    for k, weight in enumerate(staggered_weights(order)):
        matrix[distance == k + 1] = weight
        matrix[distance == -k] = -weight
    return matrix


def _polynomials(degree: int) -> _Shapes:
    """x^m, m = 0 ... degree."""
    m = np.arange(degree + 1)[:, None]
    return lambda x: x**m, lambda x: m * x ** np.maximum(m - 1, 0)


def _waves(largest: float) -> _Shapes:
    """Waves cos kx, sin kx and exp -kx of wavenumbers k up to `largest`."""
    k = largest * (np.arange(_SAMPLES)[:, None] + 0.5) / _SAMPLES
    return (
        lambda x: np.concatenate([np.cos(k * x), np.sin(k * x), np.exp(-k * x)]),
        lambda x: np.concatenate([-k * np.sin(k * x), k * np.cos(k * x), -k * np.exp(-k * x)]),
    )


def _conditions(order: int, shapes: _Shapes) -> _Equations:
    """Matrix and right side of the conditions on (Q, H_h, H_n) that D and G be exact on shapes."""
    halves, nodes = BLOCK[order]
    value, slope = shapes
    inner = interior(order, nodes + order, halves + nodes + order)
    x, y = np.arange(inner.shape[1]) * 1.0, np.arange(inner.shape[0]) + 0.5
    matrix = np.zeros((len(value(x)), halves + nodes, halves * nodes + halves + nodes))
    for j in range(halves):
        block = slice(j * nodes, (j + 1) * nodes)
        matrix[:, j, block] = value(x[:nodes])
        matrix[:, halves:, block] = -value(y[j])[..., None] * np.eye(nodes)
    slopes = np.concatenate([slope(y[:halves]), slope(x[:nodes])], axis=1)
    matrix[:, :, halves * nodes :] = -slopes[..., None] * np.eye(halves + nodes)
    known = np.zeros(matrix.shape[:2])
    known[:, :halves] = -(inner[:halves, nodes:] * value(x[nodes:])[:, None]).sum(axis=-1)
    known[:, halves:] = (inner[halves:, :nodes].T * value(y[halves:])[:, None]).sum(axis=-1)
    known[:, halves] += value(x[:1])[:, 0]
    return matrix.reshape(-1, matrix.shape[-1]), known.ravel()


def _fit(exact: _Equations, fitted: _Equations) -> NDArray[np.float64]:
    """Solve `exact`; in what it leaves free, the least squares of `fitted`.

    Sums are NumPy's own, not the linear algebra library's: the same bits whatever its threads.
    """
    matrix = np.column_stack(exact)
    bound: list[int] = []
    for row in range(len(matrix)):
        rest = np.abs(matrix[row:, :-1])
        pivot, column = map(int, np.unravel_index(rest.argmax(), rest.shape))
        if rest[pivot, column] < _DEPENDENT:
            break
        matrix[[row, row + pivot]] = matrix[[row + pivot, row]]
        matrix[row] /= matrix[row, column]
        factors = matrix[:, column].copy()
        factors[row] = 0.0
        matrix -= np.multiply.outer(factors, matrix[row])
        bound.append(column)
    free = np.setdiff1d(np.arange(matrix.shape[1] - 1), bound)
    particular = np.zeros(matrix.shape[1] - 1)
    particular[bound] = matrix[: len(bound), -1]
    basis = np.zeros((len(particular), len(free)))
    basis[free, np.arange(len(free))] = 1.0
    basis[bound] = -matrix[: len(bound), free]
    seen = np.einsum("eu,uf->ef", fitted[0], basis)
    missing = fitted[1] - np.einsum("eu,u->e", fitted[0], particular)
    normal = np.einsum("ef,eg->fg", seen, seen)
    best = np.linalg.solve(normal, np.einsum("ef,e->f", seen, missing))
    solution: NDArray[np.float64] = particular + np.einsum("uf,f->u", basis, best)
    return solution
