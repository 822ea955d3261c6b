"""Compare our propagators with Deepwave: `python -m benchmarks.deepwave --json FILE`."""

import argparse
import sys
from pathlib import Path
from typing import Any

from benchmarks.cases import all_cases
from benchmarks.environment import deepwave_python
from benchmarks.machine import DISTURBED, default_threads, describe_machine, write
from benchmarks.pairs import measure

QUICK_SECONDS = 8.0
"""Time that a quick run gives to the pairs of one case."""

HEADER = (
    f"{'case':42}{'ours s':>9}{'peer s':>9}{'ratio':>7}{'min':>7}{'max':>7}"
    f"{'ours MB':>9}{'peer MB':>9}{'gradient':>10}{'gather':>10}{'of bound':>9}{'of RAM':>8}"
)


def main() -> None:
    """Run every case and write the rows after each, so that an interrupted run keeps them."""
    options = _options()
    pythons = {"ours": Path(sys.executable), "deepwave": deepwave_python()}
    cases = [case for case in all_cases(options.quick) if options.only in case.name]
    if not cases:
        sys.exit(f"no case has {options.only!r} in its name")
    machine = describe_machine(options.threads)
    seconds = QUICK_SECONDS if options.quick else 0.0
    rows: list[dict[str, Any]] = []
    print(HEADER, flush=True)
    for case in cases:
        row = measure(pythons, case, options.threads, seconds) | {"machine": machine}
        rows.append(row)
        write(options.json, rows)
        print(line_of(row), flush=True)
    if max(row["other_load"] for row in rows) > DISTURBED:
        print("Cases marked * were disturbed by other processes: do not trust their ratios.")


def line_of(row: dict[str, Any]) -> str:
    """One line of the table on the terminal."""
    error = row["gradient_error"]
    gradient = f"{'-':>10}" if error is None else f"{error:>10.1e}"
    memory = f"{row['over_memory']:>8.2f}" if row["kept"] == "disk" else f"{'-':>8}"
    return (
        f"{row['case']:42}{row['ours_s']:>9.3f}{row['deepwave_s']:>9.3f}"
        f"{row['ratio_median']:>7.2f}{row['ratio_min']:>7.2f}{row['ratio_max']:>7.2f}"
        f"{row['ours_rss_mb']:>9.0f}{row['deepwave_rss_mb']:>9.0f}"
        f"{gradient}{row['gather_error']:>10.1e}{row['bound_reached']:>9.0%}{memory}"
        f"{' *' if row['other_load'] > DISTURBED else ''}"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.deepwave", description=__doc__)
    parser.add_argument("--json", type=Path, required=True, help="file for the rows")
    parser.add_argument("--quick", action="store_true", help="shorter runs: some ten minutes")
    parser.add_argument("--only", default="", help="cases with this text in their names")
    parser.add_argument("--threads", type=int, default=default_threads())
    return parser.parse_args()


if __name__ == "__main__":
    main()
