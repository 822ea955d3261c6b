"""A card without one: tensors that say they are on a device of their own, and mind it.

They hold tensors of the CPU, so the emulated kernels run on them. What a card refuses they refuse:
operations with tensors of the CPU, and `numpy`. Their device is called ``meta``, the only name that
torch lets anybody use without a driver.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from emulated_cuda import emulated
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

from wavepipe.propagators import backends, devices

CARD = torch.device("meta")

_aten = torch.ops.aten
COPIES = (_aten.copy_.default,)
TO_NUMBERS = (_aten._local_scalar_dense.default,)


class CardTensor(torch.Tensor):
    """A tensor on the card."""

    @staticmethod
    def __new__(cls, held):
        return torch.Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=CARD,
        )

    def __init__(self, held):
        self.held = held

    def data_ptr(self):
        return self.held.data_ptr()

    def numpy(self, *, force=False):
        raise TypeError("a tensor on the card is no numpy array; copy it to the CPU first")

    def tolist(self):
        return self.held.tolist()

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {})


class _Dispatch(TorchDispatchMode):
    """Makes tensors on the card where they are asked for."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {})


def _run(func, args, kwargs):
    given = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
    there = [t for t in given if isinstance(t, CardTensor)]
    here = [t for t in given if not isinstance(t, CardTensor)]
    if there and func not in COPIES and any(t.dim() for t in here):
        raise RuntimeError(f"{func} of tensors on the card and on the CPU")
    device = kwargs.get("device")
    target = bool(there) if device is None else torch.device(device) == CARD
    if device is not None:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    inner = tree_map(_held, (args, kwargs))
    out = func(*inner[0], **inner[1])
    if func in TO_NUMBERS:
        return out
    if func in COPIES:
        return args[0]
    if there and not target and isinstance(out, torch.Tensor):
        return out.clone()  # a copy, as from one memory to another
    if not target:
        return out
    out = tree_map(lambda one: CardTensor(one) if isinstance(one, torch.Tensor) else one, out)
    return return_and_correct_aliasing(func, args, kwargs, out) if there else out


def _held(one):
    return one.held if isinstance(one, CardTensor) else one


@contextmanager
def a_card(**options) -> Iterator[torch.device]:
    """A device to which tensors can be moved; calls run there on the emulated kernels."""
    with pytest.MonkeyPatch.context() as patch, _Dispatch():
        patch.setattr(devices, "KINDS", (*devices.KINDS, CARD.type))
        patch.setattr(backends, "on_card", lambda dtype, _: emulated(dtype, **options))
        yield CARD
