"""A survey as columns: where every source and receiver is, and where its trace lies on disk."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wavepipe.pipeline.errors import SurveyError
from wavepipe.pipeline.segy.file_format import file_status

_NO_DATA = -1


@dataclass(frozen=True, slots=True)
class Shot:
    """One source activation and where it is recorded."""

    index: int
    """Place in the survey's sorted shots: the leaf of the reduction tree."""

    label: str
    """Field record, with the energy source point where that differs: '1203' or '1203/17'."""

    source_position: NDArray[np.float64]
    """(ndim,), m, in the order z, [y], x."""

    receiver_positions: NDArray[np.float64]
    """(n_receivers, ndim), m."""

    live: NDArray[np.bool_]
    """(n_receivers,): False for traces whose header says dead."""


@dataclass(frozen=True, slots=True, eq=False)
class Gather:
    """The traces of one shot."""

    samples: NDArray[np.float32]
    """(n_receivers, nt); sample n is at n dt after the shot; dead traces are zero."""

    live: NDArray[np.bool_]
    """(n_receivers,): False where the header says dead, or samples are not finite or all zero."""

    finite: NDArray[np.bool_]
    """(n_receivers,): False where the file holds NaN or infinities."""


@dataclass(frozen=True, slots=True, eq=False)
class Survey:
    """Shots in a fixed order, their geometry, and the place of each trace on disk.

    Shots are sorted by field record, then by source position along x, y and z; the receivers of a
    shot by component, then as they lie in the files. Positions are coordinates of the earth
    model's system, in metres and in the order (z, x) or (z, y, x): subtract the model's origin to
    count from its first node.
    """

    ndim: int
    """2 or 3."""

    dt: float
    """Sample interval, s."""

    nt: int
    """Samples per trace, counted from the time of the shot."""

    files: tuple[str, ...]
    """SEG-Y files; empty for a layout."""

    source_positions: NDArray[np.float64]
    """(n_shots, ndim), m."""

    labels: NDArray[np.int64]
    """(n_shots, 2): field record and energy source point."""

    original_index: NDArray[np.int64]
    """(n_shots,): index of the shot before any selection."""

    first_trace: NDArray[np.int64]
    """(n_shots + 1,): shot i has the traces first_trace[i] up to first_trace[i + 1]."""

    receiver_positions: NDArray[np.float64]
    """(n_traces, ndim), m."""

    trace_file: NDArray[np.int32]
    """(n_traces,): index into `files`; -1 in a layout."""

    trace_number: NDArray[np.int64]
    """(n_traces,): number of the trace in its file, from 0; -1 in a layout."""

    live: NDArray[np.bool_]
    """(n_traces,): False for traces whose header says dead."""

    delay: NDArray[np.float64]
    """(n_traces,): time of a trace's first sample after the shot, s."""

    component: NDArray[np.int8]
    """(n_traces,): index into `components`."""

    components: tuple[str, ...] = ("pressure",)
    """What is recorded: 'pressure', 'vz', ..."""

    assumptions: tuple[str, ...] = ()
    """What had to be assumed to read the survey."""

    @property
    def n_shots(self) -> int:
        """Number of shots."""
        return len(self.source_positions)

    @property
    def n_traces(self) -> int:
        """Number of traces of all shots."""
        return len(self.receiver_positions)

    @property
    def has_data(self) -> bool:
        """Whether the traces lie in files (False for a layout)."""
        return bool(self.files)

    def traces(self, i: int) -> slice:
        """Range of shot `i` in the arrays by trace."""
        return slice(int(self.first_trace[i]), int(self.first_trace[i + 1]))

    def n_receivers(self, i: int) -> int:
        """Number of traces of shot `i`."""
        return int(self.first_trace[i + 1] - self.first_trace[i])

    def component_traces(self, i: int) -> dict[str, slice]:
        """Range of each component's traces among those of shot `i`; they follow each other."""
        found = self.component[self.traces(i)]
        edges = np.searchsorted(found, np.arange(len(self.components) + 1))
        return {
            name: slice(int(a), int(b))
            for name, a, b in zip(self.components, edges[:-1], edges[1:], strict=True)
        }

    def label(self, i: int) -> str:
        """Name of shot `i`: field record, and energy source point where that differs."""
        record, point = (int(number) for number in self.labels[i])
        return str(record) if point in (0, record) else f"{record}/{point}"

    def shot(self, i: int) -> Shot:
        """Geometry of shot `i`."""
        rows = self.traces(i)
        return Shot(
            index=i,
            label=self.label(i),
            source_position=self.source_positions[i],
            receiver_positions=self.receiver_positions[rows],
            live=self.live[rows],
        )

    def gather(self, i: int) -> NDArray[np.float32]:
        """Samples of shot `i`, (n_receivers, nt); see `read_gather`."""
        return self.read_gather(i).samples

    def read_gather(self, i: int) -> Gather:
        """Read the traces of shot `i`, and no others.

        A trace that its header calls dead, or that holds NaN, infinities or only zeros, comes back
        as zeros with `live` False. Samples are placed at their times after the shot: a delay
        recording time is applied.

        Raises
        ------
        SurveyError
            The survey is a layout, which has no traces.
        SegyError
            A file cannot be read any more.
        """
        from wavepipe.pipeline.segy.gathers import read_gather

        if not self.has_data:
            message = (
                f"shot {self.label(i)} has no recorded traces: the survey is a layout. "
                "Set survey.data to SEG-Y files."
            )
            raise SurveyError(message)
        rows = self.traces(i)
        samples, sound, finite = read_gather(
            self.files,
            self.trace_file[rows],
            self.trace_number[rows],
            self.delay[rows],
            dt=self.dt,
            nt=self.nt,
        )
        live = self.live[rows] & sound
        samples[~live] = 0.0
        return Gather(samples, live, finite)

    def select(self, shots: str | Sequence[int]) -> "Survey":
        """Keep some shots, in the survey's order.

        Parameters
        ----------
        shots : str or sequence of int
            'all', a slice such as '0:100:2', or a list of shot indices.
        """
        if shots == "all":
            return self
        return self.keep_shots(_chosen_shots(shots, self.n_shots))

    def keep_shots(self, kept: NDArray[np.int64]) -> "Survey":
        """Keep the shots of these (ascending) indices."""
        counts = np.diff(self.first_trace)[kept]
        rows = _rows(self.first_trace[kept], counts)
        return self._keep_rows(rows, kept, counts)

    def keep_traces(self, mask: NDArray[np.bool_]) -> "Survey":
        """Keep the traces where `mask` (n_traces,) is true; shots left without any go."""
        shot_of_trace = np.repeat(np.arange(self.n_shots), np.diff(self.first_trace))
        counts = np.bincount(shot_of_trace[mask], minlength=self.n_shots)
        kept = np.flatnonzero(counts)
        return self._keep_rows(np.flatnonzero(mask), kept, counts[kept])

    def _keep_rows(
        self, rows: NDArray[np.int64], kept: NDArray[np.int64], counts: NDArray[np.int64]
    ) -> "Survey":
        return replace(
            self,
            source_positions=self.source_positions[kept],
            labels=self.labels[kept],
            original_index=self.original_index[kept],
            first_trace=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            **{name: getattr(self, name)[rows] for name in _TRACE_COLUMNS},
        )

    def extent(self) -> tuple[tuple[float, float], ...]:
        """Smallest and largest coordinate per axis of all sources and receivers, m."""
        points = np.concatenate([self.source_positions, self.receiver_positions])
        low, high = points.min(axis=0), points.max(axis=0)
        return tuple((float(a), float(b)) for a, b in zip(low, high, strict=True))

    def fingerprint(self) -> str:
        """Hash of the geometry and of the sizes and times of the files, hexadecimal.

        It changes when a header, a choice of shots or a file changes, and not when files move.

        Raises
        ------
        SegyError
            A file is missing.
        """
        digest = hashlib.sha256()
        digest.update(repr((self.ndim, self.dt, self.nt, self.components)).encode())
        for name in (*_SHOT_COLUMNS, *_TRACE_COLUMNS):
            column = np.ascontiguousarray(getattr(self, name))
            digest.update(f"{name}{column.dtype.str}{column.shape}".encode())
            digest.update(column.data)
        for path in self.files:
            status = file_status(path)
            digest.update(f"{status.st_size} {status.st_mtime_ns}".encode())
        return digest.hexdigest()

    def save(self, path: str | Path) -> None:
        """Write the survey to an .npz file, which appears whole or not at all."""
        target = Path(path)
        partial = target.with_name(target.name + ".partial")
        columns = {field.name: np.asarray(getattr(self, field.name)) for field in _FIELDS}
        with partial.open("wb") as file:
            np.savez(file, allow_pickle=False, **columns)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)

    @staticmethod
    def load(path: str | Path) -> "Survey":
        """Read a saved survey; a process reads each file once."""
        status = Path(path).stat()
        return _load_cached(str(path), status.st_size, status.st_mtime_ns)


