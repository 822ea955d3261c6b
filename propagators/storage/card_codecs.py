"""Codecs whose kernels run on a card, on slots that lie there, all shots at once."""

import ctypes
from collections.abc import Sequence
from functools import cache, cached_property
from math import prod
from pathlib import Path
from typing import Literal, Protocol

import torch
from torch import Tensor

from wavepipe.propagators.backends.card import Card, Module
from wavepipe.propagators.backends.cuda_launches import Launch
from wavepipe.propagators.backends.emit_cuda import CudaSource, Kernel, Tile, prelude
from wavepipe.propagators.backends.sweep import C_NAMES
from wavepipe.propagators.storage.codecs import Codec
from wavepipe.propagators.storage.codecs_cosine import (
    EDGE,
    LANES,
    CosineCodec,
    classes_of,
    front_of,
    tiles_of,
)

TILE = Tile(1, 256)
COSINE_TILE = Tile(1, 128)

VALUES = 8
"""Of a thread, in codecs of single values."""

CHUNK = 16384
"""Values of a stream of bits, as in codecs_tiles.h."""


@cache
def header(of: Literal["points", "cosine"]) -> str:
    """Kernels of the codecs of single values, or of blocks."""
    return Path(__file__).with_name(f"codecs_{of}_cuda.h").read_text()


class CardCodec(Protocol):
    """A codec on a card; its bytes can be read by the one of the same name on the CPU."""

    def size(self, shape: tuple[int, ...]) -> int:
        """Bytes of an encoded slot of one shot."""

    def encode(self, slots: Tensor, out: Tensor) -> None:
        """Slots (n_shots, *shape), each contiguous, to (n_shots, size) bytes."""

    def decode(self, data: Tensor, out: Tensor) -> None:
        """Back."""


def on_card(codec: Codec, card: Card, dtype: torch.dtype) -> CardCodec:
    """The kernels of a codec for slots of a precision."""
    if codec.name == "none":
        return _Copied(codec, dtype)
    if isinstance(codec, CosineCodec):
        return _Cosine(codec, card, dtype)
    return _Points(codec, card, dtype)


class _Sized:
    """What the size of a slot follows from."""

    def __init__(self, codec: Codec, dtype: torch.dtype) -> None:
        self._codec, self._dtype = codec, dtype

    def size(self, shape: tuple[int, ...]) -> int:
        """See `CardCodec`."""
        return self._codec.size(shape, self._dtype.itemsize)


class _Copied(_Sized):
    """All bits."""

    def encode(self, slots: Tensor, out: Tensor) -> None:
        """See `CardCodec`."""
        values_in(out, slots).copy_(slots)

    def decode(self, data: Tensor, out: Tensor) -> None:
        """See `CardCodec`."""
        out.copy_(values_in(data, out))


class _Arguments(ctypes.Structure):
    """Mirror of `codec_arguments`."""

    _fields_ = [
        ("values", ctypes.c_void_p),
        ("bytes", ctypes.c_void_p),
        ("values_shot", ctypes.c_longlong),
        ("bytes_shot", ctypes.c_longlong),
        ("n", ctypes.c_longlong),
    ]


