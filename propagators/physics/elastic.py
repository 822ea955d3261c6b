"""Isotropic elastics: rho v_t = div s + f, s_t = lambda tr(e) + 2 mu e - m; e the strain rate."""

from itertools import combinations

from torch import Tensor

from wavepipe.propagators.medium import Medium
from wavepipe.propagators.stencil.expression import total
from wavepipe.propagators.stencil.page import Page


def elastic(page: Page) -> None:
    """Velocities and stresses on the staggered grid (Virieux 1986)."""
    page.solid()
    axes, a = page.axes, page.letters
    v = [page.field(f"v{a[i]}", half=[i], ahead=True) for i in axes]
    b = [page.coefficient(f"b_{a[i]}") for i in axes]
    s = {(i, i): page.field(f"s{a[i]}{a[i]}", zero=[i]) for i in axes}
    for i, j in combinations(axes, 2):
        s[i, j] = s[j, i] = page.field(f"s{a[i]}{a[j]}", half=[i, j])
    for i in axes:
        page.update(v[i], v[i] + b[i] * total(page.derivative(s[i, j], j) for j in axes))
    e = [page.local(f"e{a[i]}{a[i]}", page.derivative(v[i], i)) for i in axes]
    for i in axes:
        c = [page.coefficient(f"c_{a[min(i, j)]}{a[max(i, j)]}") for j in axes]
        page.update(s[i, i], s[i, i] + total(c[j] * e[j] for j in axes))
    for i, j in combinations(axes, 2):
        shear = page.derivative(v[i], j) + page.derivative(v[j], i)
        mu = page.coefficient(f"mu_{a[i]}{a[j]}")
        page.update(s[i, j], s[i, j] + mu * page.local(f"e{a[i]}{a[j]}", shear))
    for i in axes:
        page.source(f"f{a[i]}", into=v[i], times=b[i])
        page.source("pressure", into=s[i, i], scale=-1.0)
        page.receiver(f"v{a[i]}", of=v[i])
        page.receiver("pressure", of=s[i, i], scale=-1.0 / len(axes))
        for j in axes[i:]:
            page.source(f"moment_{a[i]}{a[j]}", into=s[i, j], scale=-1.0)


def coefficients(medium: Medium) -> dict[str, Tensor]:
    """Buoyancy and shear modulus on the staggered points, normal stiffnesses on the nodes.

    Density is averaged arithmetically, the modulus harmonically: zero beside water (Moczo et al.
    2002). On a free face normal stress is zero, which leaves the stiffnesses of plane stress.
    """
    step, rho, a = medium.time_step, medium["rho"], medium.letters
    axes = range(len(a))
    scale = step * rho
    mu = scale * medium["vs"] ** 2
    along = scale * medium["vp"] ** 2
    across = along - 2 * mu
    c = {(i, j): along if i == j else across for i in axes for j in axes if i <= j}
    found = {f"b_{a[i]}": step / medium.mean(rho, i) for i in axes}
    for i, j in combinations(axes, 2):
        found[f"mu_{a[i]}{a[j]}"] = medium.harmonic_mean(mu, i, j)
    return found | {f"c_{a[i]}{a[j]}": one for (i, j), one in medium.relaxed(c).items()}
