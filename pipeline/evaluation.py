"""One evaluation: everything a leaf needs to know, as a small file named by its content.

The file holds settings and paths, never arrays: the earth model, the wavelet and the survey lie
beside it in the run folder, named by their own content. So a key made from the file's name changes
whenever anything does that could change the result, and leaves can keep what they have read.
"""

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from wavepipe.pipeline.keeping import Keeping
from wavepipe.pipeline.plain import from_plain

Tensor = tuple[tuple[float, ...], ...]
"""Moment tensor, (ndim, ndim), axes in order."""

Wanted = Literal["gathers", "image", "gradient", "misfit"]


@dataclass(frozen=True, slots=True)
class Propagation:
    """What a propagator is told besides arrays; fixed by the plan, so that bits cannot vary."""

    spacing: tuple[float, ...]
    """Per axis, m."""

    dt: float
    """Sample interval of wavelet and gathers, s."""

    nt: int
    """Samples."""

    order: int
    """Of accuracy in space."""

    pml_width: int
    """Absorbing layer, cells."""

    pml_frequency: float
    """That the absorbing layer is tuned to, Hz."""

    free_surface: tuple[str, ...]
    """Faces where the pressure, or the traction, is zero."""

    sponge: tuple[float, float]
    """Damping of every field in the absorbing layers: strength and power of its profile."""

    contacts: tuple[int, int] | None
    """Rows of a solid's earth model where it touches water: first, and one past the last."""

    velocity_bound: float
    """Highest velocity the time step allows for, m/s."""

    time_step: float
    """Internal step, s."""

    correct_time_dispersion: bool
    """Whether the error of the time stepping is removed."""

    reference_frequency: float | None
    """At which velocities are those of the earth model, where there are losses, Hz."""

    stride: int
    """Every which step of the forward wavefield is kept for a gradient."""

    max_gradient_error: float
    """Relative error that the stride may cause."""

    backend: str
    """What computes: c or reference."""


@dataclass(frozen=True, slots=True)
class PointSource:
    """What the correction from point-source to line-source data needs."""

    velocity: str
    """Path of the velocities (m/s) whose value at a source is that of its path."""

    centre: float
    """Time of the wavelet's energy, s: spreading counts from there."""


@dataclass(frozen=True, slots=True)
class Treatment:
    """What is done to observed gathers before they are compared or migrated."""

    max_frequency: float | None = None
    """Low-pass, the same on the wavelet, Hz."""

    band: float | None = None
    """Highest frequency of the forward wavefield, Hz; the adjoint source is limited to it."""

    taper_end: float = 0.0
    """Length of the taper at the end of the traces, s."""

    mute: tuple[float, float, float] | None = None
    """Of the direct arrival: velocity (m/s), flat (s), taper (s)."""

    point_source: PointSource | None = None
    """How data that spread as from a point become line-source data; None: they do already."""

    component_weights: dict[str, float] = field(default_factory=dict)
    """Factor on the misfit, or on the image, of each component; 1 where absent."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One pass over the shots."""

    wanted: Wanted
    """What is computed."""

    physics: str
    """The wave equation."""

    propagation: Propagation
    """How waves are computed."""

    survey: str
    """Path of the saved survey."""

    model: dict[str, str]
    """Path of the array of each parameter of the physics."""

    wavelet: str
    """Path of the wavelet's samples."""

    source: str
    """What the wavelet drives: pressure, fz, ..., moment."""

    origin: tuple[float, ...]
    """Position of the model's first node, m."""

    aperture: float | None
    """Beyond sources and receivers, m; None for the whole model."""

    call_shots: int
    """Most shots in one call of a propagator; cannot change a bit."""

    threads: int
    """That a call may use; cannot change a bit either."""

    keeping: Keeping
    """How the forward wavefield of a gradient is kept."""

    scratch: str
    """Folder for wavefields on disk where a node's own is in memory."""

    moment: Tensor | None = None
    """Moment tensor that the wavelet is multiplied with, where `source` is ``moment``."""

    variables: tuple[str, ...] = ()
    """Parameters whose gradient is wanted."""

    source_scale: float = 1.0
    """Power of two that wavelet and wavefield are multiplied with; gathers are scaled back."""

    result_scale: float = 1.0
    """Power of two that gradients and images are multiplied with."""

    treatment: Treatment = Treatment()
    """Of the observed gathers."""

    misfit: str = "l2"
    """How gathers are compared."""

    illumination: bool = False
    """Whether the source illumination is summed too."""

    segy: dict[str, str] | None = None
    """SEG-Y file that the gathers of each component are written to."""

    store: str | None = None
    """Zarr store that gathers are written to."""


def save_evaluation(evaluation: Evaluation, folder: Path) -> Path:
    """Write the evaluation to a file named by its content, and return its path."""
    text = json.dumps(asdict(evaluation), indent=1, sort_keys=True)
    path = folder / f"evaluation-{_digest(text.encode())}.json"
    _write_once(path, text.encode())
    return path


@lru_cache(maxsize=8)
def load_evaluation(path: str) -> Evaluation:
    """Evaluation in a file that `save_evaluation` wrote."""
    return from_plain(Evaluation, json.loads(Path(path).read_text(encoding="utf-8")))


def save_array(name: str, values: NDArray[Any], folder: Path) -> str:
    """Write an array to a file named by its content, and return its path."""
    values = np.ascontiguousarray(values)
    path = folder / f"{name}-{content_name(values)}.npy"
    if not path.exists():
        partial = path.with_suffix(f".{os.getpid()}.partial")
        with partial.open("wb") as file:
            np.save(file, values)
        partial.replace(path)
    return str(path)


def content_name(values: NDArray[Any]) -> str:
    """Name of a contiguous array, of its shape, type and content."""
    kind = repr((values.shape, values.dtype.str)).encode()
    return _digest(kind + values.tobytes())


@lru_cache(maxsize=8)
def load_array(path: str) -> NDArray[Any]:
    """Array in a file that `save_array` wrote, mapped: a window reads its own part only."""
    values: NDArray[Any] = np.load(path, mmap_mode="r")
    return values


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=10).hexdigest()


def _write_once(path: Path, content: bytes) -> None:
    if path.exists():
        return
    partial = path.with_suffix(f".{os.getpid()}.partial")
    partial.write_bytes(content)
    partial.replace(path)
