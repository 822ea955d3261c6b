"""Executing stencil programs: `reference` in plain torch, `c` compiled, `cuda` on a card."""

import warnings

import torch

from wavepipe.propagators.backends.sweep import Backend
from wavepipe.propagators.errors import OptionError

BACKENDS = ("auto", "c", "cuda", "reference")


def choose_backend(name: str, dtype: torch.dtype, device: torch.device) -> Backend:
    """The back-end by name; ``auto`` is the compiled one of the device where the tensors are.

    Raises
    ------
    OptionError
        There is none of that name, or it does not run there.
    BackendError
        A card's driver or compiler is missing or too old.
    """
    from wavepipe.propagators.backends.c import Compiled
    from wavepipe.propagators.backends.compiler import find_compiler
    from wavepipe.propagators.backends.reference import Reference

    if name not in BACKENDS:
        raise OptionError(f"backend {name!r} does not exist; use one of {', '.join(BACKENDS)}.")
    if name == "reference":
        return Reference()
    if device.type != "cpu":
        if name == "c":
            raise OptionError(
                f"backend 'c' runs on the CPU, but the earth model is on {device}: move the "
                "tensors there with .cpu(), or use backend 'cuda'."
            )
        return on_card(dtype, device)
    if name == "cuda":
        raise OptionError(
            "backend 'cuda' runs where the tensors are, and the earth model is on the CPU: move "
            "them to a card with .cuda(), or use backend 'c'."
        )
    if name == "auto" and find_compiler() is None:
        warnings.warn(
            "no C compiler found (CC, cc, gcc, clang): propagating with the reference back-end, "
            "about a hundred times slower. Install a compiler.",
            stacklevel=4,
        )
        return Reference()
    return Compiled(dtype.itemsize)


def on_card(dtype: torch.dtype, device: torch.device) -> Backend:
    """The CUDA back-end, for tensors of a device."""
    from wavepipe.propagators.backends.cuda import Cuda
    from wavepipe.propagators.backends.cuda_device import card_of

    return Cuda(dtype.itemsize, card_of(device))
