"""Every way of keeping the wavefield gives the gradient of the one kept in memory."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from kept_surveys import IN_MEMORY, made, on, same, through
from layered_surveys import DT, SPACING, error, gradients_where_one_wave_is_nan, survey
from waves import quiet

from wavepipe.propagators import Storage, scalar, scalar_born
from wavepipe.propagators.storage import choice, keeping
from wavepipe.propagators.storage.names import COMPRESSIONS
from wavepipe.propagators.storage.ways import Limit

CASES = [
    pytest.param("scalar", 2, "z0", "c"),
    pytest.param("acoustic", 2, "layers", "c"),
    pytest.param("elastic", 2, "z0", "c"),
    pytest.param("scalar", 3, "z0", "c"),
    pytest.param("acoustic", 3, "z0", "c", marks=pytest.mark.slow),
    pytest.param("elastic", 3, "z0", "c", marks=pytest.mark.slow),
    pytest.param("acoustic_vti", 2, "z0", "c", marks=pytest.mark.slow),
    pytest.param("viscoacoustic", 2, "z0", "c", marks=pytest.mark.slow),
    pytest.param("scalar", 2, "z0", "reference"),
    pytest.param("elastic", 2, "z0", "reference", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("physics", "ndim", "faces", "backend"), CASES)
def test_what_loses_nothing_gives_the_same_bits(physics, ndim, faces, backend, scratch_disk):
    """Every mode and method, with off-grid points, a free face, layers and odd sizes."""
    one, expected = made(physics, ndim, faces, backend)
    for mode, method in (
        ("cpu", "snapshots"), ("disk", "snapshots"), ("device", "recompute"), ("disk", "recompute")
    ):  # fmt: skip
        found, info = one.gradients(on(scratch_disk, mode, method))
        assert (info.mode, info.method, info.compression) == (mode, method, "none")
        assert same(found, expected), (mode, method)


def check_codecs(names, case, folder, monkeypatch):
    """Compare with an in-memory history whose slots went through the codec one by one."""
    one, uncompressed = made(*case)
    for name in names:
        with monkeypatch.context() as patch:
            patch.setattr(keeping, "Direct", through(name))
            expected, _ = one.gradients(IN_MEMORY)
        assert not same(expected, uncompressed)
        for mode in ("device", "disk"):
            found, info = one.gradients(on(folder, mode, compression=name))
            assert info.compression == name
            assert same(found, expected), (name, mode)


@pytest.mark.parametrize("name", COMPRESSIONS[2:])
def test_codecs_lose_what_they_lose_and_nothing_else_does(name, scratch_disk, monkeypatch):
    """In memory and on disk the bits of what the codec gives back."""
    check_codecs([name], ("scalar", 2), scratch_disk, monkeypatch)


@pytest.mark.parametrize("name", ["block8", "cosine4"])
@pytest.mark.parametrize(("physics", "ndim"), [("elastic", 2), ("scalar", 3)])
def test_so_they_do_with_several_sums_and_in_3d(physics, ndim, name, scratch_disk, monkeypatch):
    """Sums and shots are told apart."""
    check_codecs([name], (physics, ndim), scratch_disk, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize(("physics", "ndim", "faces", "backend"), CASES[:-1])
def test_so_they_do_everywhere(physics, ndim, faces, backend, scratch_disk, monkeypatch):
    """All codecs in every case."""
    check_codecs(COMPRESSIONS[2:], (physics, ndim, faces, backend), scratch_disk, monkeypatch)


@pytest.mark.parametrize("name", COMPRESSIONS[2:])
def test_codecs_are_as_accurate_as_auto_believes(name):
    """On a smooth wavefield the gradient's error is below what `auto` takes it to be."""
    vp, settings = survey()
    taper = torch.sin(torch.linspace(0, np.pi, 600)) ** 2
    found = []
    for storage in (Storage(stride=5), Storage("device", compression=name, stride=5)):
        model = vp.clone().requires_grad_()
        gather = scalar(model, SPACING, DT, storage=storage, **settings)["pressure"]
        gather.backward(gather.detach() * taper)
        found.append(model.grad)
    assert 0 < error(found[1], found[0]) < choice.CODEC_ERRORS[name]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("physics", "ndim"), [("scalar", 2), ("elastic", 2)])
