"""Recordings of a propagator in media of `analytic_elastic.Medium`, to compare with references."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from analytic import Array, ricker_signal
from analytic_elastic import NAMES, Clock, Medium
from numpy.typing import ArrayLike

from wavepipe.propagators.waves import propagate


def misfit(found: ArrayLike, expected: ArrayLike) -> float:
    """Relative L2 error."""
    found, expected = np.asarray(found, dtype=np.float64), np.asarray(expected)
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def errors(found: Mapping[str, Array], expected: Mapping[str, Array]) -> dict[str, list[float]]:
    """L2 error of each trace over that of its pressure, or of its largest velocity component.

    What is next to nothing beside the other components, or pressures elsewhere, is no trouble.
    """
    largest = {
        name: np.linalg.norm(trace, axis=-1) for name, trace in expected.items() if name in found
    }
    velocity = np.max([size for name, size in largest.items() if name != "pressure"], axis=0)
    out = {}
    for name, trace in found.items():
        size = largest[name] if name == "pressure" else velocity
        size = np.maximum(size, 1e-3 * size.max())
        difference = np.linalg.norm(trace - expected[name], axis=-1)
        out[name] = [float(d / s) for d, s in zip(difference, size, strict=True) if s > 0.0]
    return out


def worst(found: Mapping[str, Array], expected: Mapping[str, Array]) -> float:
    """Largest of `errors`."""
    return max(max(values, default=0.0) for values in errors(found, expected).values())


def layered(
    shape: Sequence[int], upper: Medium, lower: Medium, row: int
) -> dict[str, torch.Tensor]:
    """Models whose rows from `row` on are `lower`; the contact is half a cell above that row."""
    models = {}
    for name in ("vp", "vs", "rho"):
        models[name] = torch.full(tuple(shape), float(getattr(upper, name)))
        models[name][row:] = getattr(lower, name)
    return models


def node(base: Sequence[float], name: str, spacing: float) -> Array:
    """Point (m) of the pressure's grid, or of that of a velocity or force ("vz", "fx")."""
    point = np.array(base, dtype=np.float64)
    if name != "pressure":
        point[NAMES[len(point)].index("v" + name[1])] += 0.5
    return point * spacing


def record(
    physics: str,
    models: Mapping[str, torch.Tensor],
    spacing: float,
    clock: Clock,
    wavelet: tuple[float, float],
    kind: str | Array,
    source: ArrayLike,
    receivers: Mapping[str, ArrayLike],
    **options: object,
) -> dict[str, Array]:
    """Traces (n_receivers, nt) by component of a Ricker wavelet (peak Hz, delay s)."""
    samples = torch.tensor(ricker_signal(*wavelet)(clock.t), dtype=torch.float32)[None, None]
    place = np.asarray(source, dtype=np.float64)[None, None]
    if isinstance(kind, str):
        sources = {kind: (samples, place)}
    else:
        sources = {"moment": (samples, place, np.asarray(kind))}
    names = {"acoustic": ("vp", "rho"), "elastic": ("vp", "vs", "rho")}[physics]
    found = propagate(
        physics,
        {name: models[name] for name in names},
        spacing,
        clock.dt,
        sources=sources,
        receivers={name: np.atleast_2d(points)[None] for name, points in receivers.items()},
        **{"order": 8} | options,
    )
    return {name: found[name][0].double().numpy() for name in receivers}
