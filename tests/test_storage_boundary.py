"""Method ``boundary``: steps taken back inside the layers, with strips put back around them."""

import errno
import functools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import product
from typing import ClassVar

import numpy as np
import pytest
import torch
from kept_surveys import IN_MEMORY, KeptSurvey, on, same
from layered_surveys import DT, SPACING, error, gradients_where_one_wave_is_nan, survey
from spill_disks import AllFlippedDisk, SlowDisk, failing_for_good, on_disks
from waves import quiet

from wavepipe.propagators import Boundary, Storage, scalar, scalar_born
from wavepipe.propagators.backends import c
from wavepipe.propagators.backends.division import Division
from wavepipe.propagators.errors import OptionError, StorageError
from wavepipe.propagators.planning import plan_call
from wavepipe.propagators.stencil.retrace import retraced
from wavepipe.propagators.storage import choice, keeping
from wavepipe.propagators.storage.codecs import codec_named
from wavepipe.propagators.storage.names import COMPRESSIONS

REVERSIBLE = ("scalar", "acoustic", "elastic", "acoustic_vti")
INSIDE = (slice(None), slice(12, -12))
"""Of a wide survey's model: what is beyond x = 12 lies in a layer's whole vectors."""


class WideSurvey(KeptSurvey):
    """With cells between the layers' whole vectors; elastic waves meet water on rock."""

    shapes: ClassVar = {2: (37, 71), 3: (21, 23, 69)}

    def points(self):
        """Of each shot one in the middle, one near the top, one where steps are taken back to."""
        cells = super().points() / self.spacing
        cells[..., 1:] = self.numbers.uniform(0.35, 0.65, cells[..., 1:].shape) * self.shape[1:]
        cells[:, 2] = cells[:, 0]
        cells[:, 2, -1] = self.numbers.uniform(9.0, 13.0, 2)
        return cells * self.spacing

    def __post_init__(self):
        super().__post_init__()
        if "vs" in self.models and self.faces == "layers":
            self.models["vs"][: self.shape[0] // 3] = 0.0


@functools.cache
def made(physics, ndim, faces="z0", backend="c", dtype=torch.float64):
    """A survey and its gradients with everything in memory."""
    # Past the wavelet's peak: a run that ends on its rise takes small values back from large ones.
    nt = 120 if ndim == 2 and backend == "c" else 60
    found = WideSurvey(physics, ndim, faces, nt=nt, backend=backend, dtype=dtype)
    return found, found.gradients(IN_MEMORY)[0]


def check_rounding(found, expected, tolerance):
    """Of all gradients, and of each inside, where they are made of steps taken back."""
    for one, other in zip(found, expected, strict=True):
        assert error(one, other) < tolerance
        if one.ndim == other.ndim and one.shape[-1] == WideSurvey.shapes[2][-1]:
            inside = INSIDE if one.ndim == 2 else (slice(None), slice(None), INSIDE[1])
            assert error(one[inside], other[inside]) < tolerance


def check(case, folder, names=("none",), tolerance=1e-12):
    one, expected = made(*case)
    for mode in ("device", "cpu", "disk"):
        for name in names:
            found, info = one.gradients(on(folder, mode, "boundary", compression=name))
            assert (info.mode, info.method, info.compression) == (mode, "boundary", name)
            assert not same(found, expected)
            check_rounding(found, expected, tolerance)


FAST = [
    ("scalar", 2, "z0", "c"),
    ("acoustic", 2, "layers", "c"),
    ("elastic", 2, "z0", "c"),
    ("elastic", 2, "layers", "c"),
    ("acoustic_vti", 2, "z0", "c"),
    ("scalar", 3, "layers", "c"),
    ("scalar", 2, "layers", "reference"),
    ("elastic", 2, "z0", "reference"),
]
PLACES = [(2, "z0", "c"), (2, "layers", "c"), (2, "z1+x0", "c"), (3, "z0", "c"), (3, "layers", "c")]
CASES = [
    pytest.param(*case, marks=() if case in FAST else pytest.mark.slow)
    for case in (
        *((physics, *place) for physics, place in product(REVERSIBLE, PLACES)),
        *(
            (physics, 2, faces, "reference")
            for physics, faces in product(REVERSIBLE, ("layers", "z0"))
        ),
    )
]


@pytest.mark.parametrize(("physics", "ndim", "faces", "backend"), CASES)
def test_gradients_are_those_in_memory_to_rounding(physics, ndim, faces, backend, scratch_disk):
    """With off-grid points, free faces, layers in the model, odd sizes, water on rock."""
    check((physics, ndim, faces, backend), scratch_disk)


@pytest.mark.parametrize("physics", REVERSIBLE)
def test_so_they_are_in_single_precision(physics, scratch_disk):
    check((physics, 2, "z0", "c", torch.float32), scratch_disk, tolerance=1e-5)


class OutsideThroughACodec(keeping.Direct):
    """The whole history in memory; what is not made again was encoded and decoded."""

    codec = "none"

    def __init__(self, backend, shape):
        super().__init__(backend, shape)
        self._history = shape.allocate(shape.n_slots, zero=True)

    def forward(self, sweep, look):
        result, codec = super().forward(sweep, look), codec_named(self.codec)
        boxes = retraced(sweep.program, sweep.sampled, tuple(self._history.slots)).outside
        for box in boxes:
            cells = tuple(slice(lo, hi) for lo, hi in box)
            for tensor in self._history.slots.values():
                for slot in tensor.flatten(0, 1).numpy():
                    part = np.ascontiguousarray(slot[cells])[None]
                    data = np.empty(codec.size(part.shape[1:], part.itemsize), np.uint8)
                    codec.encode(part, data)
                    codec.decode(data, part)
                    slot[cells] = part[0]
        return result


def check_codec(name, case, folder, monkeypatch):
    one, uncompressed = made(*case)
    with monkeypatch.context() as patch:
        codec = type("Codec", (OutsideThroughACodec,), {"codec": name})
        patch.setattr(keeping, "Direct", codec)
        expected, _ = one.gradients(IN_MEMORY)
    assert not same(expected, uncompressed)
    for mode in ("device", "disk"):
        found, info = one.gradients(on(folder, mode, "boundary", compression=name))
        assert info.compression == name
        check_rounding(found, expected, 1e-12)


@pytest.mark.parametrize("name", COMPRESSIONS[2:])
def test_codecs_lose_what_they_lose_of_the_layers_sums(name, scratch_disk, monkeypatch):
    """And nothing of the strips."""
    check_codec(name, ("scalar", 2), scratch_disk, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("name", COMPRESSIONS[2:])
@pytest.mark.parametrize(("physics", "ndim", "faces", "backend"), CASES[::3])
def test_so_they_do_everywhere(physics, ndim, faces, backend, name, scratch_disk, monkeypatch):
    check_codec(name, (physics, ndim, faces, backend), scratch_disk, monkeypatch)


@pytest.mark.parametrize(
    "shape", [(90, 140), pytest.param((40, 36, 80), marks=pytest.mark.slow)], ids=["2-D", "3-D"]
)
def test_thousands_of_steps_back_stay_accurate(shape):
    """In single precision, waves that bounce from strong contrasts until little is left."""
    random = torch.Generator().manual_seed(2)
    vp = 1600 + 2400 * torch.rand(shape, generator=random)
    nt = 3000 if len(shape) == 2 else 1000
    wavelet = torch.zeros(1, 1, nt)
    wavelet[..., :600] = survey()[1]["source_amplitudes"][:1]
    extent = 10.0 * np.array(shape)
    places = np.linspace(0.3, 0.7, 9)[None, :, None] * extent
    gradients = []
    for method in ("snapshots", "boundary"):
        model = vp.clone().requires_grad_()
        with quiet():
            traces = scalar(
                model, SPACING, DT, source_amplitudes=wavelet, source_positions=places[:, :1],
                receiver_positions=places, boundary=Boundary(10, 12.0, ["z0"]), nt=nt,
                storage=Storage("device", method, stride=5),
            )["pressure"]  # fmt: skip
            taper = torch.sin(torch.linspace(0, np.pi, nt)) ** 2
            (traces * taper).backward(traces.detach() / traces.detach().norm())
        gradients.append(model.grad)
    assert 0 < error(gradients[1], gradients[0]) < 1e-5


@pytest.mark.parametrize("ndim", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_what_the_padding_adds_to_the_gradient_is_at_the_edges(ndim):
    """The outermost cells have the gradient of all cells of the layers beyond them."""
    one, expected = made("acoustic", ndim, "layers")
    found, _ = one.gradients(on(None, "device", "boundary"))
    for got, right in zip(found[:2], expected[:2], strict=True):
        for axis in range(ndim):
            for edge in (0, -1):
                ends = got.select(axis, edge), right.select(axis, edge)
                assert error(*ends) < 1e-12


def test_less_is_kept_than_of_every_snapshot():
    """On a grid that is wide beside its layers."""
    taken = {}
    for method in ("snapshots", "boundary"):
        plan = plan_call(
            (500, 500), 10.0, 1e-3, 1000, 1, 100, velocity_bound=2500.0, gradient=True,
            max_frequency=25.0, storage=Storage("device", method, stride=4),
        )  # fmt: skip
        taken[method] = plan.history_bytes
    assert taken["boundary"] < taken["snapshots"] / 3


def test_layers_that_leave_nothing_inside_leave_nothing_to_take_back(scratch_disk):
    """Then it is snapshots by another name."""
    one = KeptSurvey("elastic", 2, "z0", nt=40)
    expected, _ = one.gradients(IN_MEMORY)
    for mode in ("device", "disk"):
        assert same(one.gradients(on(scratch_disk, mode, "boundary"))[0], expected)


@pytest.mark.parametrize("physics", ["scalar", "elastic"])
def test_without_layers_nothing_but_the_end_is_kept(physics, scratch_disk):
    """Faces that reflect are taken back as well."""
    one = WideSurvey(physics, 2, "z0+z1+x0", nt=60, options={"boundary": Boundary(0)})
    expected, info = one.gradients(IN_MEMORY)
    for mode in ("device", "disk"):
        found, back = one.gradients(on(scratch_disk, mode, "boundary"))
        assert not same(found, expected)
        check_rounding(found, expected, 1e-12)
        assert back.bytes + back.disk_bytes < info.bytes


def test_born_gradients_are_the_same(scratch_disk):
    """Of the perturbation with a scattered wavefield, and of migration without one."""
    one, _ = made("acoustic", 2)
    expected, _ = one.gradients(IN_MEMORY, born=True)
    for mode in ("device", "disk"):
        found, _ = one.gradients(on(scratch_disk, mode, "boundary"), born=True)
        check_rounding(found, expected, 1e-12)
    vp, settings = survey(torch.float64)
    images = []
    for storage in (Storage(stride=4), on(scratch_disk, "disk", "boundary", stride=4)):
        scatter = torch.zeros_like(vp).requires_grad_()
        traces = scalar_born(vp, scatter, SPACING, DT, storage=storage, **settings)["pressure"]
        with quiet():
            traces.backward(torch.linspace(0, 1, 600, dtype=vp.dtype).expand_as(traces))
        images.append(scatter.grad)
    assert 0 < error(images[1], images[0]) < 1e-12
    assert images[0].any()


def test_illumination_is_the_same(scratch_disk):
    """It is made on the way forward."""
    one, _ = made("elastic", 2)
    shown = []
    for storage in (IN_MEMORY, on(scratch_disk, "disk", "boundary")):
        _, arguments = one.given()
        shown.append(one.record(**arguments, storage=storage, illumination=True).illumination)
    assert torch.equal(*shown)
    assert shown[0].any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("mode", ["device", "disk"])
def test_the_smallest_buffers_change_no_bit(mode, dtype, scratch_disk):
    """One slot in memory at a time."""
    one, _ = made("elastic", 2, dtype=dtype)
    storage = on(scratch_disk, mode, "boundary")
    expected, info = one.gradients(storage)
    with pytest.raises(StorageError, match=r"What fits|the least is"):
        one.gradients(replace(storage, budget=1000.0))
    for budget in np.linspace(0.1, 1, 10) * info.bytes:
        try:
            found, small = one.gradients(replace(storage, budget=float(budget)))
        except StorageError:
            continue
        assert small.bytes <= budget < info.bytes
        assert same(found, expected)
        return
    pytest.fail("no budget was small enough")


def test_threads_change_no_bit():
    """Of the way back either."""
    one, _ = made("scalar", 3, "layers", "c", torch.float32)
    found = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(one.gradients(on(None, "device", "boundary"))[0])
    finally:
        torch.set_num_threads(before)
    assert same(*found)


@pytest.mark.parametrize("physics", ["scalar", "elastic"])
@pytest.mark.parametrize("ndim", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_no_division_of_the_work_changes_a_bit(physics, ndim, monkeypatch):
    """Steps in blocks, lines in strips, planes among threads, against one step at a time."""
    monkeypatch.setitem(WideSurvey.shapes, ndim, (110, 65) if ndim == 2 else (110, 20, 68))
    one = WideSurvey(physics, ndim, "z0", nt=30, dtype=torch.float32)
    found = []
    for threads, block, strip, band in ((1, 1, 1000, 1), (1, 4, 8, 16), (2, 3, 9, 7)):
        chosen = Division(False, threads, block, strip if ndim == 3 else 1, band)
        monkeypatch.setattr(c, "divided", lambda *_, chosen=chosen: chosen)
        found.append(one.gradients(on(None, "device", "boundary"))[0])
        assert same(found[-1], found[0])
    assert all(torch.isfinite(gradient).all() and gradient.any() for gradient in found[0])


def test_calls_in_several_threads_at_once(scratch_disk):
    """Each has its own files, buffers and threads."""
    one, _ = made("acoustic", 2, "layers")
    expected, _ = one.gradients(on(None, "device", "boundary"))
    ways = [on(scratch_disk, mode, "boundary") for mode in ("disk", "device", "disk", "cpu")]
    # The filters of warnings are the process's: each call restores those that another one set.
    with quiet(), ThreadPoolExecutor(4) as threads:
        for found, _ in threads.map(one.gradients, ways):
            assert same(found, expected)


def test_a_slow_disk_changes_no_bit(scratch_disk, monkeypatch):
    """Transfers are waited for in both directions."""
    one, _ = made("scalar", 2)
    expected, _ = one.gradients(on(None, "device", "boundary"))
    on_disks(monkeypatch, SlowDisk)
    assert same(one.gradients(on(scratch_disk, "disk", "boundary"))[0], expected)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (failing_for_good("write", errno.ENOSPC, 0), "the disk is full"),
        (failing_for_good("read", errno.EIO, 0), "does not work"),
        (AllFlippedDisk, "other bytes than were written"),
    ],
    ids=["full", "read", "flipped"],
)
def test_a_disk_that_fails_is_an_error_and_never_a_gradient(
    kind, message, scratch_disk, monkeypatch
):
    on_disks(monkeypatch, kind)
    one, _ = made("scalar", 2)
    with pytest.raises(StorageError, match=message):
        one.gradients(on(scratch_disk, "disk", "boundary"))


@pytest.mark.parametrize("when", ["forward", "back", "adjoint"])
def test_an_exception_in_the_middle_leaves_nothing(when, scratch_disk, monkeypatch):
    """Threads, files and folders go with it."""
    one, _ = made("acoustic", 2)
    original, count = c.CompiledExecution.advance, 0

    def advance(self, begin, end, history=None):
        nonlocal count
        kind = "back" if self._sweep.initial else "adjoint"
        count += (kind if self._sweep.backwards else "forward") == when
        if count == 3:
            raise KeyboardInterrupt
        return original(self, begin, end, history)

    monkeypatch.setattr(c.CompiledExecution, "advance", advance)
    with pytest.raises(KeyboardInterrupt):
        one.gradients(on(scratch_disk, "disk", "boundary"))


@pytest.mark.parametrize("name", ["none", "cosine4"])
def test_nan_in_the_wavefield_is_in_the_gradient(name, monkeypatch):
    """Only of the shot that has it."""
    ill, sound = gradients_where_one_wave_is_nan(
        monkeypatch, Storage("device", "boundary", name, stride=5)
    )
    assert torch.isnan(ill).any()
    assert torch.isfinite(sound).all()


def test_a_repeated_forward_run_is_taken_back_again(scratch_disk):
    """A noisy adjoint source asks for a finer stride; the first file goes before the second."""
    vp, settings = survey(torch.float64)
    found = []
    for storage in (Storage(), Storage("disk", "boundary", path=scratch_disk)):
        model = vp.clone().requires_grad_()
        gather = scalar(model, SPACING, DT, storage=storage, **settings)["pressure"]
        noise = torch.randn(gather.shape, generator=torch.Generator().manual_seed(3)).double()
        with pytest.warns(UserWarning, match="forward run is repeated"):
            gather.backward(noise)
        found.append(model.grad)
    assert 0 < error(found[1], found[0]) < 1e-12


def test_waves_with_losses_are_refused():
    """By a call and by its plan, with what to use instead."""
    one = KeptSurvey("viscoacoustic", 2, "z0", nt=40)
    message = "takes the wavefield back .* viscoacoustic waves lose .* 'snapshots' or 'recompute'"
    with pytest.raises(OptionError, match=message):
        one.gradients(Storage(method="boundary"))
    with pytest.raises(OptionError, match=message):
        plan_call(
            (50, 60), 10.0, 1e-3, 100, 1, 10, physics="viscoacoustic", velocity_bound=2500.0,
            gradient=True, max_frequency=25.0, storage=Storage(method="boundary"),
        )  # fmt: skip


def test_auto_takes_it_only_where_rounding_may_change(monkeypatch):
    """With compression "auto" and no tighter error, in place of computing everything again."""
    monkeypatch.setattr(choice, "_has_room", lambda *_: False)

    def chosen(**options):
        plan = plan_call(
            (800, 800), 10.0, 1e-3, 2000, 1, 100, velocity_bound=2500.0, gradient=True,
            max_frequency=25.0, storage=Storage(stride=4, budget=400e6, **options),
        )  # fmt: skip
        return plan.kept.method

    assert chosen() == "recompute"
    assert chosen(compression="auto", max_gradient_error=1e-6) == "recompute"
    assert chosen(compression="auto", max_gradient_error=8e-5) == "boundary"
    assert chosen(compression="auto", max_gradient_error=1e-3) == "snapshots"