def test_the_smallest_buffers_change_no_bit(physics, ndim, dtype, scratch_disk):
    """One slot in memory at a time, one buffer, no checkpoint but the start."""
    one, expected = made(physics, ndim, dtype=dtype)
    shape = (np.array(one.shape) + np.array([5, 10])).tolist()
    slot = 4 * 2 * int(np.prod(shape)) * dtype.itemsize
    for mode, method in (("disk", "snapshots"), ("device", "recompute"), ("disk", "recompute")):
        needed = least(one, on(scratch_disk, mode, method))
        with quiet():
            found, info = one.gradients(on(scratch_disk, mode, method, budget=needed))
        assert info.bytes <= needed < 40 * slot
        assert same(found, expected), (mode, method)


def least(one, storage):
    """The least memory with which a survey's wavefield can be kept."""
    seen = []
    original = choice.choose

    def choose(asked, *sizes, on_card=None):
        candidates = choice._candidates(replace(asked, budget=1.0), *sizes, Limit(both=1.0))
        seen.extend(c.memory for c in candidates)
        return original(asked, *sizes)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keeping, "choose", choose)
        one.gradients(storage)
    return min(seen)


@pytest.mark.parametrize("mode", ["cpu", "disk"])
@pytest.mark.parametrize("method", ["snapshots", "recompute"])
def test_born_gradients_are_the_same(mode, method, scratch_disk):
    """Of the perturbation with a scattered wavefield, and of migration without one."""
    one, _ = made("acoustic", 2)
    expected, _ = one.gradients(IN_MEMORY, born=True)
    assert same(one.gradients(on(scratch_disk, mode, method), born=True)[0], expected)
    vp, settings = survey()
    images = []
    for storage in (Storage(stride=4), on(scratch_disk, mode, method, stride=4)):
        scatter = torch.zeros_like(vp).requires_grad_()
        traces = scalar_born(vp, scatter, SPACING, DT, storage=storage, **settings)["pressure"]
        with quiet():
            traces.backward(torch.linspace(0, 1, 600).expand_as(traces))
        images.append(scatter.grad)
    assert torch.equal(*images)
    assert images[0].any()


@pytest.mark.parametrize("mode", ["device", "disk"])
@pytest.mark.parametrize(("method", "name"), [("snapshots", "block8"), ("recompute", "none")])
def test_illumination_is_the_same(mode, method, name, scratch_disk):
    """It is made of the slots before they are encoded, whichever way they go then."""
    one, _ = made("elastic", 2)
    shown = []
    for storage in (IN_MEMORY, on(scratch_disk, mode, method, compression=name)):
        _, arguments = one.given()
        shown.append(one.record(**arguments, storage=storage, illumination=True).illumination)
    assert torch.equal(*shown)
    assert shown[0].any()


def test_calls_in_several_threads_at_once(scratch_disk):
    """Each has its own files, buffers and threads."""
    one, expected = made("acoustic", 2)
    ways = [("disk", "snapshots"), ("device", "recompute"), ("disk", "recompute")] * 2
    # The filters of warnings are the process's: each call restores those that another one set.
    with quiet(), ThreadPoolExecutor(4) as threads:
        for found, _ in threads.map(lambda way: one.gradients(on(scratch_disk, *way)), ways):
            assert same(found, expected)


@pytest.mark.parametrize("name", COMPRESSIONS[1:])
@pytest.mark.parametrize("mode", ["device", "disk"])
def test_nan_in_the_wavefield_is_in_the_gradient(mode, name, scratch_disk, monkeypatch):
    """No codec hides it; only the shot that has it."""
    storage = on(scratch_disk, mode, compression=name)
    ill, sound = gradients_where_one_wave_is_nan(monkeypatch, storage)
    assert torch.isnan(ill).any()
    assert torch.isfinite(sound).all()


def test_recomputed_nan_is_in_the_gradient(monkeypatch):
    """Also where waves go on from a state with it."""
    storage = Storage("cpu", "recompute", stride=5)
    assert torch.isnan(gradients_where_one_wave_is_nan(monkeypatch, storage)[0]).any()


def test_a_repeated_forward_run_goes_to_disk_again(scratch_disk):
    """A noisy adjoint source asks for a finer stride; the first file goes before the second."""
    vp, settings = survey()
    found = []
    for storage in (Storage(), Storage("disk", path=scratch_disk)):
        model = vp.clone().requires_grad_()
        gather = scalar(model, SPACING, DT, storage=storage, **settings)["pressure"]
        noise = torch.randn(gather.shape, generator=torch.Generator().manual_seed(3))
        with pytest.warns(UserWarning, match="forward run is repeated"):
            gather.backward(noise)
        found.append(model.grad)
    assert torch.equal(*found)
