"""What a way of keeping the wavefield takes, and which way is taken.

The numbers chosen here are those that are allocated: how many slots are in memory at a time, how
many checkpoints there are, how large records on disk are.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from shutil import disk_usage
from typing import Literal

from wavepipe.propagators.checks import to_the_user
from wavepipe.propagators.errors import StorageError
from wavepipe.propagators.storage.bandwidth import in_memory
from wavepipe.propagators.storage.codecs import Codec, codec_named
from wavepipe.propagators.storage.codecs_cosine import EDGE
from wavepipe.propagators.storage.history import HistoryShape
from wavepipe.propagators.storage.memory import free_memory
from wavepipe.propagators.storage.policy import Storage
from wavepipe.propagators.storage.reversal import extra_windows
from wavepipe.propagators.storage.scratch import check_folder, default_folder
from wavepipe.propagators.storage.spill import buffer_bytes, default_buffers, file_bytes

MEMORY_SHARE = 0.5
"""Of the free memory, for what ``auto`` keeps."""

DISK_SHARE = 0.8
"""Of the free space, for what ``auto`` keeps."""

CODEC_ERRORS = {
    "cosine6": 1e-4,
    "float16": 3e-4,
    "cosine4": 4e-4,
    "cosine3": 1e-3,
    "bfloat16": 3e-3,
    "cosine2": 3e-3,
    "block8": 1e-2,
    "cosine1": 2e-2,
}
"""Relative error of a gradient below the sources that each codec may cause: 1.5 times the largest
measured on scalar and elastic models in 2-D and 3-D (docs/storage.md)."""

AUTO_CODECS = ("cosine6", "cosine4", "cosine3", "cosine2", "cosine1")
"""Those that no other surpasses both in size and in accuracy."""

FEWEST_BLOCKS = 256
"""Of 8 x 8 (x 8) values, from which on those errors hold: they were measured on 400 and more, while
on a dozen cosine6 loses a hundredth of a gradient."""

MANY_RUNS = 5.0
"""Forward runs made again from which on a warning says so."""

_WINDOW_BYTES = 8 << 20
_WINDOW_STEPS = 16
"""A native call for fewer would cut blocks of steps short."""
_FEWEST_WINDOWS = 8
"""Of a run: two are in memory."""
_RECORD_BYTES = 256 << 10
"""Smaller transfers are slow."""
_STATES_IN_MEMORY = 2
"""Buffers of checkpoints on disk."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One way of keeping the wavefield of a call."""

    mode: Literal["device", "cpu", "disk"]
    method: Literal["snapshots", "recompute"]
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
        return self.method == "snapshots" and self.mode != "disk" and self.compression == "none"


def choose(storage: Storage, history: HistoryShape, state_bytes: int) -> Choice:
    """The way of keeping a wavefield.

    Parameters
    ----------
    state_bytes
        Of the fields that live between steps, all shots.

    Raises
    ------
    StorageError
        Nothing that was asked for fits the budget; the message says what would. The folder that
        was named, or that mode ``disk`` needs, is missing or cannot be written.

    Warns
    -----
    UserWarning
        Mode ``disk`` on a filesystem in memory, or a budget so small that the forward run is made
        many times.

    Notes
    -----
    The first of these that fits: uncompressed in memory, compressed in memory, compressed on disk,
    uncompressed on disk, computed again. Without compression ``auto`` all give the same bits.
    """
    folder = folder_of(storage)
    if storage.mode == "disk" or storage.path is not None:
        check_folder(folder)
    if storage.mode == "disk" and in_memory(folder):
        warnings.warn(
            f"storage path {str(folder)!r} is a filesystem in memory: mode 'disk' saves none "
            "there. Name a folder on a disk.",
            stacklevel=to_the_user(),
        )
    named = storage.mode != "auto" and "auto" not in (storage.method, storage.compression)
    limit = storage.budget
    if limit is None and not named:
        limit = MEMORY_SHARE * free_memory()
    for choice in _candidates(storage, history, state_bytes, limit):
        if limit is not None and choice.memory > limit:
            continue
        if choice.disk and storage.mode == "auto" and not _has_room(folder, choice.disk):
            continue
        if choice.again > MANY_RUNS:
            warnings.warn(
                f"{size(limit or 0)} of memory hold {choice.checkpoints} checkpoints of the "
                f"wavefield: the forward run is made {choice.again:.0f} times again. A larger "
                "budget, or fewer shots, take less time.",
                stacklevel=to_the_user(),
            )
        return choice
    raise StorageError(_refusal(storage, history, state_bytes, limit or 0))


def folder_of(storage: Storage) -> Path:
    """The folder for modes that write to disk."""
    return default_folder() if storage.path is None else Path(storage.path)


