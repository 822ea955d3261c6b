"""What every way of keeping the wavefield costs: `python -m benchmarks.storage --json FILE`.

The table in Markdown goes to standard output, progress to standard error. A run that was
interrupted goes on behind the last row of its file.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.cases import Case
from benchmarks.load import LoadMeter
from benchmarks.machine import default_threads, describe_machine, write
from benchmarks.pairs import relative_l2
from benchmarks.side import Side
from benchmarks.storage_table import tables
from benchmarks.ways import (
    CODEC_NAMES,
    METHOD_NAMES,
    Way,
    all_ways,
    deepwave_bytes,
    inputs_of,
    predicted,
)
from wavepipe.propagators.errors import StorageError
from wavepipe.propagators.storage.bandwidth import in_memory
from wavepipe.propagators.storage.scratch import default_folder

RUNS = 3
"""Of a way whose runs are short."""

LONG_ENOUGH = 10.0
"""Seconds of runs after which no other is made."""

BELOW = 10
"""Cells below the sources from which on a gradient counts as deep."""


def cases(quick: bool, elastic_3d: bool) -> list[Case]:
    """Layered models with sources and a wide spread of receivers near the top."""

    def case(physics: Any, shape: tuple[int, ...], nt: int, peak: float) -> Case:
        shots, spread = 4 - len(shape), int(0.4 * shape[-1])
        return Case("gradient", physics, shape, nt, shots, 4, peak, 5, spread, layers=8)

    plane, volume = ((160, 240), (56, 56, 56)) if quick else ((300, 600), (200, 200, 200))
    samples = 300 if quick else 1500
    asked = [
        case("scalar", plane, samples, 15.0),
        case("elastic", plane, samples, 12.0),
        case("scalar", volume, samples, 21.0),
    ]
    return [*asked, case("elastic", volume, samples, 13.0)] if elastic_3d else asked


def main() -> None:
    """Measure what is not in the file yet and print the tables."""
    options = _options()
    wanted = [one for one in cases(options.quick, options.elastic_3d) if options.only in one.name]
    if not wanted:
        sys.exit(f"no case has {options.only!r} in its name")
    session = Session(options.json, options.threads, options.scratch)
    for case in wanted:
        session.measure(case, all_ways(options.methods, options.codecs))
    names = {case.name for case in wanted}
    print(tables([row for row in session.rows if row["case"] in names]))
    if any("failed" in row for row in session.rows):
        sys.exit("Some runs failed; the same command tries them again.")


class Session:
    """Rows of a file, to which those that are missing are added.

    Parameters
    ----------
    path
        Of the rows; gradients to compare with are kept beside it.
    scratch
        Folder for the wavefields.
    """

    def __init__(self, path: Path, threads: int, scratch: Path) -> None:
        self.path, self.threads, self.scratch = path, threads, scratch
        kept: list[dict[str, Any]] = json.loads(path.read_text()) if path.exists() else []
        self.rows = [row for row in kept if "failed" not in row]
        self._machine = describe_machine(threads) | {
            "scratch": str(scratch),
            "scratch_in_memory": in_memory(scratch),
        }
        if any(row["machine"]["threads"] != threads for row in self.rows):
            sys.exit(f"{path} has rows with another number of threads; name another file")

    def measure(self, case: Case, gradients: Sequence[Way]) -> None:
        """Rows of a case that are missing: of a forward run and of gradients."""
        ways = [None, *gradients]
        for number, way in enumerate(ways):
            label = " ".join(asdict(way).values()) if way else "forward"
            if self._has(case, label):
                continue
            print(f"{case.name} {number + 1}/{len(ways)} {label}", end=" ", file=sys.stderr)
            row = {"case": case.name, "label": label, **describe(case)}
            row |= self._forward(case) if way is None else self._gradient(case, way)
            print(_said(row), file=sys.stderr, flush=True)
            self.rows.append(row | {"machine": self._machine})
            write(self.path, self.rows)

    def _has(self, case: Case, label: str) -> bool:
        """Whether a row is there."""
        return any(row["case"] == case.name and row["label"] == label for row in self.rows)

    def _forward(self, case: Case) -> dict[str, Any]:
        return self._run(replace(case, kind="forward"), None)[0]

    def _gradient(self, case: Case, way: Way) -> dict[str, Any]:
        try:
            prediction = predicted(case, way, self.scratch)
        except StorageError as error:
            return {**asdict(way), "failed": str(error)}
        row: dict[str, Any] = {**asdict(way), "predicted": asdict(prediction)}
        if not prediction.fits:
            return row
        storage = asdict(way) | {"stride": prediction.stride}
        if way.mode == "disk":
            storage["path"] = str(self.scratch)
        measured, gradient = self._run(case, storage)
        if gradient is not None:
            measured |= self._errors(case, way, gradient)
        return row | measured

    def _errors(self, case: Case, way: Way, gradient: NDArray[np.float32]) -> dict[str, float]:
        """Of the worst parameter, against uncompressed snapshots or what has their bits."""
        file = self.path.with_name(f"{self.path.stem}-{case.name}.npy")
        if not file.exists():
            if not way.lossless:
                sys.exit(f"{file}, the gradient to compare with, is gone: remove {self.path} too")
            np.save(file, gradient)
        reference = np.load(file)
        deep = int(inputs_of(case).sources[..., 0].max()) + BELOW
        return {
            "error": max(map(relative_l2, gradient, reference)),
            "deep_error": max(map(relative_l2, gradient[:, deep:], reference[:, deep:])),
        }

    def _run(
        self, case: Case, storage: dict[str, Any] | None
    ) -> tuple[dict[str, Any], NDArray[np.float32] | None]:
        """A case in a process of its own: what it takes, and its gradient if it has one."""
        try:
            with (
                Side(Path(sys.executable), "ours", case, self.threads, storage) as side,
                tempfile.TemporaryDirectory(dir=self.path.parent) as folder,
            ):
                meter = LoadMeter.start([side.pid])
                first = side.ask("first", folder=folder)
                seconds = [first["seconds"]]
                while len(seconds) < RUNS and sum(seconds) < LONG_ENOUGH:
                    seconds.append(side.ask("time")["seconds"])
                row = {
                    "seconds": median(seconds),
                    "memory_mb": first["rss_mb"],
                    "disk_bytes": first["chosen"]["disk_bytes"],
                    "chosen": first["chosen"],
                    "versions": first["versions"],
                    "other_load": meter.others(),
                }
                if case.kind == "forward":
                    return row, None
                return row, np.load(Path(folder) / "ours-gradient.npy")
        except RuntimeError as error:
            return {"failed": str(error)}, None


def describe(case: Case) -> dict[str, Any]:
    """What a table says of its case."""
    return {
        "physics": case.physics,
        "shape": list(case.shape),
        "nt": case.nt,
        "shots": case.n_shots,
        "order": case.order,
        "deepwave_bytes": deepwave_bytes(case),
    }


def _said(row: dict[str, Any]) -> str:
    if "failed" in row:
        return f"failed: {row['failed']}"
    if "seconds" not in row:
        return "does not fit"
    error = f", error {row['error']:.1e}" if "error" in row else ""
    return f"{row['seconds']:.3g} s, {row['memory_mb']:.0f} MB{error}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.storage", description=__doc__)
    parser.add_argument("--json", type=Path, required=True, help="file for the rows")
    parser.add_argument("--quick", action="store_true", help="small grids: a few minutes")
    parser.add_argument("--elastic-3d", action="store_true", help="also the largest case")
    parser.add_argument("--only", default="", help="cases with this text in their names")
    parser.add_argument("--methods", nargs="+", choices=METHOD_NAMES, default=METHOD_NAMES)
    parser.add_argument(
        "--codecs", nargs="*", choices=CODEC_NAMES, default=CODEC_NAMES, help="besides none"
    )
    parser.add_argument(
        "--scratch", type=Path, default=default_folder(), help="folder for wavefields on disk"
    )
    parser.add_argument("--threads", type=int, default=default_threads())
    return parser.parse_args()


if __name__ == "__main__":
    main()
