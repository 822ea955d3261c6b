"""Units of earth model parameters, and the values a rock or fluid can have."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wavepipe.pipeline.errors import JobError
from wavepipe.propagators.errors import ModelError
from wavepipe.propagators.physics.names import UNITS as PARAMETER_UNITS


@dataclass(frozen=True, slots=True)
class Unit:
    """``SI value = factor * value ** power``."""

    quantity: str
    factor: float
    power: float = 1.0

    def to_si(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """`values` in m/s or kg/m3."""
        if self.power == 1.0:
            return values * self.factor
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.factor * values**self.power


UNITS = {
    "m/s": Unit("velocity", 1.0),
    "km/s": Unit("velocity", 1000.0),
    "ft/s": Unit("velocity", 0.3048),
    "s/m": Unit("velocity", 1.0, -1.0),
    "s/km": Unit("velocity", 1000.0, -1.0),
    "ms/m": Unit("velocity", 1000.0, -1.0),
    "us/ft": Unit("velocity", 304800.0, -1.0),
    "s2/m2": Unit("velocity", 1.0, -0.5),
    "s2/km2": Unit("velocity", 1000.0, -0.5),
    "kg/m3": Unit("density", 1.0),
    "g/cm3": Unit("density", 1000.0),
    "1": Unit("number", 1.0),
    "%": Unit("number", 0.01),
}
"""Every unit a job may state."""

SPELLINGS = {
    "m s-1": "m/s", "m s^-1": "m/s", "m.s-1": "m/s", "meter/second": "m/s", "mps": "m/s",
    "km s-1": "km/s", "s m-1": "s/m", "s km-1": "s/km", "s^2/km^2": "s2/km2", "s^2/m^2": "s2/m2",
    "s**2/km**2": "s2/km2", "kg m-3": "kg/m3", "kg/m^3": "kg/m3", "kg/m**3": "kg/m3",
    "g/cc": "g/cm3", "g/cm^3": "g/cm3", "g cm-3": "g/cm3", "μs/ft": "us/ft",
}  # fmt: skip
"""Other spellings that files and people use."""

SI_UNIT = {"velocity": "m/s", "density": "kg/m3", "number": "1"}
QUANTITY_OF = {name: UNITS[unit].quantity for name, unit in PARAMETER_UNITS.items()}

LIMITS = {"vp": (100.0, 20_000.0), "vs": (0.0, 12_000.0), "rho": (0.5, 25_000.0)}
"""Lowest and highest value that a rock, fluid or gas may have, SI: far outside what is known, so
that only a wrong unit or a broken file is caught."""

LOWEST_MAXIMUM = {"vp": 300.0, "vs": 30.0, "rho": 200.0}
"""A model whose largest value is below this is in another unit (km/s, g/cm3, slowness)."""


def parse_unit(text: str, name: str, where: str) -> Unit:
    """The unit `text` for parameter `name`.

    Raises
    ------
    JobError
        No such unit, or one of another quantity.
    """
    quantity = QUANTITY_OF[name]
    unit = UNITS.get(SPELLINGS.get(text.strip(), text.strip()))
    if unit is None or unit.quantity != quantity:
        valid = ", ".join(key for key, value in UNITS.items() if value.quantity == quantity)
        msg = f"{where}: unit {text!r} is no unit of {quantity}. Use one of {valid}."
        raise JobError(msg)
    return unit


def check_values(
    values: NDArray[np.float32],
    name: str,
    source: str,
    spacing: tuple[float, ...],
    origin: tuple[float, ...],
) -> None:
    """ModelError if `values` (SI) cannot be parameter `name`, naming the first bad cell.

    Parameters
    ----------
    values : (nz, [ny,] nx), m/s or kg/m3
        The parameter.
    name
        vp, vs, rho, ...; what is no velocity or density need only be finite here.
    source
        File or key the values came from.
    spacing, origin : m
        Grid, to name the position of a cell.
    """
    unit = SI_UNIT[QUANTITY_OF[name]]
    bad = ~np.isfinite(values)
    if bad.any():
        place = _place(bad, spacing, origin)
        msg = f"{name} in {source} is {_first(values, bad)} at {place}. Fill or cut such cells."
        raise ModelError(msg)
    if name not in LIMITS:
        return
    sign = values < 0 if name == "vs" else values <= 0
    if sign.any():
        place = _place(sign, spacing, origin)
        needed = "at least 0" if name == "vs" else "positive"
        msg = (
            f"{name} in {source} is {_first(values, sign)} {unit} at {place}; it must be {needed}. "
            "Correct these cells."
        )
        raise ModelError(msg)
    low, high = LIMITS[name]
    largest = float(values.max())
    if largest < LOWEST_MAXIMUM[name] and not (name == "vs" and largest == 0):
        msg = (
            f"{name} in {source} is at most {largest:.4g} {unit}, less than any earth model has. "
            f"{_other_unit(largest, name)}"
        )
        raise ModelError(msg)
    outside = (values < low) | (values > high)
    if outside.any():
        place = _place(outside, spacing, origin)
        value = _first(values, outside)
        msg = (
            f"{name} in {source} is {value} {unit} at {place}, outside {low:g} to {high:g} {unit}. "
            f"{_other_unit(value, name)}"
        )
        raise ModelError(msg)


def _other_unit(value: float, name: str) -> str:
    """Advice naming the units under which the SI number `value` would make sense."""
    low, high = max(LIMITS[name][0], LOWEST_MAXIMUM[name]), LIMITS[name][1]
    numbers = np.array([value], dtype=np.float64)
    fitting = [
        key
        for key, unit in UNITS.items()
        if unit.quantity == QUANTITY_OF[name] and low <= float(unit.to_si(numbers)[0]) <= high
    ]
    if not fitting:
        return "Check the file's unit, axes and number format."
    return f"State the file's unit; the numbers would fit {' or '.join(fitting)}."


def _place(bad: NDArray[np.bool_], spacing: tuple[float, ...], origin: tuple[float, ...]) -> str:
    """Index and position of the first bad cell, and how many there are."""
    index = np.unravel_index(int(np.argmax(bad)), bad.shape)
    cell = ", ".join(str(int(i)) for i in index)
    position = ", ".join(
        f"{o + h * int(i):g}" for i, h, o in zip(index, spacing, origin, strict=True)
    )
    axes = "z, y, x" if bad.ndim == 3 else "z, x"
    count = int(bad.sum())
    more = f" ({count} such cells)" if count > 1 else ""
    return f"cell [{cell}], ({axes}) = ({position}) m{more}"


def _first(values: NDArray[np.float32], bad: NDArray[np.bool_]) -> float:
    """The first bad value."""
    return float(values[np.unravel_index(int(np.argmax(bad)), bad.shape)])
