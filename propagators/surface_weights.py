r"""Weights of points within four cells of a solid's free surface, from the rows inside.

The weights :math:`w_j` of a point at depth z fit, in the least-squares sense, the waves a record
near the surface is made of: :math:`e^{\pm ikz}`, and with `EVANESCENT` times the weight
:math:`e^{-kz}`, of all wavelengths above `SHORTEST` cells; cubics are exact. Waves of all
wavelengths above two cells join with the small weight `NUGGET`, which makes the weights moderate,
and those of a point on a row that row alone. In the terms of kriging, with
:math:`K = 2\pi/\mathrm{SHORTEST}`, the covariance of the field at depths a and b is

.. math::
    C(a, b) = \mathrm{sinc}(K(a-b)/\pi)
              + \mathrm{EVANESCENT}\;\frac{1 - e^{-K(a+b)}}{K(a+b)}
              + \mathrm{NUGGET}\;\mathrm{sinc}(a-b).

Largest errors, per cent, of a plane wave :math:`e^{ikz}` by points per wavelength, and of both
components of Rayleigh waves (vp/vs of 1.5 to 4) by points per S wavelength:

================================ ============================== ======================
points                           plane: 5, 6, 8, 10, 15, 20     Rayleigh: 6, 8, 10, 15
================================ ============================== ======================
between rows                     3.6, 0.1, 0.5, 0.3, 0.06, 0.02 0.7, 0.2, 0.1, 0.03
1/4 cell above the first row     9.1, 0.3, 1.1, 0.6, 0.1, 0.03  2.2, 0.8, 0.4, 0.1
1/2 cell above it: vz at z = 0   28, 1.1, 3.5, 1.9, 0.4, 0.1    7.1, 2.5, 1.0, 0.2
the same by a polynomial of six  62, 23, 4.6, 1.3, 0.1, 0.02    6.1, 1.9, 0.7, 0.1
================================ ============================== ======================

Sums of magnitudes are 4 between the rows and 20 at vz on the surface, which makes a receiver there
also feel the grid-scale field of a source within four cells or so of it.
"""

import numpy as np
from numpy.typing import NDArray

SHORTEST = 5.5
"""Cells per wavelength of the shortest wave that is fitted fully."""

NUGGET = 1e-5
"""Weight of all waves that the grid can hold."""

EVANESCENT = 4.0
"""Weight of evanescent waves: records on a surface are mostly Rayleigh waves."""

_DEGREE = 3


def surface_weights(cells: NDArray[np.float64], rows: int, top: float) -> NDArray[np.float64]:
    """Weights of the first rows below a surface.

    Parameters
    ----------
    cells : array of float64, (n,)
        Where the points are, counted in rows: 0 is the first row.
    rows : int
        How many there are.
    top : float
        Depth of the first row, cells: 0, 1/2 or 1.

    Returns
    -------
    array of float64, (n, rows)
    """
    row = np.arange(rows, dtype=np.float64)
    degrees = np.arange(min(_DEGREE + 1, rows))
    size = rows + len(degrees)
    system = np.zeros((size, size))
    system[:rows, :rows] = _covariance(row[:, None], row, top)
    system[:rows, rows:] = row[:, None] ** degrees
    system[rows:, :rows] = system[:rows, rows:].T
    wanted = np.concatenate(
        [_covariance(cells[:, None], row, top), cells[:, None] ** degrees], axis=1
    )
    inverse = np.linalg.inv(system)
    weights: NDArray[np.float64] = np.einsum("nk,kj->nj", wanted, inverse[:, :rows])
    return weights


def _covariance(a: NDArray[np.float64], b: NDArray[np.float64], top: float) -> NDArray[np.float64]:
    largest = 2 * np.pi / SHORTEST
    damping = largest * np.maximum(a + b + 2 * top, 1e-9)
    propagating = np.sinc(largest / np.pi * (a - b)) + NUGGET * np.sinc(a - b)
    evanescent: NDArray[np.float64] = -np.expm1(-damping) / damping
    return propagating + EVANESCENT * evanescent
