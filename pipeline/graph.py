"""The Dask graph of one evaluation: leaves are batches of shots, the rest is a fixed tree.

The tree is binary over the shots in their order: node (level, j) holds the sum over shots
``j * 2**level ... (j + 1) * 2**level - 1`` and is its left child plus its right child. A batch is
one node of that tree, summed in the tree's order inside the leaf; so neither the batch size nor
the number of workers nor the order of completion can change a bit of the root.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from dask._task_spec import Task, TaskRef
from distributed import get_worker

from wavepipe.pipeline.batch_events import BatchWatch
from wavepipe.pipeline.errors import LedgerError
from wavepipe.pipeline.ledger import REMEDY, Covered, Ledger, Node
from wavepipe.pipeline.partial import Failure, Partial, add
from wavepipe.pipeline.watchdog import watched

Item = TypeVar("Item")
Key = tuple[str, int, int]
Leaf = Callable[[str, tuple[int, ...], int], Partial]
"""Of what every batch needs, its shots, and how often its calls are halved."""

MOST_DEATHS = 5
"""Workers that may die with a batch before it is given up."""

GIVEN_UP = (
    f"{MOST_DEATHS} workers died while they computed it, most often of too little memory; lower "
    "cluster.workers and go on with --resume, or start anew with a smaller cluster.batch_shots"
)

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
    evaluation: str,
    leaf: Leaf,
    argument: str,
    blocks: Sequence[tuple[int, ...]],
    safe: Ledger,
    patience: float | None = None,
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
    safe
        Where sums are made safe; what is there already is only read.
    patience
        Seconds after which a worker ends itself if its batch has not ended; None for never.
    """
    known = set(safe.check())
    graph: dict[Key, Task] = {}

    def key_of(level: int, place: int) -> Key:
        """Key of a node whose tasks are in the graph, made from the root downwards."""
        first = place << level
        if level and first + (1 << (level - 1)) >= len(blocks):
            return key_of(level - 1, 2 * place)  # no right neighbour: the node is its left child
        key = (f"{'sum' if level else 'batch'}-{evaluation}", level, place)
        node = (level, place)
        if node in known:
            graph[key] = Task(key, read_sum, safe, node)
        elif level:
            left, right = key_of(level - 1, 2 * place), key_of(level - 1, 2 * place + 1)
            graph[key] = Task(key, add_sums, TaskRef(left), TaskRef(right), safe, node)
        else:
            # Marked as a producer of data, or graphs with few batches per thread are assigned at
            # once and lose the scheduler's queue.
            graph[key] = Task(
                key,
                run_batch,
                leaf,
                argument,
                blocks[place],
                safe,
                node,
                patience,
                _data_producer=True,
            )
        return key

    return graph, key_of(*root_of(blocks))


def root_of(blocks: Sequence[tuple[int, ...]]) -> Node:
    """Of the tree over batches."""
    return (len(blocks) - 1).bit_length(), 0


def read_sum(safe: Ledger, node: Node) -> Partial | Covered:
    """What was safe when the graph was made."""
    found = safe.find(node)
    if found is None:
        raise LedgerError(f"a sum that was safe in {safe.folder} is gone or broken. {REMEDY}")
    return found


def add_sums(
    left: Partial | Covered, right: Partial | Covered, safe: Ledger, node: Node
) -> Partial | Covered:
    """Sum of two nodes, made safe where the ledger keeps it."""
    found = safe.find(node)
    if found is None:
        found = add(_known(left), _known(right))
        safe.keep(node, found)
    return found


def _known(side: Partial | Covered) -> Partial:
    """A side of a sum that is needed."""
    if isinstance(side, Covered):
        raise LedgerError(f"the sum that covered {side.node} is gone or broken. {REMEDY}")
    return side


def run_batch(
    leaf: Leaf,
    argument: str,
    shots: tuple[int, ...],
    safe: Ledger,
    node: Node,
    patience: float | None = None,
) -> Partial | Covered:
    """Compute one batch and report how long it took; the report is a view, not the result."""
    found = safe.find(node)
    if found is not None:
        return found
    worker, dead = _worker(), safe.deaths(node)
    watch = BatchWatch("" if worker is None else str(worker.address))
    if len(dead) >= MOST_DEATHS:  # the count stays: this value may die with its worker too
        partial = Partial(failures=tuple(Failure(shot, "", GIVEN_UP) for shot in shots))
    else:
        stacks = safe.folder / f"{node[1]}-try{len(dead) + 1}.stacks"
        alone = worker is not None and worker.state.nthreads == 1
        with safe.trying(node, watch.worker):
            with watched(patience if alone else None, stacks):
                # The first may have been an accident; later ones look like too little memory.
                partial = leaf(argument, shots, max(0, len(dead) - 1))
            safe.keep(node, partial)
    if worker is not None:
        worker.log_event(TOPIC, watch.event(shots, partial, dead))
    return partial


def _worker() -> Any:
    """The Dask worker that this runs on; None where it runs in the driver."""
    try:
        return get_worker()
    except ValueError:
        return None
