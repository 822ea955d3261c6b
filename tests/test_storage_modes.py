"""Every way of keeping the wavefield gives the gradient of the one kept in memory."""

import errno
import functools
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from kept_surveys import STRIDE, KeptSurvey, same, through
from spill_disks import check_nothing_left
from test_storage import DT, SPACING, error, survey
from waves import quiet

from wavepipe.propagators import Storage, scalar, scalar_born
from wavepipe.propagators.errors import StorageError
from wavepipe.propagators.storage import archive, choice, codecs, keeping, memory, recomputation
from wavepipe.propagators.storage.disk import Disk
from wavepipe.propagators.storage.history import HistoryShape
from wavepipe.propagators.storage.names import COMPRESSIONS
from wavepipe.propagators.storage.spill import SpillFile

NT = 50
IN_MEMORY = Storage("device", "snapshots", stride=STRIDE)
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


@functools.cache
def made(physics, ndim, faces="z0", backend="c", dtype=torch.float64):
    """A survey and its gradients with everything in memory."""
    found = KeptSurvey(physics, ndim, faces, nt=NT, backend=backend, dtype=dtype)
    return found, found.gradients(IN_MEMORY)[0]


@pytest.fixture
def disk(tmp_path):
    """A folder for scratch, in which nothing may be left; nor may threads or open files."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    yield folder
    check_nothing_left(folder)
    assert not [t for t in threading.enumerate() if t.name.startswith("wavefield")]


def on(folder, storage_mode="disk", method="snapshots", **options):
    """Storage on disk; the folder matters to no other mode."""
    path = folder if storage_mode == "disk" else None
    return Storage(storage_mode, method, **{"stride": STRIDE, "path": path} | options)


@pytest.mark.parametrize(("physics", "ndim", "faces", "backend"), CASES)
def test_what_loses_nothing_gives_the_same_bits(physics, ndim, faces, backend, disk):
    """Every mode and method, with off-grid points, a free face, layers and odd sizes."""
    one, expected = made(physics, ndim, faces, backend)
    for mode, method in (
        ("cpu", "snapshots"), ("disk", "snapshots"), ("device", "recompute"), ("disk", "recompute")
    ):  # fmt: skip
        found, info = one.gradients(on(disk, mode, method))
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
def test_codecs_lose_what_they_lose_and_nothing_else_does(name, disk, monkeypatch):
    """In memory and on disk the bits of what the codec gives back."""
    check_codecs([name], ("scalar", 2), disk, monkeypatch)


@pytest.mark.parametrize("name", ["block8", "cosine4"])
@pytest.mark.parametrize(("physics", "ndim"), [("elastic", 2), ("scalar", 3)])
def test_so_they_do_with_several_sums_and_in_3d(physics, ndim, name, disk, monkeypatch):
    """Sums and shots are told apart."""
    check_codecs([name], (physics, ndim), disk, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize(("physics", "ndim", "faces", "backend"), CASES[:-1])
def test_so_they_do_everywhere(physics, ndim, faces, backend, disk, monkeypatch):
    """All codecs in every case."""
    check_codecs(COMPRESSIONS[2:], (physics, ndim, faces, backend), disk, monkeypatch)


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
def test_the_smallest_buffers_change_no_bit(physics, ndim, dtype, disk):
    """One slot in memory at a time, one buffer, no checkpoint but the start."""
    one, expected = made(physics, ndim, dtype=dtype)
    shape = (np.array(one.shape) + np.array([5, 10])).tolist()
    slot = 4 * 2 * int(np.prod(shape)) * dtype.itemsize
    for mode, method in (("disk", "snapshots"), ("device", "recompute"), ("disk", "recompute")):
        needed = least(one, on(disk, mode, method))
        with quiet():
            found, info = one.gradients(on(disk, mode, method, budget=needed))
        assert info.bytes <= needed < 40 * slot
        assert same(found, expected), (mode, method)


def least(one, storage):
    """The least memory with which a survey's wavefield can be kept, from the message."""
    seen = []
    original = choice.choose

    def choose(asked, history, state_bytes):
        candidates = choice._candidates(asked, history, state_bytes, 1.0)
        seen.extend(c.memory for c in candidates)
        return original(asked, history, state_bytes)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keeping, "choose", choose)
        one.gradients(storage)
    return min(seen)


@pytest.mark.parametrize("mode", ["cpu", "disk"])
@pytest.mark.parametrize("method", ["snapshots", "recompute"])
def test_born_gradients_are_the_same(mode, method, disk):
    """Of the perturbation with a scattered wavefield, and of migration without one."""
    one, _ = made("acoustic", 2)
    expected, _ = one.gradients(IN_MEMORY, born=True)
    assert same(one.gradients(on(disk, mode, method), born=True)[0], expected)
    vp, settings = survey()
    images = []
    for storage in (Storage(stride=4), on(disk, mode, method, stride=4)):
        scatter = torch.zeros_like(vp).requires_grad_()
        traces = scalar_born(vp, scatter, SPACING, DT, storage=storage, **settings)["pressure"]
        with quiet():
            traces.backward(torch.linspace(0, 1, 600).expand_as(traces))
        images.append(scatter.grad)
    assert torch.equal(*images)
    assert images[0].any()


