"""Acoustics with losses: a standard linear solid of quality factor q (Robertsson et al. 1994).

p_t = k (1 + tau) e - r, r_t = (k tau e - r) / tau_s, e = -div v; rho v_t + grad p = f.
"""

import math
from collections.abc import Mapping

from torch import Tensor

from wavepipe.propagators.medium import Medium
from wavepipe.propagators.stencil.expression import total
from wavepipe.propagators.stencil.page import Page


def viscoacoustic(page: Page) -> None:
    """The memory r, times the step, acts half as it was and half as it will be."""
    p, r, bulk = page.field("p"), page.field("r"), page.coefficient("bulk")
    decay, drive, loss = (page.coefficient(name) for name in ("decay", "drive", "loss"))
    v = [page.field(f"v{a}", half=[axis], ahead=True) for axis, a in enumerate(page.letters)]
    b = [page.coefficient(f"b_{a}") for a in page.letters]
    for axis in page.axes:
        page.update(v[axis], v[axis] - b[axis] * page.derivative(p, axis))
    e = page.local("e", -1.0 * total(page.derivative(v[i], i) for i in page.axes))
    page.update(p, p + bulk * e - loss * r)
    page.update(r, decay * r + drive * e)
    page.source("pressure", into=p, times=bulk)
    page.source("pressure", into=r, times=drive)
    page.receiver("pressure", of=p)
    for axis, a in enumerate(page.letters):
        page.source(f"f{a}", into=v[axis], times=b[axis])
        page.receiver(f"v{a}", of=v[axis])


def coefficients(medium: Medium) -> dict[str, Tensor]:
    """Moduli of pressure and memory; vp and q hold at the reference frequency."""
    step, rho, q = medium.time_step, medium["rho"], medium["q"]
    omega = 2 * math.pi * medium.reference_frequency
    unrelaxed = rho * unrelaxed_velocity({"vp": medium["vp"], "q": q}) ** 2
    decay = (-step * omega / ((1 + q**-2).sqrt() - 1 / q)).exp()
    tau = _tau(q)
    drive = step * (1 - decay) * unrelaxed * tau / (1 + tau)
    buoyancies = {f"b_{a}": step / medium.mean(rho, axis) for axis, a in enumerate(medium.letters)}
    return {
        "bulk": step * unrelaxed - 0.5 * drive,
        "loss": 0.5 * (1 + decay),
        "decay": decay,
        "drive": drive,
        **buoyancies,
    }


def unrelaxed_velocity(models: Mapping[str, Tensor]) -> Tensor:
    """Of the highest frequencies, the fastest.

    At the reference frequency the modulus is ``k sqrt(1 + tau) exp(i atan(1/q))``, so that the
    phase velocity there is vp if ``k = rho (vp cos(atan(1/q) / 2))^2 / sqrt(1 + tau)``.
    """
    q = models["q"]
    return models["vp"] * (0.5 * (1 / q).atan()).cos() * (1 + _tau(q)) ** 0.25


def _tau(q: Tensor) -> Tensor:
    """How much the unrelaxed modulus exceeds the relaxed one, relative to that."""
    root = (1 + q**-2).sqrt()
    return (root + 1 / q) / (root - 1 / q) - 1
