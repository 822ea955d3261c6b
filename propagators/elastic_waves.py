"""Isotropic elastic waves: forward modelling and Born scattering."""

from collections.abc import Mapping, Sequence
from typing import Unpack

from torch import Tensor

from wavepipe.propagators.acquisition import Receivers, Sources
from wavepipe.propagators.recording import Recording
from wavepipe.propagators.waves import Settings, propagate


def elastic(
    vp: Tensor,
    vs: Tensor,
    rho: Tensor,
    spacing: float | Sequence[float],
    dt: float,
    *,
    sources: Sources,
    receivers: Receivers,
    **settings: Unpack[Settings],
) -> Recording:
    """Particle velocity and pressure in an elastic solid, with or without water.

    Parameters
    ----------
    vp : (nz, nx) or (nz, ny, nx), m/s; or one model per shot, with n_shots as first axis
    vs : as `vp`, m/s
        0 in a fluid; at most 0.866 vp.
    rho : as `vp`, kg/m3
    sources, receivers
        Sources: forces "fz", "fx" (and "fy") in N, +z down; "pressure", an isotropic moment rate in
        N m/s, positive outward; "moment", a moment rate times symmetric tensors. Receivers: "vz",
        "vx" (and "vy") in m/s, "pressure", minus the mean of the normal stresses, in Pa. See
        `propagate`.

    Returns
    -------
    Recording
        By component, each (n_shots, n_receivers, nt).

    Notes
    -----
    The other parameters, errors and warnings are those of `propagate`.
    ``rho v_t = div s + f delta``, ``s_t = lambda tr(e) I + 2 mu e - m delta``; e is strain rate.
    In a homogeneous 3-D medium the particle velocities are those of Aki and Richards (2002),
    equations 4.23 and 4.29, differentiated. In 2-D (P-SV) a source is a line per metre.
    """
    return propagate(
        "elastic",
        {"vp": vp, "vs": vs, "rho": rho},
        spacing,
        dt,
        sources=sources,
        receivers=receivers,
        **settings,
    )


def elastic_born(
    vp: Tensor,
    vs: Tensor,
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
        ``{"vp": dvp, "vs": dvs, "rho": drho}``, some or all, in m/s and kg/m3.
        Their derivative of `elastic`'s gathers is recorded; where all are zero, as for migration,
        nothing is propagated forward but the background.

    Notes
    -----
    The other parameters are those of `elastic`.
    """
    return propagate(
        "elastic",
        {"vp": vp, "vs": vs, "rho": rho},
        spacing,
        dt,
        sources=sources,
        receivers=receivers,
        scatter=scatter,
        **settings,
    )
