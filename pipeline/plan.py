"""The plan: everything that is fixed before the work starts.

Two parts. What decides bits (`Pass`: band, wavelet, time step, stride, absorbing layers,
back-end) depends on the job and its data alone. What only decides how fast it goes (`Schedule`:
batches, workers, threads) may depend on the machine, and can change nothing in the result.
"""

import logging
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch

from wavepipe.pipeline.clock import earth_tensors, shallow_water, whole_domain
from wavepipe.pipeline.inputs import Inputs
from wavepipe.pipeline.inverted_parameters import allowed
from wavepipe.pipeline.keeping import Keeping
from wavepipe.pipeline.machine import Machine
from wavepipe.pipeline.passes import Pass, pass_wavelet, plan_passes
from wavepipe.pipeline.probe import Measured, as_plain
from wavepipe.pipeline.schedule import Schedule, ledger_advice, plan_schedule
from wavepipe.pipeline.wavefields import check_storage
from wavepipe.pipeline.windows import Window, face_widths, shot_window
from wavepipe.propagators.checks import slowest_wave
from wavepipe.propagators.contacts import ADVICE, crossing, water_on_grid
from wavepipe.propagators.earth_models import ModelWarning
from wavepipe.propagators.errors import DispersionError
from wavepipe.propagators.physics.catalogue import known_physics
from wavepipe.propagators.stability import DispersionWarning, Wave, check_dispersion
from wavepipe.propagators.time_resampling import bandwidth, pass_band, plan_time_grid

logger = logging.getLogger(__name__)

IN_EARNEST = 0.05
"""Relative amplitude above which a frequency counts when the grid is judged."""

CUT_OFF = 0.02
"""First sample, relative to the largest, above which a wavelet counts as cut at t = 0."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is fixed before the work starts."""

    passes: tuple[Pass, ...]
    """One per frequency band."""

    schedule: Schedule
    """Who computes what when."""

    keeping: Keeping
    """How the forward wavefields of gradients are kept."""

    measured: tuple[Measured, ...]
    """Ways of keeping them on one shot, where there was more than one to choose from."""

    n_shots: int
    """Shots in the survey."""

    largest_window: tuple[int, ...]
    """Cells per axis of the largest window, without layers beyond the model."""

    verdict: str
    """What the grid does to the highest frequency; empty if nothing worth mention."""

    def as_dict(self) -> dict[str, object]:
        """Plain content for plan.json."""
        return asdict(self) | {"measured": as_plain(self.measured)}


def make_plan(inputs: Inputs, machine: Machine) -> Plan:
    """Fix everything that a run needs before it starts.

    Parameters
    ----------
    inputs
        What the run starts from.
    machine
        Workers asked for, cores and memory.

    Raises
    ------
    ModelError
        The earth model cannot be propagated.
    StabilityError, DispersionError
        The time step is too long, or the grid too coarse for the wavelet.
    JobError
        One shot does not fit in memory, or wavefields cannot be kept as the job asks.
    """
    check_storage(inputs.job)
    _check_earth(inputs)
    _check_contacts(inputs)
    if warning := shallow_water(inputs):
        logger.warning("%s", warning)
    passes = plan_passes(inputs)
    verdict = _check_grid(inputs, passes)
    windows = shot_windows(inputs)
    largest = max(windows, key=lambda window: int(np.prod(window.shape)))
    schedule, keeping, measured = plan_schedule(inputs, passes, windows, machine)
    if advice := ledger_advice(schedule, inputs.survey.n_shots):
        logger.warning("%s", advice)
    return Plan(passes, schedule, keeping, measured, inputs.survey.n_shots, largest.shape, verdict)


def shot_windows(inputs: Inputs) -> list[Window]:
    """Window of every shot."""
    survey, earth = inputs.survey, inputs.earth
    widths = face_widths(earth.ndim, inputs.job.propagator.pml_width)
    windows = []
    for i in range(survey.n_shots):
        points = np.vstack(
            [survey.source_positions[i][None], survey.receiver_positions[survey.traces(i)]]
        )
        windows.append(
            shot_window(
                points - earth.origin,
                earth.shape,
                earth.spacing,
                inputs.job.survey.aperture,
                widths,
            )
        )
    return windows


