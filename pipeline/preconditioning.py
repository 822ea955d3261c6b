"""What stands between a raw gradient and an update: mask, smoothing, illumination."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from wavepipe.pipeline.errors import JobError

WATER_VELOCITY = (1400.0, 1600.0)
"""Sound in water, fresh to salt, cold to warm, m/s."""

WATER_TOLERANCE = 0.002
"""Relative change of velocity down a column that still counts as water."""

ILLUMINATION_FLOOR = 0.01
"""Smallest illumination divided by, relative to the largest below the water."""


@dataclass(frozen=True)
class Preconditioner:
    """Symmetric operator ``factor mask smooth weight smooth mask`` on a gradient."""

    mask: NDArray[np.bool_]
    """Where the earth model may change."""

    weight: NDArray[np.float64] | None = None
    """One over the illumination, scaled to a mean of one; None for no weight."""

    standard_deviation: tuple[float, ...] = ()
    """Of the Gaussian that smooths, in cells per axis; empty for none."""

    factor: float = 1.0
    """On the whole: brings parameters of different sensitivity to updates of one size."""

    def __call__(self, gradient: NDArray[np.float64]) -> NDArray[np.float64]:
        """Preconditioned gradient, with the shape of the mask."""
        smooth = self._smooth(np.where(self.mask, gradient, 0.0))
        if self.weight is not None:
            smooth = self._smooth(self.weight * smooth)
        return np.where(self.mask, self.factor * smooth, 0.0)

    def _smooth(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Gaussian average; mirrored at the edges, which keeps the operator symmetric."""
        if not any(self.standard_deviation):
            return values
        # Twice applied, the standard deviations add in quadrature.
        passes = 1 if self.weight is None else 2
        sigma = [s / passes**0.5 for s in self.standard_deviation]
        return np.asarray(gaussian_filter(values, sigma, mode="reflect"))


def illumination_weight(
    illumination: NDArray[Any], mask: NDArray[np.bool_]
) -> NDArray[np.float64] | None:
    """One over the illumination, bounded, with mean one where the model may change.

    Parameters
    ----------
    illumination : (nz, nx) or (nz, ny, nx)
        Sum over shots.
    mask
        Where the earth model may change.

    Returns
    -------
    array of float64, or None where nothing is illuminated
    """
    largest = float(illumination[mask].max(initial=0.0))
    if largest <= 0.0:
        return None
    weight = 1.0 / (illumination.astype(np.float64) + ILLUMINATION_FLOOR * largest)
    return np.asarray(weight / weight[mask].mean())


def balance(
    preconditioners: Mapping[str, Preconditioner], gradients: Mapping[str, NDArray[np.float64]]
) -> dict[str, Preconditioner]:
    """Preconditioners whose answers to these gradients have a root mean square of one each.

    One whose gradient is zero gets the mean factor of the others.
    """
    sizes = {
        name: float(np.sqrt(np.mean(one(gradients[name]) ** 2)))
        for name, one in preconditioners.items()
    }
    factors = {name: 1.0 / size for name, size in sizes.items() if size > 0.0}
    other = sum(factors.values()) / len(factors) if factors else 1.0
    return {
        name: replace(one, factor=factors.get(name, other)) for name, one in preconditioners.items()
    }


def divide_by_illumination(
    image: NDArray[Any], illumination: NDArray[Any], floor: float
) -> NDArray[Any]:
    """Image divided by the source illumination, with the illumination's own maximum as unit.

    Parameters
    ----------
    image, illumination : (nz, nx) or (nz, ny, nx)
        Sums over shots.
    floor
        Added to the illumination, relative to its mean, so that the division stays bounded.
    """
    mean = float(illumination.mean(dtype=np.float64))
    if mean <= 0.0:
        return image
    return (image / (illumination / mean + floor)).astype(image.dtype)


def water_mask(vp: NDArray[Any], vs: NDArray[Any] | None = None) -> NDArray[np.bool_]:
    """Cells of the water layer: from the top down while the velocity stays that of the top.

    Parameters
    ----------
    vp : (nz, nx) or (nz, ny, nx), m/s
        Earth model.
    vs : as vp, m/s
        Where the physics has one, water is where it is zero, from the top down.

    Raises
    ------
    JobError
        The top of the model is not water.
    """
    if vs is not None:
        same = vs == 0.0
        if not same[:1].any():
            raise JobError(
                f"fwi.mask.water is set, but the top of vs is {vs[:1].min():.0f} m/s or more, "
                "and water has 0. Set fwi.mask.water to false, or vs to 0 in the water."
            )
        return np.asarray(np.logical_and.accumulate(same, axis=0))
    top = vp[:1]
    low, high = WATER_VELOCITY
    if not ((top >= low) & (top <= high)).any():
        raise JobError(
            f"fwi.mask.water is set, but the top of vp is {top.min():.0f} to {top.max():.0f} m/s, "
            f"which is no water ({low:.0f} to {high:.0f} m/s). Set fwi.mask.water to false."
        )
    same = (np.abs(vp - top) <= WATER_TOLERANCE * top) & (top >= low) & (top <= high)
    return np.asarray(np.logical_and.accumulate(same, axis=0))