def _candidates(
    storage: Storage, history: HistoryShape, state_bytes: int, limit: float | None
) -> Iterator[Choice]:
    """What was asked for, the best first."""
    mode: Literal["device", "cpu"] = "cpu" if storage.mode == "cpu" else "device"
    if storage.method != "recompute":
        if storage.mode != "disk":
            for name in _codecs(storage, history, fastest="none"):
                yield snapshots(history, mode, codec_named(name), limit)
        if storage.mode in ("disk", "auto"):
            for name in _codecs(storage, history, fastest="cosine6"):
                yield snapshots(history, "disk", codec_named(name), limit)
    lossless = storage.compression in ("auto", "none")
    if storage.method != "snapshots" and lossless:
        if storage.method == "recompute" and storage.budget is None:
            limit = None  # as little as is reasonable, and not half of the memory
        yield recomputed(history, state_bytes, "disk" if storage.mode == "disk" else mode, limit)


def _codecs(storage: Storage, history: HistoryShape, fastest: str) -> list[str]:
    """Codecs to try; `fastest` first where it is allowed."""
    if storage.compression != "auto":
        return [storage.compression]
    blocks = prod(-(-n // EDGE) for n in history.shape)
    names = AUTO_CODECS if blocks >= FEWEST_BLOCKS else ("float16",)
    good = [name for name in names if CODEC_ERRORS[name] <= storage.allowed_error]
    return ["none", *good] if fastest == "none" or not good else [*good, "none"]


def snapshots(
    history: HistoryShape,
    mode: Literal["device", "cpu", "disk"],
    codec: Codec,
    limit: float | None = None,
) -> Choice:
    """Every slot kept; windows as large as is good, or as a limit of memory allows."""
    if mode != "disk" and codec.name == "none":
        return Choice(mode, "snapshots", "none", history.bytes)
    encoded = history.encoded_bytes(codec)
    wish = max(-(-_WINDOW_BYTES // history.slot_bytes), -(-_WINDOW_STEPS // history.stride))
    wish = min(wish, -(-history.n_slots // _FEWEST_WINDOWS))
    while True:
        for small in (False, True):
            choice = _in_windows(history, mode, codec.name, encoded, wish, small=small)
            if limit is None or choice.memory <= limit:
                return choice
        if wish == 1:
            return choice
        wish //= 2


def _in_windows(
    history: HistoryShape,
    mode: Literal["device", "cpu", "disk"],
    compression: str,
    encoded: int,
    window: int,
    *,
    small: bool,
) -> Choice:
    """Snapshots through windows of some slots; `small`: records and buffers as small as can be."""
    staging = history.slot_bytes * min(2 * window, history.n_slots)
    if mode != "disk":
        kept = encoded * history.n_slots
        return Choice(mode, "snapshots", compression, kept + staging, window=window)
    record = 1 if small else min(window, -(-_RECORD_BYTES // encoded))
    window = -(-window // record) * record
    staging = history.slot_bytes * min(2 * window, history.n_slots)
    buffers = 1 if small else default_buffers(record * encoded)
    return Choice(
        mode,
        "snapshots",
        compression,
        staging + buffer_bytes(record * encoded, buffers),
        file_bytes(-(-history.n_slots // record), record * encoded),
        window=window,
        record=record,
        buffers=buffers,
    )


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


def _has_room(folder: Path, needed: int) -> bool:
    try:
        check_folder(folder)
    except StorageError:
        return False
    return not in_memory(folder) and needed <= DISK_SHARE * disk_usage(folder).free


def _refusal(storage: Storage, history: HistoryShape, state_bytes: int, limit: float) -> str:
    """What does not fit, and what would."""
    asked = next(iter(_candidates(storage, history, state_bytes, limit)))
    ways = {
        f"compression {name!r}": snapshots(history, "device", codec_named(name), limit)
        for name in ("none", *AUTO_CODECS)
    }
    ways["mode 'disk'"] = snapshots(history, "disk", codec_named("none"), limit)
    ways["mode 'disk' with compression 'cosine4'"] = snapshots(
        history, "disk", codec_named("cosine4"), limit
    )
    ways["method 'recompute'"] = recomputed(history, state_bytes, "device", limit)
    fitting = [f"{way} ({size(c.memory)})" for way, c in ways.items() if c.memory <= limit]
    smallest = min(c.memory for c in ways.values())
    remedy = (
        f"What fits: {', '.join(fitting)}."
        if fitting
        else f"Nothing does; the least is {size(smallest)}."
    )
    whose = "the budget is" if storage.budget is not None else "half of the free memory is"
    return (
        f"the kept wavefield takes {size(asked.memory)} of memory at stride {history.stride}; "
        f"{whose} {size(limit)}. {remedy} Or propagate fewer shots."
    )


def size(count: float) -> str:
    """Bytes for people: ``1.5 GB``."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= unit:
            return f"{count / unit:.3g} {name}"
    return f"{count:.0f} bytes"
