"""The CUDA back-end on the processor: the emitted source, compiled as C++ with loops for blocks."""

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
import threading
from collections import deque
from functools import cache
from pathlib import Path

import torch

from wavepipe.propagators.backends.card import Emitted
from wavepipe.propagators.backends.compiler import cache_folder
from wavepipe.propagators.backends.cuda import Cuda
from wavepipe.propagators.backends.emit_cuda import ITEMSIZE, CudaSource, Tile

FLAGS = ("-std=c++17", "-O1", "-fno-strict-aliasing", "-Wall", "-Wextra", "-Werror")
FLAGS += ("-Wno-unknown-pragmas", "-fPIC", "-shared")


@cache
def find_compiler() -> str | None:
    """Path of a C++ compiler, or None."""
    names = [os.environ.get("CXX"), "c++", "g++", "clang++"]
    return next((path for name in names if name and (path := shutil.which(name))), None)


class EmulatedModule:
    """Kernels as functions of a library; arguments are checked to be as long as they are there."""

    def __init__(self, library: ctypes.CDLL, source: CudaSource) -> None:
        self.library, self.source = library, source

    def launch(self, launches) -> None:
        for one in launches:
            kernel = getattr(self.library, one.kernel)
            kernel.restype = ctypes.c_ulong
            size = kernel(*map(ctypes.c_uint, one.grid), ctypes.byref(one.arguments))
            assert size == ctypes.sizeof(one.arguments), one.kernel

    def recorded(self, block):
        block()
        return block


class EmulatedEvent:
    """The copies of a lane until now, which are made when somebody waits for them."""

    def __init__(self, lane: "EmulatedLane | None" = None) -> None:
        self.lane, self.count = lane, lane.told if lane else 0

    def wait(self) -> None:
        if self.lane:
            self.lane.catch_up(self.count)

    hold = wait


class EmulatedLane:
    """Copies that are made as late as may be: who does not wait for them sees it."""

    def __init__(self) -> None:
        self.told, self.made, self.copies = 0, 0, deque()
        self.lock = threading.Lock()

    def copy(self, source: torch.Tensor, target: torch.Tensor, after) -> EmulatedEvent:
        after.hold()
        with self.lock:
            self.copies.append((source, target))
            self.told += 1
            return EmulatedEvent(self)

    def catch_up(self, count: int) -> None:
        with self.lock:
            while self.made < count:
                source, target = self.copies.popleft()
                target.copy_(source)
                self.made += 1


class EmulatedCard:
    """Compiles for this processor, whose memory is the card's too.

    Parameters
    ----------
    tile
        How work is cut; else vectors of 16 bytes, and few threads: small grids have several blocks.
    """

    def __init__(self, tile: Tile | None = None) -> None:
        self.tile = tile

    def module(self, ndim: int, dtype: str, emitted: Emitted) -> EmulatedModule:
        del ndim
        source = emitted(self.tile or Tile(16 // ITEMSIZE[dtype], 32))
        prelude = Path(__file__).with_name("cuda_emulation.h").read_text()
        return EmulatedModule(_built(prelude + source.text), source)

    def lane(self) -> EmulatedLane:
        return EmulatedLane()

    def pinned(self, size: int) -> torch.Tensor:
        return torch.empty(size, dtype=torch.uint8)

    def mark(self) -> EmulatedEvent:
        return EmulatedEvent()

    def stream(self) -> int:
        return 0

    def free_memory(self) -> int:
        return 1 << 34


@cache
def _built(text: str) -> ctypes.CDLL:
    name = hashlib.blake2b("\n".join((text, *FLAGS)).encode(), digest_size=16).hexdigest()
    library = cache_folder() / f"emulated-{name}.so"
    if not library.exists():
        library.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=library.parent) as scratch:
            source, built = Path(scratch) / "step.cpp", Path(scratch) / "step.so"
            source.write_text(text)
            command = [str(find_compiler()), *FLAGS, str(source), "-o", str(built)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert not done.returncode, done.stderr[:3000]
            built.replace(library)
    return ctypes.CDLL(str(library))


def emulated(dtype: torch.dtype, tile: Tile | None = None) -> Cuda:
    """The back-end for a precision."""
    return Cuda(dtype.itemsize, EmulatedCard(tile))
