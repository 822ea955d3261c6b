"""Where there is no card, or one that cannot be used: a message that offers the processor."""

import subprocess
import sys
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from card import a_card
from conformance_exactness import F32
from emitted_cuda import source, sweeps
from emulated_cuda import EmulatedCard
from random_surveys import RandomSurvey

from wavepipe.propagators.backends import cuda_compiler, cuda_device, cuda_execution
from wavepipe.propagators.backends.cuda_compiler import Build, Usage, fitting, nvrtc_version
from wavepipe.propagators.backends.cuda_device import CudaDevice, CudaLane, CudaModule
from wavepipe.propagators.backends.cuda_execution import CudaExecution
from wavepipe.propagators.backends.emit_cuda import CudaSource, Tile, tiles
from wavepipe.propagators.errors import BackendError, OptionError

CARD = torch.device("cuda:0")


def test_no_card_is_an_error_that_offers_the_processor(monkeypatch):
    """Before anything of CUDA is imported."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(BackendError, match=r"no CUDA device.*backend 'c'"):
        CudaDevice(CARD)


def test_no_nvrtc_is_an_error_that_names_what_to_install(monkeypatch):
    """cuda.bindings is not installed."""
    for name in ("cuda", "cuda.bindings"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(BackendError, match=r"NVRTC is not there.*wavepipe\[cuda\]"):
        nvrtc_version.__wrapped__()


def test_an_old_driver_is_an_error_that_says_both_versions(monkeypatch):
    """The code of one major version does not run on the driver of an earlier one."""
    driver = SimpleNamespace(cuDriverGetVersion=lambda: (0, 12040))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(cuda_device, "nvrtc_version", lambda: (13, 4))
    bindings = SimpleNamespace(driver=driver)
    monkeypatch.setitem(sys.modules, "cuda", SimpleNamespace(bindings=bindings))
    monkeypatch.setitem(sys.modules, "cuda.bindings", bindings)
    with pytest.raises(BackendError, match=r"driver runs CUDA 12\.4 and NVRTC .* CUDA 13: update"):
        CudaDevice(CARD)


def test_the_first_tile_that_spills_nothing_is_taken(monkeypatch, tmp_path):
    """The next time without building any."""
    monkeypatch.setenv("WAVEPIPE_CACHE", str(tmp_path))
    monkeypatch.setattr(cuda_compiler, "nvrtc_version", lambda: (13, 4))

    def build(text: str, architecture: str) -> Build:
        return Build(text.encode(), (Usage("one", 255, 8 if text < "b" else 0),), ())

    candidates = [CudaSource(text, Tile(1, 32)) for text in "abc"]
    monkeypatch.setattr(cuda_compiler, "build", build)
    assert fitting(candidates, "sm_90") == (candidates[1], b"b")
    monkeypatch.setattr(cuda_compiler, "build", None)
    cuda_compiler._machine_code.cache_clear()  # as in another process
    assert fitting(candidates, "sm_90") == (candidates[1], b"b")
    with pytest.raises(BackendError, match="spill registers"):
        fitting(candidates[:1], "sm_90")


def test_grids_too_large_for_short_numbers_are_refused(monkeypatch):
    """Instead of reading elsewhere."""
    sweep = sweeps("scalar", 2, "z0", 4, F32)["forward"]
    monkeypatch.setattr(cuda_execution, "MOST_CELLS", 1000)
    with pytest.raises(BackendError, match="cells with its layers; a kernel counts up to 1000"):
        CudaExecution(replace(sweep, history=None, sampled=None), EmulatedCard())


class SmallCard(EmulatedCard):
    """A card that has so many bytes left; what `torch.zeros` gives takes of them while it lives."""

    def __init__(self, free: int, patch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.free, self.zeros = free, torch.zeros
        patch.setattr(torch, "zeros", self.allocate)

    def allocate(self, *shape, **options):
        made = self.zeros(*shape, **options)
        if made.nbytes > self.free:
            raise torch.OutOfMemoryError("no memory")
        self.free -= made.nbytes
        weakref.finalize(made, self.give_back, made.nbytes)
        return made

    def give_back(self, size: int) -> None:
        self.free += size

    def free_memory(self) -> int:
        return self.free


def test_a_batch_that_does_not_fit_is_told_what_would(monkeypatch):
    """And that does: the earth model and what was allocated until then are counted."""
    sweep = replace(sweeps("scalar", 2, "z0", 4, F32)["forward"], history=None, sampled=None)

    def started(n_shots: int, free: int) -> int:
        """Bytes left when so many shots are on their way."""
        with monkeypatch.context() as patch:
            card = SmallCard(free, patch)
            execution = CudaExecution(replace(sweep, n_shots=n_shots, outputs={}), card)
            left = card.free
            del execution
            return left

    plenty = 1 << 30
    one, two = (plenty - started(n, plenty) for n in (1, 2))
    assert two < 2 * one  # they share their earth model
    for most in (1, 3):
        size = one + (most - 1) * (two - one)
        enough = size + (two - one) // 2
        told = rf"5 shots on \d+ x \d+ cells do not fit.*Propagate {most} at once at most"
        with pytest.raises(MemoryError, match=told):
            started(5, enough)
        assert started(most, enough) >= 0
    with pytest.raises(MemoryError, match=r"1 shots on .*smaller aperture"):
        started(1, one // 2)


class Pretended:
    """What CUDA's torch gives to a capture, counting who is at it."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.made, self.open, self.most, self.ended = list[int](), 0, 0, 0
        device = SimpleNamespace(set_current=lambda: None, create_stream=self.create_stream)
        patch.setitem(sys.modules, "cuda.core", SimpleNamespace(Device=lambda _: device))
        patch.setattr(torch.cuda, "ExternalStream", lambda handle, _: handle)
        patch.setattr(torch.cuda, "current_device", lambda: 0)
        patch.setattr(torch.cuda, "Stream", None)  # of a pool that others are given too
        patch.setattr(torch.cuda, "CUDAGraph", lambda: self)
        for name in ("device", "stream"):
            patch.setattr(torch.cuda, name, lambda _: nullcontext())
        cuda_device._made.cache_clear()

    def create_stream(self):
        self.made.append(len(self.made))
        return SimpleNamespace(handle=self.made[-1])

    def capture_begin(self, **_):
        self.open += 1
        self.most = max(self.most, self.open)

    def capture_end(self):
        self.open, self.ended = self.open - 1, self.ended + 1


