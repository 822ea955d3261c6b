"""Waves in a layered model, and their gradients with the wavefield kept in any way."""

import functools
from typing import Any

import numpy as np
import torch
from random_surveys import DT, RandomSurvey, uniform
from torch import Tensor
from waves import quiet

from wavepipe.propagators import Storage
from wavepipe.propagators.recording import RunInfo
from wavepipe.propagators.storage.codecs import codec_named
from wavepipe.propagators.storage.history import HistoryShape
from wavepipe.propagators.storage.keeping import Direct
from wavepipe.propagators.wavelets import ricker

STRIDE = 3
PEAK = 25.0
"""Hz."""

NT = 50
IN_MEMORY = Storage("device", "snapshots", stride=STRIDE)


class KeptSurvey(RandomSurvey):
    """Two shots with off-grid points, odd sizes, and a step in every parameter."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.models = uniform(self.physics, self.shape)
        for model in self.models.values():
            model[self.shape[0] // 2 :] *= 1.1
        self.models = {name: model.to(self.dtype) for name, model in self.models.items()}
        wavelet = torch.tensor(ricker(PEAK, DT, self.nt, 1.2 / PEAK), dtype=self.dtype)
        self.amplitudes = {name: self.noise((2, 3, 1)) * wavelet for name in self.sources}

    def given(self, *, born: bool = False) -> tuple[list[Tensor], dict[str, Any]]:
        """What gradients are taken in, and arguments of `record`."""
        sources = {name: one.clone().requires_grad_() for name, one in self.amplitudes.items()}
        models = {name: one.clone() for name, one in self.models.items()}
        chosen = {name: 0.05 * one for name, one in models.items()} if born else models
        for one in chosen.values():
            one.requires_grad_()
        arguments = {"models": models, "amplitudes": sources} | (
            {"scatter": chosen} if born else {}
        )
        return [*chosen.values(), *sources.values()], arguments

    def gradients(
        self, storage: Storage, *, born: bool = False, **options: Any
    ) -> tuple[list[Tensor], RunInfo]:
        """Of the gathers' energy, in every parameter and amplitude."""
        given, arguments = self.given(born=born)
        recording = self.record(**arguments, storage=storage, **options)
        ends = torch.sin(torch.linspace(0, np.pi, self.nt, dtype=self.dtype)) ** 2
        loss = sum((ends * one / one.detach().norm()).square().sum() for one in recording.values())
        with quiet():
            return list(torch.autograd.grad(loss, given)), recording.info


class ThroughACodec(Direct):
    """The whole history in memory, every slot encoded and decoded where it is."""

    codec = "none"

    def __init__(self, backend: Any, shape: HistoryShape) -> None:
        super().__init__(backend, shape)
        self._history = shape.allocate(shape.n_slots, zero=True)

    def backward(self, sweep: Any) -> Any:
        codec = codec_named(self.codec)
        for tensor in self._history.slots.values():
            data = np.empty(codec.size(tensor.shape[2:], tensor.dtype.itemsize), np.uint8)
            for slot in tensor.flatten(0, 1).numpy():
                codec.encode(slot[None], data)
                codec.decode(data, slot[None])
        return super().backward(sweep)


def through(codec: str) -> type[Direct]:
    """What keeps a history in memory after one codec."""
    return type("Through", (ThroughACodec,), {"codec": codec})


def same(found: list[Tensor], expected: list[Tensor]) -> bool:
    """Whether all bits are."""
    return all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@functools.cache
def made(physics, ndim, faces="z0", backend="c", dtype=torch.float64):
    """A survey and its gradients with everything in memory."""
    found = KeptSurvey(physics, ndim, faces, nt=NT, backend=backend, dtype=dtype)
    return found, found.gradients(IN_MEMORY)[0]


def on(folder, storage_mode="disk", method="snapshots", **options):
    """Storage on disk; the folder matters to no other mode."""
    path = folder if storage_mode == "disk" else None
    return Storage(storage_mode, method, **{"stride": STRIDE, "path": path} | options)
