"""An earth model on the padded grid, and its averages on staggered points, in torch.

Autograd carries gradients of coefficients back to velocities and density through these.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from wavepipe.propagators.axes import axis_name


@dataclass(frozen=True)
class Medium:
    """Parameters of the earth model, each (n_shots or 1, *grid), and what turns them into steps."""

    models: Mapping[str, Tensor]
    time_step: float
    """s."""
    free: tuple[tuple[bool, bool], ...]
    """Whether the low and the high face of each axis are free."""
    reference_frequency: float = 1.0
    """At which velocities and quality factors hold, Hz."""

    def __getitem__(self, parameter: str) -> Tensor:
        return self.models[parameter]

    @property
    def letters(self) -> list[str]:
        """Names of the axes."""
        return [axis_name(axis, len(self.free)) for axis in range(len(self.free))]

    def mean(self, values: Tensor, axis: int) -> Tensor:
        """Arithmetic mean half a cell after each node along an axis."""
        return 0.5 * (values + _next(values, axis))

    def harmonic_mean(self, values: Tensor, first: int, second: int) -> Tensor:
        """Harmonic mean of the four nodes around a point half a cell along two axes; 0 if one is.

        Notes
        -----
        The derivative with respect to a zero is taken as zero: water stays water.
        """
        positive = values > 0
        inverse = 1.0 / torch.where(positive, values, 1.0)
        everywhere, total = positive, inverse
        for axis in (first, second):
            everywhere = everywhere & _next(everywhere, axis)
            total = total + _next(total, axis)
        return torch.where(everywhere, 4.0 / total, 0.0)

    def relaxed(self, stiffness: Mapping[tuple[int, int], Tensor]) -> dict[tuple[int, int], Tensor]:
        """Normal stiffnesses with the strain across each free face such that its stress is zero.

        Parameters
        ----------
        stiffness
            (i, j) with i <= j -> c_ij of ``s_ii = sum_j c_ij e_jj``.

        Notes
        -----
        On a face across axis a ``c_ij - c_ia c_aj / c_aa`` replaces c_ij.
        """
        found = dict(stiffness)
        for axis, sides in enumerate(self.free):
            for side in (side for side, free in enumerate(sides) if free):
                face = self._face(found[axis, axis], axis, side)
                across = found[axis, axis]
                safe = torch.where(across > 0, across, 1.0)
                before = dict(found)
                for i, j in before:
                    left, right = (before[min(k, axis), max(k, axis)] for k in (i, j))
                    found[i, j] = torch.where(
                        face, before[i, j] - left * right / safe, before[i, j]
                    )
        return found

    def _face(self, like: Tensor, axis: int, side: int) -> Tensor:
        """True on a face, broadcast along the other axes."""
        n = like.shape[axis + 1]
        shape = [1] * like.ndim
        shape[axis + 1] = n
        on = torch.arange(n, device=like.device) == (0 if side == 0 else n - 1)
        return on.reshape(shape)


def _next(values: Tensor, axis: int) -> Tensor:
    """The value of the next node along an axis; the last one's own."""
    n = values.shape[axis + 1]
    return torch.cat(
        [values.narrow(axis + 1, 1, n - 1), values.narrow(axis + 1, n - 1, 1)], dim=axis + 1
    )
