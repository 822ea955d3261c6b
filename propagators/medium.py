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
        return 0.5 * (values + beside(values, axis))

    def harmonic_mean(self, values: Tensor, first: int, second: int) -> Tensor:
        """Harmonic mean of the four nodes around a point half a cell along two axes; 0 if one is.

        Notes
        -----
        The derivative with respect to a zero is taken as zero: water stays water.
        """
        # Comparing and choosing cell by cell takes several times as long as the means.
        if float(values.detach().amin()) > 0:
            total = values.reciprocal()
            for axis in (first, second):
                total = total + beside(total, axis)
            return 4.0 / total
        positive = values > 0
        inverse = 1.0 / torch.where(positive, values, 1.0)
        everywhere, total = positive, inverse
        for axis in (first, second):
            everywhere = everywhere & beside(everywhere, axis)
            total = total + beside(total, axis)
        return torch.where(everywhere, 4.0 / total, 0.0)

    def relaxed(self, stiffness: Mapping[tuple[int, int], Tensor]) -> dict[tuple[int, int], Tensor]:
        """Normal stiffnesses with the strain across each free face such that its stress is zero.

        Parameters
        ----------
        stiffness
            (i, j) with i <= j -> c_ij of ``s_ii = sum_j c_ij e_jj``.

        Notes
        -----
        On a face across axis a ``c_ij - c_ia c_aj / c_aa`` replaces c_ij. What was one tensor, and
        is so still, stays one.
        """
        found = dict(stiffness)
        for axis, sides in enumerate(self.free):
            for side in (side for side, free in enumerate(sides) if free):
                face = self._face(found[axis, axis], axis, side)
                across = found[axis, axis]
                safe = torch.where(across > 0, across, 1.0)
                before, made = dict(found), dict[tuple[int, ...], Tensor]()
                for (i, j), whole in before.items():
                    left, right = (before[min(k, axis), max(k, axis)] for k in (i, j))
                    same = (id(whole), *sorted((id(left), id(right))))
                    if same not in made:
                        made[same] = torch.where(face, whole - left * right / safe, whole)
                    found[i, j] = made[same]
        return found

    def _face(self, like: Tensor, axis: int, side: int) -> Tensor:
        """True on a face, broadcast along the other axes."""
        n = like.shape[axis + 1]
        shape = [1] * like.ndim
        shape[axis + 1] = n
        on = torch.arange(n, device=like.device) == (0 if side == 0 else n - 1)
        return on.reshape(shape)


def beside(values: Tensor, axis: int, cells: int = 1) -> Tensor:
    """The values some nodes further along an axis; beyond an end, the end's own.

    Parameters
    ----------
    values : (n_shots or 1, *grid)
    cells
        Negative towards the first node.
    """
    axis, n = axis + 1, values.shape[axis + 1]
    few = min(abs(cells), n)
    kept = values.narrow(axis, few if cells > 0 else 0, n - few)
    end = values.narrow(axis, n - 1 if cells > 0 else 0, 1)
    return torch.cat([kept, *[end] * few] if cells > 0 else [*[end] * few, kept], dim=axis)
