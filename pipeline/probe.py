"""Ways of keeping wavefields, measured on one shot of the survey before the plan is fixed.

How much of a gradient a codec takes depends on the data: where a mute leaves little of the
wavefields' product, its error weighs more. So no table of codecs decides, but the user's own shot.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from wavepipe.pipeline.inputs import Inputs
from wavepipe.pipeline.keeping import Keeping
from wavepipe.pipeline.passes import Pass
from wavepipe.pipeline.trial import Trial, middle, trial
from wavepipe.propagators.errors import WavepipeError
from wavepipe.propagators.storage.amounts import size

logger = logging.getLogger(__name__)

PROBE_SECONDS = 120.0
"""What measuring may take in any run."""

PROBE_SHARE = 0.01
"""Part of a run's work that measuring may take where that is more."""

SHORT = 2.0
"""s; gradients that take less in all are repeated, since other work disturbs them."""

REPEATS = 3

Arrays = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Measured:
    """One way of keeping the wavefield of one shot."""

    mode: str
    """``device``, ``cpu`` or ``disk``."""

    method: str
    """``snapshots``, ``boundary`` or ``recompute``."""

    compression: str
    """Codec of the snapshots."""

    memory: int
    """Bytes of memory for the wavefield of a shot."""

    disk: int
    """Bytes on disk."""

    seconds: float
    """Of a gradient of the probe shot; nan where it was not measured."""

    error: float
    """Of that gradient, relative to one for which nothing was lost; nan where not measured."""

    def satisfies(self, allowed: float) -> bool:
        """Whether it was measured, and its error is allowed."""
        return self.error <= allowed  # of nan False

    def __str__(self) -> str:
        said = f"error {self.error:.2g}, {self.seconds:.3g} s"
        if np.isnan(self.error):
            said = "not measured"
        disk = f" and {size(self.disk)} on disk" if self.disk else ""
        return (
            f"{self.mode}, {self.method}, {self.compression}: {said}, {size(self.memory)} of "
            f"memory{disk}"
        )


def probe(
    inputs: Inputs,
    one: Pass,
    reference: Keeping,
    ways: Sequence[Keeping],
    variables: tuple[str, ...],
    threads: int,
    allowed: float,
    patience: float,
) -> tuple[Measured, ...]:
    """Error, time and bytes of some ways of keeping the wavefield of a shot in mid survey.

    Parameters
    ----------
    one
        Frequency band.
    reference
        That loses nothing.
    ways
        To measure, the exact ones first, then from little to large losses.
    variables
        Parameters whose gradient is wanted.
    threads
        Of a call.
    allowed
        Relative error of a gradient; what loses more than a codec with more is not measured.
    patience
        Seconds that measuring may take.

    Returns
    -------
    tuple
        One per way; with nan those that there is no time for, and all where the shot fails or
        there is no room to measure in.
    """
    label = inputs.survey.label(middle(inputs))
    logger.info("measuring how to keep wavefields on shot %s", label)
    found = [_unmeasured(way) for way in ways]
    try:
        with trial(inputs, one, reference, variables, threads) as shot:
            _measure(shot, reference, ways, found, allowed, patience)
    except (OSError, WavepipeError) as error:
        logger.warning("ways of keeping wavefields could not be measured: %s", error)
    return tuple(found)


def _measure(
    shot: Trial,
    reference: Keeping,
    ways: Sequence[Keeping],
    found: list[Measured],
    allowed: float,
    patience: float,
) -> None:
    """Put what is measured in the place of what is found so far."""
    began = time.perf_counter()
    expected = _gradient(shot, reference)
    longest = time.perf_counter() - began
    if expected is None:
        return
    too_lossy = ""
    for k, way in enumerate(ways):
        if time.perf_counter() - began + 1.5 * longest > patience:
            break
        if too_lossy not in ("", way.compression):
            continue
        seconds, arrays = _timed(shot, way)
        longest = max(longest, seconds)
        if arrays is None:
            continue
        found[k] = replace(found[k], seconds=seconds, error=_error(arrays, expected))
        if found[k].error > allowed and way.compression != "none":
            too_lossy = way.compression


def _unmeasured(way: Keeping) -> Measured:
    return Measured(
        way.mode,
        way.method,
        way.compression,
        way.shot_memory,
        way.shot_disk,
        seconds=float("nan"),
        error=float("nan"),
    )


def _timed(shot: Trial, way: Keeping) -> tuple[float, Arrays | None]:
    """The least time of a few gradients, s, and their arrays; one where it takes long."""
    times: list[float] = []
    while len(times) < REPEATS and sum(times) < SHORT:
        start = time.perf_counter()
        arrays = _gradient(shot, way)
        times.append(time.perf_counter() - start)
    return min(times), arrays


def _gradient(shot: Trial, way: Keeping) -> Arrays | None:
    """Arrays of the shot; None where it fails, which the run itself will say."""
    partial = shot.shot(keeping=way)
    return None if partial.failures else partial.arrays


def _error(found: Arrays, expected: Arrays) -> float:
    """Largest relative error (root mean square) of a gradient; 0 where all are zero."""
    worst = 0.0
    for name, array in expected.items():
        if name == "illumination":
            continue
        difference = float(np.linalg.norm(found[name].astype(np.float64) - array))
        norm = float(np.linalg.norm(array.astype(np.float64)))
        worst = max(worst, difference / norm if norm else difference)
    return worst


def as_plain(measured: Sequence[Measured]) -> list[dict[str, object]]:
    """Rows for JSON, which has no nan."""
    return [
        {key: None if value != value else value for key, value in asdict(one).items()}
        for one in measured
    ]
