"""Executing stencil programs: `reference` in plain torch, `c` compiled."""

import warnings

import torch

from wavepipe.propagators.backends.sweep import Backend
from wavepipe.propagators.errors import OptionError

BACKENDS = ("auto", "c", "reference")


def choose_backend(name: str, dtype: torch.dtype) -> Backend:
    """The back-end by name; ``auto`` is the compiled one."""
    from wavepipe.propagators.backends.c import Compiled
    from wavepipe.propagators.backends.compiler import find_compiler
    from wavepipe.propagators.backends.reference import Reference

    if name not in BACKENDS:
        raise OptionError(f"backend {name!r} does not exist; use one of {', '.join(BACKENDS)}.")
    if name == "auto" and find_compiler() is None:
        warnings.warn(
            "no C compiler found (CC, cc, gcc, clang): propagating with the reference back-end, "
            "about a hundred times slower. Install a compiler.",
            stacklevel=4,
        )
        return Reference()
    return Reference() if name == "reference" else Compiled(dtype.itemsize)
