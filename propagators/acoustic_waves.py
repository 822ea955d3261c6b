"""Acoustics of variable density: forward modelling and Born scattering."""

from collections.abc import Mapping, Sequence
from typing import Unpack

from torch import Tensor

from wavepipe.propagators.acquisition import Receivers, Sources
from wavepipe.propagators.recording import Recording
from wavepipe.propagators.waves import Settings, propagate


def acoustic(
    vp: Tensor,
    rho: Tensor,
    spacing: float | Sequence[float],
    dt: float,
    *,
    sources: Sources,
    receivers: Receivers,
    **settings: Unpack[Settings],
) -> Recording:
    """Pressure and particle velocity in a fluid of variable density.

    Parameters
    ----------
    vp : (nz, nx) or (nz, ny, nx), m/s; or one model per shot, with n_shots as first axis
    rho : as `vp`, kg/m3
    sources, receivers
        Sources: "pressure", a volume injection rate in m3/s, and forces "fz", "fx" (and "fy") in N,
        +z down. Receivers: "pressure" in Pa, "vz", "vx" (and "vy") in m/s. See `propagate`.

    Returns
    -------
    Recording
        By component, each (n_shots, n_receivers, nt).

    Notes
    -----
    The other parameters, errors and warnings are those of `propagate`.
    ``p_t + rho vp^2 div v = rho vp^2 q delta`` and ``rho v_t + grad p = f delta``; in a homogeneous
    3-D medium ``p = rho q'(t - r/vp) / (4 pi r)``.
    """
    return propagate(
        "acoustic",
        {"vp": vp, "rho": rho},
        spacing,
        dt,
        sources=sources,
        receivers=receivers,
        **settings,
    )


def acoustic_born(
    vp: Tensor,
    rho: Tensor,
    spacing: float | Sequence[float],
    dt: float,
    *,
    scatter: Mapping[str, Tensor],
    sources: Sources,
    receivers: Receivers,
    **settings: Unpack[Settings],
) -> Recording:
    """Gathers scattered once by perturbations of the earth model.

    Parameters
    ----------
    scatter
        ``{"vp": dvp, "rho": drho}``, either or both, in m/s and kg/m3.
        Their derivative of `acoustic`'s gathers is recorded; where all are zero, as for migration,
        nothing is propagated forward but the background.

    Notes
    -----
    The other parameters are those of `acoustic`.
    """
    return propagate(
        "acoustic",
        {"vp": vp, "rho": rho},
        spacing,
        dt,
        sources=sources,
        receivers=receivers,
        scatter=scatter,
        **settings,
    )
