"""A worker for each GPU of this machine."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import dask
from distributed import Client

from wavepipe.pipeline.clusters.cluster import (
    LOCAL_PORT,
    SETTINGS,
    DaskCluster,
    close_workers,
    quiet,
    spawn_settings,
)
from wavepipe.pipeline.clusters.network import temporary_security
from wavepipe.pipeline.errors import ClusterError
from wavepipe.pipeline.job.cluster import ClusterSection


@contextmanager
def cuda_cluster(n_workers: int, threads: int, section: ClusterSection) -> Iterator[DaskCluster]:
    """Worker processes that see one GPU each, gone when the block ends.

    Raises
    ------
    ClusterError
        dask-cuda is not installed.
    """
    try:
        from dask_cuda import LocalCUDACluster
    except ImportError as error:
        raise ClusterError(
            "cluster.kind cuda needs the package dask-cuda, which is not installed: "
            "pip install 'wavepipe[cuda]'."
        ) from error
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(SETTINGS | spawn_settings(threads)))
        stack.enter_context(quiet())
        cluster = LocalCUDACluster(
            n_workers=n_workers,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address=section.dashboard,
            worker_dashboard_address=LOCAL_PORT,
            security=temporary_security() if section.tls else None,
        )
        stack.callback(close_workers, cluster)
        client = stack.enter_context(Client(cluster))  # type: ignore[no-untyped-call]
        yield DaskCluster(client, n_workers, section.grace)
