"""What a propagator returns."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What was chosen for a call."""

    time_step: float
    """Internal step, s."""
    n_steps: int
    """Internal steps, those before t = 0 and after the last sample included."""
    stride: int
    """Steps between two snapshots of the forward wavefield; 0 where none is kept."""
    mode: str
    """Where the forward wavefield is kept: ``device``, ``cpu``, ``disk`` or ``none``."""
    method: str
    """What is kept of it: ``snapshots``, ``boundary``, ``recompute`` or ``none``."""
    compression: str
    """The codec of the snapshots."""
    backend: str
    """``c``, ``cuda`` or ``reference``."""
    bytes: int
    """Memory of the kept wavefield, buffers included."""
    disk_bytes: int
    """What it takes on disk."""


class Recording(Mapping[str, Tensor]):
    """Gathers by component, each (n_shots, n_receivers, nt), differentiable.

    Attributes
    ----------
    info : RunInfo
    illumination : (n_shots, *model) or None
        Energy over time of what the earth model multiplies in the source wavefield, the diagonal
        of the source side of the Gauss-Newton Hessian (Shin, Jang and Min 2001).
    """

    def __init__(
        self, gathers: Mapping[str, Tensor], info: RunInfo, illumination: Tensor | None = None
    ) -> None:
        self._gathers = dict(gathers)
        self.info = info
        self.illumination = illumination

    def __getitem__(self, component: str) -> Tensor:
        return self._gathers[component]

    def __iter__(self) -> Iterator[str]:
        return iter(self._gathers)

    def __len__(self) -> int:
        return len(self._gathers)

    def __repr__(self) -> str:
        shapes = ", ".join(f"{k}: {tuple(v.shape)}" for k, v in self.items())
        return f"Recording({shapes}; {self.info})"