_FIELDS = fields(Survey)
_SHOT_COLUMNS = ("source_positions", "labels", "original_index", "first_trace")
_TRACE_COLUMNS = (
    "receiver_positions",
    "trace_file",
    "trace_number",
    "live",
    "delay",
    "component",
)


@lru_cache(maxsize=4)
def _load_cached(path: str, size: int, mtime_ns: int) -> Survey:
    """Load a survey; its size and time are here to be part of the cache's key."""
    with np.load(path, allow_pickle=False) as stored:
        columns = {name: stored[name] for name in (*_SHOT_COLUMNS, *_TRACE_COLUMNS)}
        for column in columns.values():
            column.flags.writeable = False
        return Survey(
            ndim=int(stored["ndim"]),
            dt=float(stored["dt"]),
            nt=int(stored["nt"]),
            files=tuple(stored["files"].tolist()),
            components=tuple(stored["components"].tolist()),
            assumptions=tuple(stored["assumptions"].tolist()),
            **columns,
        )


def _rows(first: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Concatenate the ranges first[i] ... first[i] + counts[i]."""
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    return np.asarray(np.arange(total, dtype=np.int64) + np.repeat(first - (ends - counts), counts))


def _chosen_shots(shots: str | Sequence[int], n_shots: int) -> NDArray[np.int64]:
    if isinstance(shots, str):
        try:
            parts = [int(part) if part.strip() else None for part in shots.split(":")]
            chosen = np.arange(n_shots)[slice(*parts)] if len(parts) in (2, 3) else None
        except ValueError:
            chosen = None
        if chosen is None:
            message = (
                f"survey.shots {shots!r} is not understood; use all, a slice such as '0:100:2', "
                "or a list such as [1, 5, 9]."
            )
            raise SurveyError(message)
    else:
        chosen = np.asarray(shots, dtype=np.int64).reshape(-1)
        wrong = chosen[(chosen < 0) | (chosen >= n_shots)]
        if len(wrong):
            message = (
                f"survey.shots asks for shot {wrong[0]}, but the survey has shots 0 to "
                f"{n_shots - 1}."
            )
            raise SurveyError(message)
    if len(chosen) == 0:
        message = f"survey.shots {shots!r} chooses none of the survey's {n_shots} shots."
        raise SurveyError(message)
    return np.unique(chosen).astype(np.int64)