@pytest.fixture
def pretended(monkeypatch):
    yield Pretended(monkeypatch)
    cuda_device._made.cache_clear()


def module() -> CudaModule:
    return CudaModule(CARD, None, CudaSource("", Tile(1, 32)))


def test_graphs_are_captured_one_at_a_time_on_a_stream_that_nobody_else_has(pretended):
    """Copies have theirs, which never is captured; nothing is asked of torch's pool."""
    begin, together = threading.Barrier(8), ThreadPoolExecutor(8)

    def capture(_):
        begin.wait()
        module().recorded(lambda: time.sleep(1e-3))
        return CudaLane(CARD)._stream, cuda_device._own_stream(CARD, "captures").torch

    with together:
        streams = set(together.map(capture, range(8)))
    assert pretended.ended == 8
    assert pretended.most == 1
    ((copies, captures),) = streams
    assert copies != captures
    assert len(pretended.made) == 2


def test_a_block_that_fails_leaves_no_capture_open(pretended):
    """The next one can be made."""
    times = []

    def fail():
        times.append(1)
        if len(times) == 2:
            raise BackendError("the card refused the kernel")

    with pytest.raises(BackendError, match="refused"):
        module().recorded(fail)
    assert (pretended.open, pretended.ended) == (0, 1)
    module().recorded(lambda: None)
    assert pretended.ended == 2


def test_tensors_on_different_devices_are_refused():
    """Whatever is not where the earth model is; the message says how to move it."""
    survey = RandomSurvey("elastic", 2, nt=4)
    with a_card() as card:
        there = {name: one.to(card) for name, one in survey.models.items()}
        with pytest.raises(OptionError, match=r"vs is on device cpu but vp on meta.*\.to\("):
            survey.record({**survey.models, "vp": there["vp"]})
        with pytest.raises(OptionError, match=r"the amplitude of source .* is on device cpu"):
            survey.record(there)
        moved = {name: one.to(card) for name, one in survey.amplitudes.items()}
        with pytest.raises(OptionError, match="the scatter of vp is on device cpu but vp on meta"):
            survey.record(there, moved, {"vp": survey.models["vp"]}, backend="cuda")
        with pytest.raises(OptionError, match=r"backend 'c' runs on the CPU.*\.cpu\(\)"):
            survey.record(there, moved, backend="c")
    with pytest.raises(OptionError, match=r"backend 'cuda' runs where the tensors are.*\.cuda\("):
        survey.record(backend="cuda")


def test_a_device_that_does_not_propagate_is_refused():
    """Such as torch's own `meta`, which has no memory."""
    survey = RandomSurvey("scalar", 2, nt=4)
    models = {name: one.to("meta") for name, one in survey.models.items()}
    with pytest.raises(OptionError, match="vp is on device meta; waves propagate on the CPU or"):
        survey.record(models)


def test_importing_and_planning_need_nothing_of_cuda():
    """Neither its packages nor a driver, nor our modules that emit for it."""
    code = (
        "import sys; sys.modules['cuda'] = None\n"
        "import torch, wavepipe.propagators.planning, wavepipe.propagators.storage.keeping\n"
        "import wavepipe.propagators.call, wavepipe.propagators.scalar_waves\n"
        "parts = [n.split('.')[-1] for n in sys.modules if n.startswith('wavepipe.')]\n"
        "for start in ('cuda', 'emit_cuda', 'card_'):\n"
        "    assert not [n for n in parts if n.startswith(start)], (start, parts)\n"
        "import wavepipe.propagators.backends.cuda_device\n"
        "assert not torch.cuda.is_initialized()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_one_source_serves_every_size():
    """Sizes are arguments: windows of a survey do not compile again."""
    texts = set()
    for size in ((70, 80), (75, 90), (81, 101)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(sys.modules["emitted_cuda"].SIZES, 2, size)
            found = sweeps("scalar", 2, "z0", 4, F32)
        texts.add(tuple(source(one, tiles(2, "float")[0]).text for one in found.values()))
    assert len(texts) == 1
