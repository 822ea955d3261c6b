"""Whole calls with tensors on a card: nothing leaves it, and results are the processor's."""

import pytest
import torch
from card import CardTensor, a_card
from conformance_exactness import F64, ROUNDING
from emulated_cuda import find_compiler
from kept_surveys import KeptSurvey
from random_surveys import LAYERS
from waves import quiet, relative

from wavepipe.propagators import Storage
from wavepipe.propagators.physics.names import PARAMETERS

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="there is no C++ compiler here")


def moved(survey, place):
    """The survey with its tensors on a device."""
    survey.models = {name: one.to(place) for name, one in survey.models.items()}
    survey.amplitudes = {name: one.to(place) for name, one in survey.amplitudes.items()}
    return survey


def gradients(survey, storage, **options):
    """Of the recordings' energy, illumination included where it is asked for."""
    given, arguments = survey.given(born=options.pop("born", False))
    recording = survey.record(**arguments, storage=storage, illumination=True, **options)
    loss = sum(one.square().sum() for one in recording.values())
    with quiet():  # the records are short
        found = torch.autograd.grad(loss, given)
    return [*recording.values(), recording.illumination, *found], recording.info


CASES = [
    pytest.param(physics, ndim, born, marks=() if quick else pytest.mark.slow)
    for physics in PARAMETERS
    for ndim in (2, 3)
    for born in (False, True)
    for quick in [(physics, ndim, born) in {("scalar", 2, False), ("elastic", 2, True)}]
]


@pytest.mark.parametrize(("physics", "ndim", "born"), CASES)
def test_a_call_stays_on_the_card(physics, ndim, born):
    """Gathers, illumination and gradients are there, and what they are on the CPU."""
    storage = Storage("device", "snapshots", stride=2)
    survey = KeptSurvey(physics, ndim, "z0" if born else LAYERS, nt=12)
    expected, _ = gradients(survey, storage, born=born)
    with a_card() as card:
        found, info = gradients(moved(survey, card), storage, born=born, backend="auto")
    assert info.backend == "cuda"
    for ours, theirs in zip(found, expected, strict=True):
        assert isinstance(ours, CardTensor)
        assert relative(ours.detach().held, theirs.detach()) < ROUNDING[F64]