@pytest.mark.parametrize("mode", ["device", "disk"])
@pytest.mark.parametrize(("method", "name"), [("snapshots", "block8"), ("recompute", "none")])
def test_illumination_is_the_same(mode, method, name, disk):
    """It is made of the slots before they are encoded, whichever way they go then."""
    one, _ = made("elastic", 2)
    shown = []
    for storage in (IN_MEMORY, on(disk, mode, method, compression=name)):
        _, arguments = one.given()
        shown.append(one.record(**arguments, storage=storage, illumination=True).illumination)
    assert torch.equal(*shown)
    assert shown[0].any()


class SlowDisk(Disk):
    """A few milliseconds for every transfer."""

    def pwrite(self, pieces, offset):
        time.sleep(0.004)
        return super().pwrite(pieces[:1], offset)

    def pread(self, pieces, offset):
        time.sleep(0.004)
        return super().pread(pieces[:1], offset)


def failing(kind, code, after):
    """A disk that fails for good after some transfers of a kind."""

    class FailingDisk(Disk):
        left = after

        def fail(self, what):
            if what == kind:
                self.left -= 1
                if self.left < 0:
                    raise OSError(code, os.strerror(code))

        def pwrite(self, pieces, offset):
            self.fail("write")
            return super().pwrite(pieces, offset)

        def pread(self, pieces, offset):
            self.fail("read")
            return super().pread(pieces, offset)

    return FailingDisk


class FlippedDisk(Disk):
    """One bit of everything that comes back is wrong."""

    def pread(self, pieces, offset):
        done = super().pread(pieces, offset)
        np.frombuffer(pieces[0], np.uint8)[1234] ^= 4
        return done


def on_disks(monkeypatch, kind):
    """All files of wavefields on a kind of disk, with one buffer."""

    def spill_file(*arguments, buffers):
        return SpillFile(*arguments, buffers=1, disk=kind)

    monkeypatch.setattr(archive, "SpillFile", spill_file)
    monkeypatch.setattr(recomputation, "SpillFile", spill_file)


@pytest.mark.parametrize("method", ["snapshots", "recompute"])
def test_a_slow_disk_changes_no_bit(method, disk, monkeypatch):
    """Transfers are waited for in both directions."""
    on_disks(monkeypatch, SlowDisk)
    one, expected = made("acoustic", 2)
    assert same(one.gradients(on(disk, "disk", method))[0], expected)


@pytest.mark.parametrize("method", ["snapshots", "recompute"])
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (failing("write", errno.ENOSPC, 0), "the disk is full"),
        (failing("write", errno.EIO, 1), "does not work"),
        (failing("read", errno.EIO, 0), "does not work"),
        (FlippedDisk, "other bytes than were written"),
    ],
    ids=["full", "write", "read", "flipped"],
)
def test_a_disk_that_fails_is_an_error_and_never_a_gradient(
    kind, message, method, disk, monkeypatch
):
    """In the forward run or in backward, whichever thread met it; nothing is left."""
    on_disks(monkeypatch, kind)
    one, _ = made("acoustic", 2)
    with pytest.raises(StorageError, match=message):
        one.gradients(on(disk, "disk", method))


@pytest.mark.parametrize("when", ["forward", "backward"])
@pytest.mark.parametrize(("mode", "method"), [("disk", "snapshots"), ("disk", "recompute")])
def test_an_exception_in_the_middle_leaves_nothing(when, mode, method, disk, monkeypatch):
    """Threads, files and folders go with it."""
    from wavepipe.propagators.backends import c

    one, _ = made("acoustic", 2)
    original, count = c.CompiledExecution.advance, 0

    def advance(self, begin, end, history=None):
        nonlocal count
        if self._sweep.backwards is (when == "backward"):
            count += 1
            if count == 3:
                raise KeyboardInterrupt
        return original(self, begin, end, history)

    monkeypatch.setattr(c.CompiledExecution, "advance", advance)
    with pytest.raises(KeyboardInterrupt):
        one.gradients(on(disk, mode, method))


def test_a_codec_that_fails_in_its_thread_is_seen(disk, monkeypatch):
    """Neither swallowed nor hanging."""

    def encode(self, slots, out, threads=1):
        raise MemoryError("none left")

    monkeypatch.setattr(codecs.CosineCodec, "encode", encode)
    one, _ = made("scalar", 2)
    for mode in ("device", "disk"):
        with pytest.raises(MemoryError, match="none left"):
            one.gradients(on(disk, mode, compression="cosine4"))


