"""Sums that are safe on disk: read back as they were, in the tree's order, whatever is missing."""

import errno
import random
from pathlib import Path

import numpy as np
import pytest
from dask.local import get_sync

from wavepipe.pipeline import ledger as module
from wavepipe.pipeline.errors import DiskFullError, LedgerError
from wavepipe.pipeline.graph import (
    add_sums,
    batches,
    build_graph,
    read_sum,
    root_of,
    run_batch,
    tree_sum,
)
from wavepipe.pipeline.ledger import LEVELS, Covered, Ledger
from wavepipe.pipeline.partial import Failure, Partial, add
from wavepipe.pipeline.partial_file import from_bytes, to_bytes
from wavepipe.pipeline.windows import Window


def shot_partial(shot: int) -> Partial:
    """One shot's sums, of very different size per shot."""
    rng = np.random.default_rng(shot)
    start = int(rng.integers(0, 8))
    window = Window((0, start), (5, start + int(rng.integers(2, 9))), ("x1",))
    values = (10.0 ** rng.uniform(-4, 4) * rng.standard_normal(window.shape)).astype(np.float32)
    return Partial(
        (shot,), window=window, arrays={"vp": values, "rho": 2 * values}, scalars={"misfit": 0.1}
    )


def same(a: Partial, b: Partial) -> bool:
    return (
        (a.shots, a.failures, a.window, a.scalars) == (b.shots, b.failures, b.window, b.scalars)
        and list(a.arrays) == list(b.arrays)
        and all(a.arrays[n].tobytes() == b.arrays[n].tobytes() for n in a.arrays)
        and all(a.arrays[n].dtype == b.arrays[n].dtype for n in a.arrays)
    )


@pytest.fixture
def made():
    """Batches that leaves have computed, in order."""
    return []


def graph_of(n: int, folder: Path, made: list[int]):
    """Graph over n batches of one shot, whose leaves note that they ran."""

    def leaf(_argument, shots, _halvings):
        made.append(shots[0])
        return shot_partial(shots[0])

    blocks = batches(range(n), 1)
    safe = Ledger(folder, root_of(blocks))
    return (*build_graph("a", leaf, "", blocks, safe), safe)


def tree(n: int) -> Partial:
    return tree_sum((shot_partial(shot) for shot in range(n)), add)


@pytest.mark.parametrize(
    "partial",
    [
        shot_partial(3),
        Partial(),
        Partial((1, 2), (Failure(3, "4", "NaN"),), scalars={"misfit": float("inf"), "x": -0.0}),
        Partial((1,), window=Window((0,), (0,)), arrays={"none": np.zeros((0, 3))}),
    ],
)
def test_a_file_gives_back_what_was_written(partial):
    assert same(from_bytes(b"".join(to_bytes(partial))), partial)


