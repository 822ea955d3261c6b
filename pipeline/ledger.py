"""The ledger of a run: sums that are safe on disk, whatever process dies next.

It is the tree of an evaluation itself (see `wavepipe.pipeline.graph`): every batch, and every
`LEVELS`-th level above, is a file that appears complete or not at all. A sum that is safe covers
everything below it, whose files go then: a ledger holds a few sums per worker, not one per batch.
What is asked for again is read; what is covered need not be computed.
"""

import logging
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from wavepipe.pipeline.durable import flush
from wavepipe.pipeline.errors import DiskFullError, LedgerError
from wavepipe.pipeline.partial import Partial
from wavepipe.pipeline.partial_file import from_bytes, to_bytes

logger = logging.getLogger(__name__)

LEVELS = 3
"""Levels of the tree from one that is kept to the next: one write in eight is a sum."""

REMEDY = "Go on with --resume: what is missing is computed again."

Node = tuple[int, int]
"""Level above the batches, and place in it."""

_SUFFIX = ".sum"
_BROKEN = ".broken"
_TRIES = ".tries"
_UNFINISHED = ".partial"


@dataclass(frozen=True, slots=True)
class Covered:
    """A node that need not be known: a sum above it is safe."""

    node: Node


@dataclass(frozen=True, slots=True)
class Ledger:
    """The sums of one evaluation that are safe."""

    folder: Path
    """Of this evaluation alone."""

    root: Node
    """The sum over everything."""

    def find(self, node: Node) -> Partial | Covered | None:
        """What is known of a node: itself, that it is not needed, or nothing.

        Raises
        ------
        LedgerError
            The disk does not give back what is there.
        """
        path = self._path(node)
        try:
            return from_bytes(path.read_bytes())
        except FileNotFoundError:
            pass
        except OSError as error:
            raise LedgerError(f"{path} cannot be read: {error}. {REMEDY}") from error
        except ValueError as error:
            logger.warning("%s holds %s: it is computed again", path, error)
            with suppress(FileNotFoundError):  # another worker saw it too
                path.rename(path.with_suffix(_BROKEN))
        return Covered(node) if any(self._path(n).exists() for n in self._above(node)) else None

    def keep(self, node: Node, partial: Partial) -> None:
        """Make a node safe, where the tree has one to keep, and drop what it covers.

        A sum without its failed shots is no result yet: they are tried again when the run goes on.

        Raises
        ------
        DiskFullError
            It cannot be written.
        """
        if partial.failures or (node[0] % LEVELS and node != self.root):
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        write_sum(self._path(node), partial)
        for below in self.nodes():
            if below != node and _covers(node, below):
                self._path(below).unlink(missing_ok=True)

    def deaths(self, node: Node) -> list[str]:
        """Workers that ended with a batch that they tried."""
        try:
            return self._tries(node).read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []

    @contextmanager
    def trying(self, node: Node, worker: str) -> Iterator[None]:
        """Note who tries a batch, unless the try ends otherwise than with its worker."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._tries(node).open("a", encoding="utf-8") as file:
            file.write(f"{worker}\n")
        try:
            yield
        finally:  # which a process that dies does not reach
            self._tries(node).unlink(missing_ok=True)

    def nodes(self) -> Iterator[Node]:
        """What is safe."""
        if not self.folder.is_dir():
            return
        for path in self.folder.iterdir():
            if path.suffix == _SUFFIX:
                level, place = path.stem.split("-")
                yield int(level), int(place)

    def batches(self, count: int) -> set[int]:
        """Batches, of `count`, that are in what is safe."""
        return {
            place
            for level, first in self.nodes()
            for place in range(first << level, min((first + 1) << level, count))
        }

    def check(self) -> list[Node]:
        """What is safe, read once so that nothing relies on a file that is broken.

        Deaths of workers are forgotten: those of a run that was stopped were no batch's fault. What
        writers that were killed had not finished goes.
        """
        for suffix in (_TRIES, _UNFINISHED):
            for path in self.folder.glob(f"*{suffix}"):
                path.unlink(missing_ok=True)
        return [node for node in list(self.nodes()) if isinstance(self.find(node), Partial)]

    def _above(self, node: Node) -> Iterator[Node]:
        level, place = node
        while level < self.root[0]:
            level, place = level + 1, place // 2
            if level % LEVELS == 0 or level == self.root[0]:
                yield level, place

    def _tries(self, node: Node) -> Path:
        return self.folder / f"{node[1]}{_TRIES}"

    def _path(self, node: Node) -> Path:
        return self.folder / f"{node[0]}-{node[1]}{_SUFFIX}"


def write_sum(path: Path, partial: Partial) -> None:
    """Write a sum to a file that outlives a loss of power, and that is there whole or not at all.

    Raises
    ------
    DiskFullError
        It cannot be written.
    """
    unfinished = path.with_name(f"{uuid.uuid4().hex}{_UNFINISHED}")
    try:
        with unfinished.open("wb") as file:
            for piece in to_bytes(partial):
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
        flush(path.parent)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise DiskFullError(
            f"the ledger of the run cannot be written: {error}. Make room, or set "
            "output.folder to another disk."
        ) from error


def _covers(node: Node, other: Node) -> bool:
    """Whether one node is a sum over the other."""
    return node[0] >= other[0] and other[1] >> (node[0] - other[0]) == node[1]


def forget(folder: Path, keep: Path | None = None) -> None:
    """Delete ledgers that nothing will ask for again.

    Parameters
    ----------
    folder
        Of the ledgers.
    keep
        What stays of it.
    """
    if keep is None:
        shutil.rmtree(folder, ignore_errors=True)
        return
    for path in folder.iterdir():
        if path != keep:
            shutil.rmtree(path, ignore_errors=True)
