r"""Between samples at `dt` and the steps a leapfrog scheme really takes.

A propagator steps at `time_step`, any real fraction or multiple of the sample interval `dt`. Two
linear operators connect the two clocks: `source_operator` turns user samples into the amplitudes
injected at the internal steps, `recording_operator` turns internal recordings into samples at
`n dt`. They are sparse matrices, so their transposes are exact.

Without time-dispersion correction both are a Kaiser-windowed sinc, zero outside its half width.

With it they also undo the second-order error of the leapfrog step. Stepping at :math:`D` replaces
:math:`\partial_t^2` by :math:`-\theta^2`, :math:`\theta(\omega) = (2/D) \sin(\omega D / 2)`: the
scheme answers at :math:`\omega` with the exact solution of the spatial problem at
:math:`\theta(\omega)`. So the source is moved the other way,
:math:`S_{num}(\omega) = S(\theta(\omega))`, and the recording moved back,
:math:`U(\theta(\omega)) = U_{num}(\omega)` (Koene, Robertsson, Broggini and Andersson, 2018):

.. math::
    F_{mn} = \frac{1}{2\pi} \int H(\theta)\, e^{i(\omega m D - \theta n dt)}\, d\omega, \qquad
    W_{nm} = \frac{1}{2\pi} \int H(\theta)\, e^{i(\theta n dt - \omega m D)}
             \cos(\omega D / 2)\, d\omega

with H the spectrum of the same Kaiser-windowed sinc (times `dt` or `D`). The leapfrog scheme has no
wave above :math:`\theta = 2/D`, and near that limit the transform smears a sample over the whole
record. H therefore ends at :math:`\theta D / 2 =` 0.7 at the latest; `pass_band` says up to which
frequency a signal comes through unchanged.

A staggered scheme of first order in time keeps some of its fields half a step later than the
others. Its centred difference over one step replaces :math:`\partial_t` by :math:`i \theta`, with
the same :math:`\theta`, when each field's spectrum is taken at its own times: both operators then
hold as they stand with :math:`(m + shift) D` for :math:`m D`, and a shift of half a step.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft, sparse

from wavepipe.propagators.errors import OptionError
from wavepipe.propagators.time_kernel import HALF_WIDTH, PASS_EDGE, kernel, spectrum, stop

CORRECTED_CUTOFF = 0.56
"""Largest cutoff with the time-dispersion correction, as theta D / 2. The pass band then reaches
theta D / 2 = 0.43, which a leapfrog step at nine tenths of its limit meets at 4 points a
wavelength of the fastest velocity in 2-D and 3 in 3-D: coarser than any grid should be used."""

LARGEST_SPREAD = 2500
"""Internal steps over which the correction may spread a sample, which at frequency omega is
1 - cos(omega D / 2) of its time. Where the cutoff above would spread the last sample of a long
record further (more than some 9000 steps), the cutoff is lowered, to bound the matrices."""

DROP_BELOW = 1e-7
"""Entries below this fraction of the largest of their sample's are not stored."""

_BLOCK = 64


@dataclass(frozen=True)
class Shifts:
    """Steps by which the samples of a call's ports are later than the start of their step."""

    sources: tuple[float, ...] = (0.0,)
    recordings: tuple[float, ...] = (0.0,)


@dataclass(frozen=True)
class TimeGrid:
    """User samples and internal steps of one propagation.

    User sample n is at `n * dt`, n = 0 ... nt - 1; internal sample m is at
    `(m - before) * time_step`, m = 0 ... n_steps - 1.

    There is no step that changes nothing: a source's kernel reaches before t = 0, and what it
    leaves after the last step is not recorded; a recording's kernel reaches beyond the last
    sample, and before the first step it would read zeros.
    """

    dt: float
    """Interval of the user's samples, s."""
    nt: int
    """Samples to record."""
    time_step: float
    """Internal step, s."""
    before: int
    """Internal steps before t = 0, which the kernel of a source's first sample reaches."""
    n_steps: int
    """All internal steps: those before t = 0, and those after the last sample that the kernel of
    its recording reaches, included."""
    shifts: Shifts = Shifts()
    """For which there is room."""


