"""What every physics must do up to rounding, done by the emulated CUDA source."""

from typing import ClassVar

import pytest
from conformance import SETTINGS
from conformance_exactness import Exactness as _Exactness
from emulated_cuda import emulated, find_compiler
from random_surveys import RECIPES

from wavepipe.propagators import call
from wavepipe.propagators.backends import choose_backend

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="there is no C++ compiler here")

QUICK = {
    "test_forward_and_adjoint_are_transposes": ("scalar", "viscoacoustic"),
    "test_born_and_migration_are_transposes": ("scalar",),
    "test_a_model_per_shot_gives_what_separate_runs_give": ("acoustic",),
}
"""Tests, and the physics of which their first case in 2-D is not slow."""


class _Emulated(_Exactness):
    physics: ClassVar[str]

    @pytest.fixture(autouse=True)
    def emulation(self, monkeypatch):
        """``backend="c"`` is the emulated one."""

        def choose(name, dtype):
            return emulated(dtype) if name == "c" else choose_backend(name, dtype)

        monkeypatch.setattr(call, "choose_backend", choose)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """In 2-D and 3-D; those that take them, with several faces, orders and precisions."""
        many = "dtype" in metafunc.fixturenames
        cases = [(n, *one) for n in (2, 3) for one in (SETTINGS[n][:2] if many else [()])]
        names = ("ndim", "faces", "order", "dtype") if many else ("ndim",)
        quick = self.physics in QUICK.get(metafunc.definition.originalname, ())
        metafunc.parametrize(
            names,
            [
                pytest.param(*one, marks=() if quick and one == cases[0] else pytest.mark.slow)
                for one in cases
            ],
        )


for _physics in RECIPES:
    _name = f"Test{_physics.title().replace('_', '')}"
    globals()[_name] = type(_name, (_Emulated,), {"physics": _physics})
