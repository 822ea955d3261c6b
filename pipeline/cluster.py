"""Where a graph is computed: local worker processes, a running scheduler, or this process."""

import logging
import re
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

import dask
import psutil
from dask._task_spec import Task
from dask.local import get_sync
from distributed import CancelledError, Client, KilledWorker, LocalCluster

from wavepipe.pipeline.errors import ClusterError
from wavepipe.pipeline.graph import TOPIC, Key
from wavepipe.pipeline.partial import Partial

logger = logging.getLogger(__name__)

OnBatch = Callable[[Mapping[str, object]], None]

CONNECT_TIMEOUT = 10.0
"""Seconds a scheduler has to answer, and then again for its first worker."""

MANY = 100
"""Workers that may end with a task, for whatever reason; batches are given up long before."""

CLOSE_TIMEOUT = 15.0
"""Seconds that workers have to end."""

SETTINGS = {
    "distributed.scheduler.worker-saturation": 1.0,
    # Any end of a worker, also a benign one, counts against the tasks it holds.
    "distributed.scheduler.allowed-failures": MANY,
    "distributed.comm.timeouts.connect": f"{CONNECT_TIMEOUT:.0f}s",
    "distributed.worker.profile.enabled": False,
    "distributed.admin.large-graph-warning-threshold": "1GB",
}

ADDRESS = re.compile(
    r"(tcp|tls|ws|wss|ucx|ucxx)://(\[[0-9a-fA-F:.%]+\]|[^\s:/\[\]]+):(?P<port>\d+)"
)
"""Of a scheduler."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class Cluster(Protocol):
    """Computes graphs."""

    @property
    def n_workers(self) -> int:
        """Workers there are."""

    def compute(self, graph: dict[Key, Task], root: Key, on_batch: OnBatch) -> Partial:
        """Value of the root; `on_batch` hears of every batch that is done."""


@dataclass(frozen=True)
class InProcess:
    """Computes a graph in this process, task by task: for tests and for debugging a leaf."""

    n_workers: int = 1

    def compute(self, graph: dict[Key, Task], root: Key, on_batch: OnBatch) -> Partial:
        """Value of the root."""
        result: Partial = get_sync(graph, root)
        on_batch({"shots": len(result.shots) + len(result.failures)})
        return result


@dataclass(frozen=True)
class DaskCluster:
    """Computes a graph on the workers of a Dask scheduler."""

    client: Any = field(repr=False)
    """A `distributed.Client`, which has no types."""

    n_workers: int = 1

    def everywhere(self, function: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
        """What a function returns on each worker, or the error it ends with, by address."""
        found: dict[str, Any] = self.client.run(function, *arguments, on_error="return")
        return found

    def compute(self, graph: dict[Key, Task], root: Key, on_batch: OnBatch) -> Partial:
        """Value of the root.

        Raises
        ------
        ClusterError
            The scheduler is lost, or workers keep ending.
        """
        self.client.subscribe_topic(TOPIC, lambda event: on_batch(event[1]))
        try:
            result: Partial = self.client.get(graph, root, sync=False).result()
            return result
        except KilledWorker as error:
            raise ClusterError(
                f"{MANY} workers ended while they added sums, most often of too little memory; "
                "lower cluster.workers, and go on with --resume."
            ) from error
        except (CancelledError, OSError) as error:
            if self.client.status == "running":
                raise
            raise ClusterError("the scheduler was lost while the run was going on.") from error
        finally:
            self.client.unsubscribe_topic(TOPIC)


@contextmanager
def local_cluster(n_workers: int, threads: int, scratch: str | None = None) -> Iterator[Cluster]:
    """Worker processes on this machine, gone when the block ends.

    Parameters
    ----------
    n_workers
        Processes, each with one Dask thread.
    threads
        That each propagator may use.
    scratch
        Folder for the workers' files.
    """
    settings = dict(SETTINGS)
    # Threads that wait for each other yield soon: on a busy machine the one that is late needs the
    # core on which the others would spin.
    settings["distributed.nanny.pre-spawn-environ.GOMP_SPINCOUNT"] = 5000
    for name in THREAD_VARIABLES:
        settings[f"distributed.nanny.pre-spawn-environ.{name}"] = threads
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(settings))
        stack.enter_context(_quiet())
        cluster = _start_workers(n_workers, scratch)
        stack.callback(_close, cluster)
        client = stack.enter_context(Client(cluster))  # type: ignore[no-untyped-call]
        yield DaskCluster(client, n_workers)


def _close(cluster: Any) -> None:
    """End the workers; those that do not end when asked, as while they start, are killed."""
    try:
        cluster.close(timeout=CLOSE_TIMEOUT)
    except TimeoutError:
        logger.debug("workers did not end within %g s", CLOSE_TIMEOUT)
        for nanny in cluster.workers.values():
            if nanny.pid is not None:
                with suppress(psutil.NoSuchProcess):
                    psutil.Process(nanny.pid).kill()


def _start_workers(n_workers: int, scratch: str | None) -> Any:
    """Start the scheduler in this process and its workers."""
    with _deaf_to_interrupts():
        return LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=n_workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            memory_limit=psutil.virtual_memory().total // n_workers,
            local_directory=scratch,
            silence_logs=logging.ERROR,
        )


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Let processes that start now ignore Ctrl-C, which is for the driver: it closes them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def running_cluster(address: str) -> Iterator[DaskCluster]:
    """Workers of a scheduler that runs already.

    Parameters
    ----------
    address
        ``tcp://host:port``.

    Raises
    ------
    ClusterError
        The address is none, nothing answers there, or it has no workers.
    """
    _check_address(address)
    with dask.config.set(SETTINGS), _quiet():
        try:
            client = Client(  # type: ignore[no-untyped-call]
                address, timeout=CONNECT_TIMEOUT, set_as_default=False
            )
        except (OSError, ValueError, TimeoutError) as error:
            raise ClusterError(
                f"no Dask scheduler answers at {address} within {CONNECT_TIMEOUT:.0f} s. "
                "Check the address (tcp://host:port) and that the scheduler runs."
            ) from error
        with client:
            try:
                client.wait_for_workers(1, timeout=CONNECT_TIMEOUT)
            except TimeoutError as error:
                raise ClusterError(
                    f"the scheduler at {address} has no workers. Start some, one thread each: "
                    f"dask worker {address} --nthreads 1"
                ) from error
            client.run_on_scheduler(_allow_failures)  # type: ignore[no-untyped-call]
            yield DaskCluster(client, len(client.scheduler_info(n_workers=-1)["workers"]))


def _allow_failures(dask_scheduler: Any) -> None:
    """As in `SETTINGS`, which reach no scheduler that runs already."""
    dask_scheduler.allowed_failures = MANY


def _check_address(address: str) -> None:
    """Refuse what is no address, on which Dask would wait for its timeouts."""
    found = ADDRESS.fullmatch(address)
    if found is None or not 0 < int(found["port"]) < 65536:
        raise ClusterError(
            f"{address!r} is not the address of a scheduler. Write tcp://host:port, as the "
            "scheduler says when it starts (the port is 8786 unless chosen)."
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep messages about closing connections away from the user."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="distributed")
        warnings.filterwarnings("ignore", category=ResourceWarning)
        loggers = [
            logging.getLogger(name)
            for name in (
                "distributed",
                "distributed.core",
                "distributed.client",
                "distributed.comm",
            )
        ]
        levels = [item.level for item in loggers]
        for item in loggers:
            item.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for item, level in zip(loggers, levels, strict=True):
                item.setLevel(level)