def plan_time_grid(
    dt: float,
    nt: int,
    time_step: float | None,
    correct_time_dispersion: bool,
    shifts: Shifts = Shifts(),
) -> TimeGrid:
    """Lay out the internal steps for `nt` samples at `dt`.

    Parameters
    ----------
    dt : float, s
        Interval of the user's samples.
    nt : int
        Number of samples to record.
    time_step : float or None, s
        Internal step; None takes `dt`.
    correct_time_dispersion : bool
        Whether the operators will undo the leapfrog scheme's time dispersion.
    shifts : Shifts
        Of the sources and recordings there will be.

    Returns
    -------
    TimeGrid
        With `time_step` equal to `dt` and no correction, there are steps before t = 0 only if a
        source is shifted, and steps after the last sample only if a recording is.
    """
    step = dt if time_step is None else time_step
    for name, value in (("dt", dt), ("time_step", step)):
        if not (np.isfinite(value) and value > 0):
            raise OptionError(f"{name} is {value} s; it must be a positive number of seconds.")
    if nt < 1:
        raise OptionError(f"nt is {nt}; at least one time sample is needed.")
    if _same_clock(dt, step, correct_time_dispersion):
        step = dt
    reach = HALF_WIDTH * _cutoff_period(dt, nt, step, correct_time_dispersion) / step
    last = (nt - 1) * (dt / step)

    def whole(steps: float) -> int:
        # A corrected kernel ends in a small tail, of which this many steps are kept.
        return int(np.ceil(steps) if correct_time_dispersion else np.floor(steps))

    def spread(shift: float) -> float:
        unchanged = shift == 0 and _same_clock(dt, step, correct_time_dispersion)
        return 0.0 if unchanged else reach

    before = max(whole(spread(shift) + shift) for shift in shifts.sources)
    after = max(whole(last + spread(shift) - shift) for shift in shifts.recordings)
    return TimeGrid(float(dt), int(nt), float(step), before, before + after + 1, shifts)


def pass_band(grid: TimeGrid, correct_time_dispersion: bool) -> float:
    """Highest frequency that sources and recordings keep unchanged (to 5e-5), Hz.

    The identity keeps all of them, up to the Nyquist frequency of `dt`; half a step beside it is
    an interpolation like any other.
    """
    same = _same_clock(grid.dt, grid.time_step, correct_time_dispersion)
    if same and not any((*grid.shifts.sources, *grid.shifts.recordings)):
        return 0.5 / grid.dt
    period = _cutoff_period(grid.dt, grid.nt, grid.time_step, correct_time_dispersion)
    return PASS_EDGE * 0.5 / period


@lru_cache(maxsize=8)
def source_operator(
    grid: TimeGrid, correct_time_dispersion: bool, shift: float = 0.0, nt: int | None = None
) -> sparse.csr_matrix:
    """Matrix from user samples to the amplitudes of the internal steps.

    Parameters
    ----------
    grid : TimeGrid
        Both clocks.
    correct_time_dispersion : bool
        Include the forward time-dispersion transform.
    shift : {0, 0.5, -0.5}
        Steps by which internal sample m is later than `(m - before) * time_step`.
    nt : int or None
        Samples of the source; as many as are recorded if None. Of later ones, what reaches a step.

    Returns
    -------
    scipy.sparse.csr_matrix of float64, (n_steps, nt)
        Cached: treat it as read-only.
    """
    _check_shift(shift, grid.shifts.sources)
    nt = grid.nt if nt is None else nt
    if shift == 0 and _same_clock(grid.dt, grid.time_step, correct_time_dispersion):
        return sparse.eye(grid.n_steps, nt, k=-grid.before, format="csr")
    if correct_time_dispersion:
        rows = _corrected_rows(grid, nt, grid.dt, shift, recording=False)
    else:
        rows = _kernel_rows(grid, nt, grid.dt, shift)
    return sparse.csr_matrix(rows.T)


