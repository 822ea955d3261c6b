"""Sweeps in stretches: cut anywhere, saved, restored, with a part of their history at a time."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from emulated_cuda import emulated, find_compiler
from kept_surveys import KeptSurvey

from wavepipe.propagators import Storage, forward_run
from wavepipe.propagators.backends.c import Compiled
from wavepipe.propagators.backends.reference import Reference
from wavepipe.propagators.backends.sweep import History

STRIDE = 4
BACKENDS = {"c": Compiled(8), "reference": Reference(), "cuda": emulated(torch.float64)}


def sweeps(physics: str) -> tuple:
    """A forward sweep that stores, without its history, and the size of that."""
    found = []

    def keep(backend, sweep, names, stride, storage, look=None):
        shape = (*sweep.program.shape[:-1], backend.padded(sweep.program.shape[-1]))
        found.append((sweep, names, (sweep.n_shots, -(-sweep.n_steps // STRIDE), *shape)))
        raise InterruptedError

    survey = KeptSurvey(physics, 2, "z0", nt=30)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forward_run, "keep", keep)
        with pytest.raises(InterruptedError):
            survey.gradients(Storage())
    return found[0]


def history(names, shape) -> History:
    return History(STRIDE, {name: torch.zeros(shape, dtype=torch.float64) for name in names})


def outcome(execution, kept: History) -> list[torch.Tensor]:
    return [*execution.result().recorded.values(), *kept.slots.values()]


@pytest.mark.parametrize("physics", ["scalar", "elastic"])
@pytest.mark.parametrize("name", ["c", "reference"])
def test_stretches_and_restored_states_change_no_bit(physics, name):
    """Saved in front of an odd step, where fields have changed places, and gone on elsewhere."""
    backend = BACKENDS[name]
    sweep, names, shape = sweeps(physics)
    whole, cut = history(names, shape), history(names, shape)
    expected = backend.start(replace(sweep, history=whole))
    expected.advance(0, sweep.n_steps)
    execution = backend.start(replace(sweep, history=cut))
    assert execution.state_bytes == backend.state_bytes(sweep)
    state = np.zeros(execution.state_bytes, np.uint8)
    for begin, end in ((0, 1), (1, 7), (7, 19)):
        execution.advance(begin, end)
        if end == 7:
            execution.save(state)
    execution.restore(state, 7)
    windows = [(7, 8), (8, 16), (16, 24), (24, sweep.n_steps)]
    for begin, end in windows:
        first = -(-begin // STRIDE)
        last = -(-end // STRIDE)
        part = {n: tensor[:, first:last] for n, tensor in cut.slots.items()}
        execution.advance(begin, end, History(STRIDE, part, first))
    for found, exact in zip(outcome(execution, cut), outcome(expected, whole), strict=True):
        assert torch.equal(found, exact)
        assert exact.any()


@pytest.mark.parametrize("name", ["c", "reference", "cuda"])
def test_a_run_begins_again_from_nothing(name):
    """Without a saved state; fields have changed places in between."""
    if name == "cuda" and find_compiler() is None:
        pytest.skip("there is no C++ compiler here")
    sweep, names, shape = sweeps("scalar")
    kept = history(names, shape)
    execution = BACKENDS[name].start(replace(sweep, history=kept))
    execution.advance(0, 7)
    expected = [one.clone() for one in kept.slots.values()]
    assert all(one.any() for one in expected)
    for one in kept.slots.values():
        one.zero_()
    execution.restore(None, 0)
    execution.advance(0, 7)
    for found, exact in zip(kept.slots.values(), expected, strict=True):
        assert torch.equal(found, exact)


@pytest.mark.parametrize("name", ["c", "reference"])
def test_slots_that_are_not_there_are_refused(name):
    """Before memory that belongs to others is written."""
    sweep, names, shape = sweeps("scalar")
    execution = BACKENDS[name].start(replace(sweep, history=history(names, shape)))
    few = replace(history(names, (shape[0], 2, *shape[2:])), first=1)
    with pytest.raises(ValueError, match="need the slots 0 to 1; here are 2 from 1 on"):
        execution.advance(0, 5, few)
    with pytest.raises(ValueError, match="need the slots 0 to 3; here are 2"):
        execution.advance(0, 13, few)
    execution.advance(0, 3, history(names, shape))


def test_steps_follow_each_other():
    """What is skipped or repeated is refused."""
    sweep, names, shape = sweeps("scalar")
    execution = BACKENDS["c"].start(replace(sweep, history=history(names, shape)))
    execution.advance(0, 3)
    with pytest.raises(ValueError, match="do not follow step 3"):
        execution.advance(4, 5)
