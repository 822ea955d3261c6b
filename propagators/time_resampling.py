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
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft, sparse

from wavepipe.propagators.errors import OptionError

HALF_WIDTH = 12
"""Half width of the kernel, in periods of its cutoff: 24 samples in all."""

KAISER_BETA = 9.0
"""Shape of the window. With 12 samples a side, signals below `PASS_EDGE` of the cutoff are
interpolated to 5e-5 of their amplitude, and what lies above `2 - PASS_EDGE` is rejected as much."""

PASS_EDGE = 0.76
"""End of the pass band, as a fraction of the kernel's cutoff frequency."""

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
class TimeGrid:
    """User samples and internal steps of one propagation.

    User sample n is at `n * dt`, n = 0 ... nt - 1; internal sample m is at
    `(m - before) * time_step`, m = 0 ... n_steps - 1.
    """

    dt: float
    """Interval of the user's samples, s."""
    nt: int
    """Number of the user's samples."""
    time_step: float
    """Internal step, s."""
    before: int
    """Internal steps before t = 0, which the kernel of an early sample reaches."""
    n_steps: int
    """All internal steps, those before t = 0 and after the last sample included."""
    staggered: bool = False
    """Whether there is room for samples half a step earlier or later than those."""


def plan_time_grid(
    dt: float,
    nt: int,
    time_step: float | None,
    correct_time_dispersion: bool,
    staggered: bool = False,
) -> TimeGrid:
    """Lay out the internal steps for `nt` samples at `dt`.

    Parameters
    ----------
    dt : float, s
        Interval of the user's samples.
    nt : int
        Number of the user's samples.
    time_step : float or None, s
        Internal step; None takes `dt`.
    correct_time_dispersion : bool
        Whether the operators will undo the leapfrog scheme's time dispersion.
    staggered : bool
        Whether some sources or recordings are half a step off (`shift` of the operators).

    Returns
    -------
    TimeGrid
        With `time_step` equal to `dt`, no correction and nothing staggered: no step before,
        `n_steps = nt`.
    """
    step = dt if time_step is None else time_step
    for name, value in (("dt", dt), ("time_step", step)):
        if not (np.isfinite(value) and value > 0):
            raise OptionError(f"{name} is {value} s; it must be a positive number of seconds.")
    if nt < 1:
        raise OptionError(f"nt is {nt}; at least one time sample is needed.")
    if _same_clock(dt, step, correct_time_dispersion):
        step = dt
        if not staggered:
            return TimeGrid(float(dt), int(nt), float(dt), 0, int(nt))
    reach = HALF_WIDTH * _cutoff_period(dt, nt, step, correct_time_dispersion)
    half = 0.5 if staggered else 0.0
    before = int(np.ceil(reach / step + half))
    after = int(np.ceil(((nt - 1) * dt + reach) / step + half))
    return TimeGrid(float(dt), int(nt), float(step), before, before + after + 1, staggered)


def pass_band(grid: TimeGrid, correct_time_dispersion: bool) -> float:
    """Highest frequency that sources and recordings keep unchanged (to 5e-5), Hz.

    The identity keeps all of them, up to the Nyquist frequency of `dt`; half a step beside it is
    an interpolation like any other.
    """
    same = _same_clock(grid.dt, grid.time_step, correct_time_dispersion)
    if same and not grid.staggered:
        return 0.5 / grid.dt
    period = _cutoff_period(grid.dt, grid.nt, grid.time_step, correct_time_dispersion)
    return PASS_EDGE * 0.5 / period


