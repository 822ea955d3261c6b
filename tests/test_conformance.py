"""Every physics, in 2-D and 3-D, does what `conformance` asks of it."""

from itertools import product

import pytest
from conformance import SETTINGS, Exactness
from random_surveys import RECIPES

from wavepipe.propagators.physics.catalogue import PHYSICS


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Settings for the tests that take them; all but the first are slow."""
    if "faces" in metafunc.fixturenames:
        ndim = metafunc.cls.ndim
        metafunc.parametrize(
            ("faces", "order", "dtype"),
            [
                pytest.param(
                    *one,
                    id=f"{one[0]} order {one[1]} {str(one[2]).removeprefix('torch.')}",
                    marks=() if number == 0 else pytest.mark.slow,
                )
                for number, one in enumerate(SETTINGS[ndim])
            ],
        )


def test_every_physics_has_a_random_model():
    assert set(RECIPES) == set(PHYSICS)


for _physics, _ndim in product(PHYSICS, (2, 3)):
    _name = f"Test{_physics.capitalize()}{_ndim}D"
    globals()[_name] = type(_name, (Exactness,), {"physics": _physics, "ndim": _ndim})
