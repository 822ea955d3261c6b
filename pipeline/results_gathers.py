"""Gathers in the Zarr store of results: one array per component, filled by workers."""

from __future__ import annotations

import fcntl
import math
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import numpy as np
import zarr

from wavepipe.pipeline.durable import flush
from wavepipe.pipeline.quantities import component_meaning, component_unit
from wavepipe.pipeline.results_store import (
    CHUNK_BYTES,
    Layout,
    create_array,
    fill_array,
    open_array,
)
from wavepipe.pipeline.survey_components import one_component

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    from wavepipe.pipeline.shots import Survey


def gather_name(component: str, components: Sequence[str]) -> str:
    """Name of a component's array: ``gather`` where there is no other, else ``gather_vz`` ...

    Examples
    --------
    >>> gather_name("vz", ("vz",)), gather_name("vz", ("vz", "vx"))
    ('gather', 'gather_vz')
    """
    return "gather" if len(components) == 1 else f"gather_{component}"


def create_gathers(group: zarr.Group, survey: Survey, wavelet_unit: str = "") -> None:
    """Make empty gathers, with their coordinates along the traces.

    Parameters
    ----------
    group
        The store.
    survey
        Shots and traces; all components share their places.
    wavelet_unit
        Of the source time function for which the gathers have their units.
    """
    alone = one_component(survey, survey.components[0])
    counts = np.diff(alone.first_trace)
    axes = ("z", "x") if survey.ndim == 2 else ("z", "y", "x")
    shot = np.repeat(np.asarray(survey.original_index), counts)
    fill_array(group, "shot", shot, ("trace",), long_name="index of the shot in the survey")
    for column, axis in enumerate(axes):
        source = np.repeat(survey.source_positions[:, column], counts)
        receiver = alone.receiver_positions[:, column]
        for name, values in (("source", source), ("receiver", receiver)):
            meaning = {"units": "m", "long_name": f"{axis} of the {name}"}
            fill_array(group, f"{name}_{axis}", values, ("trace",), **meaning)
    fill_array(group, "trace", np.arange(alone.n_traces), ("trace",), long_name="trace number")
    time = survey.dt * np.arange(survey.nt)
    fill_array(group, "time", time, ("time",), units="s", long_name="time")
    names = ["shot", *(f"{kind}_{axis}" for kind in ("source", "receiver") for axis in axes)]
    chunks = (_trace_chunk(counts, survey.nt), survey.nt)
    layout = Layout(("trace", "time"), (alone.n_traces, survey.nt), chunks)
    scale = {"comment": f"for a wavelet in {wavelet_unit}"} if wavelet_unit else {}
    for component in survey.components:
        create_array(
            group,
            gather_name(component, survey.components),
            layout,
            units=component_unit(component),
            long_name=component_meaning(component),
            component=component,
            coordinates=" ".join(names),
            **scale,
        )


def _trace_chunk(counts: NDArray[np.int64], nt: int) -> int:
    """Traces per chunk: whole shots, or a common divisor, so that workers share no chunk."""
    if not counts.size or counts.max() == 0:
        return 1
    divisor = math.gcd(*(int(count) for count in np.unique(counts)))
    most = max(1, CHUNK_BYTES // (4 * nt))
    if divisor < 8 and counts.max() > 8:
        # Too fine for one file each; such chunks are shared, and `write_gather` takes turns.
        return min(int(counts.max()), most)
    if divisor <= most:
        return divisor
    return next(size for size in range(most, 0, -1) if divisor % size == 0)


def write_gather(path: Path, first_trace: int, gather: ArrayLike, name: str = "gather") -> None:
    """Write the traces of one shot, safe from a loss of power; several workers may do so at once.

    Parameters
    ----------
    path
        The store.
    first_trace
        Place of the shot's first trace: ``survey.first_trace[i]``.
    gather : (n_receivers, nt)
        The traces.
    name
        Of the array; see `gather_name`.
    """
    values = np.asarray(gather, dtype=np.float32)
    array = open_array(path, name)
    stop = first_trace + values.shape[0]
    chunk = array.chunks[0]
    alone = first_trace % chunk == 0 and (stop % chunk == 0 or stop == array.shape[0])
    # Shots of different length share chunks, and a chunk is rewritten as a whole.
    with nullcontext() if alone else _lock(path / name):
        array[first_trace:stop] = values
    for row in range(first_trace // chunk, -(-stop // chunk)):
        folder = path / name / "c" / str(row)
        for file in (folder, *folder.rglob("*")):
            if file.suffix != ".partial":  # another shot's, which is about to be renamed
                flush(file)


@contextmanager
def _lock(array: Path) -> Iterator[None]:
    """Take turns with other processes that write to shared chunks of an array."""
    # No file of its own: the array's metadata lie still while its chunks are written.
    with (array / "zarr.json").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)
