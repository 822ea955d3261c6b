r"""How large a step is stable where a staggered scheme's earth model jumps from cell to cell.

The scheme is stable while :math:`D \omega \le 2` for its fastest oscillation,

.. math:: \omega^2 = \max_v \frac{\sum \lambda (\sum_a \partial_a v_a)^2
          + \sum 2 \mu \sum_a (\partial_a v_a)^2
          + \sum \mu_{ab} (\partial_a v_b + \partial_b v_a)^2}{\sum v^2 / b} ,

with stiffness :math:`\lambda, \mu` at nodes and :math:`\mu_{ab}` at shear points, the buoyancy b at
half points and staggered differences :math:`\partial_a`. In a uniform medium that is
:math:`(2 W v_p)^2 G`, with :math:`W = \sum_k |w_k|` and :math:`G = \sum_a 1 / h_a^2`: what
`stability.time_step_limit` takes. Beside a jump, stiffness and density are averaged in different
places, and `contrast_velocity` bounds what then takes the place of :math:`v_p`.

Splitting every square by Cauchy and Schwarz leaves a sum over the velocities, one by one:
:math:`\omega^2 \le (2 W)^2 G \max_{a,i} c_{a,i}^2`,

.. math:: c_a^2 = b_a \Big( \overline{\lambda + \tfrac{2 \mu}{G h_a^2}}^{\,a}
                  + \sum_{b \ne a} \tfrac{2}{G h_b^2} \overline{\mu_{ab}}^{\,b} \Big) ,

with the mean :math:`\overline{x}^{\,a}` over the stencil's points along axis a, in proportion to
:math:`|w_k|`. Splitting the stencil into its pairs of points first gives another bound,
:math:`\sum_k |w_k| \max c_{a,i}` over W, with the mean over pair k alone.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from wavepipe.propagators.stencil.derivatives import staggered_weights


def contrast_velocity(models: Mapping[str, Tensor], spacing: Sequence[float], order: int) -> float:
    r"""Velocity up to which a staggered scheme on this model is stable for certain, m/s.

    Parameters
    ----------
    models : mapping of Tensor, (..., \*shape)
        "vp" in m/s, "rho" in kg/m3 and, of a solid, "vs" in m/s. Of other models, the largest vp
        is returned.
    spacing : sequence of float, (ndim,), m
        Distance between nodes.
    order : {2, 4, 6, 8}
        Order of the space derivatives.

    Notes
    -----
    *Proven* (see above), away from free surfaces: a step within `stability.time_step_limit` of this
    velocity is stable for any model, with density averaged and the shear modulus averaged
    harmonically to staggered points. In acoustic media of order 2 it never exceeds the largest vp.

    *Measured*, as largest eigenvalues in one and two dimensions: random media with contrasts of up
    to 1 : 5 in density and 1 : 4 in velocity, water beside rock among them, also below the
    one-sided free surface of a solid, do not exceed 1.01 times the largest vp, where this bound
    gives up to 1.09 (acoustic) and 1.25 (elastic). A contrast of 1 : 1000 in density really is
    faster: 1.5 times at order 4 and 2.1 at order 8.
    """
    vp = models["vp"].detach()
    if "rho" not in models:
        return float(vp.max())
    sizes = [abs(weight) for weight in staggered_weights(order)]
    shares = [size / sum(sizes) for size in sizes]
    axes = range(vp.ndim - len(spacing), vp.ndim)
    total = sum(1.0 / h**2 for h in spacing)
    of_axis = {axis: 1.0 / (h**2 * total) for axis, h in zip(axes, spacing, strict=True)}
    rho = models["rho"].detach()
    vs = models["vs"].detach() if "vs" in models else None
    stencil, pairs = 0.0, [0.0] * len(shares)
    for axis in axes:
        whole = torch.zeros((), dtype=vp.dtype)
        for k, squares in enumerate(_squares(vp, vs, rho, axis, of_axis, len(shares))):
            pairs[k] = max(pairs[k], float(squares.max()))
            whole = whole + shares[k] * squares
        stencil = max(stencil, float(whole.max()))
    by_pairs = sum(s * math.sqrt(p) for s, p in zip(shares, pairs, strict=True))
    return min(math.sqrt(stencil), by_pairs)


def _squares(
    vp: Tensor, vs: Tensor | None, rho: Tensor, axis: int, of_axis: Mapping[int, float], n: int
) -> Iterator[Tensor]:
    """c^2 of the velocity along an axis, for each of the stencil's n pairs of points."""
    buoyancy = 2.0 / (rho + _beside(rho, axis, 1))
    if vs is None:
        modulus, shear = rho * vp**2, {}
    else:
        mu = rho * vs**2
        modulus = (rho * vp**2 - 2.0 * mu).clamp_min(0.0) + 2.0 * of_axis[axis] * mu
        shear = {other: _shear(mu, axis, other) for other in of_axis if other != axis}
    for k in range(1, n + 1):
        stiffness = 0.5 * (_beside(modulus, axis, k) + _beside(modulus, axis, 1 - k))
        for other, mu in shear.items():
            stiffness += of_axis[other] * (_beside(mu, other, k - 1) + _beside(mu, other, -k))
        yield buoyancy * stiffness


def _shear(mu: Tensor, first: int, second: int) -> Tensor:
    """Harmonic mean of the four nodes around a shear point; zero where one is zero."""
    along = 1.0 / mu + 1.0 / _beside(mu, first, 1)
    return 4.0 / (along + _beside(along, second, 1))


def _beside(field: Tensor, axis: int, cells: int) -> Tensor:
    """The field some cells on; beyond the ends it goes on with its edge values."""
    n = field.shape[axis]
    return field.index_select(axis, (torch.arange(n) + cells).clamp(0, n - 1))
