"""Which way of keeping the wavefield is taken."""

import warnings
from collections.abc import Callable, Iterator
from math import prod
from pathlib import Path
from shutil import disk_usage
from typing import Literal

import torch

from wavepipe.propagators.checks import to_the_user
from wavepipe.propagators.errors import StorageError
from wavepipe.propagators.stencil.reverse import IrreversibleError
from wavepipe.propagators.storage.amounts import size
from wavepipe.propagators.storage.bandwidth import in_memory
from wavepipe.propagators.storage.codecs import codec_named
from wavepipe.propagators.storage.codecs_cosine import EDGE
from wavepipe.propagators.storage.history import BoundaryShape, HistoryShape
from wavepipe.propagators.storage.memory import free_memory
from wavepipe.propagators.storage.policy import Storage
from wavepipe.propagators.storage.scratch import check_folder, default_folder
from wavepipe.propagators.storage.ways import Choice, Limit, boundary, recomputed, snapshots

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

ROUNDING = {torch.float32: 7e-5, torch.float64: 1e-12}
"""Relative error of a gradient that steps taken back may cause: measured with 50 to 500 steps a
period, on scalar, acoustic, anisotropic and elastic models (docs/storage.md)."""

MANY_RUNS = 5.0
"""Forward runs made again from which on a warning says so."""

Edges = Callable[[], BoundaryShape | None]
"""Raises IrreversibleError where steps cannot be taken back."""


