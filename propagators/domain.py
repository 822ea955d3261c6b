"""The grid a call propagates on: the model, its absorbing layers, and points on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product
from numbers import Integral

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wavepipe.propagators.absorbing import layer_profiles, sponge_profile
from wavepipe.propagators.axes import axis_name
from wavepipe.propagators.backends.sweep import Points
from wavepipe.propagators.boundary import Boundary
from wavepipe.propagators.errors import ModelError, OptionError
from wavepipe.propagators.interpolation import FaceKind, divided_by_norm, point_weights
from wavepipe.propagators.stability import check_time_step, stable_time_step
from wavepipe.propagators.stencil.derivatives import ORDERS
from wavepipe.propagators.stencil.one_sided import closed_gain, one_sided
from wavepipe.propagators.stencil.page import Page
from wavepipe.propagators.stencil.program import Program
from wavepipe.propagators.stencil.surroundings import Face

VECTOR = 16
"""Slabs along the fastest axis begin and end at multiples of this many cells: no remainder."""


@dataclass(frozen=True)
class Domain:
    """A model's grid and what surrounds it."""

    model_shape: tuple[int, ...]
    spacing: tuple[float, ...]
    order: int
    boundary: Boundary
    staggered: bool = False
    """First differences on the staggered grid."""
    solid: bool = False
    """One-sided differences at free faces."""
    sponge: tuple[float, float] = (0.0, 1.0)
    """Damping of every field in the layers: strength and power, see `sponge_profile`."""

    def __post_init__(self) -> None:
        if self.order not in ORDERS or not isinstance(self.order, Integral):
            raise OptionError(f"order is {self.order!r}; use one of {', '.join(map(str, ORDERS))}.")
        ndim = len(self.model_shape)
        if len(self.spacing) != ndim:
            raise OptionError(f"spacing has {len(self.spacing)} values for a {ndim}-D model.")
        if not all(np.isfinite(h) and h > 0 for h in self.spacing):
            raise OptionError(f"spacing is {self.spacing} m; distances must be positive.")
        for axis, n in enumerate(self.model_shape):
            needed = 2 + sum(
                w for w, m in zip(self.widths[axis], self.margins[axis], strict=True) if m == 0
            )
            needed = max(needed, self.order // 2 + 2)
            if self.solid and any(self.free[axis]):
                needed = max(needed, sum(self.free[axis]) * max(one_sided(self.order).plus.shape))
            if n < needed:
                raise ModelError(
                    f"the model has {n} cells along {axis_name(axis, ndim)}; order {self.order} "
                    f"with these layers needs at least {needed}."
                )

    @property
    def ndim(self) -> int:
        """2 or 3."""
        return len(self.model_shape)

    @cached_property
    def free(self) -> tuple[tuple[bool, bool], ...]:
        """Whether the low and the high face of each axis are free."""
        ndim = len(self.model_shape)
        return tuple(
            (self.boundary.is_free(a, 0, ndim), self.boundary.is_free(a, 1, ndim))
            for a in range(ndim)
        )

    @property
    def gains(self) -> tuple[float, ...]:
        """By how much one-sided differences enlarge the largest derivative along each axis."""
        return tuple(
            closed_gain(self.order) if self.solid and any(free) else 1.0 for free in self.free
        )

    def stable_time_step(self, velocity: float) -> float:
        """Step to use where nothing is faster than `velocity` (m/s), s."""
        return stable_time_step(
            self.spacing, velocity, self.order, staggered=self.staggered, gains=self.gains
        )

    def check_time_step(self, time_step: float, velocity: float) -> None:
        """Refuse a step (s) that is unstable at `velocity` (m/s) with a StabilityError."""
        check_time_step(
            time_step,
            self.spacing,
            velocity,
            self.order,
            staggered=self.staggered,
            gains=self.gains,
        )

    @cached_property
    def widths(self) -> tuple[tuple[int, int], ...]:
        """Thickness of the layers, cells, (low, high) per axis."""
        return self.boundary.widths(len(self.model_shape))

    @cached_property
    def margins(self) -> tuple[tuple[int, int], ...]:
        """Cells beyond the model, (low, high) per axis."""
        return self.boundary.margins(len(self.model_shape))

    @cached_property
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
            n = self.shape[axis]
            if slab and axis == self.ndim - 1:
                slab += (n - slab if side else -slab) % VECTOR
            slab = min(slab, n)
            return Face(slab, self.free[axis][side], self.sponge[0] > 0)

        return tuple(
            (face(axis, 0, low), face(axis, 1, high))
            for axis, (low, high) in enumerate(self.widths)
        )

    def page(self, contacts: tuple[int, int] | None = None) -> Page:
        """An empty page on this grid; see `Page`."""
        return Page(self.shape, self.order, self.spacing, self.faces, contacts)

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
        self,
        program: Program,
        time_step: float,
        velocity: float,
        frequency: float,
        dtype: torch.dtype,
        device: torch.device,
    ) -> dict[str, Tensor]:
        """Profiles of the program by name, each as long as its axis; read-only."""
        found = _profiles(
            program,
            self.widths,
            self.spacing,
            (float(self.sponge[0]), float(self.sponge[1])),
            float(time_step),
            float(velocity),
            float(frequency),
            dtype,
        )
        return {name: values.to(device) for name, values in found.items()}

    def points(
        self, positions: NDArray[np.float64], half: Sequence[int] = (), *, enters: str = ""
    ) -> Points:
        """Grid points and weights of positions (n_shots, n, ndim), m from the model's node 0.

        Parameters
        ----------
        half
            Axes along which the field lies half a cell after the nodes.
        enters
            ``"velocity"`` or ``"stress"`` where amplitudes are added to the field: near a one-sided
            free face sources weigh otherwise than receivers.
        """
        n_shots, n, _ = positions.shape
        faces = self._face_kinds(half, enters)
        spread = point_weights(
            positions.reshape(n_shots * n, self.ndim),
            self.spacing,
            self.model_shape,
            half=half,
            faces=faces,
            margin=self.margins,
        )
        if enters and self.solid:
            spread = divided_by_norm(spread, self.model_shape, self.order, half=half, faces=faces)
        low = np.array([lo for lo, _ in self.margins], dtype=np.int32)
        first = np.arange(n_shots + 1, dtype=np.int64) * n
        return Points(first, spread.rowptr, spread.cells + low, spread.weights)

    def _face_kinds(self, half: Sequence[int], enters: str) -> dict[str, FaceKind]:
        """What the faces without a layer do to a field."""
        kinds: dict[str, FaceKind] = {}
        for axis, side in product(range(self.ndim), (0, 1)):
            if self.widths[axis][side]:
                continue
            kind: FaceKind = "even" if axis in half else "odd"
            if not self.free[axis][side]:
                kind = "bare"
            elif self.solid:
                # On the face itself normal strain follows from the others: no source of stress.
                inside = enters == "stress" and axis not in half
                kind = "inside" if inside else "one-sided"
            kinds[f"{axis_name(axis, self.ndim)}{side}"] = kind
        return kinds


