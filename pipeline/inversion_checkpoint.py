"""Where an inversion stands after an iteration, safe on disk: what came before is not needed again.

A file of JSON names arrays that lie beside it under names made from their content. Those that are
there already, as most pairs of an L-BFGS are, are not written again, and those that no name leads
to any more go.
"""

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wavepipe.pipeline.durable import flush, write_atomically
from wavepipe.pipeline.errors import DiskFullError
from wavepipe.pipeline.evaluation import content_name, save_array
from wavepipe.pipeline.inversion_output import IterationRecord
from wavepipe.pipeline.left_out import LeftOut
from wavepipe.pipeline.partial import Failure
from wavepipe.pipeline.plain import from_plain

logger = logging.getLogger(__name__)

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Standing:
    """Where an inversion stands."""

    stage: int
    """From 0."""

    iterations: int
    """Done in that stage; all, where no more will help."""

    shots: tuple[int, ...]
    """That have not failed."""

    failures: tuple[Failure, ...]
    """Of those that have."""

    subset: tuple[int, ...]
    """Shots of the last iteration."""

    misfit: float | None
    """At the present model over them; None where it is not known."""

    first_misfit: float | None
    """Of the stage."""

    factors: dict[str, float]
    """Of the stage's preconditioners."""

    records: tuple[IterationRecord, ...]
    """Of all iterations."""

    left_out: dict[str, LeftOut]
    """Traces that nothing of was used, by shot."""


def keep_standing(folder: Path, standing: Standing, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Make it safe where an inversion stands.

    Parameters
    ----------
    folder
        Of this alone.
    standing
        All but arrays.
    arrays
        The vector, the gradient, the weight of the preconditioners, what the optimizer remembers.

    Raises
    ------
    DiskFullError
        It cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        before = set(folder.iterdir())
        names = {name: Path(save_array("array", a, folder)).name for name, a in arrays.items()}
        for path in set(folder.iterdir()) - before:
            flush(path)
        flush(folder)
        content = asdict(standing) | {"arrays": names}
        write_atomically(_file(folder), json.dumps(content).encode())
        flush(folder)
    except OSError as error:
        raise DiskFullError(
            f"the state of the inversion cannot be written: {error}. Make room, or set "
            "output.folder to another disk."
        ) from error
    _sweep(folder, names.values())


def last_standing(folder: Path, most_failures: int) -> tuple[Standing, Arrays] | None:
    """Where an inversion stood; None where it must begin again, and then nothing stays.

    Parameters
    ----------
    folder
        That `keep_standing` wrote to.
    most_failures
        Shots that may have failed: with fewer than have, it begins again.
    """
    if not folder.is_dir():
        return None
    found, names = _read(folder)
    if found is None or len(found[0].failures) > most_failures:
        # The same bits come again under the same names: what is rotten would be taken for them.
        forget_standing(folder)
        return None
    _sweep(folder, names)
    return found


def forget_standing(folder: Path) -> None:
    """Empty the folder: the inversion begins again."""
    _file(folder).unlink(missing_ok=True)
    if folder.is_dir():
        _sweep(folder, ())


def _read(folder: Path) -> tuple[tuple[Standing, Arrays] | None, list[str]]:
    """What is there, and the names of its arrays; None where that is not what was written."""
    try:
        content = json.loads(_file(folder).read_text(encoding="utf-8"))
        names = dict(content["arrays"])
        arrays = {name: _load(folder / file) for name, file in names.items()}
        return (from_plain(Standing, content), arrays), list(names.values())
    except (OSError, ValueError, KeyError, TypeError) as error:
        if _file(folder).exists():
            logger.warning("%s cannot be read (%s): the inversion begins again", folder, error)
        return None, []


def _file(folder: Path) -> Path:
    return folder / "standing.json"


def _load(path: Path) -> NDArray[Any]:
    """An array that is what was written."""
    values: NDArray[Any] = np.load(path)
    if content_name(values) not in path.name:
        raise ValueError(f"{path.name} holds other bytes than were written")
    return values


def _sweep(folder: Path, names: Iterable[str]) -> None:
    """Remove what is not named."""
    named = {_file(folder).name, *names}
    for path in folder.iterdir():
        if path.name not in named:
            path.unlink()
