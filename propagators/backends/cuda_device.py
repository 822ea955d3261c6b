"""Compiled kernels on a card: loaded once per process, launched on the caller's stream.

What is here needs a driver and has run on none yet (docs/gpu.md). A launch copies its arguments; it
waits for nothing, takes no lock, and goes to the stream that is torch's current one in this thread.
"""

import ctypes
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch

from wavepipe.propagators.backends.cuda_compiler import REMEDY, fitting, nvrtc_version
from wavepipe.propagators.backends.cuda_execution import Emitted
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


class CudaModule:
    """Kernels of a source, on a card."""

    def __init__(self, device: torch.device, library: Any, source: CudaSource) -> None:
        self._device, self.source = device, source
        self._graphs: list[torch.cuda.CUDAGraph] = []
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

    def repeat(self, block: Callable[[], None], count: int) -> None:
        """Enqueue what `block` enqueues, as many times: once as it is, then as a graph of launches.

        The first time loads what is loaded on first use, which a capture may not. Capture is on a
        stream of its own, which waits for nobody; replays are on the caller's.
        """
        block()
        graph = torch.cuda.CUDAGraph()
        aside = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(aside):
            graph.capture_begin(capture_error_mode="thread_local")
            block()
            graph.capture_end()
        for _ in range(count - 1):
            graph.replay()
        self._graphs.append(graph)  # it may still be running


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
def _loaded(code: bytes) -> Any:
    """A library of kernels; it serves every card of its architecture."""
    from cuda.core import ObjectCode

    return ObjectCode.from_cubin(code)
