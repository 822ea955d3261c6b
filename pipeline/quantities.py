"""Parameters, sources, components and amounts in words: what they are, and their units."""

import re

from wavepipe.propagators.physics.names import PARAMETERS, UNITS, source_names

_PARAMETERS = {
    "vp": "P-wave velocity",
    "vs": "S-wave velocity",
    "rho": "density",
    "epsilon": "Thomsen's epsilon",
    "delta": "Thomsen's delta",
    "q": "quality factor",
}
_BYTES: dict[str, int] = {
    "": 1,
    **{f"{k}B": 1000**i for i, k in enumerate(("", "k", "M", "G", "T"))},
}
_BYTES |= {f"{k}iB": 1024**i for i, k in enumerate(("K", "M", "G", "T"), 1)}
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


def bytes_of(amount: object) -> int:
    """Bytes of an amount of memory as people write it.

    Raises
    ------
    ValueError
        It is none, or not positive.

    Examples
    --------
    >>> bytes_of("8 GB"), bytes_of("1.5GiB"), bytes_of(4096)
    (8000000000, 1610612736, 4096)
    """
    units: dict[str, int] = {unit.lower(): size for unit, size in _BYTES.items()}
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?(?:e\+?\d+)?)\s*([a-z]*)\s*", str(amount).lower())
    if found is None or found[2] not in units or not float(found[1]) > 0:
        msg = (
            f"{amount!r} is no amount of memory; give a positive number of bytes, or a number and "
            f"one of {', '.join(unit for unit in _BYTES if unit)}, such as '8 GB'"
        )
        raise ValueError(msg)
    return round(float(found[1]) * units[found[2]])


def seconds_of(duration: object) -> int:
    """Seconds of a duration as batch systems write it.

    Raises
    ------
    ValueError
        It is none, or not positive.

    Examples
    --------
    >>> seconds_of("1-12:00:00"), seconds_of("4:00:00"), seconds_of("1:30"), seconds_of(600)
    (129600, 14400, 90, 600)
    >>> seconds_of("1-12"), seconds_of("1-12:30")  # after days come hours
    (129600, 131400)
    """
    text, total = str(duration).strip(), 0
    after_days = re.fullmatch(r"(\d+)-(\d+)(?::(\d+)(?::(\d+))?)?", text)
    alone = re.fullmatch(r"()(?:(?:(\d+):)?(\d+):)?(\d+)", text)
    if found := after_days or alone:
        days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
        total = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    if total <= 0:
        msg = f"{duration!r} is no duration; write days-hours:minutes:seconds, such as '12:00:00'"
        raise ValueError(msg)
    return total


def clock_time(seconds: int) -> str:
    """A duration as batch systems read it.

    Examples
    --------
    >>> clock_time(129_661)
    '36:01:01'
    """
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