def test_a_recording_without_backward_leaves_nothing(disk):
    """The file goes with the recording."""
    one, _ = made("scalar", 2)
    _, arguments = one.given()
    recording = one.record(**arguments, storage=on(disk))
    assert list(disk.iterdir())
    assert recording.info.disk_bytes > 0
    del recording, arguments, _


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
from test_storage_modes import STRIDE, KeptSurvey, Storage
from wavepipe.propagators.backends.c import CompiledExecution as Execution

original = Execution.advance

def advance(self, begin, end, history=None):
    original(self, begin, end, history)
    if begin:
        os.kill(os.getpid(), signal.SIGKILL)

Execution.advance = advance
KeptSurvey("scalar", 2, "z0", nt=50).gradients(Storage("disk", stride=STRIDE, path=sys.argv[1]))
"""


@pytest.mark.slow
def test_what_a_killed_run_left_goes_with_the_next(disk):
    """The file has no name and goes at once; its folder has no owner."""
    command = [sys.executable, "-c", KILLED, str(disk), str(Path(__file__).parent)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    (left,) = disk.iterdir()
    assert [file.name for file in left.iterdir()] == ["owner.lock"]
    one, expected = made("scalar", 2)
    assert same(one.gradients(on(disk))[0], expected)


def test_calls_in_several_threads_at_once(disk):
    """Each has its own files, buffers and threads."""
    one, expected = made("acoustic", 2)
    ways = [
        on(disk), on(disk, "device", "recompute"), on(disk, "disk", "recompute"), on(disk),
    ]  # fmt: skip
    with ThreadPoolExecutor(4) as threads:
        for found, _ in threads.map(one.gradients, ways):
            assert same(found, expected)


@pytest.mark.parametrize("name", COMPRESSIONS[1:])
@pytest.mark.parametrize("mode", ["device", "disk"])
def test_nan_in_the_wavefield_is_in_the_gradient(mode, name, disk, monkeypatch):
    """No codec hides it; only the shot that has it."""
    from wavepipe.propagators import acquisition

    monkeypatch.setattr(acquisition, "checked_amplitudes", lambda amplitudes, *_: amplitudes)
    vp, settings = survey()
    settings["source_amplitudes"][0, 0, 200] = float("nan")
    model = vp.expand(2, -1, -1).clone().requires_grad_()
    with quiet():
        gather = scalar(
            model, SPACING, DT, time_step=DT,
            storage=on(disk, mode, compression=name), **settings,
        )["pressure"]  # fmt: skip
        gather.backward(torch.ones_like(gather) * torch.linspace(0, 1, 600))
    assert torch.isnan(model.grad[0]).any()
    assert torch.isfinite(model.grad[1]).all()


def test_recomputed_nan_is_in_the_gradient(monkeypatch):
    """Also where waves go on from a state with it."""
    from wavepipe.propagators import acquisition

    monkeypatch.setattr(acquisition, "checked_amplitudes", lambda amplitudes, *_: amplitudes)
    vp, settings = survey()
    settings["source_amplitudes"][0, 0, 200] = float("nan")
    with quiet():
        gather = scalar(
            vp.requires_grad_(), SPACING, DT, time_step=DT,
            storage=Storage("cpu", "recompute", stride=5), **settings,
        )["pressure"]  # fmt: skip
        gather.backward(torch.ones_like(gather) * torch.linspace(0, 1, 600))
    assert torch.isnan(vp.grad).any()


def test_a_repeated_forward_run_goes_to_disk_again(disk):
    """A noisy adjoint source asks for a finer stride; the first file goes before the second."""
    vp, settings = survey()
    found = []
    for storage in (Storage(), Storage("disk", path=disk)):
        model = vp.clone().requires_grad_()
        gather = scalar(model, SPACING, DT, storage=storage, **settings)["pressure"]
        noise = torch.randn(gather.shape, generator=torch.Generator().manual_seed(3))
        with pytest.warns(UserWarning, match="forward run is repeated"):
            gather.backward(noise)
        found.append(model.grad)
    assert torch.equal(*found)


def test_a_path_that_cannot_be_used_is_an_error_before_the_run(tmp_path):
    """Missing, a file, or read-only."""
    one, _ = made("scalar", 2)
    with pytest.raises(StorageError, match="does not exist"):
        one.gradients(on(tmp_path / "missing"))
    with pytest.raises(StorageError, match="does not exist"):
        one.gradients(Storage(path=tmp_path / "missing"))
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="is a file"):
        one.gradients(on(tmp_path / "file"))
    with pytest.raises(StorageError, match="cannot be written"):
        one.gradients(on("/proc"))


def test_a_disk_without_room_is_an_error_before_the_run(disk, monkeypatch):
    """It says how much is needed and what is free."""
    from wavepipe.propagators.storage import disk as module

    free = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(module.shutil, "disk_usage", lambda folder: free)
    one, _ = made("scalar", 2)
    with pytest.raises(StorageError, match=r"takes .* on disk; .* free"):
        one.gradients(on(disk))


def test_a_filesystem_in_memory_is_warned_of(disk, monkeypatch):
    """It saves no memory."""
    monkeypatch.setattr(choice, "in_memory", lambda folder: True)
    with pytest.warns(UserWarning, match="in memory: mode 'disk' saves none"):
        choice.choose(on(disk), *sizes())


def sizes(n_slots=300):
    """A history of 300 MB, and states of 5 MB."""
    return HistoryShape(("a",), 1, (500, 512), torch.float32, 5, 5 * n_slots), 5_000_000


def test_auto_takes_the_first_way_that_fits(disk, monkeypatch):
    """In memory, compressed as accurately as fits, on disk, or computed again."""

    def chosen(budget, **options):
        found = choice.choose(Storage(budget=budget, path=disk, **options), *sizes())
        assert found.memory <= budget
        return found.mode, found.method, found.compression

    monkeypatch.setattr(choice, "in_memory", lambda folder: False)
    everything = {"compression": "auto", "max_gradient_error": 1e-3}
    assert chosen(400e6) == ("device", "snapshots", "none")
    assert chosen(200e6, **everything) == ("device", "snapshots", "cosine6")
    assert chosen(40e6, **everything) == ("device", "snapshots", "cosine3")
    assert chosen(30e6, **everything) == ("disk", "snapshots", "cosine6")
    assert chosen(30e6, compression="auto", max_gradient_error=1e-6) == (
        "disk",
        "snapshots",
        "none",
    )
    assert chosen(200e6) == ("disk", "snapshots", "none")
    monkeypatch.setattr(choice, "_has_room", lambda *_: False)
    assert chosen(200e6) == ("device", "recompute", "none")
    assert chosen(200e6, method="recompute") == ("device", "recompute", "none")


def test_auto_trusts_the_cosine_codecs_on_grids_like_those_measured_only(disk):
    """In a few blocks a source's neighbourhood is everything."""
    _, states = sizes()
    few = HistoryShape(("a",), 1, (100, 112), torch.float32, 5, 1500)
    assert few.bytes > 12e6
    storage = Storage(compression="auto", max_gradient_error=1e-3, budget=8e6, path=disk)
    assert choice.choose(storage, few, states).compression == "float16"


