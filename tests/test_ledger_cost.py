"""What the ledger takes is predicted, and batches grow until it is little."""

import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from dask.local import get_sync

from wavepipe.pipeline import ledger_cost
from wavepipe.pipeline.graph import batches, build_graph, root_of, tree_sum
from wavepipe.pipeline.ledger import Ledger
from wavepipe.pipeline.ledger_cost import MOST, Disk, LedgerCost, measure_disk, tree_sizes
from wavepipe.pipeline.partial import Partial, add
from wavepipe.pipeline.schedule import _batch_shots
from wavepipe.pipeline.windows import Window

MOVING = [Window((0, 3 * i), (5, 3 * i + 10)) for i in range(21)]
"""Windows of 50 cells along a line."""


def cost(windows=MOVING, latency=0.01, speed=1e6, n_workers=2, shot_seconds=0.5, cell_bytes=8):
    sizes = tree_sizes(windows)
    disk = Disk(latency, speed)
    return LedgerCost(sizes, cell_bytes, disk, n_workers, shot_seconds * len(windows))


@pytest.mark.parametrize("size", [1, 2, 8, 32])
@pytest.mark.parametrize("n", [16, 21])
def test_what_is_written_is_what_is_predicted(n, size, tmp_path, monkeypatch):
    """Files and bytes of a whole evaluation, against the ledger itself.

    Where a tree has ragged ends, some sums that are counted are one below and not written.
    """

    def leaf(_, shots, __):
        return tree_sum(
            (
                Partial((s,), window=MOVING[s], arrays={"a": np.zeros(MOVING[s].shape)})
                for s in shots
            ),
            add,
        )

    written, original = [], Ledger.keep

    def keep(self, node, partial):
        before = set(tmp_path.iterdir()) if tmp_path.exists() else set()
        original(self, node, partial)
        if set(tmp_path.iterdir()) - before:
            written.append(partial.arrays["a"].nbytes)

    monkeypatch.setattr(Ledger, "keep", keep)
    blocks = batches(range(n), size)
    get_sync(*build_graph("a", leaf, "", blocks, Ledger(tmp_path, root_of(blocks))))
    expected = cost(MOVING[:n], latency=1.0, speed=1.0).seconds(size)
    found = len(written) + sum(written)
    assert found == expected if n == 16 else found <= expected < 1.1 * found


def test_batches_grow_until_the_ledger_takes_little():
    """And no further; where they cannot, workers still have two batches each."""
    slow, fast = cost(speed=2e4), cost(speed=1e9, latency=0.0)
    assert _batch_shots(21, 2, 0.5, fast) == 2  # a second
    assert slow.share(2) > MOST
    grown = _batch_shots(21, 2, 0.5, slow)
    assert grown > 2
    assert slow.share(grown) <= MOST < slow.share(grown // 2)
    hopeless = cost(speed=1e2)
    assert _batch_shots(21, 2, 0.5, hopeless) == 4  # of six batches
    assert hopeless.share(4) > 0.5


def test_a_disk_that_many_share_is_slower():
    assert cost(n_workers=1).share(1) < cost(n_workers=8).share(1) < 1.0
    assert cost(n_workers=500).share(1) < 1.0


def test_the_disk_of_the_run_is_measured_where_it_will_be(tmp_path, monkeypatch):
    """Its latency and its speed; nothing stays."""
    places, now = [], 0.0

    def slow(descriptor):
        nonlocal now
        places.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        now += 0.02
        if places[-1].is_file():
            now += os.fstat(descriptor).st_size / 50e6

    monkeypatch.setattr(os, "fsync", slow)
    monkeypatch.setattr(ledger_cost, "time", SimpleNamespace(perf_counter=lambda: now))
    disk = measure_disk(tmp_path / "not" / "yet", 10e6)
    assert all(place.is_relative_to(tmp_path) for place in places)
    assert disk.latency == pytest.approx(0.04, rel=0.01)  # of a file and of its folder
    assert disk.speed == pytest.approx(5e7, rel=0.01)
    assert not list(tmp_path.iterdir())
