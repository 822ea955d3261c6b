"""Workers that come late, are slow or have too little memory: all work, and no bit changes."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask
import numpy as np
from distributed import Client, LocalCluster
from summed_shots import expected, processes, taking

from wavepipe.pipeline.clusters.cluster import SETTINGS, DaskCluster, quiet
from wavepipe.pipeline.graph import batches, build_graph, root_of
from wavepipe.pipeline.ledger import Ledger
from wavepipe.pipeline.partial import Partial


@contextmanager
def workers(n: int, memory: str | int = 0) -> Iterator[tuple[Any, DaskCluster]]:
    """A Dask cluster and what computes on it; `memory` is the limit of a worker."""
    with (
        dask.config.set(SETTINGS),
        quiet(),
        LocalCluster(
            n_workers=n,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            memory_limit=memory,
            silence_logs=50,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield cluster, DaskCluster(client, n)


def sum_with(cluster: DaskCluster, folder: Path, leaf: Any, n: int, on_batch: Any) -> Partial:
    """Sum over n shots, one a batch."""
    blocks = batches(range(n), 1)
    safe = Ledger(folder / "ledger", root_of(blocks))
    notes = str(folder / "notes")
    return cluster.compute(*build_graph(str(folder), leaf, notes, blocks, safe), on_batch)


def test_a_worker_that_joins_late_gets_work(tmp_path):
    """As soon as it is there, though every batch was known before."""
    n, done, plain = 40, [], taking(0.1)

    def leaf(argument, shots, halvings):
        import os
        import time

        deadline, alone = time.monotonic() + 60.0, True
        while alone and time.monotonic() < deadline:  # however long it takes to start another one
            notes = Path(argument).read_text().split() if Path(argument).exists() else []
            alone = len(notes) > 20 and set(notes[1::2]) == {str(os.getpid())}
            time.sleep(0.05 * alone)
        return plain(argument, shots, halvings)

    with workers(1) as (cluster, computing):

        def on_batch(event):
            done.append(event)
            if len(done) == 5:
                cluster.scale(2)

        total = sum_with(computing, tmp_path, leaf, n, on_batch)
    assert total.arrays["image"].tobytes() == expected(tmp_path, n)
    first, late = (count for _, count in Counter(processes(tmp_path)).most_common())
    assert first + late == n
    assert late > n // 5


def test_a_worker_that_is_ten_times_slower_gets_less_and_holds_nobody_up(tmp_path):
    n, plain = 44, taking(0.0)

    def leaf(argument, shots, halvings):
        import time

        from distributed import get_worker

        time.sleep(1.0 if str(get_worker().name) == "0" else 0.1)
        return plain(argument, shots, halvings)

    seconds = []
    with workers(2) as (_, computing):
        total = sum_with(computing, tmp_path, leaf, n, lambda e: seconds.append(e["seconds"]))
    assert total.arrays["image"].tobytes() == expected(tmp_path, n)
    quick, slow = (count for _, count in Counter(processes(tmp_path)).most_common())
    assert quick + slow == n
    assert quick > 2 * slow > 0


def test_a_batch_that_exceeds_the_memory_of_its_worker_is_tried_in_smaller_calls(tmp_path):
    """The nanny ends the worker; from the third try on calls are halved, and then it fits."""
    n, plain = 6, taking(0.0)

    def leaf(argument, shots, halvings):
        import time

        if shots[0] == 3:
            with Path(argument).with_name("tries").open("a") as file:
                file.write(f"{halvings} ")
            if halvings == 0:
                held = np.ones(2_000_000_000 // 8)
                time.sleep(20.0)
                del held
        return plain(argument, shots, halvings)

    with workers(2, "900MB") as (_, computing):
        total = sum_with(computing, tmp_path, leaf, n, lambda event: None)
    assert not total.failures
    assert total.arrays["image"].tobytes() == expected(tmp_path, n)
    assert (tmp_path / "tries").read_text().split() == ["0", "0", "1"]