def test_without_a_budget_auto_leaves_half_of_the_memory(disk, monkeypatch):
    """What is asked for by name is taken as it is."""
    monkeypatch.setattr(choice, "free_memory", lambda: 500e6)
    monkeypatch.setattr(choice, "in_memory", lambda folder: False)
    assert choice.choose(Storage(path=disk), *sizes()).mode == "disk"
    assert choice.choose(Storage("device", "snapshots"), *sizes()).mode == "device"
    monkeypatch.setattr(choice, "free_memory", lambda: 700e6)
    assert choice.choose(Storage(), *sizes()).mode == "device"


def test_a_budget_that_nothing_fits_says_what_would():
    """With sizes."""
    with pytest.raises(StorageError, match=r"takes 307 MB of memory.*'cosine2' \(.* MB\).*disk"):
        choice.choose(Storage("device", "snapshots", budget=50e6), *sizes())
    with pytest.raises(StorageError, match="Nothing does; the least is"):
        choice.choose(Storage(budget=1000), *sizes())


def test_a_budget_for_few_checkpoints_warns_of_the_time():
    """Hundreds of windows and room for one state."""
    with pytest.warns(UserWarning, match="forward run is made .* times again"):
        found = choice.choose(Storage(method="recompute", budget=7e6), *sizes())
    assert found.again > choice.MANY_RUNS


def test_names_are_those_of_the_codecs():
    """The list without heavy imports is the list."""
    assert COMPRESSIONS[2:] == codecs.NAMES[1:]
    assert set(choice.CODEC_ERRORS) == set(COMPRESSIONS[2:])


def test_free_memory_is_that_of_the_group(tmp_path, monkeypatch):
    """A container's limit, less what it uses and cannot give up; else the machine's."""
    monkeypatch.setattr(memory, "_GROUP", tmp_path)
    machine = memory.free_memory()
    assert machine > 1e6
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.free_memory() == pytest.approx(machine, rel=0.2)
    (tmp_path / "memory.max").write_text("3000000\n")
    (tmp_path / "memory.current").write_text("2500000\n")
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 200000\n")
    assert memory.free_memory() == 700_000
