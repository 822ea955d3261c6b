"""Source and receiver positions from a CSV table."""

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wavepipe.pipeline.errors import SurveyError
from wavepipe.pipeline.layout_positions import Positions

_TABLE_COLUMNS = (
    "shot",
    "source_x",
    "source_y",
    "source_z",
    "receiver_x",
    "receiver_y",
    "receiver_z",
)


def read_table(
    options: object, ndim: int, folder: Path | None
) -> tuple[Positions, list[Positions], NDArray[np.int64]]:
    """Read positions from a CSV file with a header line, one line per trace.

        table: geometry.csv

    Columns: shot (an integer, which becomes the field record), source_x, source_z, receiver_x,
    receiver_z, and in 3-D source_y and receiver_y; in m, depths positive down. Lines of a shot
    need not be neighbours; its receivers keep the order of the lines.
    """
    if not isinstance(options, (str, Path)):
        message = f"survey.layout.table needs the path of a CSV file; it has {options!r}."
        raise SurveyError(message)
    path = (folder or Path()) / Path(options).expanduser()
    values = _read_csv(path, ndim)
    axes = ("z", "x") if ndim == 2 else ("z", "y", "x")
    shot = values["shot"]
    if np.any(shot != np.rint(shot)):
        wrong = shot[shot != np.rint(shot)][0]
        message = f"{path}: column shot holds {wrong:g}; shots are numbered by integers."
        raise SurveyError(message)
    source = np.stack([values[f"source_{axis}"] for axis in axes], axis=-1)
    receiver = np.stack([values[f"receiver_{axis}"] for axis in axes], axis=-1)
    records, first, which = np.unique(shot.astype(np.int64), return_index=True, return_inverse=True)
    moved = np.any(source != source[first][which], axis=1)
    if moved.any():
        row = int(np.flatnonzero(moved)[0])
        message = (
            f"{path}, line {row + 2}: shot {int(shot[row])} has its source at "
            f"{source[row].tolist()} m, but at {source[first[which[row]]].tolist()} m before. "
            "Give each source position its own shot number."
        )
        raise SurveyError(message)
    return source[first], [receiver[which == i] for i in range(len(records))], records


def _read_csv(path: Path, ndim: int) -> dict[str, Positions]:
    wanted = [name for name in _TABLE_COLUMNS if ndim == 3 or not name.endswith("_y")]
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file, skipinitialspace=True))
    except (OSError, UnicodeDecodeError) as error:
        message = f"survey.layout.table: cannot read {path}: {error}."
        raise SurveyError(message) from error
    head = [name.strip() for name in rows[0]] if rows else []
    missing = [name for name in wanted if name not in head]
    if missing:
        message = (
            f"{path} lacks the columns {', '.join(missing)}; its first line must name "
            f"{', '.join(wanted)}."
        )
        raise SurveyError(message)
    columns = {name: np.empty(len(rows) - 1) for name in wanted}
    kept = np.ones(len(rows) - 1, dtype=bool)
    for line, row in enumerate(rows[1:]):
        if not any(cell.strip() for cell in row):
            kept[line] = False
            continue
        for name in wanted:
            cell = row[head.index(name)] if head.index(name) < len(row) else ""
            try:
                columns[name][line] = _finite(float(cell))
            except ValueError as error:
                message = f"{path}, line {line + 2}: {name} is {cell!r}; a number is needed."
                raise SurveyError(message) from error
    return {name: values[kept] for name, values in columns.items()}


def _finite(value: float) -> float:
    if not np.isfinite(value):
        message = "not finite"
        raise ValueError(message)
    return value
