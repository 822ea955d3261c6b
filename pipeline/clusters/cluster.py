"""Where a graph is computed: this process, or the workers of a Dask scheduler."""

import logging
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import dask
import psutil
from dask._task_spec import Task
from dask.local import get_sync
from distributed import (
    CancelledError,
    Client,
    KilledWorker,
    LocalCluster,
    performance_report,
)
from distributed.comm.core import CommClosedError

from wavepipe.pipeline.clusters.network import temporary_security
from wavepipe.pipeline.clusters.worker_log import WorkerLog, tidy_logs
from wavepipe.pipeline.errors import ClusterError
from wavepipe.pipeline.graph import TOPIC, Key
from wavepipe.pipeline.job.cluster import ClusterSection
from wavepipe.pipeline.partial import Partial

logger = logging.getLogger(__name__)

OnBatch = Callable[[Mapping[str, object]], None]

CONNECT_TIMEOUT = 10.0
"""Seconds a scheduler has to answer, and then again for its first worker."""

MANY = 100
"""Workers that may end with a task, for whatever reason; batches are given up long before."""

CLOSE_TIMEOUT = 15.0
"""Seconds that workers have to end."""

LOCAL_PORT = "127.0.0.1:0"
"""Where processes listen that nobody has to reach from elsewhere; any port."""

TEND_EVERY = 2.0
"""Seconds between two looks at the workers while a graph is computed."""

SETTINGS = {
    "distributed.scheduler.worker-saturation": 1.0,
    # Any end of a worker, also a benign one, counts against the tasks it holds.
    "distributed.scheduler.allowed-failures": MANY,
    "distributed.comm.timeouts.connect": f"{CONNECT_TIMEOUT:.0f}s",
    "distributed.worker.profile.enabled": False,
    "distributed.admin.large-graph-warning-threshold": "1GB",
}

LOCAL = ClusterSection()
"""What a job has that says nothing of its cluster."""


def spawn_settings(threads: int) -> dict[str, int]:
    """Settings of Dask with which processes that it starts on this machine have `threads`."""
    return {
        f"distributed.nanny.pre-spawn-environ.{name}": value
        for name, value in thread_environment(threads).items()
    }


def thread_environment(threads: int) -> dict[str, int]:
    """Environment of worker processes, which Dask would otherwise limit to one thread."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    # Threads that wait for each other yield soon: on a busy machine the one that is late needs the
    # core on which the others would spin.
    return dict.fromkeys(names, threads) | {"GOMP_SPINCOUNT": 5000}


class Cluster(Protocol):
    """Computes graphs."""

    @property
    def n_workers(self) -> int:
        """Workers there are."""

    def compute(self, graph: dict[Key, Task], root: Key, on_batch: OnBatch) -> Partial:
        """Value of the root; `on_batch` hears of every batch that is done."""

    def logged(self, folder: Path) -> AbstractContextManager[object]:
        """Keep what workers have to say in a folder while the block runs."""

    def profiled(self, path: Path) -> AbstractContextManager[object]:
        """Write Dask's own account of what is done in the block."""


@dataclass(frozen=True)
class InProcess:
    """Computes a graph in this process, task by task: for tests and for debugging a leaf."""

    n_workers: int = 1

    def compute(self, graph: dict[Key, Task], root: Key, on_batch: OnBatch) -> Partial:
        """Value of the root."""
        result: Partial = get_sync(graph, root)
        on_batch({"shots": len(result.shots) + len(result.failures)})
        return result

    def logged(self, folder: Path) -> AbstractContextManager[object]:
        """There are no workers."""
        return nullcontext(folder)

    def profiled(self, path: Path) -> AbstractContextManager[object]:
        """There is no Dask."""
        return nullcontext(path)


