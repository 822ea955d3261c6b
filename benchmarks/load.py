"""How much of the machine other processes took during a measurement."""

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Self

import psutil


@dataclass(frozen=True)
class LoadMeter:
    """Processor time used so far: by everything, and by the processes that are measured."""

    pids: tuple[int, ...]
    wall: float
    busy: float
    """By every process, and by other machines on the same processor, s."""
    own: float
    """By the processes that are measured, s."""

    @classmethod
    def start(cls, pids: Sequence[int]) -> Self:
        """Count from now on."""
        times = psutil.cpu_times()
        busy = times.user + times.nice + times.system + times.irq + times.softirq + times.steal
        own = 0.0
        for pid in pids:
            used = psutil.Process(pid).cpu_times()
            own += used.user + used.system
        return cls(tuple(pids), perf_counter(), busy, own)

    def others(self) -> float:
        """Cores that other processes kept busy since the start, on average."""
        now = LoadMeter.start(self.pids)
        seconds = (now.busy - self.busy) - (now.own - self.own)
        return max(0.0, seconds / (now.wall - self.wall))