def test_a_file_with_one_wrong_bit_or_without_its_end_is_noticed():
    content = bytearray(b"".join(to_bytes(shot_partial(1))))
    for place in (0, 25, len(content) // 2, len(content) - 1):
        content[place] ^= 1
        with pytest.raises(ValueError, match="other bytes than were written"):
            from_bytes(bytes(content))
        content[place] ^= 1
    for length in (0, 10, len(content) // 2, len(content) - 1):
        with pytest.raises(ValueError, match="other bytes than were written"):
            from_bytes(bytes(content[:length]))


@pytest.mark.parametrize("n", [1, 2, 5, 8, 9, 21, 64, 70])
def test_the_root_is_safe_in_the_end_and_covers_all(n, tmp_path, made):
    graph, root, safe = graph_of(n, tmp_path, made)
    assert same(get_sync(graph, root), tree(n))
    assert list(safe.nodes()) == [safe.root]
    assert len(list(tmp_path.iterdir())) == 1
    again, root, _ = graph_of(n, tmp_path, made)
    assert len(again) == 1
    assert same(get_sync(again, root), tree(n))
    assert sorted(made) == list(range(n))


@pytest.mark.parametrize("seed", range(4))
def test_stopped_at_any_task_it_goes_on_to_the_same_bits(seed, tmp_path, made):
    """Tasks in a random order that respects the tree; killed again and again."""
    rng, n = random.Random(seed), 43
    for stop in (0, 3, 15, 30, 60, 1000):
        graph, root, safe = graph_of(n, tmp_path, made)
        values, left = {}, dict(graph)
        while left and stop:
            ready = [k for k, task in left.items() if all(d in values for d in task.dependencies)]
            key = rng.choice(ready)
            values[key] = left.pop(key)(values)
            stop -= 1
        alive = len(list(safe.nodes()))
    assert same(values[root], tree(n))
    assert alive == 1
    assert len(made) <= n + 5  # what was in memory only may be lost: here leaves never are
    assert sorted(set(made)) == list(range(n))


def test_few_sums_are_alive_at_a_time(tmp_path, made, monkeypatch):
    graph, root, safe = graph_of(128, tmp_path, made)
    alive, original = [], module.Ledger.keep

    def keep(self, node, partial):
        original(self, node, partial)
        alive.append(len(list(safe.nodes())))

    monkeypatch.setattr(module.Ledger, "keep", keep)
    get_sync(graph, root)
    assert len(alive) == 128 + 127
    assert max(alive) <= (1 << LEVELS) * 4


def test_tasks_that_are_asked_again_are_read_or_covered(tmp_path, made):
    """As Dask asks after a worker has died: from the leaves up."""
    graph, root, _ = graph_of(16, tmp_path, made)
    get_sync(graph, root)
    made.clear()
    values = {}
    for key, task in sorted(graph.items(), key=lambda item: item[0][1]):
        values[key] = task(values)
        expected = Partial if key == root else Covered
        assert isinstance(values[key], expected)
    assert not made


def test_a_broken_sum_is_computed_again(tmp_path, made, caplog):
    """When the graph is made: then nothing has been left out for its sake."""
    graph, root, safe = graph_of(16, tmp_path, made)
    get_sync(graph, root)
    path = safe._path(safe.root)
    content = bytearray(path.read_bytes())
    content[-20] ^= 64
    path.write_bytes(content)
    made.clear()
    graph, root, _ = graph_of(16, tmp_path, made)
    assert "computed again" in caplog.text
    assert path.with_suffix(".broken").exists()
    assert same(get_sync(graph, root), tree(16))
    assert sorted(made) == list(range(16))


def test_a_sum_that_breaks_under_way_stops_the_run(tmp_path, made):
    """What it covered is gone; a new start finds out what to compute."""
    graph, root, safe = graph_of(16, tmp_path, made)
    get_sync(graph, root)
    safe._path(safe.root).unlink()
    with pytest.raises(LedgerError, match=r"gone or broken.*--resume"):
        add_sums(Covered((0, 0)), Covered((0, 1)), safe, (1, 0))
    with pytest.raises(LedgerError, match=r"gone or broken.*--resume"):
        read_sum(safe, safe.root)


def test_failed_shots_are_tried_again(tmp_path, made):
    """A sum that lacks them is given, but not kept."""
    broken = True

    def leaf(_, shots, __):
        made.append(shots[0])
        if broken and shots[0] == 5:
            return Partial(failures=(Failure(5, "6", "NaN"),))
        return shot_partial(shots[0])

    blocks = batches(range(12), 1)
    safe = Ledger(tmp_path, root_of(blocks))
    graph, root = build_graph("a", leaf, "", blocks, safe)
    assert [f.shot for f in get_sync(graph, root).failures] == [5]
    made.clear()
    broken = False
    graph, root = build_graph("a", leaf, "", blocks, safe)
    assert same(get_sync(graph, root), tree(12))
    assert made == [5]


def test_a_full_disk_is_an_error_that_names_it(tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", full)
    safe = Ledger(tmp_path / "a", (0, 0))
    with pytest.raises(DiskFullError, match=r"No space left on device.*output.folder"):
        run_batch(lambda _, shots, __: shot_partial(shots[0]), "", (0,), safe, (0, 0))
    assert not list((tmp_path / "a").iterdir())


def test_what_killed_writers_left_is_swept(tmp_path, made):
    """As their tries are; sums that are whole stay."""
    graph, root, safe = graph_of(3, tmp_path, made)
    get_sync(graph, root)
    for name in ("0a1b.partial", "2.tries"):
        (tmp_path / name).write_bytes(b"half a sum")
    assert safe.check() == [safe.root]
    assert [path.suffix for path in tmp_path.iterdir()] == [".sum"]
