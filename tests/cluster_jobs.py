"""Job files of toy surveys for clusters of every kind."""

from pathlib import Path

from toy_jobs import settings, write_job

from wavepipe.pipeline.job import Job, read_job


def batch_section(kind: str, **more: object) -> dict:
    """Section ``cluster`` of two small workers on this machine."""
    section = {
        "kind": kind,
        "workers": 2,
        "threads_per_worker": 3,
        "interface": "lo",
        "jobs": {"memory": "4 GB", "walltime": "2:00:00", "queue": "long", "account": "geo"},
    }
    if kind == "htcondor":
        section["jobs"] = {"memory": "4 GB", "disk": "10 GB"}
    return section | more


def cluster_job(folder: Path, section: dict, kind: str = "model", **more: object) -> Job:
    """Job of a toy survey on a cluster."""
    return read_job(write_job(folder, settings(kind) | {"cluster": section} | more))
