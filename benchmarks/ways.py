"""Every way of keeping the wavefield of a case, and what each takes by prediction."""

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any

from benchmarks.cases import PML_WIDTH, SPACING, Case, make_inputs
from wavepipe.propagators import Boundary, Storage
from wavepipe.propagators.errors import OptionError
from wavepipe.propagators.planning import CallPlan, plan_call
from wavepipe.propagators.storage.memory import free_memory
from wavepipe.propagators.storage.names import COMPRESSIONS, METHODS
from wavepipe.propagators.time_resampling import bandwidth

MODES = ("device", "disk")
"""Where the CPU propagates, ``cpu`` is ``device``."""

ROOM = 0.9
"""Of what is free that a run may take."""


@dataclass(frozen=True)
class Way:
    """One row of the table."""

    mode: str
    method: str
    compression: str

    @property
    def lossless(self) -> bool:
        """Whether its gradient has the bits of uncompressed snapshots in memory."""
        return self.compression == "none" and self.method in ("snapshots", "recompute")


@dataclass(frozen=True)
class Prediction:
    """What a gradient takes."""

    memory: int
    """Bytes above those of a forward run."""
    disk: int
    """Bytes."""
    stride: int
    fits: bool
    """Into this machine's memory and the scratch folder, now."""


METHOD_NAMES = tuple(name for name in METHODS if name != "auto")

CODEC_NAMES = tuple(name for name in COMPRESSIONS if name != "auto")


inputs_of = lru_cache(maxsize=1)(make_inputs)
"""In 3-D an earth model takes seconds."""


def all_ways(methods: Sequence[str], codecs: Sequence[str]) -> list[Way]:
    """Methods in every mode; where a method takes codecs, without and with them."""
    ways = [
        Way(mode, method, codec)
        for method in METHOD_NAMES
        for mode in MODES
        for codec in CODEC_NAMES
        if method in methods and codec in ("none", *codecs) and _exists(mode, method, codec)
    ]
    # A reference for the errors comes first.
    return sorted(ways, key=lambda way: not way.lossless)


def predicted(case: Case, way: Way, scratch: Path) -> Prediction:
    """Memory, disk and stride of a gradient kept in one way."""
    storage = Storage(**asdict(way), path=scratch if way.mode == "disk" else None)
    gradient, forward = (planned(case, storage, gradient=one) for one in (True, False))
    fits = gradient.bytes <= ROOM * free_memory()
    fits &= gradient.disk_bytes <= ROOM * shutil.disk_usage(scratch).free
    memory = gradient.bytes - forward.bytes
    return Prediction(memory, gradient.disk_bytes, gradient.stride, fits)


def planned(case: Case, storage: Storage, *, gradient: bool) -> CallPlan:
    """The plan of the call that `Wavepipe` makes."""
    inputs = inputs_of(case)
    return plan_call(
        case.shape,
        SPACING,
        inputs.dt,
        case.nt,
        case.n_shots,
        inputs.receivers.shape[1],
        velocity_bound=inputs.velocity_bound,
        physics=case.physics,
        wanted=tuple(inputs.models),
        order=case.order,
        boundary=Boundary(pml_width=PML_WIDTH, pml_frequency=case.peak_frequency),
        time_step=inputs.dt,
        correct_time_dispersion=False,
        storage=storage,
        gradient=gradient,
        max_frequency=bandwidth(inputs.wavelet, inputs.dt, storage.tolerance),
    )


def deepwave_bytes(case: Case) -> int:
    """What Deepwave keeps: every step of its stored arrays, with layers and a stencil's guard."""
    arrays = {
        "scalar": 1,
        "acoustic": 1 + case.ndim,
        "elastic": 5 if case.ndim == 2 else 9,
    }[case.physics]
    cells = prod(n + 2 * PML_WIDTH + case.order for n in case.shape)
    return 4 * arrays * cells * case.nt * case.n_shots


def _exists(mode: Any, method: Any, codec: str) -> bool:
    try:
        Storage(mode, method, codec)
    except OptionError:
        return False
    return True
