"""What every physics must do up to rounding, done by the CUDA source: emulated, and on a card."""

from typing import ClassVar

import pytest
import torch
from card import a_card
from conformance import SETTINGS
from conformance_exactness import Exactness as _Exactness
from emulated_cuda import find_compiler
from placed import calls_on
from random_surveys import RECIPES

QUICK = {
    "test_forward_and_adjoint_are_transposes": ("scalar", "viscoacoustic"),
    "test_born_and_migration_are_transposes": ("scalar",),
    "test_a_model_per_shot_gives_what_separate_runs_give": ("acoustic",),
}
"""Tests, and the physics of which their first case in 2-D is not slow."""

PLACES = {
    "Emulated": [
        pytest.mark.skipif(find_compiler() is None, reason="there is no C++ compiler here")
    ],
    "OnACard": [pytest.mark.gpu],
}


class _OnDevice(_Exactness):
    physics: ClassVar[str]
    place: ClassVar[str]

    @pytest.fixture(autouse=True)
    def device(self, monkeypatch):
        """Where calls are made."""
        if self.place == "OnACard":
            calls_on(torch.device("cuda:0"), monkeypatch)
            yield
        else:
            with a_card() as card:
                calls_on(card, monkeypatch)
                yield

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """In 2-D and 3-D; those that take them, with several faces, orders and precisions."""
        many = "dtype" in metafunc.fixturenames
        cases = [(n, *one) for n in (2, 3) for one in (SETTINGS[n][:2] if many else [()])]
        names = ("ndim", "faces", "order", "dtype") if many else ("ndim",)
        quick = self.physics in QUICK.get(metafunc.definition.originalname, ())
        quick = quick or self.place == "OnACard"
        metafunc.parametrize(
            names,
            [
                pytest.param(*one, marks=() if quick and one == cases[0] else pytest.mark.slow)
                for one in cases
            ],
        )


for _place, _marks in PLACES.items():
    for _physics in RECIPES:
        _name = f"Test{_physics.title().replace('_', '')}{_place}"
        _class = type(_name, (_OnDevice,), {"physics": _physics, "place": _place})
        _class.pytestmark = _marks  # type: ignore[attr-defined]
        globals()[_name] = _class
