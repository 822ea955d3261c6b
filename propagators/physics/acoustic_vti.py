"""Acoustics of a medium that is slower vertically (VTI), without shear (Alkhalifah 2000).

Pressures p sideways and r up and down (Duveneck et al. 2008), k = rho vp^2, e the rate of
compression: p_t = k ((1 + 2 epsilon) e_h + sqrt(1 + 2 delta) e_z), r_t = k (sqrt(1 + 2 delta) e_h
+ e_z); rho v_t + grad (p or r) = f.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from wavepipe.propagators.medium import Medium
from wavepipe.propagators.stencil.expression import total
from wavepipe.propagators.stencil.page import Page


def acoustic_vti(page: Page) -> None:
    """Velocities half a cell and half a step beside both pressures."""
    p, r, bulk = page.field("p"), page.field("r"), page.coefficient("bulk")
    along, across = page.coefficient("along"), page.coefficient("across")
    v = [page.field(f"v{a}", half=[axis], ahead=True) for axis, a in enumerate(page.letters)]
    b = [page.coefficient(f"b_{a}") for a in page.letters]
    for axis in page.axes:
        page.update(v[axis], v[axis] - b[axis] * page.derivative(p if axis else r, axis))
    e_z = page.local("e_z", -1.0 * page.derivative(v[0], 0))
    e_h = page.local("e_h", -1.0 * total(page.derivative(v[i], i) for i in page.axes[1:]))
    page.update(p, p + along * e_h + across * e_z)
    page.update(r, r + across * e_h + bulk * e_z)
    for q in (p, r):
        page.source("pressure", into=q, times=bulk)
        page.receiver("pressure", of=q, scale=0.5)
    for axis, a in enumerate(page.letters):
        page.source(f"f{a}", into=v[axis], times=b[axis])
        page.receiver(f"v{a}", of=v[axis])


def coefficients(medium: Medium) -> dict[str, Tensor]:
    """Stiffnesses on the nodes, and buoyancy halfway between them."""
    step, rho = medium.time_step, medium["rho"]
    bulk = step * rho * medium["vp"] ** 2
    buoyancies = {f"b_{a}": step / medium.mean(rho, axis) for axis, a in enumerate(medium.letters)}
    return {
        "bulk": bulk,
        "along": bulk * (1 + 2 * medium["epsilon"]),
        "across": bulk * (1 + 2 * medium["delta"]).sqrt(),
        **buoyancies,
    }


def fastest_velocity(models: Mapping[str, Tensor]) -> Tensor:
    """Of all directions: up and down or sideways, since delta is at most epsilon."""
    return models["vp"] * (1 + 2 * models["epsilon"].clamp(min=0)).sqrt()


def slowest_velocity(models: Mapping[str, Tensor]) -> Tensor:
    """Of compressional waves in all directions.

    With s the squared sine of the angle from the vertical, ``a = (v / vp)^2`` is the larger root of
    ``a^2 - (1 + 2 epsilon s) a + 2 (epsilon - delta) s (1 - s) = 0``. Its slope vanishes where
    ``a epsilon = (epsilon - delta) (1 - 2 s)``, if that is a direction.
    """
    epsilon, delta = models["epsilon"], models["delta"]
    ends = (1 + 2 * epsilon).clamp(max=1)
    excess = (epsilon - delta).clamp(min=1e-9)
    between = (1 + epsilon + (1 + 2 * delta).sqrt()) / (2 + epsilon**2 / excess)
    oblique = (between * epsilon).abs() < excess
    return models["vp"] * torch.where(oblique, torch.minimum(ends, between), ends).sqrt()
