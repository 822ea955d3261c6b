"""Acoustics of variable density: p_t + rho vp^2 div v = rho vp^2 q, rho v_t + grad p = f."""

from torch import Tensor

from wavepipe.propagators.medium import Medium
from wavepipe.propagators.stencil.expression import total
from wavepipe.propagators.stencil.page import Page


def acoustic(page: Page) -> None:
    """Velocities half a cell and half a step beside the pressure (Virieux 1984)."""
    p, bulk = page.field("p"), page.coefficient("K")
    v = [page.field(f"v{a}", half=[axis], ahead=True) for axis, a in enumerate(page.letters)]
    b = [page.coefficient(f"b_{a}") for a in page.letters]
    for axis in page.axes:
        page.update(v[axis], v[axis] - b[axis] * page.derivative(p, axis))
    page.update(p, p - bulk * total(page.derivative(v[axis], axis) for axis in page.axes))
    page.source("pressure", into=p, times=bulk)
    page.receiver("pressure", of=p)
    for axis, a in enumerate(page.letters):
        page.source(f"f{a}", into=v[axis], times=b[axis])
        page.receiver(f"v{a}", of=v[axis])


def coefficients(medium: Medium) -> dict[str, Tensor]:
    """Bulk modulus, and buoyancy halfway between nodes."""
    step, rho = medium.time_step, medium["rho"]
    buoyancies = {f"b_{a}": step / medium.mean(rho, axis) for axis, a in enumerate(medium.letters)}
    return {"K": step * rho * medium["vp"] ** 2, **buoyancies}
