"""A sum over shots whose batches take a known time, for tests of clusters."""

from pathlib import Path

import numpy as np

from wavepipe.pipeline.graph import batches, build_graph, root_of, tree_sum
from wavepipe.pipeline.ledger import Ledger
from wavepipe.pipeline.partial import Partial, add
from wavepipe.pipeline.windows import Window


def taking(seconds: float):
    """A leaf that notes in a file where it ran, and whose sum shows the order of its terms."""

    # Made in a function, since workers cannot import a test's file.
    def leaf(argument, shots, _halvings):
        import os
        import time

        time.sleep(seconds)
        with Path(argument).open("a") as file:
            file.write(f"{shots[0]} {os.getpid()}\n")
        rng = np.random.default_rng(shots[0])
        values = (10.0 ** rng.uniform(-4, 4) * rng.standard_normal((4, 5))).astype(np.float32)
        return Partial(shots, window=Window((0, 0), (4, 5)), arrays={"image": values})

    return leaf


def summed(cluster, folder: Path, seconds: float, n: int) -> bytes:
    """Bits of the sum over n shots, one a batch, on a cluster."""
    blocks = batches(range(n), 1)
    safe = Ledger(folder / "ledger", root_of(blocks))
    notes = str(folder / "notes")
    graph, root = build_graph(str(folder), taking(seconds), notes, blocks, safe)
    total = cluster.compute(graph, root, lambda event: None)
    assert total.shots == tuple(range(n))
    return total.arrays["image"].tobytes()


def processes(folder: Path) -> list[str]:
    """Which process computed each batch, in the order in which they ended."""
    return [line.split()[1] for line in (folder / "notes").read_text().splitlines()]


def expected(folder: Path, n: int) -> bytes:
    """Bits of the same sum in this process."""
    leaf = taking(0.0)
    total = tree_sum((leaf(str(folder / "here"), (shot,), 0) for shot in range(n)), add)
    return total.arrays["image"].tobytes()
