"""The grid a call propagates on: the model, its absorbing layers, and points on it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wavepipe.propagators.absorbing import layer_profiles
from wavepipe.propagators.axes import axis_name
from wavepipe.propagators.backends.sweep import Points
from wavepipe.propagators.boundary import Boundary
from wavepipe.propagators.errors import ModelError, OptionError
from wavepipe.propagators.interpolation import point_weights
from wavepipe.propagators.stencil.derivatives import ORDERS
from wavepipe.propagators.stencil.page import Face, Page
from wavepipe.propagators.stencil.program import Program

VECTOR = 16
"""Slabs along the fastest axis are whole vectors of this many cells: no scalar remainder.
In 3-D, where memory and not arithmetic limits, half of it: narrower slabs."""


@dataclass(frozen=True, slots=True)
class Domain:
    """A model's grid and what surrounds it."""

    model_shape: tuple[int, ...]
    spacing: tuple[float, ...]
    order: int
    boundary: Boundary

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            raise OptionError(f"order is {self.order}; use one of {', '.join(map(str, ORDERS))}.")
        ndim = len(self.model_shape)
        if len(self.spacing) != ndim:
            raise OptionError(f"spacing has {len(self.spacing)} values for a {ndim}-D model.")
        if not all(np.isfinite(h) and h > 0 for h in self.spacing):
            raise OptionError(f"spacing is {self.spacing} m; distances must be positive.")
        widths = self.boundary.widths(ndim)
        for axis, n in enumerate(self.model_shape):
            needed = 2 + sum(
                w for w, m in zip(widths[axis], self.margins[axis], strict=True) if m == 0
            )
            if n < max(needed, self.order // 2 + 2):
                raise ModelError(
                    f"the model has {n} cells along {axis_name(axis, ndim)}; order {self.order} "
                    f"with these layers needs at least {max(needed, self.order // 2 + 2)}."
                )

    @property
    def ndim(self) -> int:
        """2 or 3."""
        return len(self.model_shape)

    @property
    def margins(self) -> tuple[tuple[int, int], ...]:
        """Cells beyond the model, (low, high) per axis."""
        return self.boundary.margins(len(self.model_shape))

    @property
    def shape(self) -> tuple[int, ...]:
        """The grid, absorbing layers included."""
        return tuple(
            n + lo + hi for n, (lo, hi) in zip(self.model_shape, self.margins, strict=True)
        )

    @property
    def cell_volume(self) -> float:
        """m^ndim."""
        return float(np.prod(self.spacing))

    @property
    def faces(self) -> tuple[tuple[Face, Face], ...]:
        """Slabs and free surfaces for the page of a physics.

        A slab is the layer and order/2 cells more with zero profiles: there the transposed
        update may read beyond the slab without effect.
        """

        def face(axis: int, side: int, width: int) -> Face:
            slab = width + self.order // 2 if width else 0
            vector = VECTOR if self.ndim == 2 else VECTOR // 2
            if axis == self.ndim - 1:
                slab = -(-slab // vector) * vector
            return Face(min(slab, self.shape[axis]), self.boundary.is_free(axis, side, self.ndim))

        return tuple(
            (face(axis, 0, low), face(axis, 1, high))
            for axis, (low, high) in enumerate(self.boundary.widths(self.ndim))
        )

    def page(self) -> Page:
        """An empty page on this grid."""
        return Page(self.shape, self.order, self.spacing, self.faces)

    def extended(self, model: Tensor) -> Tensor:
        """A model (n, *model_shape) continued into the layers by its edge values."""
        pad = [cells for margin in reversed(self.margins) for cells in margin]
        if not any(pad):
            return model
        return torch.nn.functional.pad(model[:, None], pad, mode="replicate")[:, 0]

    def interior(self, grid: Tensor) -> Tensor:
        """The model's part of an array (n, *shape)."""
        window = tuple(
            slice(lo, lo + n) for n, (lo, _) in zip(self.model_shape, self.margins, strict=True)
        )
        return grid[(slice(None), *window)]

    def profiles(
        self, program: Program, time_step: float, velocity: float, frequency: float, like: Tensor
    ) -> dict[str, Tensor]:
        """Layer profiles named by the program's pages, each as long as its axis."""
        profiles: dict[str, Tensor] = {}
        for axis, widths in enumerate(self.boundary.widths(self.ndim)):
            for side, width in enumerate(widths):
                place = f"{axis_name(axis, self.ndim)}{side}"
                if f"a_{place}" not in program.coefficients:
                    continue
                cells = self.shape[axis]
                pair = layer_profiles(
                    width,
                    cells,
                    self.spacing[axis],
                    time_step,
                    velocity,
                    frequency,
                    high=side == 1,
                )
                for name, values in zip("ab", pair, strict=True):
                    profiles[f"{name}_{place}"] = torch.as_tensor(values).to(like)
        return profiles

    def points(self, positions: NDArray[np.float64]) -> Points:
        """Grid points and weights of positions (n_shots, n, ndim), m from the model's node 0."""
        n_shots, n, _ = positions.shape
        spread = point_weights(
            positions.reshape(n_shots * n, self.ndim),
            self.spacing,
            self.model_shape,
            free_surface=tuple(self.boundary.free_surface),
            margin=self.margins,
        )
        low = np.array([lo for lo, _ in self.margins], dtype=np.int32)
        first = np.arange(n_shots + 1, dtype=np.int64) * n
        return Points(first, spread.rowptr, spread.cells + low, spread.weights)


def normalised_spacing(spacing: float | Sequence[float], ndim: int) -> tuple[float, ...]:
    """One distance per axis, m."""
    given = [float(h) for h in np.atleast_1d(spacing)]
    return tuple(given * ndim if np.ndim(spacing) == 0 else given)
