"""Every physics there is does what `Conformance` asks of it."""

from conformance import Conformance as _Conformance
from random_surveys import RECIPES

from wavepipe.propagators.physics.catalogue import PHYSICS


def test_every_physics_has_a_random_model():
    assert set(RECIPES) == set(PHYSICS)


for _physics in RECIPES:
    _name = f"Test{_physics.title().replace('_', '')}"
    globals()[_name] = type(_name, (_Conformance,), {"physics": _physics})
