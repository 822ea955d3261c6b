"""What scheduling costs: `python -m benchmarks.overhead --json FILE`.

Graphs, ledger and events are those of a run; leaves only take time. Three tables in Markdown:
10,000 tiny shots, batches of a second, and a survey of uneven shots against a static split.
"""

import argparse
import json
import pickle
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
import numpy as np
import psutil
from dask.utils import parse_bytes
from distributed.diagnostics.plugin import SchedulerPlugin

from benchmarks.load import LoadMeter
from benchmarks.machine import describe_machine, write
from benchmarks.stand_ins import busy, tiny, waiting
from wavepipe.pipeline.clusters.cluster import local_cluster
from wavepipe.pipeline.graph import Leaf, batches, build_graph, root_of
from wavepipe.pipeline.ledger import Ledger
from wavepipe.pipeline.run_folder import RunFolder

LARGE = "distributed.admin.large-graph-warning-threshold"


class Alive(SchedulerPlugin):
    """Counts results that are held in the memory of workers."""

    def __init__(self) -> None:
        self._keys: set[Any] = set()
        self.most = 0

    def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        """Follow a task."""
        if finish == "memory":
            self._keys.add(key)
            self.most = max(self.most, len(self._keys))
        elif start == "memory":
            self._keys.discard(key)


@dataclass
class Measured:
    """What a graph took."""

    n: int
    workers: int
    seconds: float = 0.0
    build_seconds: float = 0.0
    graph_bytes: int = 0
    driver_cpu_seconds: float = 0.0
    driver_grew_bytes: int = 0
    traffic_bytes: int = 0
    most_alive: int = 0
    most_files: int = 0
    other_load: float = 0.0
    """Cores that other processes kept busy."""
    large_bytes: int = 0
    """Size of a graph from which Dask warns by default; a run raises that."""


def measure(leaf: Leaf, argument: str, n: int, workers: int, *, files: bool = False) -> Measured:
    """Sum n batches of one shot on some workers of this machine."""
    found = Measured(n, workers)
    with tempfile.TemporaryDirectory() as name:
        found.large_bytes = parse_bytes(dask.config.get(LARGE))
        with local_cluster(workers, 1) as cluster, ThreadPoolExecutor(1) as pool:
            client: Any = cluster.client  # type: ignore[attr-defined]
            _warm(cluster, workers)
            alive = Alive()
            client.cluster.scheduler.add_plugin(alive)
            folder = RunFolder(Path(name))
            blocks = batches(range(n), 1)
            safe = Ledger(folder.ledger / "sums", root_of(blocks))
            start = time.perf_counter()
            graph, root = build_graph("overhead", leaf, argument, blocks, safe)
            found.build_seconds = time.perf_counter() - start
            found.graph_bytes = len(pickle.dumps(graph))
            before = _counters()
            own = [psutil.Process(), *psutil.Process().children(recursive=True)]
            meter = LoadMeter.start([one.pid for one in own])
            start = time.perf_counter()
            task = pool.submit(cluster.compute, graph, root, folder.log_event)
            while files and not task.done():
                found.most_files = max(found.most_files, len(list(safe.nodes())))
                time.sleep(0.5)
            total = task.result()
            found.seconds = time.perf_counter() - start
            found.other_load = meter.others()
            after = _counters()
            assert len(total.shots) == n
    found.driver_cpu_seconds = after["cpu"] - before["cpu"]
    found.driver_grew_bytes = after["memory"] - before["memory"]
    found.traffic_bytes = after["traffic"] - before["traffic"]
    found.most_alive = alive.most
    return found


def _warm(cluster: Any, workers: int) -> None:
    """Let every worker load what it needs."""
    with tempfile.TemporaryDirectory() as name:
        blocks = batches(range(8 * workers), 1)
        safe = Ledger(Path(name), root_of(blocks))
        cluster.compute(*build_graph("warm", tiny, "", blocks, safe), lambda event: None)


def _counters() -> dict[str, Any]:
    """Of this process, which is driver and scheduler, and of the network inside the machine."""
    loopback = psutil.net_io_counters(pernic=True)["lo"]
    process = psutil.Process()
    return {
        "cpu": time.process_time(),
        "memory": process.memory_info().rss,
        "traffic": loopback.bytes_sent,
    }


def many_tiny_shots(n: int) -> dict[str, Any]:
    """Row of many shots that take no time."""
    found = measure(tiny, "", n, 2, files=True)
    return {"table": "tiny", **vars(found), "per_batch_s": found.seconds * found.workers / n}


