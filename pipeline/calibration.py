"""How long a shot takes on this machine, from short records of the one in mid survey."""

import logging
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch

from wavepipe.pipeline.inputs import Inputs
from wavepipe.pipeline.keeping import Keeping
from wavepipe.pipeline.machine import available_cores
from wavepipe.pipeline.passes import Pass
from wavepipe.pipeline.trial import middle, trial
from wavepipe.pipeline.windows import Window
from wavepipe.propagators.errors import WavepipeError
from wavepipe.propagators.physics.catalogue import known_physics
from wavepipe.propagators.time_resampling import plan_time_grid

logger = logging.getLogger(__name__)

SHORTEST = 32
"""Samples of a record that is measured, at least."""

LONGER = 3
"""Times as many steps as that has another one, at least: a difference of times tells less."""

ENOUGH = 0.5
"""Seconds that are measured, if the record is that long."""

REPEATS = 3
"""Of measurements that are over in less."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Time of an average shot on one worker, while the others are at work too."""

    seconds: float
    """By the clock."""

    cpu_seconds: float
    """Of all its threads."""

    start_cpu_seconds: float = 0.0
    """That the first shot of a process takes beyond that, to load and derive what others reuse."""

    def __mul__(self, factor: float) -> "Pace":
        return Pace(factor * self.seconds, factor * self.cpu_seconds)


def calibrate(
    inputs: Inputs,
    one: Pass,
    keeping: Keeping,
    variables: tuple[str, ...],
    windows: Sequence[Window],
    n_workers: int,
    threads: int,
) -> Pace | None:
    """Time of an average shot, by what two short records of one take.

    Parameters
    ----------
    one
        Frequency band.
    keeping
        Of the wavefield.
    variables
        Parameters whose gradient is wanted.
    windows
        Of all shots: others take longer, as they have more cells.
    n_workers, threads
        That will work at a time, and threads in each: they share caches and memory.

    Returns
    -------
    Pace or None
        None where workers are other machines, or the shot fails: the run will say why; and where
        there is no room to measure it in, which the run may not need.

    Notes
    -----
    A shot takes a time of its own and one for every step, so two records tell what a third takes.
    A record that is as long as that of the survey tells it at once. Kernels of the clock add steps
    to each, as many to a short record as to a long one.
    """
    if inputs.job.cluster.kind != "local":
        return None
    copies = max(1, min(n_workers, available_cores() // threads))

    first: list[float] = []

    def timed(nt: int) -> Pace | None:
        with trial(inputs, one, keeping, variables, threads, nt) as shot:
            cpu = time.process_time()
            if shot.shot().failures:  # also compiles, which other processes do
                return None
            first.append(time.process_time() - cpu)
            found = _together(shot.shot, copies)
            first[-1] -= found.cpu_seconds
            return found

    before = torch.get_num_threads()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a record cut short; the plan has judged the whole
        try:
            found = _record(timed, inputs.survey.nt, lambda nt: _n_steps(inputs, one, nt))
        except (OSError, WavepipeError) as error:
            logger.warning("how long a shot takes could not be measured: %s", error)
            return None
        finally:
            torch.set_num_threads(before)
    if found is None:
        return None
    average = found * _relative_size(windows, middle(inputs))
    return replace(average, start_cpu_seconds=max(0.0, first[0]))


def _record(
    timed: Callable[[int], Pace | None], nt: int, steps: Callable[[int], int]
) -> Pace | None:
    """Time of a record of `nt` samples; `steps` are those that some samples take."""
    few = min(nt, SHORTEST)
    short = timed(few)
    if short is None or few == nt:
        return short
    more = min(nt, max(2 * few, int(few * ENOUGH / short.seconds)))
    while more < nt and steps(more) < LONGER * steps(few):
        more = min(nt, 2 * more)
    long = timed(more)
    if long is None or more == nt:
        return long
    taken = [steps(n) for n in (few, more, nt)]
    return Pace(
        _extrapolated(short.seconds, long.seconds, *taken),
        _extrapolated(short.cpu_seconds, long.cpu_seconds, *taken),
    )


def _extrapolated(short: float, long: float, few: int, more: int, all_steps: int) -> float:
    """Time of all steps, from those of few and of more; none takes less than nothing."""
    each = min(max((long - short) / (more - few), 0.0), long / more)
    return long + each * (all_steps - more)


def _n_steps(inputs: Inputs, one: Pass, nt: int) -> int:
    """Internal steps of a record of `nt` samples."""
    p, survey = one.propagation, inputs.job.survey
    shifts = known_physics(inputs.job.physics).shifts(
        len(p.spacing), (survey.source_name,), inputs.survey.components
    )
    return plan_time_grid(p.dt, nt, p.time_step, p.correct_time_dispersion, shifts).n_steps


def _together(shot: Callable[[], object], copies: int) -> Pace:
    """Time of a shot of which as many run at once as there are workers; the least of some tries.

    They are threads of this process, which Python holds up a little; processor time is not.
    """
    found: list[Pace] = []
    with ThreadPoolExecutor(copies) as pool:
        while len(found) < REPEATS and sum(one.seconds for one in found) < ENOUGH:
            clock, cpu = time.perf_counter(), time.process_time()
            for one in [pool.submit(shot) for _ in range(copies)]:
                one.result()
            found.append(Pace(time.perf_counter() - clock, (time.process_time() - cpu) / copies))
    return min(found, key=lambda one: one.seconds)


def _relative_size(windows: Sequence[Window], shot: int) -> float:
    """Cells of an average shot, relative to one of them."""
    cells = [np.prod(window.shape) for window in windows]
    return float(np.mean(cells) / cells[shot])
