"""Compiled kernels on a card: loaded once per process, launched on the caller's stream.

What is here needs a driver and has run on none yet (docs/gpu.md). A launch copies its arguments; it
waits for nothing, takes no lock, and goes to the stream that is torch's current one in this thread.
"""

import ctypes
from collections.abc import Callable, Sequence
from functools import cache
from threading import Lock
from typing import Any, Literal

import torch

from wavepipe.propagators.backends.card import Emitted, Event
from wavepipe.propagators.backends.cuda_compiler import REMEDY, fitting, nvrtc_version
from wavepipe.propagators.backends.cuda_launches import Launch
from wavepipe.propagators.backends.emit_cuda import CudaSource, tiles
from wavepipe.propagators.errors import BackendError


class CudaDevice:
    """Compiles for a card, and launches there.

    Parameters
    ----------
    device
        ``cuda:0`` and so on.
    """

    def __init__(self, device: torch.device) -> None:
        check_driver()
        self._device = device

    def module(self, ndim: int, dtype: str, emitted: Emitted) -> "CudaModule":
        """The source as the card takes it without spilling registers, compiled."""
        major, minor = torch.cuda.get_device_capability(self._device)
        candidates = (emitted(tile) for tile in tiles(ndim, dtype))
        source, code = fitting(candidates, f"sm_{major}{minor}")
        return CudaModule(self._device, _loaded(code), source)

    def lane(self) -> "CudaLane":
        """See `Card`."""
        return CudaLane(self._device)

    def pinned(self, size: int) -> torch.Tensor:
        """See `Card`; torch keeps such memory for the next who asks."""
        return torch.empty(size, dtype=torch.uint8, pin_memory=True)

    def mark(self) -> "CudaEvent":
        """See `Card`."""
        return CudaEvent(torch.cuda.current_stream(self._device))

    def stream(self) -> int:
        """See `Card`."""
        return int(torch.cuda.current_stream(self._device).cuda_stream)

    def free_memory(self) -> int:
        """See `Card`: what the driver has, and what torch holds without a use."""
        free, _ = torch.cuda.mem_get_info(self._device)
        held = torch.cuda.memory_reserved(self._device)
        return free + held - torch.cuda.memory_allocated(self._device)


class CudaEvent:
    """What a stream was told until now."""

    def __init__(self, stream: torch.cuda.Stream) -> None:
        self._device = stream.device
        # A thread that waits needs no core.
        self._event = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        self._event.record(stream)

    def wait(self) -> None:
        """See `Event`; only this thread waits."""
        self._event.synchronize()

    def hold(self) -> None:
        """See `Event`."""
        self._event.wait(torch.cuda.current_stream(self._device))


class CudaLane:
    """A stream for copies; lanes of one card share it, since each copy waits for its own event."""

    def __init__(self, device: torch.device) -> None:
        self._stream = _own_stream(device, "copies").torch

    def copy(self, source: torch.Tensor, target: torch.Tensor, after: Event) -> CudaEvent:
        """See `Lane`."""
        with torch.cuda.stream(self._stream):
            after.hold()
            target.copy_(source, non_blocking=True)
        return CudaEvent(self._stream)


class CudaModule:
    """Kernels of a source, on a card."""

    def __init__(self, device: torch.device, library: Any, source: CudaSource) -> None:
        self._device, self.source = device, source
        names = [kernel.name for step in source.steps for kernel in step]
        self._handles = {name: library.get_kernel(name).handle for name in names}

    def launch(self, launches: Sequence[Launch]) -> None:
        """Enqueue kernels, in order, on the current stream."""
        from cuda.bindings import driver

        with torch.cuda.device(self._device):
            stream = torch.cuda.current_stream(self._device).cuda_stream
            for one in launches:
                pointers = (ctypes.c_void_p * 1)(ctypes.addressof(one.arguments))
                across, down = one.grid
                block = (self.source.tile.threads, 1, 1)
                (status,) = driver.cuLaunchKernel(
                    driver.CUfunction(int(self._handles[one.kernel])),
                    *(across, down, 1),
                    *block,
                    0,
                    stream,
                    ctypes.addressof(pointers),
                    0,
                )
                if int(status):
                    raise BackendError(f"the card refused the kernel {one.kernel!r}: {status}.")

    def recorded(self, block: Callable[[], None]) -> Callable[[], None]:
        """Enqueue what `block` enqueues, and return a graph of these launches.

        The first time loads what is loaded on first use, which a capture may not. Capture is on a
        stream that nothing else is enqueued on; replays are on the caller's.
        """
        block()
        graph = torch.cuda.CUDAGraph()
        aside = _own_stream(self._device, "captures")
        with aside.lock, torch.cuda.stream(aside.torch):
            graph.capture_begin(capture_error_mode="thread_local")
            try:
                block()
            finally:
                graph.capture_end()

        def replay() -> None:
            with torch.cuda.device(self._device):
                graph.replay()

        return replay


class _OwnStream:
    """A stream that the driver has made for us: those of torch's pool are handed out in turns.

    It lives as long as the process: memory that was used on it may be freed after any call.
    """

    def __init__(self, device: torch.device) -> None:
        from cuda.core import Device

        with torch.cuda.device(device):
            there = Device(torch.cuda.current_device())
            there.set_current()  # also in a thread that has asked nothing of the card before
            self._made = there.create_stream()
        self.torch = torch.cuda.ExternalStream(int(self._made.handle), device)  # type: ignore[no-untyped-call]
        self.lock = Lock()
        """Of who captures."""


def _own_stream(device: torch.device, use: Literal["captures", "copies"]) -> _OwnStream:
    """The one of a card for a use."""
    with _MAKING:
        return _made(device, use)


@cache
def _made(device: torch.device, use: str) -> _OwnStream:
    del use
    return _OwnStream(device)


_MAKING = Lock()
"""Or threads would each make one, and one of them go with its thread."""


def check_driver() -> None:
    """Whether there is a card, and a driver that runs what NVRTC makes.

    Raises
    ------
    BackendError
        It names what is missing, and the CPU as the way out.
    """
    if not torch.cuda.is_available():
        raise BackendError(f"torch sees no CUDA device. {REMEDY}")
    major, _ = nvrtc_version()
    from cuda.bindings import driver

    status, version = driver.cuDriverGetVersion()
    if int(status) or version // 1000 < major:
        raise BackendError(
            f"the driver runs CUDA {version // 1000}.{version % 1000 // 10} and NVRTC makes code "
            f"for CUDA {major}: update the driver. {REMEDY}"
        )


@cache
def card_of(device: torch.device) -> CudaDevice:
    """The card of a device, checked once."""
    return CudaDevice(device)


@cache
def _loaded(code: bytes) -> Any:
    """A library of kernels; it serves every card of its architecture."""
    from cuda.core import ObjectCode

    return ObjectCode.from_cubin(code)