def _check_grid(inputs: Inputs, passes: Sequence[Pass]) -> str:
    """Refuse a grid too coarse for the wavelet; the warning, if one is due."""
    highest = max(
        bandwidth(pass_wavelet(inputs, one.max_frequency), inputs.survey.dt, IN_EARNEST)
        for one in passes
    )
    models, physics = earth_tensors(inputs), known_physics(inputs.job.physics)
    slowest, wave = slowest_wave({**models, "vp": physics.slowest(models)})
    try:
        said = _judge(inputs, slowest, wave, highest)
    except DispersionError as error:
        raise DispersionError(_about_wavelet(inputs, str(error))) from error
    parameter = "vs" if wave == "S" else "vp"
    bounds = allowed(inputs.job, parameter)
    if not said and bounds is not None and bounds[0] > 0.0:
        lowest = bounds[0]
        if wave != "S":
            lowest = float(physics.slowest({**models, "vp": torch.tensor(lowest)}).min())
        if lowest < slowest:
            said += _slow_bound(inputs, parameter, lowest, wave, highest)
    said += _check_clock(inputs, passes, highest)
    if not said:
        return ""
    verdict = _about_wavelet(inputs, " ".join(said))
    logger.warning("%s", verdict)
    return verdict


def _judge(inputs: Inputs, slowest: float, wave: Wave, highest: float) -> list[str]:
    """What there is to say of a wave on the grid; a DispersionError where it is hopeless."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DispersionWarning)
        check_dispersion(
            slowest,
            inputs.earth.spacing,
            highest,
            inputs.job.propagator.order,
            staggered=known_physics(inputs.job.physics).staggered,
            wave=wave,
        )
    return [str(warning.message) for warning in caught]


def _slow_bound(
    inputs: Inputs, parameter: str, bound: float, wave: Wave, highest: float
) -> list[str]:
    """Say that the bounds of an inversion allow velocities too slow for the grid."""
    try:
        said = _judge(inputs, bound, wave, highest)
    except DispersionError as error:
        said = [str(error)]
    return [f"at the lower bound of fwi.parameters.{parameter}, {one}" for one in said]


def _check_earth(inputs: Inputs) -> None:
    """Refuse an earth model that cannot be propagated, naming the place; warn of an unusual one."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ModelWarning)
        known_physics(inputs.job.physics).judge(earth_tensors(inputs))
    for one in caught:
        logger.warning("earth_model of %s: %s", inputs.job.path.name, one.message)


def _check_contacts(inputs: Inputs) -> None:
    """Say once how many points are interpolated across a contact of water and rock."""
    earth, survey = inputs.earth, inputs.survey
    if not known_physics(inputs.job.physics).solid:
        return
    domain = whole_domain(inputs)
    water = water_on_grid(domain, earth_tensors(inputs)["vs"].reshape(1, *earth.shape))
    if water is None:
        return
    for positions, what in (
        (survey.source_positions, "sources"),
        (survey.receiver_positions, "receivers"),
    ):
        places = np.unique(positions, axis=0)
        points = domain.points((places - earth.origin)[None])
        found = crossing(water, points)
        if found.size:
            logger.warning(
                "%d positions of %s, the first at %s m, lie %s",
                found.size,
                what,
                ", ".join(f"{x:g}" for x in places[found[0]]),
                ADVICE,
            )


def _about_wavelet(inputs: Inputs, finding: str) -> str:
    """Name the key that a finding is about, and the delay where that is the cause."""
    section, job = inputs.job.wavelet, inputs.job.path.name
    key, delay = "wavelet.path", "Let its samples start at zero."
    if section.ricker is not None:
        key, delay = "wavelet.ricker.peak_frequency", "Leave wavelet.ricker.delay out."
    elif section.ormsby is not None:
        key, delay = "wavelet.ormsby.frequencies", "Leave wavelet.ormsby.delay out."
    first = abs(float(inputs.wavelet[0])) / float(np.abs(inputs.wavelet).max())
    message = f"{key} of {job}: {finding}"
    if first < CUT_OFF:
        return message
    return (
        f"{message} The wavelet is cut at t = 0, where it starts with {first:.0%} of its peak, and "
        f"that jump holds high frequencies: its delay is too short. {delay}"
    )


def _check_clock(inputs: Inputs, passes: Sequence[Pass], highest: float) -> list[str]:
    """Say where the sample interval is too long for the wavelet."""
    p, source = passes[0].propagation, inputs.job.survey.source_name
    physics = known_physics(inputs.job.physics)
    shifts = physics.shifts(len(p.spacing), (source,), inputs.survey.components)
    grid = plan_time_grid(p.dt, p.nt, p.time_step, p.correct_time_dispersion, shifts)
    edge = pass_band(grid, p.correct_time_dispersion)
    if highest <= edge:
        return []
    return [
        f"the wavelet reaches {highest:.4g} Hz, and at a sample interval of {p.dt:g} s only "
        f"frequencies up to {edge:.4g} Hz are kept unchanged. Use a lower frequency or a shorter "
        "interval."
    ]
