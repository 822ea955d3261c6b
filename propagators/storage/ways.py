"""What each way of keeping the wavefield takes.

The numbers chosen here are those that are allocated: how many slots are in memory at a time, how
many checkpoints there are, how large records on disk are.
"""

from dataclasses import dataclass, replace
from typing import Literal

from wavepipe.propagators.storage.codecs import Codec
from wavepipe.propagators.storage.history import BoundaryShape, HistoryShape
from wavepipe.propagators.storage.reversal import extra_windows
from wavepipe.propagators.storage.shuttle import BUFFERS, STATES
from wavepipe.propagators.storage.spill import buffer_bytes, default_buffers, file_bytes

_WINDOW_BYTES = 8 << 20
_WINDOW_STEPS = 16
"""A native call for fewer would cut blocks of steps short."""
_FEWEST_WINDOWS = 8
"""Of a run: one is in memory."""
_RECORD_BYTES = 256 << 10
"""Smaller transfers are slow."""
_STATES_IN_MEMORY = 2
"""Buffers of checkpoints on disk."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One way of keeping the wavefield of a call."""

    mode: Literal["device", "cpu", "disk"]
    method: Literal["snapshots", "boundary", "recompute"]
    compression: str
    memory: int
    """Bytes of memory, buffers included."""
    disk: int = 0
    """Bytes on disk."""
    window: int = 0
    """Slots in memory at a time, where not all are."""
    record: int = 0
    """Slots of a record on disk."""
    buffers: int = 0
    """Records in memory."""
    checkpoints: int = 0
    """States that are kept, besides the start."""
    state: int = 0
    """Bytes of one."""
    again: float = 0.0
    """Forward runs that the gradient makes again."""

    @property
    def is_direct(self) -> bool:
        """Whether the back-end writes and reads the history where it stays."""
        return self.method == "snapshots" and not self.window


def snapshots(
    history: HistoryShape,
    mode: Literal["device", "cpu", "disk"],
    codec: Codec,
    limit: float | None = None,
) -> Choice:
    """Every slot kept; windows as large as is good, or as a limit of memory allows."""
    where_made = mode == "device" or (mode == "cpu" and not history.apart)
    if where_made and codec.name == "none":
        return Choice(mode, "snapshots", "none", history.bytes)
    return _largest_windows(history, mode, codec, limit, Choice(mode, "snapshots", codec.name, 0))


def boundary(
    shape: BoundaryShape,
    mode: Literal["device", "cpu", "disk"],
    codec: Codec,
    limit: float | None = None,
) -> Choice:
    """Strips of every step and the sums beyond them; windows as in `snapshots`."""
    memory = shape.state_bytes
    if codec.name != "none":
        memory += shape.history.part_bytes
    way = Choice(mode, "boundary", codec.name, memory, again=shape.again)
    return _largest_windows(shape.history, mode, codec, limit, way)


def _largest_windows(
    history: HistoryShape,
    mode: Literal["device", "cpu", "disk"],
    codec: Codec,
    limit: float | None,
    way: Choice,
) -> Choice:
    """A way with what its windows take, as large as is good, or as a limit of memory allows."""
    encoded = history.encoded_bytes(codec)
    wish = max(-(-_WINDOW_BYTES // history.slot_bytes), -(-_WINDOW_STEPS // history.stride))
    wish = min(wish, -(-history.n_slots // _FEWEST_WINDOWS))
    while True:
        for small in (False, True):
            choice = _in_windows(history, way, encoded, wish, small=small)
            if limit is None or choice.memory <= limit:
                return choice
        if wish == 1:
            return choice
        wish //= 2


def _in_windows(
    history: HistoryShape, way: Choice, encoded: int, window: int, *, small: bool
) -> Choice:
    """A way through windows of some slots; `small`: records and buffers as small as can be."""
    staging = history.slot_bytes * min(window, history.n_slots) + _transformed(history, way)
    if way.mode != "disk":
        staging += _underway(history, way, encoded)
        kept = encoded * history.n_slots
        return replace(way, memory=way.memory + kept + staging, window=window)
    record = 1 if small else min(window, -(-_RECORD_BYTES // encoded))
    window = -(-window // record) * record
    staging = history.slot_bytes * min(window, history.n_slots) + _transformed(history, way)
    staging += record * _underway(history, way, encoded)
    buffers = 1 if small else default_buffers(record * encoded)
    return replace(
        way,
        memory=way.memory + staging + buffer_bytes(record * encoded, buffers),
        disk=file_bytes(-(-history.n_slots // record), record * encoded),
        window=window,
        record=record,
        buffers=buffers,
    )


def _underway(history: HistoryShape, way: Choice, encoded: int) -> int:
    """Of a slot between a card and the computer's memory, in both."""
    return 2 * BUFFERS * encoded if history.apart and way.mode != "device" else 0


def _transformed(history: HistoryShape, way: Choice) -> int:
    """Of a part of all shots on a card, transformed, in single precision."""
    if not history.apart or not way.compression.startswith("cosine"):
        return 0
    return history.n_shots * history.part_bytes // history.dtype.itemsize * 4


def recomputed(
    history: HistoryShape,
    state_bytes: int,
    mode: Literal["device", "cpu", "disk"],
    limit: float | None = None,
) -> Choice:
    """One window and a few checkpoints: the fewest steps made again that fit a limit of memory.

    Without one, the least memory with which every step is made again once.
    """
    options = [
        _with_checkpoints(history, state_bytes, mode, window, limit)
        for window in _window_sizes(history.n_slots)
    ]
    if limit is None:
        return min(options, key=lambda o: (o.memory + o.disk, o.again))
    fitting = [option for option in options if option.memory <= limit]
    if not fitting:
        return min(options, key=lambda o: (o.memory, o.again))
    return min(fitting, key=lambda o: (o.again, o.memory + o.disk))


def _with_checkpoints(
    history: HistoryShape,
    state_bytes: int,
    mode: Literal["device", "cpu", "disk"],
    window: int,
    limit: float | None,
) -> Choice:
    n = -(-history.n_slots // window)
    memory, disk, checkpoints = window * history.slot_bytes, 0, n - 1
    if history.apart and mode != "device":
        memory += 2 * STATES * state_bytes
    if mode == "disk" and checkpoints:
        memory += buffer_bytes(state_bytes, _STATES_IN_MEMORY)
        disk = file_bytes(checkpoints, state_bytes)
    elif mode != "disk":
        if limit is not None:
            checkpoints = max(0, min(checkpoints, int((limit - memory) // state_bytes)))
        memory += checkpoints * state_bytes
    again = extra_windows(n, checkpoints) * window / history.n_slots
    return Choice(
        mode,
        "recompute",
        "none",
        memory,
        disk,
        window=window,
        buffers=_STATES_IN_MEMORY,
        checkpoints=checkpoints,
        state=state_bytes,
        again=again,
    )


def _window_sizes(n_slots: int) -> list[int]:
    """Sizes of windows to try: all small ones, then a few in every octave."""
    sizes, one = set[int](), 1.0
    while one < n_slots:
        sizes.add(int(one))
        one = max(one + 1, one * 1.05)
    return sorted(sizes | {n_slots})