@lru_cache(maxsize=8)
def source_operator(
    grid: TimeGrid, correct_time_dispersion: bool, shift: float = 0.0
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

    Returns
    -------
    scipy.sparse.csr_matrix of float64, (n_steps, nt)
        Cached: treat it as read-only.
    """
    _check_shift(grid, shift)
    if shift == 0 and _same_clock(grid.dt, grid.time_step, correct_time_dispersion):
        return sparse.eye(grid.n_steps, grid.nt, k=-grid.before, format="csr")
    if correct_time_dispersion:
        rows = _corrected_rows(grid, grid.dt, shift, recording=False)
    else:
        rows = _kernel_rows(grid, grid.dt, shift)
    return sparse.csr_matrix(rows.T)


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
    _check_shift(grid, shift)
    if shift == 0 and _same_clock(grid.dt, grid.time_step, correct_time_dispersion):
        return sparse.eye(grid.nt, grid.n_steps, k=grid.before, format="csr")
    if correct_time_dispersion:
        return _corrected_rows(grid, grid.time_step, shift, recording=True)
    return _kernel_rows(grid, grid.time_step, shift)


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
        spectrum = fft.rfft(signals[first : first + rows], length, axis=-1)
        energy += np.sum(spectrum.real**2 + spectrum.imag**2, axis=0)
    total = energy.sum()
    if total == 0.0 or not np.isfinite(total):
        return 0.0
    above = np.cumsum(energy[::-1])[::-1]  # above[k]: energy at and above frequency k
    last = np.flatnonzero(above >= tolerance**2 * total)[-1]
    return float(min(last + 1, length // 2) / (length * dt))


def _same_clock(dt: float, time_step: float, correct_time_dispersion: bool) -> bool:
    return not correct_time_dispersion and abs(time_step - dt) <= 1e-12 * dt


def _check_shift(grid: TimeGrid, shift: float) -> None:
    if shift not in ((0.0, 0.5, -0.5) if grid.staggered else (0.0,)):
        raise OptionError(
            f"shift is {shift}; it is 0, or 0.5 or -0.5 of a step on a staggered time grid."
        )


def _cutoff_period(dt: float, nt: int, time_step: float, correct_time_dispersion: bool) -> float:
    """Sample interval whose Nyquist frequency is the kernel's cutoff, s."""
    if not correct_time_dispersion:
        return max(dt, time_step)
    spread = min(LARGEST_SPREAD * time_step / (nt * dt), 1.0)
    highest = np.sqrt(1.0 - (1.0 - spread) ** 2)
    cutoff = min(CORRECTED_CUTOFF, highest / _stop()[0])
    return float(max(dt, np.pi * time_step / (2.0 * cutoff)))


def _kernel(t: NDArray[np.float64]) -> NDArray[np.float64]:
    """Kaiser-windowed sinc; t in periods of the cutoff."""
    inside = np.clip(1.0 - (t / HALF_WIDTH) ** 2, 0.0, None)
    window = np.i0(KAISER_BETA * np.sqrt(inside)) / np.i0(KAISER_BETA)
    return np.where(np.abs(t) <= HALF_WIDTH, np.sinc(t) * window, 0.0)


@lru_cache(maxsize=1)
def _quadrature() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nodes on (0, HALF_WIDTH) and weights times kernel, for its cosine transform."""
    nodes, weights = np.polynomial.legendre.leggauss(120)
    t = 0.5 * HALF_WIDTH * (nodes + 1.0)
    return t, HALF_WIDTH * weights * _kernel(t)


def _spectrum(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Spectrum of the kernel, 1 in the pass band; x is the frequency over the cutoff, below 2."""
    t, weights = _quadrature()
    return np.cos(np.pi * x[:, None] * t) @ weights


@lru_cache(maxsize=1)
def _stop() -> tuple[float, float]:
    """First minimum of the kernel's spectrum, over the cutoff, and how far below zero it is.

    Lifted by that much and cut there, the spectrum ends without a jump or a corner, so the warped
    kernel dies out quickly in time.
    """
    x = np.linspace(1.0, 1.6, 6001)
    values = _spectrum(x)
    lowest = int(np.argmax(np.diff(values) > 0.0))
    return float(x[lowest]), float(-values[lowest])


def _kernel_rows(grid: TimeGrid, interval: float, shift: float) -> sparse.csr_matrix:
    """Row n: the kernel about t = n dt at the internal steps, times interval over its period."""
    period = _cutoff_period(grid.dt, grid.nt, grid.time_step, False)
    centre = np.arange(grid.nt) * (grid.dt / grid.time_step) + (grid.before - shift)
    first = np.ceil(centre - HALF_WIDTH * period / grid.time_step).astype(np.int64)
    steps = first[:, None] + np.arange(int(2 * HALF_WIDTH * period / grid.time_step) + 1)
    values = _kernel((steps - centre[:, None]) * (grid.time_step / period))
    values *= interval / period
    keep = (steps >= 0) & (steps < grid.n_steps)
    keep &= np.abs(values) > DROP_BELOW * np.abs(values).max()
    return _csr([keep.sum(axis=1)], [steps[keep]], [values[keep]], (grid.nt, grid.n_steps))


def _corrected_rows(
    grid: TimeGrid, interval: float, shift: float, recording: bool
) -> sparse.csr_matrix:
    """Row n: the warped kernel of user sample n at the internal steps."""
    step = grid.time_step
    period = _cutoff_period(grid.dt, grid.nt, step, True)
    edge, lift = _stop()
    highest = edge * np.pi / period
    # A frequency arrives early by the cosine of omega D / 2: row n spans slowest * n dt ... n dt.
    slowest = np.sqrt(1.0 - (0.5 * highest * step) ** 2)
    pad = int(np.ceil(2 * HALF_WIDTH * period / step))
    counts, columns, values = [], [], []
    for first in range(0, grid.nt, _BLOCK):
        n = np.arange(first, min(first + _BLOCK, grid.nt))
        low = max(int(slowest * n[0] * grid.dt / step) - pad, -grid.before)
        high = min(int(n[-1] * grid.dt / step) + pad, grid.n_steps - grid.before - 1)
        length = fft.next_fast_len(high - low + 1 + 2 * pad, real=True)
        omega = 2.0 * np.pi / (length * step) * np.arange(length // 2 + 1)
        theta = 2.0 / step * np.sin(0.5 * omega * step)
        theta = theta[theta < highest]
        omega = omega[: len(theta)]
        gain = interval / step * (_spectrum(theta * period / np.pi) + lift) / (1.0 + lift)
        if recording:
            gain = gain * np.cos(0.5 * omega * step)
        phase = omega * ((low + shift) * step) - np.outer(n * grid.dt, theta)
        rows = fft.irfft(gain * np.exp(1j * phase), length, axis=1)[:, : high - low + 1]
        size = np.abs(rows)
        keep = size > DROP_BELOW * size.max(axis=1, keepdims=True)
        counts.append(keep.sum(axis=1))
        columns.append(np.nonzero(keep)[1] + (low + grid.before))
        values.append(rows[keep])
    return _csr(counts, columns, values, (grid.nt, grid.n_steps))


def _csr(
    counts: list[Any], columns: list[Any], values: list[Any], shape: tuple[int, int]
) -> sparse.csr_matrix:
    """Rows in order, each with sorted columns, as one matrix."""
    pointers = np.concatenate([[0], np.cumsum(np.concatenate(counts))])
    data = (np.concatenate(values), np.concatenate(columns), pointers)
    return sparse.csr_matrix(data, shape=shape)
