"""Constant-density acoustics: (1/vp^2) p_tt - laplacian p = s delta."""

from torch import Tensor

from wavepipe.propagators.medium import Medium
from wavepipe.propagators.stencil.page import Page


def scalar(page: Page) -> None:
    """Second order in time: p_before becomes p at the next step."""
    p, p_before = page.field("p"), page.field("p_before")
    c2 = page.coefficient("c2")
    page.update(p_before, 2.0 * p - p_before + c2 * page.laplacian(p))
    page.swap(p, p_before)
    page.source("pressure", into=p, times=c2)
    page.receiver("pressure", of=p)


def coefficients(medium: Medium) -> dict[str, Tensor]:
    """The earth model as the page sees it."""
    return {"c2": (medium["vp"] * medium.time_step) ** 2}
