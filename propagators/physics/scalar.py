"""Constant-density acoustics: (1/c^2) p_tt - laplacian p = s delta."""

from wavepipe.propagators.stencil.page import Page


def scalar(page: Page) -> None:
    """Second order in time: p_before becomes p at the next step."""
    p, p_before = page.field("p"), page.field("p_before")
    c2 = page.coefficient("c2")  # (c * time_step)^2
    page.update(p_before, 2.0 * p - p_before + c2 * page.laplacian(p))
    page.swap(p, p_before)
    page.source("pressure", into=p, times=c2)
    page.receiver("pressure", of=p)