def operator_bytes(grid: TimeGrid, correct_time_dispersion: bool) -> int:
    """Memory of one such matrix, or a recording's, with its copy in single precision; roughly."""
    if not correct_time_dispersion:
        return 0  # rows are short
    slowest, pad = _corrected_reach(grid)
    width = 0.5 * (1.0 - slowest) * grid.nt * grid.dt / grid.time_step + 2 * pad
    return int(grid.nt * min(width, grid.n_steps) * (8 + 4 + 4))


@lru_cache(maxsize=8)
def recording_operator(
    grid: TimeGrid, correct_time_dispersion: bool, shift: float = 0.0
) -> sparse.csr_matrix:
    """Matrix from internal samples to samples at `n dt`.

    Parameters
    ----------
    grid : TimeGrid
        Both clocks.
    correct_time_dispersion : bool
        Include the inverse time-dispersion transform.
    shift : {0, 0.5, -0.5}
        Steps by which internal sample m is later than `(m - before) * time_step`.

    Returns
    -------
    scipy.sparse.csr_matrix of float64, (nt, n_steps)
        Cached: treat it as read-only.
    """
    _check_shift(shift, grid.shifts.recordings)
    if shift == 0 and _same_clock(grid.dt, grid.time_step, correct_time_dispersion):
        return sparse.eye(grid.nt, grid.n_steps, k=grid.before, format="csr")
    if correct_time_dispersion:
        return _corrected_rows(grid, grid.nt, grid.time_step, shift, recording=True)
    return _kernel_rows(grid, grid.nt, grid.time_step, shift)


