"""The clock is transposed with the rest: any internal step, with and without its correction.

`conformance` has the dot products, slopes and derivatives of every physics.
"""

import pytest
import torch
from random_surveys import DT, RandomSurvey, dot_gap


@pytest.mark.parametrize("correct", [False, True], ids=["plain", "corrected"])
@pytest.mark.parametrize("time_step", [None, 6.1e-4, DT])
@pytest.mark.parametrize(
    ("physics", "backend"), [("scalar", "c"), ("scalar", "reference"), ("acoustic", "c")]
)
def test_the_clock_keeps_the_transpose(physics, backend, time_step, correct):
    """Resampling by any fraction, half steps and the time-dispersion transforms."""
    options = {"time_step": time_step, "correct_time_dispersion": correct}
    survey = RandomSurvey(physics, 2, backend=backend, options=options)
    amplitudes = {name: one.requires_grad_() for name, one in survey.amplitudes.items()}
    for gather in survey.record(amplitudes=amplitudes).values():
        cotangent = survey.noise(gather.shape)
        gradients = torch.autograd.grad(
            gather, tuple(amplitudes.values()), cotangent, retain_graph=True
        )
        given = torch.stack(tuple(amplitudes.values()))
        assert dot_gap(gather, cotangent, given, torch.stack(gradients)) < 1e-13
