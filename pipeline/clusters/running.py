"""Workers of a scheduler that somebody else has started."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask
from distributed import Client

from wavepipe.pipeline.clusters.cluster import CONNECT_TIMEOUT, MANY, SETTINGS, DaskCluster, quiet
from wavepipe.pipeline.errors import ClusterError

ADDRESS = re.compile(
    r"(tcp|tls|ws|wss|ucx|ucxx)://(\[[0-9a-fA-F:.%]+\]|[^\s:/\[\]]+):(?P<port>\d+)"
)
"""Of a scheduler."""


@contextmanager
def running_cluster(
    address: str, security: Any = None, n_workers: int = 1, grace: float = 0.0
) -> Iterator[DaskCluster]:
    """Workers of a scheduler that runs already.

    Parameters
    ----------
    address
        ``tcp://host:port``.
    security
        Certificates; those of ~/.config/dask if None.
    n_workers
        That must be there.
    grace
        Seconds that batches in flight have when the run is stopped.

    Raises
    ------
    ClusterError
        The address is none, nothing answers there, or it has too few workers.
    """
    _check_address(address)
    with dask.config.set(SETTINGS), quiet():
        try:
            client = Client(  # type: ignore[no-untyped-call]
                address, timeout=CONNECT_TIMEOUT, set_as_default=False, security=security
            )
        except (OSError, ValueError, TimeoutError) as error:
            raise ClusterError(
                f"no Dask scheduler answers at {address} within {CONNECT_TIMEOUT:.0f} s. "
                "Check the address (tcp://host:port) and that the scheduler runs."
            ) from error
        with client:
            try:
                client.wait_for_workers(n_workers, timeout=CONNECT_TIMEOUT)
            except TimeoutError as error:
                raise ClusterError(
                    f"the scheduler at {address} has no workers. Start some, one thread each: "
                    f"dask worker {address} --nthreads 1"
                ) from error
            client.run_on_scheduler(_allow_failures)  # type: ignore[no-untyped-call]
            found = len(client.scheduler_info(n_workers=-1)["workers"])
            yield DaskCluster(client, found, grace)


def read_scheduler_file(path: Path) -> str:
    """Address in the file that ``dask scheduler --scheduler-file`` writes.

    Raises
    ------
    ClusterError
        There is none.
    """
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["address"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ClusterError(
            f"cluster.scheduler_file: {path} names no scheduler ({type(error).__name__}: {error}). "
            f"Start one with 'dask scheduler --scheduler-file {path}'."
        ) from error


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