class _Points(_Sized):
    """Codecs of single values: the bytes that the CPU writes."""

    def __init__(self, codec: Codec, card: Card, dtype: torch.dtype) -> None:
        super().__init__(codec, dtype)
        self._card = card

    def encode(self, slots: Tensor, out: Tensor) -> None:
        """See `CardCodec`."""
        self._launch("encode", slots, out)

    def decode(self, data: Tensor, out: Tensor) -> None:
        """See `CardCodec`."""
        self._launch("decode", out, data)

    @cached_property
    def _module(self) -> Module:
        names = [f"{way}_{self._codec.name}" for way in ("encode", "decode")]
        return _built(self._card, self._dtype, TILE, header("points"), names)

    def _launch(self, way: str, slots: Tensor, data: Tensor) -> None:
        count = prod(slots.shape[1:])
        arguments = _Arguments(
            *(slots.data_ptr(), data.data_ptr(), slots.stride(0), data.stride(0), count)
        )
        grid = -(-count // (VALUES * TILE.threads)), len(slots)
        self._module.launch([Launch(f"{way}_{self._codec.name}", grid, arguments)])


class _CosineArguments(ctypes.Structure):
    """Mirror of `cosine_arguments`."""

    _fields_ = [
        *((n, ctypes.c_void_p) for n in ("values", "bytes", "work", "loud", "starts", "order")),
        *((n, ctypes.c_longlong) for n in ("values_shot", "bytes_shot")),
        ("n", ctypes.c_int * 3),
        ("blocks", ctypes.c_int * 3),
        *((n, ctypes.c_int) for n in ("n_tiles", "n_chunks", "front", "words")),
    ]


class _Cosine(_Sized):
    """The cosine codec; transforms round otherwise than on the CPU, within the codec's bound."""

    def __init__(self, codec: Codec, card: Card, dtype: torch.dtype) -> None:
        super().__init__(codec, dtype)
        self._card = card
        self._modules: dict[int, Module] = {}
        self._scratch: dict[tuple[int, ...], list[Tensor]] = {}

    def encode(self, slots: Tensor, out: Tensor) -> None:
        """See `CardCodec`."""
        out.zero_()  # bits are given to what deserves them, perhaps not all
        self._launch(("measure", "share", "write"), slots, out)

    def decode(self, data: Tensor, out: Tensor) -> None:
        """See `CardCodec`."""
        self._launch(("allot", "read", "restore"), out, data)

    def _launch(self, kernels: Sequence[str], slots: Tensor, data: Tensor) -> None:
        shape = tuple(slots.shape[1:])
        deep = EDGE if len(shape) == 3 else 1
        values = deep * EDGE * EDGE * LANES
        tiles, front = tiles_of(shape), front_of(shape)
        chunks = -(-tiles // (CHUNK // values))
        extents = (1,) * (3 - len(shape)) + shape
        edges = (deep, EDGE, EDGE)
        arguments = _CosineArguments(
            *(slots.data_ptr(), data.data_ptr()),
            *(one.data_ptr() for one in self._held(slots, tiles, chunks)),
            *(slots.stride(0), data.stride(0)),
            (ctypes.c_int * 3)(*extents),
            (ctypes.c_int * 3)(*(-(-n // e) for n, e in zip(extents, edges, strict=True))),
            *(tiles, chunks, front, (self.size(shape) - front) // (4 * LANES)),
        )
        if deep not in self._modules:
            text = f"#define DEEP {deep}\n{header('cosine')}"
            names = ("measure", "share", "write", "allot", "read", "restore")
            self._modules[deep] = _built(
                self._card, self._dtype, COSINE_TILE, text, [f"cosine_{n}" for n in names]
            )
        streams = -(-chunks * LANES // COSINE_TILE.threads)
        blocks = {"measure": tiles, "restore": tiles, "write": streams, "read": streams}
        self._modules[deep].launch(
            [
                Launch(f"cosine_{name}", (blocks.get(name, 1), len(slots)), arguments)
                for name in kernels
            ]
        )

    def _held(self, slots: Tensor, tiles: int, chunks: int) -> list[Tensor]:
        """Transformed tiles, the loudness of their classes, starts of chunks, and the order."""
        shape = tuple(slots.shape)
        if shape not in self._scratch:
            n_shots, classes = shape[0], classes_of(shape[1:])
            work = len(shape) - 1, EDGE ** (len(shape) - 1) * LANES
            self._scratch[shape] = [
                torch.empty(n_shots * tiles * work[1], dtype=torch.float32, device=slots.device),
                torch.empty(n_shots * tiles * classes, dtype=torch.int32, device=slots.device),
                torch.empty(n_shots * (chunks + 1), dtype=torch.int32, device=slots.device),
                torch.tensor(_order(work[0]), dtype=torch.int32).to(slots.device),
            ]
        return self._scratch[shape]


def _order(ndim: int) -> list[int]:
    """Coefficients of a block in the order of their classes; where each class starts."""
    count = EDGE**ndim
    sums = [sum(i // EDGE**axis % EDGE for axis in range(ndim)) for i in range(count)]
    places = sorted(range(count), key=sums.__getitem__)
    last = ndim * (EDGE - 1)
    return places + [sum(s < k for s in sums) for k in range(last + 2)]


def _built(card: Card, dtype: torch.dtype, tile: Tile, text: str, names: Sequence[str]) -> Module:
    kind = C_NAMES[dtype]
    kernels = [[Kernel(name, ()) for name in names]]
    source = CudaSource(f"{prelude(kind, tile, 2)}\n{text}", tile, kernels)
    return card.module(2, kind, lambda _: source)


def values_in(data: Tensor, like: Tensor) -> Tensor:
    """The first bytes of each shot, (n_shots, size), as values of a tensor's kind and shape."""
    size = prod(like.shape[1:]) * like.element_size()
    return data[:, :size].view(like.dtype).view(like.shape)
