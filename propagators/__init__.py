"""Waves on one device: tensors in, gathers and gradients out.

Names load on first use, so that `import wavepipe.propagators.errors` needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wavepipe.propagators.acoustic_waves import acoustic, acoustic_born
    from wavepipe.propagators.boundary import Boundary
    from wavepipe.propagators.elastic_waves import elastic, elastic_born
    from wavepipe.propagators.recording import Recording
    from wavepipe.propagators.scalar_waves import scalar, scalar_born
    from wavepipe.propagators.storage.policy import Storage
    from wavepipe.propagators.waves import propagate

__all__ = [
    "Boundary",
    "Recording",
    "Storage",
    "acoustic",
    "acoustic_born",
    "elastic",
    "elastic_born",
    "propagate",
    "scalar",
    "scalar_born",
]

_HOMES = {
    "Boundary": "boundary",
    "Recording": "recording",
    "Storage": "storage.policy",
    "acoustic": "acoustic_waves",
    "acoustic_born": "acoustic_waves",
    "elastic": "elastic_waves",
    "elastic_born": "elastic_waves",
    "propagate": "waves",
    "scalar": "scalar_waves",
    "scalar_born": "scalar_waves",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
