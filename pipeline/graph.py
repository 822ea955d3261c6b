"""The Dask graph of one evaluation: leaves are batches of shots, the rest is a fixed tree.

The tree is binary over the shots in their order: node (level, j) holds the sum over shots
``j * 2**level ... (j + 1) * 2**level - 1`` and is its left child plus its right child. A batch is
one node of that tree, summed in the tree's order inside the leaf; so neither the batch size nor
the number of workers nor the order of completion can change a bit of the root.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from dask._task_spec import Task, TaskRef
from distributed import get_worker

from wavepipe.pipeline.partial import Partial, add

Item = TypeVar("Item")
Key = tuple[str, int, int]
Leaf = Callable[[str, tuple[int, ...]], Partial]

TOPIC = "wavepipe"
"""Name under which workers report finished batches to the scheduler."""


def batches(shots: Sequence[int], size: int) -> list[tuple[int, ...]]:
    """Aligned blocks of `size` shots (a power of two); the last may be shorter."""
    if size < 1 or size & (size - 1):
        raise ValueError(f"a batch of {size} shots is no node of a binary tree")
    return [tuple(shots[i : i + size]) for i in range(0, len(shots), size)]


def tree_sum(items: Iterable[Item], combine: Callable[[Item, Item], Item]) -> Item:
    """Sum in the order of the tree, holding at most one item per level.

    Parameters
    ----------
    items
        At least one, in the order of the shots.
    combine
        Sum of two neighbours, left and right.
    """
    pending: list[tuple[int, Item]] = []
    for item in items:
        level = 0
        while pending and pending[-1][0] == level:
            item = combine(pending.pop()[1], item)
            level += 1
        pending.append((level, item))
    if not pending:
        raise ValueError("a sum over shots needs at least one shot")
    total = pending.pop()[1]
    while pending:
        total = combine(pending.pop()[1], total)
    return total


def build_graph(
    evaluation: str, leaf: Leaf, argument: str, blocks: Sequence[tuple[int, ...]]
) -> tuple[dict[Key, Task], Key]:
    """Graph of one evaluation as a plain dict, and the key of its root.

    Parameters
    ----------
    evaluation
        Content hash of all that decides the result. It is part of every key: with equal keys the
        scheduler would answer a new evaluation with the result of an old one.
    leaf
        A plain function of `argument` and a batch.
    argument
        What every leaf needs, as a path: nothing large travels in the graph.
    blocks
        The batches, from `batches`.
    """
    graph: dict[Key, Task] = {}
    nodes: list[Key] = []
    for j, block in enumerate(blocks):
        key = (f"batch-{evaluation}", 0, j)
        # Marked as a producer of data, or graphs with few batches per thread are assigned at
        # once and lose the scheduler's queue.
        graph[key] = Task(key, run_batch, leaf, argument, block, _data_producer=True)
        nodes.append(key)
    level = 0
    while len(nodes) > 1:
        level += 1
        parents: list[Key] = []
        for j in range(0, len(nodes), 2):
            if j + 1 == len(nodes):
                parents.append(nodes[j])
                continue
            key = (f"sum-{evaluation}", level, j // 2)
            graph[key] = Task(key, add, TaskRef(nodes[j]), TaskRef(nodes[j + 1]))
            parents.append(key)
        nodes = parents
    return graph, nodes[0]


def run_batch(leaf: Leaf, argument: str, shots: tuple[int, ...]) -> Partial:
    """Compute one batch and report how long it took; the report is a view, not the result."""
    start = time.perf_counter()
    partial = leaf(argument, shots)
    try:
        worker = get_worker()
    except ValueError:
        return partial
    worker.log_event(
        TOPIC,
        {
            "event": "batch",
            "shots": len(shots),
            "first_shot": shots[0],
            "seconds": round(time.perf_counter() - start, 4),
            "worker": str(worker.name),
        },
    )
    return partial
