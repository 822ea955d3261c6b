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
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import torch
from torch import Tensor

from wavepipe.propagators.stencil.derivatives import staggered_weights


def contrast_velocity(
    models: Mapping[str, Tensor], spacing: Sequence[float], order: int, enough: float = 0.0
) -> float:
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
    enough : float, m/s
        A bound that is not above this need not be the best, which takes several times as long.

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
    moduli = _Moduli.of(vp, vs, rho, of_axis)
    if enough > 0.0:
        coarse = math.sqrt(moduli.largest())
        if coarse <= enough:
            return coarse
        # The nearest points make nearly all of a difference.
        nearest = max(float(moduli.squares(axis, 1)[0].amax()) for axis in axes)
        bound = shares[0] * math.sqrt(nearest) + (1.0 - shares[0]) * coarse
        if bound <= enough:
            return bound
    stencil, pairs = 0.0, [0.0] * len(shares)
    for axis in axes:
        squares = moduli.squares(axis, len(shares))
        pairs = [max(p, float(one.amax())) for p, one in zip(pairs, squares, strict=True)]
        whole = shares[0] * squares[0]
        for share, one in zip(shares[1:], squares[1:], strict=True):
            whole.add_(one, alpha=share)
        stencil = max(stencil, float(whole.amax()))
    by_pairs = sum(s * math.sqrt(p) for s, p in zip(shares, pairs, strict=True))
    return min(math.sqrt(stencil), by_pairs)


@dataclass(frozen=True)
class _Moduli:
    """What c^2 is made of."""

    bulk: Tensor
    """Lambda, at the nodes."""
    mu: Tensor | None
    """At the nodes; None without shear."""
    rho: Tensor
    of_axis: Mapping[int, float]
    """1 / (G h^2)."""

    @classmethod
    def of(
        cls, vp: Tensor, vs: Tensor | None, rho: Tensor, of_axis: Mapping[int, float]
    ) -> "_Moduli":
        modulus = rho * vp**2
        if vs is None:
            return cls(modulus, None, rho, of_axis)
        mu = rho * vs**2
        return cls(modulus.sub_(mu, alpha=2.0).clamp_min_(0.0), mu, rho, of_axis)

    @cached_property
    def shear(self) -> dict[tuple[int, int], Tensor]:
        """Mu half a cell after the nodes along two axes."""
        if self.mu is None:
            return {}
        return {pair: _shear(self.mu, *pair) for pair in combinations(self.of_axis, 2)}

    def squares(self, axis: int, n: int) -> list[Tensor]:
        """c^2 of the velocity along an axis, for each of the n nearest pairs of points."""
        along = self.bulk
        if self.mu is not None:
            along = torch.add(along, self.mu, alpha=2.0 * self.of_axis[axis])
        density = next(_sums(self.rho, axis, 1))  # the halves of both means are left out
        squares = list(_sums(along, axis, n))
        for pair, one in self.shear.items():
            if axis in pair:
                other = pair[0] if pair[1] == axis else pair[1]
                for square, across in zip(squares, _sums(one, other, n, half=True), strict=True):
                    square.add_(across, alpha=2.0 * self.of_axis[other])
        return [square.div_(density) for square in squares]

    def largest(self) -> float:
        """A bound of c^2 along any axis and for any pair of points."""
        stiffest = float(self.bulk.amax())
        if self.mu is not None:
            stiffest += 2.0 * float(self.mu.amax())
        return stiffest / float(self.rho.amin())


def _shear(mu: Tensor, first: int, second: int) -> Tensor:
    """Harmonic mean of the four nodes around a shear point; zero where one is zero."""
    along = next(_sums(mu.reciprocal(), first, 1))
    return 4.0 / next(_sums(along, second, 1))


def _sums(field: Tensor, axis: int, n: int, *, half: bool = False) -> Iterator[Tensor]:
    """Sums of the pairs of points 1/2, 3/2, ... n - 1/2 cells beside those of the result.

    From nodes they are the half points after them, from half points the nodes. Beyond the ends
    the field goes on with its edge values.
    """
    length, low = field.shape[axis], n - 1 + half
    first, last = field.narrow(axis, 0, 1), field.narrow(axis, length - 1, 1)
    # Shifted views of one longer array: gathering along the fastest axis is slow.
    longer = torch.cat([*[first] * low, field, *[last] * (n - half)], dim=axis)
    for k in range(1, n + 1):
        after, before = n - 1 + k, n - k
        yield longer.narrow(axis, after, length) + longer.narrow(axis, before, length)