def choose(
    storage: Storage,
    history: HistoryShape,
    state_bytes: int,
    edges: Edges = lambda: None,
    on_card: Callable[[], int] | None = None,
) -> Choice:
    """The way of keeping a wavefield.

    Parameters
    ----------
    state_bytes
        Of the fields that live between steps, all shots.
    edges
        What method ``boundary`` keeps; asked only where that is a candidate.
    on_card
        Free memory of the card on which the history is made, bytes; its bytes are within half of
        that, and the computer's within half of the computer's.

    Raises
    ------
    StorageError
        Nothing that was asked for fits the budget; the message says what would. The folder that
        was named, or that mode ``disk`` needs, is missing or cannot be written. Method ``boundary``
        for waves with losses. What the reference back-end cannot do on a card.

    Warns
    -----
    UserWarning
        Mode ``disk`` on a filesystem in memory, or a budget so small that the forward run is made
        many times.

    Notes
    -----
    The first of these that fits: uncompressed in memory, compressed in memory, compressed on disk,
    uncompressed on disk, with compression ``auto`` the boundary, computed again. Without
    compression ``auto`` all give the same bits.
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
    limit = None if named and storage.budget is None else _limit(storage, on_card)
    for choice in _candidates(storage, history, state_bytes, edges, limit):
        if history.bare and not (choice.is_direct or choice.method == "recompute"):
            continue
        if limit is not None and not limit.holds(choice):
            continue
        if choice.disk and storage.mode == "auto" and not _has_room(folder, choice.disk):
            continue
        if choice.again > MANY_RUNS:
            warnings.warn(
                f"{size(choice.memory)} of memory hold {choice.checkpoints} checkpoints of the "
                f"wavefield: the forward run is made {choice.again:.0f} times again. A larger "
                "budget, or fewer shots, take less time.",
                stacklevel=to_the_user(),
            )
        return choice
    if history.bare:
        raise StorageError(
            f"the reference back-end on {history.device} keeps snapshots as they are, or computes "
            "them again; what is asked for is not that, or does not fit. Use storage mode "
            "'device' with compression 'none', method 'recompute', or backend 'cuda'."
        )
    raise StorageError(_refusal(storage, history, state_bytes, edges, limit or Limit()))


def _limit(storage: Storage, on_card: Callable[[], int] | None) -> Limit:
    """The budget, or the shares of what is free."""
    if storage.budget is not None:
        return Limit(both=storage.budget)
    host = MEMORY_SHARE * free_memory()
    return Limit(host=host, card=MEMORY_SHARE * on_card() if on_card else host)


def folder_of(storage: Storage) -> Path:
    """The folder for modes that write to disk."""
    return default_folder() if storage.path is None else Path(storage.path)


def _candidates(
    storage: Storage, history: HistoryShape, state_bytes: int, edges: Edges, limit: Limit | None
) -> Iterator[Choice]:
    """What was asked for, the best first."""
    mode = _in_memory(storage)
    if storage.method in ("auto", "snapshots"):
        for where, name in _places(storage, history, mode):
            yield snapshots(history, where, codec_named(name), limit)
    # Steps taken back differ in rounding, which only a codec's user has agreed to.
    agreed = storage.method == "auto" and storage.compression == "auto"
    agreed = agreed and ROUNDING[history.dtype] <= storage.allowed_error
    if storage.method == "boundary" or agreed:
        shape = _edges(edges, asked=not agreed)
        if shape is not None:
            for where, name in _places(storage, history, mode):
                yield boundary(shape, where, codec_named(name), limit)
    lossless = storage.compression in ("auto", "none")
    if storage.method in ("auto", "recompute") and lossless:
        place: Literal["device", "cpu", "disk"] = "disk" if storage.mode == "disk" else mode
        if storage.method == "recompute" and storage.budget is None:
            yield recomputed(history, state_bytes, place)  # as little as is reasonable
        yield recomputed(history, state_bytes, place, limit)


def _in_memory(storage: Storage) -> Literal["device", "cpu"]:
    """Which memory is tried first."""
    return "cpu" if storage.mode == "cpu" else "device"


def _places(
    storage: Storage, history: HistoryShape, memory: Literal["device", "cpu"]
) -> Iterator[tuple[Literal["device", "cpu", "disk"], str]]:
    """Where snapshots may be, and in which codec."""
    if storage.mode != "disk":
        for name in _codecs(storage, history, fastest="none"):
            yield memory, name
    if storage.mode == "auto" and history.apart:
        for name in _codecs(storage, history, fastest="none"):
            yield "cpu", name
    if storage.mode in ("disk", "auto"):
        for name in _codecs(storage, history, fastest="cosine6"):
            yield "disk", name


def _edges(edges: Edges, *, asked: bool) -> BoundaryShape | None:
    """What method ``boundary`` keeps, if steps can be taken back; an error if it was asked for."""
    try:
        return edges()
    except IrreversibleError as error:
        if asked:
            raise StorageError(f"storage method 'boundary' cannot be used: {error}") from error
        return None


def _codecs(storage: Storage, history: HistoryShape, fastest: str) -> list[str]:
    """Codecs to try; `fastest` first where it is allowed."""
    if storage.compression != "auto":
        return [storage.compression]
    blocks = prod(-(-n // EDGE) for n in history.shape)
    names = AUTO_CODECS if blocks >= FEWEST_BLOCKS else ("float16",)
    good = [name for name in names if CODEC_ERRORS[name] <= storage.allowed_error]
    return ["none", *good] if fastest == "none" or not good else [*good, "none"]


def _has_room(folder: Path, needed: int) -> bool:
    try:
        check_folder(folder)
    except StorageError:
        return False
    return not in_memory(folder) and needed <= DISK_SHARE * disk_usage(folder).free


def _refusal(
    storage: Storage, history: HistoryShape, state_bytes: int, edges: Edges, limit: Limit
) -> str:
    """What does not fit, and what would."""
    asked = next(_candidates(storage, history, state_bytes, edges, limit))
    mode = _in_memory(storage)
    ways = {
        f"compression {name!r}": snapshots(history, mode, codec_named(name), limit)
        for name in ("none", *AUTO_CODECS)
    }
    ways["mode 'disk'"] = snapshots(history, "disk", codec_named("none"), limit)
    ways["mode 'disk' with compression 'cosine4'"] = snapshots(
        history, "disk", codec_named("cosine4"), limit
    )
    if shape := _edges(edges, asked=False):
        ways["method 'boundary'"] = boundary(shape, mode, codec_named("none"), limit)
    ways["method 'recompute'"] = recomputed(history, state_bytes, mode, limit)
    fitting = [f"{way} ({size(c.memory)})" for way, c in ways.items() if limit.holds(c)]
    smallest = min(c.memory for c in ways.values())
    remedy = (
        f"What fits: {', '.join(fitting)}."
        if fitting
        else f"Nothing does; the least is {size(smallest)}."
    )
    share = f"half of the free memory is {size(limit.host)}"
    if history.apart:
        share += f", of the card's {size(limit.card)}"
    most = share if storage.budget is None else f"the budget is {size(storage.budget)}"
    return (
        f"the kept wavefield takes {size(asked.memory)} of memory at stride {history.stride}; "
        f"{most}. {remedy} Or propagate fewer shots."
    )