@dataclass(frozen=True)
class DaskCluster:
    """Computes a graph on the workers of a Dask scheduler."""

    client: Any = field(repr=False)
    """A `distributed.Client`, which has no types."""

    n_workers: int = 1

    grace: float = 0.0
    """Seconds that batches in flight have when the run is stopped."""

    tend: Callable[[], None] = field(default=lambda: None, repr=False)
    """Looks after the workers; a ClusterError ends the run."""

    def everywhere(self, function: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
        """What a function returns on each worker, or the error it ends with, by address."""
        found: dict[str, Any] = self.client.run(function, *arguments, on_error="return")
        return found

    @contextmanager
    def logged(self, folder: Path) -> Iterator[None]:
        """Keep what workers have to say in a folder while the block runs."""
        self.client.register_plugin(WorkerLog(folder))
        try:
            yield
            # Not after an error, as workers may be gone: the next run's log takes its place.
            with suppress(CommClosedError, CancelledError, OSError, TimeoutError, ValueError):
                self.client.unregister_worker_plugin(WorkerLog.name)
        finally:
            tidy_logs(folder)

    @contextmanager
    def profiled(self, path: Path) -> Iterator[None]:
        """Write Dask's own account of what is done in the block, if it ends well."""
        account: Any = performance_report(filename=str(path))  # type: ignore[no-untyped-call]
        with self.client.as_current():
            account.__enter__()
            yield
            account.__exit__(None, None, None)

    def compute(self, graph: dict[Key, Task], root: Key, on_batch: OnBatch) -> Partial:
        """Value of the root.

        Raises
        ------
        ClusterError
            The scheduler is lost, or workers keep ending.
        """
        self.client.subscribe_topic(TOPIC, lambda event: on_batch(event[1]))
        try:
            future = self.client.get(graph, root, sync=False)
            return self._awaited(future)
        except KilledWorker as error:
            raise ClusterError(
                f"{MANY} workers ended while they added sums, most often of too little memory; "
                "lower cluster.workers, and go on with --resume."
            ) from error
        except (CancelledError, OSError) as error:
            if self.client.status == "running":
                raise
            raise ClusterError(
                "the scheduler was lost while the run was going on; go on with --resume when "
                "there is one."
            ) from error
        finally:
            self.client.unsubscribe_topic(TOPIC)

    def _awaited(self, future: Any) -> Partial:
        """Result of a future; meanwhile workers are looked after."""
        try:
            while not future.done():
                self.tend()
                with suppress(TimeoutError):  # of waiting: `distributed.wait` asks a default client
                    future.result(timeout=TEND_EVERY)
            result: Partial = future.result()
            return result
        except KeyboardInterrupt:
            self._drain(future)
            raise
        finally:
            future.release()  # or the sum may stay with a worker, which then cannot leave

    def _drain(self, future: Any) -> None:
        """Let batches end that are in flight, so that the ledger has them, and start no others."""
        future.cancel()  # the scheduler forgets them, their threads go on
        logger.info(
            "stopping: batches in flight have %g s to end (interrupt again to end at once)",
            self.grace,
        )
        deadline = time.monotonic() + self.grace
        with suppress(OSError, TimeoutError):
            while (left := deadline - time.monotonic()) > 0:
                # A worker whose node is gone never answers.
                found = self.client.run(_is_busy, on_error="return", callback_timeout=left)
                if True not in found.values():
                    return
                time.sleep(0.1)


def _is_busy(dask_worker: Any) -> bool:
    """Whether a worker's thread is at work, as only the worker knows after a cancellation."""
    return bool(dask_worker.active_threads)


@contextmanager
def local_cluster(
    n_workers: int,
    threads: int,
    scratch: str | None = None,
    settings: ClusterSection = LOCAL,
) -> Iterator[Cluster]:
    """Worker processes on this machine, gone when the block ends.

    Parameters
    ----------
    n_workers
        Processes, each with one Dask thread.
    threads
        That each propagator may use.
    scratch
        Folder for the workers' files.
    settings
        The job's section ``cluster``.
    """
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(SETTINGS | spawn_settings(threads)))
        stack.enter_context(quiet())
        cluster = _start_workers(n_workers, scratch, settings)
        stack.callback(close_workers, cluster)
        client = stack.enter_context(Client(cluster))  # type: ignore[no-untyped-call]
        yield DaskCluster(client, n_workers, settings.grace)


def close_workers(cluster: Any) -> None:
    """End the workers; those that do not end when asked, as while they start, are killed."""
    try:
        cluster.close(timeout=CLOSE_TIMEOUT)
    except TimeoutError:
        logger.debug("workers did not end within %g s", CLOSE_TIMEOUT)
        for nanny in cluster.workers.values():
            if nanny.pid is not None:
                with suppress(psutil.NoSuchProcess):
                    psutil.Process(nanny.pid).kill()


def _start_workers(n_workers: int, scratch: str | None, settings: ClusterSection) -> Any:
    """Start the scheduler in this process and its workers."""
    security = temporary_security() if settings.tls else None
    with _deaf_to_interrupts():
        return LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=n_workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address=settings.dashboard,
            worker_dashboard_address=LOCAL_PORT,
            security=security,
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
def quiet() -> Iterator[None]:
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
