"""Which process of a static allocation this is: srun and mpirun start the same command many times.

Process 0 becomes the driver, the others its workers.
"""

import os
from dataclasses import dataclass

LAUNCHERS = (
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),  # Open MPI
    ("MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE"),  # MVAPICH
    ("PMI_RANK", "PMI_SIZE"),  # MPICH, Intel MPI
    ("SLURM_PROCID", "SLURM_NTASKS"),  # srun; last, since mpirun inside a job sees it too
)
"""Variables that say a process's number, and how many there are."""


@dataclass(frozen=True, slots=True)
class Rank:
    """One process of an allocation."""

    number: int
    """From 0, which is the driver."""

    count: int
    """Of processes, the driver included."""


def find_rank() -> Rank | None:
    """Place of this process; None where nothing has started several."""
    for number, count in LAUNCHERS:
        if number in os.environ and count in os.environ:
            return Rank(int(os.environ[number]), int(os.environ[count]))
    return None
