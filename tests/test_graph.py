"""The tree of sums: one order for any batch size, and a graph that Dask queues."""

import time

import numpy as np
import pytest
from dask.local import get_sync

from wavepipe.pipeline.clusters.cluster import local_cluster
from wavepipe.pipeline.graph import batches, build_graph, root_of, tree_sum
from wavepipe.pipeline.ledger import Ledger
from wavepipe.pipeline.partial import Failure, Partial, add
from wavepipe.pipeline.windows import Window


def random_partial(shot: int) -> Partial:
    """A shot's contribution on a window of its own, of very different size per shot."""
    rng = np.random.default_rng(shot)
    start = int(rng.integers(0, 8))
    window = Window((0, start), (5, start + int(rng.integers(2, 9))))
    values = (10.0 ** rng.uniform(-4, 4) * rng.standard_normal(window.shape)).astype(np.float32)
    return Partial((shot,), window=window, arrays={"image": values}, scalars={"misfit": 0.1 * shot})


def leaf(argument: str, shots: tuple[int, ...], halvings: int) -> Partial:
    return tree_sum((random_partial(shot) for shot in shots), add)


def graph_of(name, leaf, n_shots, size, folder):
    """Graph of an evaluation, and its root."""
    blocks = batches(range(n_shots), size)
    return build_graph(name, leaf, "", blocks, Ledger(folder / name, root_of(blocks)))


@pytest.mark.parametrize("n_shots", [1, 2, 3, 7, 8, 13, 21])
@pytest.mark.parametrize("size", [1, 2, 4, 8, 32])
def test_the_sum_has_the_same_bits_for_any_batch_size(n_shots, size, tmp_path):
    expected = leaf("", tuple(range(n_shots)), 0)
    found = get_sync(*graph_of("a", leaf, n_shots, size, tmp_path))
    assert found.window == expected.window
    assert found.shots == expected.shots == tuple(range(n_shots))
    assert found.arrays["image"].tobytes() == expected.arrays["image"].tobytes()
    assert found.scalars == expected.scalars


def test_a_plain_loop_from_left_to_right_would_give_other_bits():
    """The property above is not trivial: the order of summation matters for these numbers."""
    total = random_partial(0)
    for shot in range(1, 21):
        total = add(total, random_partial(shot))
    tree = tree_sum((random_partial(shot) for shot in range(21)), add)
    assert total.arrays["image"].tobytes() != tree.arrays["image"].tobytes()
    # float32 sums of numbers up to 1e4: rounding of the largest ones
    np.testing.assert_allclose(total.arrays["image"], tree.arrays["image"], atol=1e-1)


def test_batches_are_aligned_blocks_and_only_powers_of_two():
    assert batches([3, 5, 7, 9, 11], 2) == [(3, 5), (7, 9), (11,)]
    with pytest.raises(ValueError, match="batch of 3 shots"):
        batches([1, 2, 3], 3)


def test_a_failed_shot_leaves_the_sum_of_the_others():
    failed = Partial(failures=(Failure(1, "1", "NaN"),))
    total = tree_sum([random_partial(0), failed, random_partial(2)], add)
    alone = add(random_partial(0), random_partial(2))
    assert total.shots == (0, 2)
    assert total.failures == failed.failures
    assert total.arrays["image"].tobytes() == alone.arrays["image"].tobytes()


def test_a_sum_is_spread_over_the_model_with_zeros_outside_its_window():
    partial = random_partial(4)
    image = partial.spread("image", (5, 20))
    assert image.shape == (5, 20)
    assert np.array_equal(image[partial.window.slices], partial.arrays["image"])
    assert np.count_nonzero(image) == np.count_nonzero(partial.arrays["image"])


def test_keys_differ_between_evaluations(tmp_path):
    first, _ = graph_of("a", leaf, 4, 1, tmp_path)
    second, _ = graph_of("b", leaf, 4, 1, tmp_path)
    assert not set(first) & set(second)


def test_small_graphs_are_queued_by_the_scheduler(tmp_path):
    """Eight batches on one worker: one runs, the others wait at the scheduler, not on the worker.

    `_data_producer` is private to Dask; this fails when it loses its meaning.
    """

    # Worker processes cannot import this file, so what they run travels by value.
    def slow_leaf(argument, shots, halvings):
        time.sleep(0.3)
        return Partial(shots)

    def count_queued(dask_scheduler):
        return len(dask_scheduler.queued)

    graph, root = graph_of("queue", slow_leaf, 8, 1, tmp_path)
    with local_cluster(1, 1) as cluster:
        future = cluster.client.get(graph, root, sync=False)
        queued = 0
        deadline = time.monotonic() + 20
        while queued == 0 and time.monotonic() < deadline:
            queued = cluster.client.run_on_scheduler(count_queued)
            time.sleep(0.02)
        assert future.result().shots == tuple(range(8))
    assert queued >= 4