def normalised_spacing(spacing: float | Sequence[float], ndim: int) -> tuple[float, ...]:
    """One distance per axis, m."""
    given = [float(h) for h in np.atleast_1d(spacing)]
    return tuple(given * ndim if np.ndim(spacing) == 0 else given)


@lru_cache(maxsize=32)
def _profiles(
    program: Program,
    widths: tuple[tuple[int, int], ...],
    spacing: tuple[float, ...],
    sponge: tuple[float, float],
    time_step: float,
    velocity: float,
    frequency: float,
    dtype: torch.dtype,
) -> dict[str, Tensor]:
    """See `Domain.profiles`; the shots of a survey share them."""
    profiles = {
        name: torch.as_tensor(values, dtype=dtype) for name, values in program.profiles.items()
    }
    for axis, sides in enumerate(widths):
        for (side, width), half in product(enumerate(sides), (False, True)):
            place = f"{axis_name(axis, len(widths))}{side}{'h' if half else ''}"
            if f"a_{place}" not in program.coefficients:
                continue
            layer = (width, program.shape[axis], spacing[axis], time_step, velocity)
            high = side == 1
            pair = layer_profiles(*layer, frequency, high=high, shift=0.5 if half else 0.0)
            for name, values in zip("ab", pair, strict=True):
                profiles[f"{name}_{place}"] = torch.as_tensor(values, dtype=dtype)
            if f"g_{place}" in program.coefficients:
                strength, power = sponge
                factors = sponge_profile(strength, power, *layer, high=high)
                profiles[f"g_{place}"] = torch.as_tensor(factors, dtype=dtype)
    return profiles
