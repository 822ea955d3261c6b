"""Who can reach the processes of a run: networks they listen on, and certificates."""

from typing import Any

import psutil
from distributed import Security

from wavepipe.pipeline.errors import ClusterError, JobError

LOOPBACK = "lo"


def temporary_security() -> Any:
    """Certificates that exist as long as the run does: who has none can say nothing to it.

    Raises
    ------
    ClusterError
        The library that makes them is not installed.
    """
    try:
        return Security.temporary()  # type: ignore[no-untyped-call]
    except ImportError as error:
        raise ClusterError(
            "cluster.tls makes certificates with the package cryptography, which is not installed: "
            "pip install 'wavepipe[hpc]'."
        ) from error


def check_interface(kind: str, name: str | None) -> None:
    """Refuse to guess the network on which other machines may reach this one.

    Raises
    ------
    JobError
        No network is named, or this machine has none of that name.
    """
    there = psutil.net_if_addrs()
    if name is None:
        raise JobError(
            f"cluster.kind {kind} has workers on other machines, and nothing listens beyond this "
            f"one unless it is told to: name the network as cluster.interface ({', '.join(there)} "
            f"are here; '{LOOPBACK}' is for workers on this machine)."
        )
    if name not in there:
        raise JobError(
            f"cluster.interface is {name!r}, and this machine has {', '.join(there)}. Name the "
            "network that the workers' machines share with it."
        )


OPEN = (
    "workers are reached through %s without encryption: whoever else can connect to this machine "
    "there can run programs as you. cluster.tls: true keeps others out."
)
"""Warning for networks that are not this machine's own."""
