"""What is worth saying of a survey's headers: contradictions, gaps, what may be missing."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wavepipe.pipeline.segy.doubts import missing_traces, varying_interval
from wavepipe.pipeline.segy.file_format import SegyFile
from wavepipe.pipeline.segy.headers import Doubt
from wavepipe.pipeline.segy.index import Headers
from wavepipe.pipeline.shots import Survey


def file_notes(opened: Sequence[SegyFile]) -> list[str]:
    """Gather what was assumed to open the files, each sentence once."""
    where: dict[str, list[str]] = {}
    for file in opened:
        for sentence in file.assumptions:
            where.setdefault(sentence, []).append(file.name)
    if len(opened) == 1:
        return list(where)
    return [
        type(sentence)(f"{names[0] if len(names) == 1 else f'{len(names)} files'}: {sentence}")
        for sentence, names in where.items()
    ]


def note_offsets(
    headers: Headers,
    source: NDArray[np.float64],
    receiver: NDArray[np.float64],
    notes: list[str],
) -> None:
    """Report offsets that the positions contradict."""
    offset = np.abs(headers["offset"]).astype(np.float64)
    distance = np.hypot(*(receiver - source).T)
    known = (offset > 0) & (distance > 0)
    if not known.any():
        return
    # Offsets are whole metres, and feathered or elevated spreads differ a little.
    wrong = np.abs(distance[known] - offset[known]) > 2.0 + 0.05 * offset[known]
    if wrong.mean() > 0.05:
        notes.append(
            f"offset field (bytes 37-40) disagrees with the positions in {int(wrong.sum())} of "
            f"{len(offset)} traces; positions are used"
        )


def note_doubts(
    survey: Survey,
    opened: Sequence[SegyFile],
    file_of_trace: NDArray[np.int32],
    interval: NDArray[np.integer],
    notes: list[str],
) -> None:
    """Report what may be missing from the files, or wrong in them.

    `file_of_trace` and `interval` (us) are those of the headers, in the files' order.
    """
    shot = np.repeat(np.arange(survey.n_shots), np.diff(survey.first_trace))
    for index, file in enumerate(opened):
        rows = np.flatnonzero(survey.trace_file == index)
        in_file = shot[rows[np.argsort(survey.trace_number[rows])]]
        notes += missing_traces(file, in_file)
        if not any(is_about_interval(note) for note in notes):
            notes += varying_interval(file, interval[file_of_trace == index], survey.dt)


def note_shots(survey: Survey, notes: list[str]) -> None:
    """Report shots of one field record at several places, and gaps in the numbering."""
    records = np.unique(survey.labels[:, 0])
    if len(records) < survey.n_shots:
        notes.append(
            f"{survey.n_shots} shots share {len(records)} field record numbers; they are told "
            "apart by source position"
        )
    steps = np.diff(records)
    if len(steps) > 2:
        step = int(np.median(steps))
        gaps = int(np.sum(np.maximum(steps // step - 1, 0)))
        if gaps:
            notes.append(f"{gaps} field records are missing in the sequence (step {step})")


def is_about_interval(note: str) -> bool:
    """Whether a note doubts the sample interval."""
    return isinstance(note, Doubt) and "sample interval" in note
