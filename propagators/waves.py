"""Wave propagation with any physics: the call behind `scalar`, `acoustic` and `elastic`."""

from collections.abc import Mapping, Sequence
from typing import TypedDict

from torch import Tensor

from wavepipe.propagators.acquisition import Receivers, Sources, acquire
from wavepipe.propagators.boundary import Boundary
from wavepipe.propagators.call import Options, prepare
from wavepipe.propagators.physics.catalogue import known_physics
from wavepipe.propagators.recording import Recording
from wavepipe.propagators.storage.policy import Storage


class Settings(TypedDict, total=False):
    """Keywords that every physics' own call passes on to `propagate`, which describes them."""

    nt: int | None
    order: int
    boundary: Boundary
    velocity_bound: float | None
    time_step: float | None
    correct_time_dispersion: bool
    storage: Storage
    backend: str
    illumination: bool
    contacts: tuple[int, int] | None


def propagate(
    physics: str,
    models: Mapping[str, Tensor],
    spacing: float | Sequence[float],
    dt: float,
    *,
    sources: Sources,
    receivers: Receivers,
    scatter: Mapping[str, Tensor] | None = None,
    nt: int | None = None,
    order: int = 4,
    boundary: Boundary = Boundary(),
    velocity_bound: float | None = None,
    time_step: float | None = None,
    correct_time_dispersion: bool = True,
    storage: Storage = Storage(),
    backend: str = "auto",
    illumination: bool = False,
    reference_frequency: float | None = None,
    contacts: tuple[int, int] | None = None,
) -> Recording:
    """Gathers of a batch of shots.

    Parameters
    ----------
    physics : {"scalar", "acoustic", "elastic", "acoustic_vti", "viscoacoustic"}
    models : each (nz, nx) or (nz, ny, nx), or with n_shots as first axis
        By parameter: vp and vs in m/s, rho in kg/m3, Thomsen's epsilon and delta with the vertical
        velocity as vp (acoustic_vti), q the quality factor (viscoacoustic). The gradient of a
        model per shot is per shot.
    spacing : m
        Distance between nodes: one for all axes, or one per axis.
    dt : s
        Sample interval of amplitudes and recording; sample n is at n dt.
    sources
        ``{"fz": (amplitudes, positions), "moment": (amplitudes, positions, tensors)}`` with
        amplitudes (n_shots, n, nt), positions (n_shots, n, ndim) in m from node [0, 0], axis order
        (z, x) or (z, y, x), on or off the grid, and symmetric tensors (ndim, ndim) or
        (n_shots, n, ndim, ndim).
    receivers
        ``{"vz": positions, "pressure": positions}``. A receiver whose row is NaN is absent: its
        trace and gradient are zero.
    scatter
        Perturbations by parameter: the recording is then the derivative of the gathers in their
        direction (Born modelling). Where all are zero, as for migration, the scattered wavefield
        is not propagated forward.
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
        Remove the second-order error of the time stepping. With losses short steps take its place.
    storage
        How the forward wavefield is kept for the gradient of the earth model.
    backend : {"auto", "c", "cuda", "reference"}
    illumination
        Also return the source's illumination of the model (with a gradient only).
    reference_frequency : Hz
        At which `vp` and `q` of a medium with losses hold; the sources' peak if None.
    contacts : (int, int), rows
        Of a solid, first row of the model with a contact of water and rock and one past the last;
        found in the models if None. Beside contacts in them differences of shear are of order 2.

    Returns
    -------
    Recording
        ``recording["vz"]`` and so on: (n_shots, n_receivers, nt).

    Raises
    ------
    ModelError, GeometryError, StabilityError, OptionError, StorageError

    Warns
    -----
    DispersionWarning
        The grid or the clock cannot carry the sources' frequencies.

    Notes
    -----
    Sources and their units: "pressure" is s(t) of ``(1/vp^2) p_tt - lap p = s delta`` (scalar), a
    volume injection rate in m3/s (acoustic), an isotropic moment rate in N m/s, positive outward
    (elastic); "fz" ... a force in N, +z down; "moment" a moment rate times a tensor. delta is
    1 / cell volume; in 2-D a source is a line per metre. "pressure" recorded in a solid is minus
    the mean of the normal stresses; velocities are in m/s.

    Differentiable with respect to models, scatter and amplitudes, once: the kept wavefield is
    freed in backward. Where `velocity_bound`, `contacts`, the boundary's `pml_frequency` and the
    storage's `stride` are left open, they are chosen for the whole batch: fix them where a shot
    must not depend on its neighbours.
    """
    options = Options(
        order,
        boundary,
        velocity_bound,
        time_step,
        correct_time_dispersion,
        storage,
        backend,
        illumination,
        reference_frequency,
        contacts,
    )
    found = known_physics(physics)
    return prepare(
        found, models, spacing, dt, acquire(physics, sources, receivers, nt), options, scatter
    ).record()
