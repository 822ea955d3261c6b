"""The compiled back-end under every division of work, and against the reference where layers meet.

`conformance` compares the back-ends for every physics.
"""

import itertools

import numpy as np
import pytest
import torch
from waves import DT, Toy, quiet, relative

from wavepipe.propagators import Boundary, Storage, scalar
from wavepipe.propagators.backends import compiler
from wavepipe.propagators.errors import BackendError
from wavepipe.propagators.stability import DispersionWarning
from wavepipe.propagators.storage import history


@pytest.mark.parametrize("shape", [(40, 50), (20, 22, 24), (70, 16, 18)])
def test_threads_do_not_change_a_bit(shape):
    """One thread, two over the grid, two over shots."""
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            toy = Toy(shape, 8, ("z0",), dtype=torch.float32)
            vp = toy.vp.requires_grad_()
            recorded = toy.scalar(vp)
            (gradient,) = torch.autograd.grad(recorded.square().sum(), vp)
            found.append((recorded.detach(), gradient))
    finally:
        torch.set_num_threads(before)
    for recorded, gradient in found[1:]:
        assert torch.equal(recorded, found[0][0])
        assert torch.equal(gradient, found[0][1])


def shots_of(toy: Toy, indices: list[int], receivers: int = 3):
    """Gathers and per-shot gradients of some shots propagated in one call."""
    models = toy.vp.expand(len(indices), *toy.shape).clone().requires_grad_()
    positions = np.full((len(indices), receivers, len(toy.shape)), np.nan)
    positions[:, :3] = toy.receivers[indices]
    with quiet():
        recorded = scalar(
            models,
            toy.spacing,
            DT,
            source_amplitudes=toy.amplitudes[indices],
            **toy.settings()
            | {"source_positions": toy.sources[indices], "receiver_positions": positions},
        )["pressure"]
    (gradient,) = torch.autograd.grad(recorded.square().sum(), models)
    return recorded.detach(), gradient


@pytest.mark.parametrize("shape", [(30, 41), (14, 15, 16)], ids=["2-D", "3-D"])
def test_a_shot_has_the_same_bits_alone_and_in_company(shape):
    """Also when absent receivers pad it to its batch mates' number."""
    toy = Toy(shape, 4, dtype=torch.float32)
    together, gradients = shots_of(toy, [0, 1], receivers=7)
    for index in (0, 1):
        alone, gradient = shots_of(toy, [index])
        assert torch.equal(together[index, :3], alone[0])
        assert torch.equal(gradients[index], gradient[0])
    assert not together[:, 3:].any()


def test_a_shared_model_gets_the_sum_of_the_shots_gradients():
    """One model for all shots: its gradient is the sum of what each shot gives."""
    toy = Toy((30, 41), 4, dtype=torch.float32)
    _, gradients = shots_of(toy, [0, 1])
    vp = toy.vp.requires_grad_()
    (gradient,) = torch.autograd.grad(toy.scalar(vp).square().sum(), vp)
    assert relative(gradient, gradients[0] + gradients[1]) < 1e-6  # rounding of the chain rule


def test_one_library_serves_every_size(monkeypatch):
    """Sizes are arguments of the emitted code: windows of a survey do not recompile."""
    texts = set()
    original = compiler._load
    monkeypatch.setattr(
        compiler, "_load", lambda text, folder: texts.add(text) or original(text, folder)
    )
    for shape in [(60, 70), (75, 90), (61, 101)]:
        Toy(shape, 4, dtype=torch.float32, nt=5).scalar()
    assert len(texts) == 1


def test_nan_is_seen_not_hidden():
    """A NaN in the wavefield reaches the recording; the compiler may not assume it away."""
    toy = Toy((20, 25), nt=60)
    toy.vp[5, 5] = 2599.0
    with quiet(), pytest.MonkeyPatch.context() as patch:
        from wavepipe.propagators import acquisition

        patch.setattr(acquisition, "checked_amplitudes", lambda amplitudes, *_: amplitudes)
        toy.amplitudes[0, 0, 3] = float("nan")
        assert torch.isnan(toy.scalar()[0]).any()


def test_no_compiler_is_an_error_that_names_the_remedy(monkeypatch, tmp_path):
    """Asked for, the compiled back-end does not quietly become another."""
    monkeypatch.setenv("WAVEPIPE_CACHE", str(tmp_path))
    monkeypatch.setattr(compiler, "find_compiler", lambda: None)
    with pytest.raises(BackendError, match="no C compiler"):
        Toy((20, 25), nt=5).scalar()


