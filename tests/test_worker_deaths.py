"""Workers that are killed, hang or run out of memory change no bit of a sum."""

import os
import random
import threading
import time
import weakref
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from whole_runs import worker_processes

from wavepipe.pipeline import leaf as leaves
from wavepipe.pipeline.clusters.cluster import local_cluster
from wavepipe.pipeline.graph import MOST_DEATHS, batches, build_graph, root_of, tree_sum
from wavepipe.pipeline.ledger import Ledger
from wavepipe.pipeline.partial import Partial, add
from wavepipe.pipeline.windows import Window

# Worker processes cannot import this file, so what they run is made in functions and travels by
# value.


def summed(
    folder: Path, leaf, n: int, during=None, patience: float | None = None, workers: int = 3
) -> Partial:
    """The sum over n shots, one a batch."""
    blocks = batches(range(n), 1)
    safe = Ledger(folder, root_of(blocks))
    graph, root = build_graph(str(folder), leaf, str(folder), blocks, safe, patience)
    with local_cluster(workers, 1) as cluster:
        thread = threading.Thread(target=during or (lambda: None))
        thread.start()
        total = cluster.compute(graph, root, lambda event: None)
        thread.join()
    return total


def contribution():
    """A leaf: random numbers of very different size by shot."""

    def leaf(_argument, shots, _halvings):
        import time

        time.sleep(0.1)
        rng = np.random.default_rng(shots[0])
        values = (10.0 ** rng.uniform(-4, 4) * rng.standard_normal((4, 5))).astype(np.float32)
        return Partial(shots, window=Window((0, 0), (4, 5)), arrays={"image": values})

    return leaf


def expected(n: int) -> bytes:
    leaf = contribution()
    total = tree_sum((leaf("", (shot,), 0) for shot in range(n)), add)
    return total.arrays["image"].tobytes()


@pytest.mark.parametrize("kills", [6, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_workers_change_no_bit(kills, tmp_path):
    """kill -9 of random workers; nannies start others."""
    rng, n, killed = random.Random(3), 10 * kills, 0

    def storm():
        nonlocal killed
        while killed < kills:
            time.sleep(0.3)
            if workers := worker_processes(psutil.Process()):
                with suppress(psutil.Error):
                    rng.choice(workers).kill()
                    killed += 1

    total = summed(tmp_path / "ledger", contribution(), n, storm)
    assert killed == kills
    assert total.shots == tuple(range(n))
    assert not total.failures
    assert total.arrays["image"].tobytes() == expected(n)


def test_a_batch_that_kills_its_workers_is_given_up_and_the_others_are_not(tmp_path):
    plain = contribution()

    def leaf(argument, shots, halvings):
        if shots[0] == 5:
            with Path(argument).with_name("deaths").open("a") as file:
                file.write(f"{halvings} ")
            os.kill(os.getpid(), 9)
        return plain(argument, shots, halvings)

    total = summed(tmp_path / "ledger", leaf, 8)
    assert total.shots == (0, 1, 2, 3, 4, 6, 7)
    assert [failure.shot for failure in total.failures] == [5]
    assert f"{MOST_DEATHS} workers died" in total.failures[0].reason
    tries = (tmp_path / "deaths").read_text().split()
    assert tries == ["0", "0", "1", "2", "3"]  # in ever smaller calls


def test_batches_that_kill_a_lonely_worker_are_given_up_one_after_the_other(tmp_path):
    """What is given up lives in a worker's memory only, and that worker dies again."""
    plain = contribution()

    def leaf(argument, shots, halvings):
        if shots[0] in (1, 2):
            with Path(argument).with_name("deaths").open("a") as file:
                file.write(f"{shots[0]} ")
            os.kill(os.getpid(), 9)
        return plain(argument, shots, halvings)

    total = summed(tmp_path / "ledger", leaf, 4, workers=1)
    assert total.shots == (0, 3)
    assert sorted((tmp_path / "deaths").read_text().split()) == ["1"] * 5 + ["2"] * 5


def test_a_batch_that_hangs_is_tried_on_another_worker(tmp_path):
    """Its worker ends itself, and says what it was doing."""
    plain = contribution()

    def leaf(argument, shots, halvings):
        once = Path(argument).with_name("once")
        if shots[0] == 2 and not once.exists():
            once.touch()
            time.sleep(1000)
        return plain(argument, shots, halvings)

    began = time.monotonic()
    total = summed(tmp_path / "ledger", leaf, 5, patience=3.0)
    assert time.monotonic() - began < 60
    assert total.arrays["image"].tobytes() == expected(5)
    assert not total.failures
    stacks = (tmp_path / "ledger" / "2-try1.stacks").read_text()
    assert "Timeout" in stacks
    assert "in leaf" in stacks


class Wavefield:
    """What a call allocates."""


def _shot(index: int):
    return SimpleNamespace(index=index, label=str(index + 1))


@pytest.mark.parametrize("error", [MemoryError, RuntimeError])
def test_too_little_memory_halves_a_call(error, monkeypatch):
    """Until it fits; a shot that never does is named."""
    sizes = []
    shots = [_shot(k) for k in range(6)]

    def compute(_evaluation, some):
        sizes.append(len(some))
        if len(some) > 2 or any(shot.index == 5 for shot in some):
            raise error("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 EB")
        return [Partial((shot.index,)) for shot in some]

    found = list(leaves._attempt(None, shots, compute))
    assert [one.shots for one in found] == [(0,), (1,), (2,), (3,), (4,), ()]
    assert found[-1].failures[0].label == "6"
    assert "too little memory" in found[-1].failures[0].reason
    assert sizes == [6, 3, 1, 2, 3, 1, 2, 1, 1]


@pytest.mark.parametrize("error", [MemoryError, OSError])
def test_a_call_that_failed_holds_no_memory_when_the_next_is_made(error, monkeypatch):
    """Nor do its shots' failures, while a sum waits for the others."""
    # The tests' own log keeps tracebacks, and what they hold.
    monkeypatch.setattr(leaves.logger, "disabled", True)
    held, shots = weakref.WeakSet(), [_shot(k) for k in range(4)]

    def compute(_evaluation, some):
        assert not held
        wavefield = Wavefield()
        held.add(wavefield)
        if len(some) > 1 or some[0].index == 2:
            raise error("as large as that")
        return [Partial((shot.index,)) for shot in some]

    for number, one in enumerate(leaves._attempt(None, shots, compute)):
        assert not held
        assert bool(one.failures) == (number == 2)


def test_other_errors_of_a_program_are_not_taken_for_memory():
    def compute(*_):
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        list(leaves._attempt(None, [object()], compute))
