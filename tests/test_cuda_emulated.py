"""The CUDA source of every physics, run on the processor: it does what the reference does.

The classes of conformance run on it as they will on a card. What they cannot see here is a race
between the threads of a launch, which run one after the other.
"""

import pytest
import test_executions
import torch
from conformance_exactness import F32, F64, ROUNDING, Exactness
from emulated_cuda import emulated, find_compiler
from kept_surveys import KeptSurvey
from random_surveys import LAYERS, RandomSurvey
from waves import relative

from wavepipe.propagators import Storage, call
from wavepipe.propagators.backends import choose_backend, cuda_execution, cuda_launches
from wavepipe.propagators.backends.emit_cuda import Tile
from wavepipe.propagators.physics.names import PARAMETERS

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="there is no C++ compiler here")


@pytest.fixture(autouse=True)
def emulation(monkeypatch):
    """``backend="c"`` is the emulated one."""
    use(monkeypatch)


def use(patch: pytest.MonkeyPatch, tile: Tile | None = None) -> None:
    def choose(name, dtype, device):
        return emulated(dtype, tile) if name == "c" else choose_backend(name, dtype, device)

    patch.setattr(call, "choose_backend", choose)


QUICK = {("scalar", 2, LAYERS, F32, 8), ("scalar", 3, "z0", F64, 4)}
QUICK |= {(physics, 2, "z0", F64, 4) for physics in PARAMETERS}

SETTINGS = [
    pytest.param(*case, marks=() if case in QUICK else pytest.mark.slow)
    for physics in PARAMETERS
    for ndim in (2, 3)
    for faces in ("z0", LAYERS, "z1+x0")
    for dtype, order in ((F64, 4), (F32, 8), (F64, 2))
    if (case := (physics, ndim, faces, dtype, order))
]


@pytest.mark.parametrize(("physics", "ndim", "faces", "dtype", "order"), SETTINGS)
def test_emulated_equals_reference(physics, ndim, faces, dtype, order):
    """Gathers, and gradients in the earth model, the sources, and the perturbation of it."""
    ours, theirs = (
        results(RandomSurvey(physics, ndim, faces, order, dtype, backend=backend, nt=8))
        for backend in ("c", "reference")
    )
    for name, one in ours.items():
        assert relative(one, theirs[name]) < ROUNDING[dtype], name


def results(survey: RandomSurvey) -> dict[str, torch.Tensor]:
    check = Exactness()
    check.physics, check.ndim = survey.physics, survey.ndim  # type: ignore[misc]
    return check.results(survey)


TILES = [Tile(1, 32), Tile(2, 64, across=16), Tile(2, 128, across=4)]


@pytest.mark.parametrize("ndim", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_no_tile_and_no_column_changes_a_bit(ndim, monkeypatch):
    """Blocks of other shapes, columns and blocks of steps of other lengths: all cells are alike."""
    survey = RandomSurvey("scalar", ndim, "z0", 4, F64, nt=8)
    expected = results(survey)
    for tile, planes in zip(TILES, (3, 7, 64), strict=True):
        use(monkeypatch, tile)
        monkeypatch.setattr(cuda_launches, "COLUMN", planes)
        monkeypatch.setattr(cuda_execution, "BLOCK", planes)
        for name, one in results(RandomSurvey("scalar", ndim, "z0", 4, F64, nt=8)).items():
            assert torch.equal(one, expected[name]), (tile, name)


@pytest.mark.parametrize("block", [4, 64])
def test_stretches_and_restored_states_change_no_bit(block, monkeypatch):
    """In blocks of steps that are recorded once, with every window elsewhere in memory."""
    monkeypatch.setattr(cuda_execution, "BLOCK", block)
    monkeypatch.setitem(test_executions.BACKENDS, "cuda", emulated(F64))
    test_executions.test_stretches_and_restored_states_change_no_bit("scalar", "cuda")
    test_executions.test_slots_that_are_not_there_are_refused("cuda")


def test_a_shot_has_the_same_bits_alone_and_among_others():
    """Gathers and gradients of two shots, and of each by itself."""
    survey = RandomSurvey("acoustic", 2, "z0", 4, F32, nt=8)
    models = {n: torch.stack([m, m]).requires_grad_() for n, m in survey.models.items()}
    amplitudes = {n: one.clone().requires_grad_() for n, one in survey.amplitudes.items()}
    together = survey.record(models, amplitudes)
    given = (*models.values(), *amplitudes.values())
    cotangents = [survey.noise(one.shape) for one in together.values()]
    both = torch.autograd.grad(tuple(together.values()), given, cotangents)
    for shot in (0, 1):
        own = slice(shot, shot + 1)
        single = RandomSurvey("acoustic", 2, "z0", 4, F32, nt=8)
        single.sources = {n: one[own] for n, one in survey.sources.items()}
        single.receivers = {n: one[own] for n, one in survey.receivers.items()}
        alone = {n: one[own].detach().requires_grad_() for n, one in models.items()}
        sent = {n: one[own].detach().requires_grad_() for n, one in amplitudes.items()}
        found = single.record(alone, sent)
        for name, gather in together.items():
            assert torch.equal(gather[own], found[name]), name
        given = (*alone.values(), *sent.values())
        gradients = torch.autograd.grad(
            tuple(found.values()), given, [one[own] for one in cotangents]
        )
        for ours, theirs in zip(both, gradients, strict=True):
            assert torch.equal(ours[own], theirs)


@pytest.mark.parametrize("method", ["recompute", "boundary"])
def test_the_wavefield_may_be_kept_in_other_ways(method, monkeypatch):
    """Checkpoints restore states; strips are loaded, steps taken back; in blocks of six steps."""
    monkeypatch.setattr(cuda_execution, "BLOCK", 4)
    survey = KeptSurvey("scalar", 2, "z0", nt=30)
    expected, _ = survey.gradients(Storage("device", "snapshots", stride=3))
    found, info = survey.gradients(Storage("device", method, stride=3))
    assert info.method == method
    for ours, theirs in zip(found, expected, strict=True):
        assert relative(ours, theirs) < ROUNDING[F64]
