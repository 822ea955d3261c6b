"""The device of a call: that of its earth model. What is elsewhere is refused."""

from collections.abc import Mapping

import torch
from torch import Tensor

from wavepipe.propagators.errors import OptionError

KINDS = ("cpu", "cuda")
"""Devices that propagate."""


def check_device(tensor: Tensor, name: str, like: Tensor | None = None, of: str = "") -> None:
    """Refuse a tensor that is on no device that propagates, or not on that of another one.

    Raises
    ------
    OptionError
        It says how to move it.
    """
    if tensor.device.type not in KINDS:
        raise OptionError(
            f"{name} is on device {tensor.device}; waves propagate on the CPU or on a CUDA device: "
            f"{name}.cpu()."
        )
    if like is not None and tensor.device != like.device:
        raise OptionError(
            f"{name} is on device {tensor.device} but {of} on {like.device}; the tensors of a call "
            f"are on one device: use .to({str(like.device)!r})."
        )


def check_amplitudes(amplitudes: Mapping[str, Tensor], like: Tensor, of: str) -> None:
    """Refuse source amplitudes that are not where the earth model is, with an OptionError."""
    for name, one in amplitudes.items():
        check_device(one, f"the amplitude of source {name!r}", like, of)


def on_host(values: object) -> object:
    """A tensor's values on the CPU; anything else as it is."""
    return values.cpu() if isinstance(values, torch.Tensor) else values
