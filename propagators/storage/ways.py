"""What each way of keeping the wavefield takes.

The numbers chosen here are those that are allocated: how many slots are in memory at a time, how
many checkpoints there are, how large records on disk are.
"""

from dataclasses import dataclass, replace
from math import inf
from typing import Literal

from wavepipe.propagators.storage.codecs import Codec
from wavepipe.propagators.storage.history import BoundaryShape, HistoryShape
from wavepipe.propagators.storage.reversal import extra_windows
from wavepipe.propagators.storage.spill import buffer_bytes, default_buffers, file_bytes

BUFFERS = 3
"""Of a shuttle: one is filled, one is on its way, one is delivered."""

STATES = 2
"""Of one that brings whole states, which are large."""

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
    on_card: int = 0
    """Those of them that are a card's."""
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


@dataclass(frozen=True, slots=True)
class Limit:
    """Bytes of memory that a way of keeping may take."""

    both: float = inf
    """The computer's and a card's together."""
    host: float = inf
    """The computer's."""
    card: float = inf

    def holds(self, choice: Choice) -> bool:
        """Whether a way is within it."""
        return self._left(choice, on_card=True) >= 0 and self._left(choice, on_card=False) >= 0

    def more(self, choice: Choice, size: int, most: int, *, on_card: bool) -> int:
        """How many pieces of a size, up to `most`, there is room for besides."""
        return int(max(0, min(most, self._left(choice, on_card=on_card) / size)))

    def _left(self, choice: Choice, *, on_card: bool) -> float:
        host = choice.memory - choice.on_card
        own = self.card - choice.on_card if on_card else self.host - host
        return min(own, self.both - choice.memory)


def snapshots(
    history: HistoryShape,
    mode: Literal["device", "cpu", "disk"],
    codec: Codec,
    limit: Limit | None = None,
) -> Choice:
    """Every slot kept; windows as large as is good, or as a limit of memory allows."""
    where_made = mode == "device" or (mode == "cpu" and not history.apart)
    if where_made and codec.name == "none":
        on_card = history.bytes if history.apart else 0
        return Choice(mode, "snapshots", "none", history.bytes, on_card)
    return _largest_windows(history, mode, codec, limit, Choice(mode, "snapshots", codec.name, 0))


def boundary(
    shape: BoundaryShape,
    mode: Literal["device", "cpu", "disk"],
    codec: Codec,
    limit: Limit | None = None,
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
    limit: Limit | None,
    way: Choice,
) -> Choice:
    """A way with what its windows take, as large as is good, or as a limit of memory allows."""
    encoded = history.encoded_bytes(codec)
    wish = max(-(-_WINDOW_BYTES // history.slot_bytes), -(-_WINDOW_STEPS // history.stride))
    wish = min(wish, -(-history.n_slots // _FEWEST_WINDOWS))
    while True:
        for small in (False, True):
            choice = _in_windows(history, way, encoded, wish, small=small)
            if limit is None or limit.holds(choice):
                return choice
        if wish == 1:
            return choice
        wish //= 2


def _in_windows(
    history: HistoryShape, way: Choice, encoded: int, window: int, *, small: bool
) -> Choice:
    """A way through windows of some slots; `small`: records and buffers as small as can be."""
    record = 0
    if way.mode == "disk":
        record = 1 if small else min(window, -(-_RECORD_BYTES // encoded))
        window = -(-window // record) * record
    made = way.memory + history.slot_bytes * min(window, history.n_slots)
    made += _transformed(history, way)
    underway = BUFFERS * max(1, record) * encoded
    if way.mode != "disk":
        kept = encoded * history.n_slots
        return _placed(history, replace(way, window=window), made, kept, underway)
    buffers = 1 if small else default_buffers(record * encoded)
    way = replace(
        way,
        disk=file_bytes(-(-history.n_slots // record), record * encoded),
        window=window,
        record=record,
        buffers=buffers,
    )
    return _placed(history, way, made, buffer_bytes(record * encoded, buffers), underway)


def _placed(history: HistoryShape, way: Choice, made: int, kept: int, underway: int) -> Choice:
    """A way with its bytes where the wavefield is made, where it is kept, and on either side."""
    if not history.apart:
        return replace(way, memory=made + kept)
    if way.mode == "device":
        return replace(way, memory=made + kept, on_card=made + kept)
    return replace(way, memory=made + kept + 2 * underway, on_card=made + underway)


def _transformed(history: HistoryShape, way: Choice) -> int:
    """Of a part of all shots on a card, transformed, in single precision."""
    if not history.apart or not way.compression.startswith("cosine"):
        return 0
    return history.n_shots * history.part_bytes // history.dtype.itemsize * 4


def recomputed(
    history: HistoryShape,
    state_bytes: int,
    mode: Literal["device", "cpu", "disk"],
    limit: Limit | None = None,
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
    fitting = [option for option in options if limit.holds(option)]
    if not fitting:
        return min(options, key=lambda o: (o.memory, o.again))
    return min(fitting, key=lambda o: (o.again, o.memory + o.disk))


def _with_checkpoints(
    history: HistoryShape,
    state_bytes: int,
    mode: Literal["device", "cpu", "disk"],
    window: int,
    limit: Limit | None,
) -> Choice:
    n = -(-history.n_slots // window)
    way = Choice(
        mode,
        "recompute",
        "none",
        0,
        window=window,
        buffers=_STATES_IN_MEMORY,
        checkpoints=n - 1,
        state=state_bytes,
    )
    made, kept, underway = window * history.slot_bytes, 0, STATES * state_bytes
    if mode != "disk":
        if limit is not None:
            bare = _placed(history, way, made, 0, underway)
            there = history.apart and mode == "device"
            way = replace(
                way, checkpoints=limit.more(bare, state_bytes, way.checkpoints, on_card=there)
            )
        kept = way.checkpoints * state_bytes
    elif way.checkpoints:
        kept = buffer_bytes(state_bytes, _STATES_IN_MEMORY)
        way = replace(way, disk=file_bytes(way.checkpoints, state_bytes))
    again = extra_windows(n, way.checkpoints) * window / history.n_slots
    return _placed(history, replace(way, again=again), made, kept, underway)


def _window_sizes(n_slots: int) -> list[int]:
    """Sizes of windows to try: all small ones, then a few in every octave."""
    sizes, one = set[int](), 1.0
    while one < n_slots:
        sizes.add(int(one))
        one = max(one + 1, one * 1.05)
    return sorted(sizes | {n_slots})