def batches_of_a_second(of: str, n: int) -> dict[str, Any]:
    """Row of batches that take a second, of a core or of waiting."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "seconds.json"
        path.write_text(json.dumps([1.0] * n))
        found = measure(busy if of == "a core" else waiting, str(path), n, 2)
    overhead = found.seconds * 2 / n - 1.0
    return {"table": "second", "of": of, **vars(found), "overhead": overhead}


def uneven_survey(order: str, workers: int, n: int) -> dict[str, Any]:
    """Row of shots of which the longest takes ten times as long as the shortest."""
    seconds = np.geomspace(0.1, 1.0, n)
    if order == "random":
        np.random.default_rng(1).shuffle(seconds)
    parts = np.array_split(seconds, workers)
    static = max(float(part.sum()) for part in parts)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "seconds.json"
        path.write_text(json.dumps(seconds.tolist()))
        found = measure(waiting, str(path), n, workers)
    work = float(seconds.sum())
    return {
        "table": "uneven",
        "order": order,
        **vars(found),
        "idle": 1.0 - work / (workers * found.seconds),
        "static_idle": 1.0 - work / (workers * static),
    }


def tables(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows in Markdown."""
    makers: dict[str, Callable[[Sequence[Mapping[str, Any]]], list[str]]] = {
        "tiny": _tiny_table,
        "second": _second_table,
        "uneven": _uneven_table,
    }
    found = [
        "\n".join(make([row for row in rows if row["table"] == name]))
        for name, make in makers.items()
        if any(row["table"] == name for row in rows)
    ]
    return "\n\n".join(found)


def _tiny_table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = ["| tiny shots, one a batch, on two workers | |", "|---|--:|"]
    for row in rows:
        n = row["n"]
        lines += [
            f"| batches | {n} |",
            f"| time, and of a worker for each batch | {row['seconds']:.0f} s, "
            f"{1e3 * row['per_batch_s']:.1f} ms |",
            "| processor time of driver and scheduler for each batch | "
            f"{1e3 * row['driver_cpu_seconds'] / n:.1f} ms |",
            f"| making the graph, its size | {row['build_seconds']:.2f} s, "
            f"{row['graph_bytes'] / 1e6:.1f} MB |",
            "| memory that driver and scheduler grow by | "
            f"{row['driver_grew_bytes'] / 1e6:.0f} MB |",
            f"| all traffic, for each batch | {row['traffic_bytes'] / 1e6:.0f} MB, "
            f"{row['traffic_bytes'] / n / 1e3:.1f} kB |",
            f"| sums in memory of both workers at a time | {row['most_alive']} |",
            f"| files of the ledger at a time | {row['most_files']} |",
            f"| size of the graph, of that from which Dask warns by default "
            f"({row['large_bytes'] / 1e6:.0f} MB) | "
            f"{row['graph_bytes'] / row['large_bytes']:.0%} |",
        ]
    return lines


def _second_table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [
        "| batches of one second of | batches | workers | time | overhead | other processes |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {row['of']} | {row['n']} | {row['workers']} | {row['seconds']:.1f} s "
        f"| {row['overhead']:.1%} | {row['other_load']:.2f} cores |"
        for row in rows
    ]
    return lines


def _uneven_table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = ["| order of the shots | workers | idle | idle, static split |", "|---|--:|--:|--:|"]
    lines += [
        f"| {row['order']} | {row['workers']} | {row['idle']:.1%} | {row['static_idle']:.1%} |"
        for row in rows
    ]
    return lines


def main() -> None:
    """Measure and print the tables."""
    options = _options()
    rows: list[dict[str, Any]] = []

    def keep(row: dict[str, Any]) -> None:
        rows.append(row | {"machine": describe_machine(1)})
        print(json.dumps(row), file=sys.stderr, flush=True)
        write(options.json, rows)

    if options.only in ("", "tiny"):
        keep(many_tiny_shots(options.tiny))
    if options.only in ("", "second"):
        for of in ("waiting", "a core"):
            keep(batches_of_a_second(of, options.second))
    if options.only in ("", "uneven"):
        for order in ("ascending", "random"):
            for workers in (2, 4):
                keep(uneven_survey(order, workers, options.uneven))
    print(tables(rows))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overhead", description=__doc__)
    parser.add_argument("--json", type=Path, required=True, help="file for the rows")
    parser.add_argument("--only", default="", choices=("", "tiny", "second", "uneven"))
    parser.add_argument("--tiny", type=int, default=10_000, help="tiny shots")
    parser.add_argument("--second", type=int, default=120, help="batches of a second")
    parser.add_argument("--uneven", type=int, default=64, help="uneven shots")
    return parser.parse_args()


if __name__ == "__main__":
    main()
