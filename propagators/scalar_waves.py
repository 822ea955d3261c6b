"""Constant-density acoustics: forward modelling and Born scattering."""

from collections.abc import Sequence

from numpy.typing import ArrayLike
from torch import Tensor

from wavepipe.propagators.boundary import Boundary
from wavepipe.propagators.recording import Recording
from wavepipe.propagators.storage.policy import Storage
from wavepipe.propagators.waves import propagate


def scalar(
    vp: Tensor,
    spacing: float | Sequence[float],
    dt: float,
    *,
    source_amplitudes: Tensor,
    source_positions: ArrayLike,
    receiver_positions: ArrayLike,
    nt: int | None = None,
    order: int = 4,
    boundary: Boundary = Boundary(),
    velocity_bound: float | None = None,
    time_step: float | None = None,
    correct_time_dispersion: bool = True,
    storage: Storage = Storage(),
    backend: str = "auto",
    illumination: bool = False,
) -> Recording:
    """Pressure recorded in a medium of constant density.

    Parameters
    ----------
    vp : (nz, nx) or (nz, ny, nx), m/s; or one model per shot, with n_shots as first axis
        P-wave velocity. Its gradient, where required, is per shot for one model per shot.
    spacing : m
        Distance between nodes: one for all axes, or one per axis.
    dt : s
        Sample interval of amplitudes and recording; sample n is at n dt.
    source_amplitudes : (n_shots, n_sources, nt)
        s(t) of the equation below.
    source_positions, receiver_positions : (n_shots, n, ndim), m
        From node [0, 0] of `vp`, axis order (z, x) or (z, y, x), on or off the grid. A receiver
        whose row is NaN is absent: its trace and gradient are zero.
    nt
        Samples to record; those of the amplitudes if None.
    order : {2, 4, 6, 8}
        Accuracy in space.
    boundary
        Absorbing layers and free surfaces.
    velocity_bound : m/s
        Upper bound of `vp` that fixes time step and layers; the maximum of `vp` if None. Pin it
        in an inversion.
    time_step : s
        Step inside, any fraction of `dt`; 0.9 of the stability limit, at most `dt`, if None.
    correct_time_dispersion
        Remove the second-order error of the time stepping.
    storage
        How the forward wavefield is kept for the gradient of `vp`.
    backend : {"auto", "c", "cuda", "reference"}
    illumination
        Also return the source's illumination of the model (with a gradient only).

    Returns
    -------
    Recording
        ``recording["pressure"]``: (n_shots, n_receivers, nt).

    Raises
    ------
    ModelError, GeometryError, StabilityError, OptionError, StorageError

    Warns
    -----
    DispersionWarning
        The grid or the clock cannot carry the sources' frequencies.

    Notes
    -----
    ``(1/vp^2) p_tt - laplacian p = s(t) delta(x - x_s)`` with delta = 1 / cell volume; in a
    homogeneous 3-D medium ``p = s(t - r/vp) / (4 pi r)``. In 2-D a source is a line per metre.
    Differentiable with respect to `vp` and `source_amplitudes`, once: the kept wavefield is freed
    in backward. Where `velocity_bound`, the boundary's `pml_frequency` and the storage's `stride`
    are left open, they are chosen for the whole batch: fix them where a shot must not depend on
    its neighbours.
    """
    return propagate(
        "scalar",
        {"vp": vp},
        spacing,
        dt,
        sources={"pressure": (source_amplitudes, source_positions)},
        receivers={"pressure": receiver_positions},
        nt=nt,
        order=order,
        boundary=boundary,
        velocity_bound=velocity_bound,
        time_step=time_step,
        correct_time_dispersion=correct_time_dispersion,
        storage=storage,
        backend=backend,
        illumination=illumination,
    )


def scalar_born(
    vp: Tensor,
    scatter: Tensor,
    spacing: float | Sequence[float],
    dt: float,
    *,
    source_amplitudes: Tensor,
    source_positions: ArrayLike,
    receiver_positions: ArrayLike,
    nt: int | None = None,
    order: int = 4,
    boundary: Boundary = Boundary(),
    velocity_bound: float | None = None,
    time_step: float | None = None,
    correct_time_dispersion: bool = True,
    storage: Storage = Storage(),
    backend: str = "auto",
    illumination: bool = False,
) -> Recording:
    """Pressure scattered once by a perturbation of the velocity.

    Parameters
    ----------
    vp : m/s
        Background velocity, as for `scalar`.
    scatter : as `vp`, m/s
        Perturbation of `vp`. Where it is zero throughout, as for migration, the scattered
        wavefield is not propagated forward.

    Returns
    -------
    Recording
        ``recording["pressure"]``: the scattered field, the derivative of `scalar`'s recording
        in the direction of `scatter`.

    Notes
    -----
    The other parameters are those of `scalar`. The RTM image of gathers d is ``J^T d``, minus
    the gradient of ``1/2 |J scatter - d|^2`` with respect to `scatter` at zero. Differentiable
    with respect to `vp`, `scatter` and `source_amplitudes`.
    """
    return propagate(
        "scalar",
        {"vp": vp},
        spacing,
        dt,
        sources={"pressure": (source_amplitudes, source_positions)},
        receivers={"pressure": receiver_positions},
        scatter={"vp": scatter},
        nt=nt,
        order=order,
        boundary=boundary,
        velocity_bound=velocity_bound,
        time_step=time_step,
        correct_time_dispersion=correct_time_dispersion,
        storage=storage,
        backend=backend,
        illumination=illumination,
    )
