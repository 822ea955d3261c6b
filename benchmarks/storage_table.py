"""Rows of `benchmarks.storage` as tables in Markdown."""

from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.machine import DISTURBED

HEAD = (
    "| mode | method | codec | memory, MB | predicted, MB | disk, MB | gradient / forward "
    "| error, all | error, deep |\n"
    "|---|---|---|--:|--:|--:|--:|--:|--:|"
)

Row = dict[str, Any]


def tables(rows: Sequence[Row]) -> str:
    """A table with its caption for each case, and the machine above them."""
    names = list(dict.fromkeys(row["case"] for row in rows))
    groups = [[row for row in rows if row["case"] == name] for name in names]
    return "\n\n".join([_machine(rows), *("\n\n".join(_table(group)) for group in groups)])


def _machine(rows: Sequence[Row]) -> str:
    """Of the last row; the versions of the last that ran."""
    machine = rows[-1]["machine"]
    versions: dict[str, str] = next(
        (row["versions"] for row in reversed(rows) if "versions" in row), {}
    )
    kind = "a filesystem in memory" if machine["scratch_in_memory"] else "a disk"
    return (
        f"{machine['processor']}, {machine['threads']} threads on {machine['cores']} cores, "
        f"{machine['compiler']}, Python {machine['python']}, "
        + ", ".join(f"{name} {version}" for name, version in versions.items())
        + f"; scratch folder {machine['scratch']}, {kind}."
    )


def _table(rows: Sequence[Row]) -> Iterable[str]:
    """Caption and lines of one case."""
    first = rows[0]
    size = " x ".join(str(n) for n in first["shape"])
    forward = next((row for row in rows if row["label"] == "forward"), {})
    strides = {row["predicted"]["stride"] for row in rows if "predicted" in row}
    yield (
        f"{first['physics']}, {size} cells and 20 of layer on every face, {first['nt']} samples, "
        f"{first['shots']} shots, order {first['order']}, stride "
        f"{', '.join(map(str, sorted(strides)))}. "
        + (f"A forward run takes {forward['seconds']:.3g} s. " if "seconds" in forward else "")
        + f"Deepwave keeps {_mb(first['deepwave_bytes'])} MB."
    )
    yield "\n".join([HEAD, *(_line(row, forward) for row in rows if row is not forward)])


def _line(row: Row, forward: Row) -> str:
    cells = [row["mode"], row["method"], row["compression"]]
    if "failed" in row:
        return _joined([*cells, "failed", *[""] * 5])
    predicted = row["predicted"]
    if "seconds" not in row:
        sizes = _mb(predicted["memory"]), _mb(predicted["disk"])
        return _joined([*cells, "does not fit", *sizes, "", "", ""])
    above = ratio = ""
    if "seconds" in forward:
        above = f"{row['memory_mb'] - forward['memory_mb']:.0f}"
        ratio = f"{row['seconds'] / forward['seconds']:.2f}"
    mark = "*" if row["other_load"] > DISTURBED else ""
    cells += [above, _mb(predicted["memory"]), _mb(row["disk_bytes"]), ratio + mark]
    return _joined([*cells, _error(row["error"]), _error(row["deep_error"])])


def _joined(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _mb(count: float) -> str:
    """Bytes in units of 2^20, as the kernel's counts of memory are."""
    return f"{count / 2**20:.0f}"


def _error(error: float) -> str:
    return f"{error:.1e}" if error else "0"
