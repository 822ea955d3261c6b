"""What makes a SEG-Y file doubtful though it can be read: said louder than an assumption."""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wavepipe.pipeline.segy.file_format import SegyFile
from wavepipe.pipeline.segy.headers import Doubt
from wavepipe.pipeline.segy.text_header import read_text

# What `create_gather_file` writes.
_OWN_COUNT = re.compile(r"\b\d+ shots, (\d+) traces of \d+ samples")
# Fewer traces than this part of a usual shot make a last shot short, where shots vary.
_SHORT = 0.5
_FEWEST_SHOTS = 3


def is_depth_domain(file: SegyFile) -> bool:
    """Whether the text header says that samples are a depth step apart."""
    return any("DEPTH domain" in line for line in read_text(file)[0])


def missing_traces(file: SegyFile, shot_of_trace: NDArray[np.int64]) -> list[Doubt]:
    """Signs that a file lost its end.

    Parameters
    ----------
    file
        Opened.
    shot_of_trace : (n,)
        A number per shot, for the file's traces in their order; auxiliary ones may be left out.
    """
    stated = [file.n_traces_stated] if file.n_traces_stated else []
    stated += [int(found[1]) for line in read_text(file)[0] if (found := _OWN_COUNT.search(line))]
    if stated and file.n_traces < max(stated):
        return [
            Doubt(
                f"{file.name} holds {file.n_traces} traces, and its own header says {max(stated)}: "
                "its end is missing. Copy it again, or go on with what is there"
            )
        ]
    return _short_last_shot(file, shot_of_trace)


def _short_last_shot(file: SegyFile, shot_of_trace: NDArray[np.int64]) -> list[Doubt]:
    """A last shot with fewer traces than all the others."""
    if not len(shot_of_trace):
        return []
    _, first, counts = np.unique(shot_of_trace, return_index=True, return_counts=True)
    counts = counts[np.argsort(first)]
    last, others = int(counts[-1]), counts[:-1]
    if not len(others):
        usual = file.traces_per_ensemble
        short = last < usual
    else:
        usual = int(np.median(others))
        same = len(others) >= _FEWEST_SHOTS and bool((others == others[0]).all())
        short = last < int(others.min()) and (same or last < _SHORT * usual)
    if not short:
        return []
    return [
        Doubt(
            f"the last shot of {file.name} has {last} of the usual {usual} traces: the file "
            "may have lost its end. Copy it again, or leave that shot out with survey.shots"
        )
    ]


def varying_interval(file: SegyFile, intervals: NDArray[np.int32], dt: float) -> list[Doubt]:
    """Different sample intervals in the trace headers.

    Parameters
    ----------
    file
        Opened.
    intervals : (n_traces,), microseconds
        Bytes 117-118; 0 where not given.
    dt : s
        What is used.
    """
    values, counts = np.unique(intervals[intervals != 0], return_counts=True)
    if len(values) < 2:
        return []
    said = _listed([f"{value} us in {n} traces" for value, n in zip(values, counts, strict=True)])
    return [
        Doubt(
            f"the sample interval varies between the trace headers of {file.name} (bytes 117-118: "
            f"{said}); {1e6 * dt:g} us is used for all. If they are right, resample the "
            "traces to one interval"
        )
    ]


def _listed(parts: Sequence[str]) -> str:
    """The first few, and how many more."""
    shown = ", ".join(parts[:3])
    return shown if len(parts) <= 3 else f"{shown} and {len(parts) - 3} more"
