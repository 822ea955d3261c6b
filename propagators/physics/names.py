"""Which physics there are, and the names of what they take and record; free of torch."""

from wavepipe.propagators.axes import axis_name

PARAMETERS: dict[str, tuple[str, ...]] = {
    "scalar": ("vp",),
    "acoustic": ("vp", "rho"),
    "elastic": ("vp", "vs", "rho"),
    "acoustic_vti": ("vp", "rho", "epsilon", "delta"),
    "viscoacoustic": ("vp", "rho", "q"),
}
"""Physics -> its earth model, in the order of the call."""

UNITS = {"vp": "m/s", "vs": "m/s", "rho": "kg/m3", "epsilon": "1", "delta": "1", "q": "1"}
"""Parameter -> unit."""


def source_names(physics: str, ndim: int) -> tuple[str, ...]:
    """Sources of a physics: ``pressure``, forces ``fz`` ..., ``moment``."""
    names = ["pressure"]
    if physics != "scalar":
        names += [f"f{axis_name(axis, ndim)}" for axis in range(ndim)]
    if physics == "elastic":
        names.append("moment")
    return tuple(names)


def receiver_names(physics: str, ndim: int) -> tuple[str, ...]:
    """What a physics records: ``pressure``, particle velocities ``vz`` ..."""
    names = ["pressure"]
    if physics != "scalar":
        names += [f"v{axis_name(axis, ndim)}" for axis in range(ndim)]
    return tuple(names)