def bandwidth(samples: ArrayLike, dt: float, tolerance: float) -> float:
    """Frequency above which the signals hold less than `tolerance**2` of their energy.

    Parameters
    ----------
    samples : array, (..., nt)
        Signals; their energies are added. They count as zero outside the record, so a record cut
        in the middle of an arrival has the wide spectrum of its step.
    dt : float, s
        Sample interval.
    tolerance : float
        Amplitude that may lie above, relative to the whole.

    Returns
    -------
    float, Hz
        0 for signals that are zero throughout; at most the Nyquist frequency.
    """
    signals = np.asarray(samples, dtype=np.float64)
    nt = signals.shape[-1]
    signals = signals.reshape(-1, nt)
    length = fft.next_fast_len(2 * nt, real=True)
    energy = np.zeros(length // 2 + 1)
    rows = max(1, 2**22 // length)
    for first in range(0, len(signals), rows):
        transformed = fft.rfft(signals[first : first + rows], length, axis=-1)
        energy += np.sum(transformed.real**2 + transformed.imag**2, axis=0)
    return highest_frequency(energy, length, dt, tolerance)


def highest_frequency(
    energy: NDArray[np.float64], length: int, dt: float, tolerance: float
) -> float:
    """`bandwidth` from the energy at each frequency of a transform of `length` samples."""
    total = energy.sum()
    if total == 0.0 or not np.isfinite(total):
        return 0.0
    above = np.cumsum(energy[::-1])[::-1]  # above[k]: energy at and above frequency k
    last = np.flatnonzero(above >= tolerance**2 * total)[-1]
    return float(min(last + 1, length // 2) / (length * dt))


def _same_clock(dt: float, time_step: float, correct_time_dispersion: bool) -> bool:
    return not correct_time_dispersion and abs(time_step - dt) <= 1e-12 * dt


def _check_shift(shift: float, known: tuple[float, ...]) -> None:
    if shift not in known:
        raise OptionError(
            f"shift is {shift} steps; the time grid has room for {', '.join(map(str, known))}."
        )


def _cutoff_period(dt: float, nt: int, time_step: float, correct_time_dispersion: bool) -> float:
    """Sample interval whose Nyquist frequency is the kernel's cutoff, s."""
    if not correct_time_dispersion:
        return max(dt, time_step)
    spread = min(LARGEST_SPREAD * time_step / (nt * dt), 1.0)
    highest = np.sqrt(1.0 - (1.0 - spread) ** 2)
    cutoff = min(CORRECTED_CUTOFF, highest / stop()[0])
    return float(max(dt, np.pi * time_step / (2.0 * cutoff)))


def _kernel_rows(grid: TimeGrid, nt: int, interval: float, shift: float) -> sparse.csr_matrix:
    """Row n: the kernel about t = n dt at the internal steps, times interval over its period."""
    period = _cutoff_period(grid.dt, grid.nt, grid.time_step, False)
    centre = np.arange(nt) * (grid.dt / grid.time_step) + (grid.before - shift)
    first = np.ceil(centre - HALF_WIDTH * period / grid.time_step).astype(np.int64)
    steps = first[:, None] + np.arange(int(2 * HALF_WIDTH * period / grid.time_step) + 1)
    values = kernel((steps - centre[:, None]) * (grid.time_step / period))
    values *= interval / period
    keep = (steps >= 0) & (steps < grid.n_steps)
    keep &= np.abs(values) > DROP_BELOW * np.abs(values).max()
    return _csr(keep.sum(axis=1), steps[keep], values[keep], (nt, grid.n_steps))


def _corrected_rows(
    grid: TimeGrid, nt: int, interval: float, shift: float, recording: bool
) -> sparse.csr_matrix:
    """Row n: the warped kernel of user sample n at the internal steps."""
    step = grid.time_step
    period = _cutoff_period(grid.dt, grid.nt, step, True)
    edge, lift = stop()
    highest = edge * np.pi / period
    slowest, pad = _corrected_reach(grid)
    blocks = [np.arange(first, min(first + _BLOCK, nt)) for first in range(0, nt, _BLOCK)]
    starts = [max(int(slowest * n[0] * grid.dt / step) - pad, -grid.before) for n in blocks]
    last = grid.n_steps - grid.before - 1
    ends = [min(int(n[-1] * grid.dt / step) + pad, last) + 1 for n in blocks]
    # Room for every entry, of which those that are dropped are never touched.
    room = sum(len(n) * max(0, e - s) for n, s, e in zip(blocks, starts, ends, strict=True))
    values, columns, used = np.empty(room), np.empty(room, np.int32), 0
    counts = np.zeros(nt, np.int64)
    for n, low, end in zip(blocks, starts, ends, strict=True):
        if low >= end:  # a source that is over too late
            continue
        length = fft.next_fast_len(end - low + 2 * pad, real=True)
        omega = 2.0 * np.pi / (length * step) * np.arange(length // 2 + 1)
        theta = 2.0 / step * np.sin(0.5 * omega * step)
        theta = theta[theta < highest]
        omega = omega[: len(theta)]
        gain = interval / step * (spectrum(theta * period / np.pi) + lift) / (1.0 + lift)
        if recording:
            gain = gain * np.cos(0.5 * omega * step)
        phase = omega * ((low + shift) * step) - np.outer(n * grid.dt, theta)
        rows = fft.irfft(gain * np.exp(1j * phase), length, axis=1)[:, : end - low]
        size = np.abs(rows)
        keep = size > DROP_BELOW * size.max(axis=1, keepdims=True)
        counts[n] = keep.sum(axis=1)
        stop_at = used + int(counts[n].sum())
        values[used:stop_at] = rows[keep]
        columns[used:stop_at] = np.nonzero(keep)[1] + (low + grid.before)
        used = stop_at
    return _csr(counts, columns[:used], values[:used], (nt, grid.n_steps))


def _corrected_reach(grid: TimeGrid) -> tuple[float, int]:
    """Row n spans slowest * n dt ... n dt, and some steps on either side.

    A frequency arrives early by the cosine of omega D / 2.
    """
    period = _cutoff_period(grid.dt, grid.nt, grid.time_step, True)
    highest = stop()[0] * np.pi / period
    slowest = np.sqrt(1.0 - (0.5 * highest * grid.time_step) ** 2)
    return float(slowest), int(np.ceil(2 * HALF_WIDTH * period / grid.time_step))


def _csr(
    counts: NDArray[np.int64],
    columns: NDArray[np.integer],
    values: NDArray[np.float64],
    shape: tuple[int, int],
) -> sparse.csr_matrix:
    """Rows in order, of so many entries each, with sorted columns."""
    pointers = np.concatenate([[0], np.cumsum(counts)])
    return sparse.csr_matrix((values, columns, pointers), shape=shape)