def test_auto_without_a_compiler_warns_and_uses_the_reference(monkeypatch):
    """In a single process; it says how much slower that is."""
    monkeypatch.setattr(compiler, "find_compiler", lambda: None)
    toy = Toy((20, 25), nt=5, backend="auto")
    with (
        pytest.warns(DispersionWarning),
        pytest.warns(UserWarning, match="no C compiler"),
    ):
        info = scalar(
            toy.vp, toy.spacing, DT, source_amplitudes=toy.amplitudes, **toy.settings()
        ).info
    assert info.backend == "reference"


def test_faces_may_have_layers_of_their_own_or_none():
    """Every combination of two widths on the faces of a 2-D grid gives finite, transposed waves."""
    for widths in itertools.product((0, 7), repeat=4):
        toy = Toy((20, 25), options={"boundary": Boundary(widths, 20.0)}, nt=60)
        amplitudes = toy.amplitudes.requires_grad_()
        recorded = toy.scalar(amplitudes=amplitudes)
        cotangent = toy.noise(recorded.shape)
        (gradient,) = torch.autograd.grad(recorded, amplitudes, cotangent)
        gap = (recorded * cotangent).sum() - (gradient * amplitudes).sum()
        assert abs(gap) < 1e-13 * recorded.norm() * cotangent.norm()


@pytest.mark.parametrize(
    ("shape", "order", "boundary"),
    [
        ((30, 6), 4, Boundary(3, 12.0)),
        ((10, 40), 8, Boundary((8, 0, 5, 5), 12.0, inside=("z0",))),
        ((24, 40), 4, Boundary((20, 2, 20, 20), 12.0, inside=("z0", "z1"))),
        ((9, 10, 14), 4, Boundary((3, 3, 8, 0, 3, 3), 12.0, inside=("y0",))),
        ((12, 13), 8, Boundary(6, 12.0, ("z0", "z1", "x0", "x1"))),
    ],
    ids=["slab over the row", "slab over z", "both inside", "slab over y", "all free"],
)
def test_slabs_that_cover_an_axis_equal_the_reference(shape, order, boundary, monkeypatch):
    """Also where memory that was never written holds NaN."""
    original = history.empty
    monkeypatch.setattr(history, "empty", lambda *a: original(*a).fill_(float("nan")))
    found = []
    for backend in ("c", "reference"):
        toy = Toy(shape, order, backend=backend, options={"boundary": boundary}, nt=30)
        vp = toy.vp.requires_grad_()
        recorded = toy.scalar(vp)
        (gradient,) = torch.autograd.grad(recorded.square().sum(), vp)
        found.append((recorded.detach(), gradient))
    for ours, reference in zip(*found, strict=True):
        assert relative(ours, reference) < 1e-12


def test_unequal_layers_equal_the_reference():
    """Slabs of different width, one as wide as the grid itself."""
    found = [
        Toy((9, 12), 8, backend=b, options={"boundary": Boundary((3, 0, 11, 6), 20.0)}).scalar()
        for b in ("c", "reference")
    ]
    assert relative(*found) < 1e-12


def test_storage_frees_the_history_in_backward():
    """A second backward says so instead of recomputing or giving zeros."""
    toy = Toy((20, 25), nt=5, options={"storage": Storage()})
    vp = toy.vp.requires_grad_()
    loss = toy.scalar(vp).square().sum()
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="freed by the first backward"):
        loss.backward()


@pytest.mark.parametrize("script", ["exit 1", "echo 'stdio.h: No such file' >&2; exit 1"])
def test_a_compiler_that_fails_is_found_before_anything_runs(script, monkeypatch, tmp_path):
    """`check_compiler` builds a library; the message has what the compiler said and a remedy."""
    fake = tmp_path / "cc"
    fake.write_text(f'#!/bin/sh\ncase "$1" in --version) echo fake 1.0;; *) {script};; esac\n')
    fake.chmod(0o755)
    monkeypatch.setenv("WAVEPIPE_CACHE", str(tmp_path / "cache"))
    for cached in (compiler.find_compiler, compiler.describe_compiler):
        monkeypatch.setattr(compiler, cached.__name__, cached.__wrapped__)
    monkeypatch.setenv("CC", str(fake))
    with pytest.raises(BackendError, match=r"failed: .*set CC to another one"):
        compiler.check_compiler()
