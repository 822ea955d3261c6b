"""Parameters, sources and components in words: what they are, and their units."""

from wavepipe.propagators.physics.names import PARAMETERS, UNITS, source_names

_PARAMETERS = {
    "vp": "P-wave velocity",
    "vs": "S-wave velocity",
    "rho": "density",
    "epsilon": "Thomsen's epsilon",
    "delta": "Thomsen's delta",
    "q": "quality factor",
}
_DIRECTIONS = {"z": "positive down", "y": "along y", "x": "along x"}


def describe_parameter(name: str) -> str:
    """Meaning and unit of a parameter of the earth model.

    Examples
    --------
    >>> describe_parameter("rho")
    'density, kg/m3'
    """
    unit = UNITS.get(name, "1")
    return _PARAMETERS.get(name, name) + ("" if unit == "1" else f", {unit}")


def with_unit(name: str, value: float, digits: int = 6) -> str:
    """Value of a parameter of the earth model as text.

    Examples
    --------
    >>> with_unit("vp", 2000.0), with_unit("epsilon", 0.1234, 2)
    ('2000 m/s', '0.12')
    """
    unit = UNITS.get(name, "1")
    return f"{value:.{digits}g}" + ("" if unit == "1" else f" {unit}")


def component_unit(name: str) -> str:
    """Unit of a recorded component."""
    return "Pa" if name == "pressure" else "m/s"


def component_meaning(name: str) -> str:
    """What a component is.

    Examples
    --------
    >>> component_meaning("vz")
    'particle velocity, positive down'
    """
    if name == "pressure":
        return "pressure"
    return f"particle velocity, {_DIRECTIONS[name[-1]]}"


def describe_component(name: str) -> str:
    """Name, unit and direction of a component, for a text header.

    Examples
    --------
    >>> describe_component("vz"), describe_component("pressure")
    ('vz (m/s, positive down)', 'pressure (Pa)')
    """
    direction = "" if name == "pressure" else f", {_DIRECTIONS[name[-1]]}"
    return f"{name} ({component_unit(name)}{direction})"


def wavelet_unit(physics: str, source: str, ndim: int) -> str:
    """Unit of the wavelet for which gathers are in Pa and m/s.

    In 2-D a source is a line, and its amplitude that of a metre of it.

    Examples
    --------
    >>> wavelet_unit("acoustic", "pressure", 3), wavelet_unit("acoustic", "fz", 2)
    ('m3/s', 'N/m')
    """
    in_3d, in_2d = "Pa m", "Pa"  # a source of the wave equation itself
    if source.startswith("f"):
        in_3d, in_2d = "N", "N/m"
    elif "moment" in source_names(physics, ndim):
        in_3d, in_2d = "N m/s", "N/s"
    elif "rho" in PARAMETERS[physics]:
        in_3d, in_2d = "m3/s", "m2/s"
    return in_3d if ndim == 3 else in_2d
