"""Filters on gathers and wavelets: low-pass, end taper, line-source correction.

The low-pass filter is causal and starts at rest. Filtering a gather is then exactly the same as
modelling it with the filtered wavelet, also at the ends of a record that was cut; a zero-phase
filter would need samples from before time zero and after the last one.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft, rfftfreq
from scipy.ndimage import gaussian_filter
from scipy.signal import butter, sosfilt

LOW_PASS_ORDER = 8
"""Poles of the Butterworth filter: 48 dB per octave above its corner."""

BAND_EDGE = 1.25
"""Where a band-limited adjoint source ends, relative to the band that is kept whole."""

END_TAPER = 0.05
"""Part of the record that the taper of the trace ends covers."""

TAPER_PERIODS = 4.0
"""Length of that taper at least, in periods of the highest frequency."""

LONGEST_TAPER = 0.25
"""Length of that taper at most, as part of the record."""


def low_pass(traces: NDArray[Any], dt: float, max_frequency: float | None) -> NDArray[np.float64]:
    """Traces without what lies above a frequency.

    Parameters
    ----------
    traces : (..., nt)
        Gather or wavelet, at rest before its first sample.
    dt : s
        Sample interval.
    max_frequency : Hz
        Corner (half power) of the filter. None, or at and above the Nyquist frequency: unchanged.

    Returns
    -------
    (..., nt) array of float64
    """
    traces = np.asarray(traces, dtype=np.float64)
    if max_frequency is None or max_frequency >= 0.5 / dt:
        return traces
    sections = butter(LOW_PASS_ORDER, max_frequency, fs=1.0 / dt, output="sos")
    return np.asarray(sosfilt(sections, traces, axis=-1), dtype=np.float64)


def band_limit(traces: NDArray[Any], dt: float, band: float | None) -> NDArray[np.float64]:
    """Traces without what lies above a band, without a shift in time.

    For adjoint sources: what they hold above the band of the forward wavefield meets nothing
    there, but would alias in a wavefield that is kept at a stride.

    Parameters
    ----------
    traces : (..., nt)
        Tapered at both ends.
    dt : s
        Sample interval.
    band : Hz
        Kept up to here, gone from `BAND_EDGE` times this on. None: unchanged.

    Returns
    -------
    (..., nt) array of float64
    """
    traces = np.asarray(traces, dtype=np.float64)
    if band is None or BAND_EDGE * band >= 0.5 / dt:
        return traces
    nt = traces.shape[-1]
    length = next_fast_len(2 * nt, real=True)
    above = (rfftfreq(length, dt) - band) / ((BAND_EDGE - 1.0) * band)
    response = 0.5 * (1.0 + np.cos(np.pi * np.clip(above, 0.0, 1.0)))
    spectrum = rfft(traces, length, axis=-1)
    return np.asarray(irfft(response * spectrum, length, axis=-1)[..., :nt])


def end_taper(nt: int, dt: float, length: float) -> NDArray[np.float64]:
    """Weights (nt,) that end a record smoothly: one, then half a cosine down to zero.

    A record cut in the middle of an arrival has a step at its end; injected as an adjoint source,
    it would radiate at all frequencies.

    Parameters
    ----------
    nt
        Samples of the record.
    dt : s
        Sample interval.
    length : s
        Of the cosine; zero for no taper.
    """
    samples = min(round(length / dt), nt)
    weights = np.ones(nt)
    if samples > 0:
        weights[-samples:] = 0.5 * (1.0 + np.cos(np.pi * np.arange(1, samples + 1) / samples))
    return weights


def default_taper(nt: int, dt: float, band: float) -> float:
    """Length of the end taper where the job gives none, s.

    Part of the record, but long enough that the taper's own spectrum is narrow beside the band,
    unless the record is very short.
    """
    record = nt * dt
    return min(max(END_TAPER * record, TAPER_PERIODS / band), LONGEST_TAPER * record)


def line_source(
    traces: NDArray[Any], dt: float, velocity: float, start: float = 0.0
) -> NDArray[np.float64]:
    """Traces of a point source as a line source would have given them.

    Parameters
    ----------
    traces : (..., nt)
        Field data: spherical spreading.
    dt : s
        Sample interval.
    velocity : m/s
        Along the path; sets the amplitude only.
    start : s
        Time of the wavelet's energy: a path of length r arrives at ``start + r / velocity``.

    Returns
    -------
    (..., nt) array of float64

    Notes
    -----
    The far field of ``(1/c^2) p_tt - lap p = s delta`` is ``s / (4 pi r)`` for a point and, per
    metre of a line, that times ``sqrt(2 pi c r) (i omega)**(-1/2)``. With ``r = c t``, t from
    `start`, this is a gain ``c sqrt(2 pi t)`` and a half integral, which turns the phase by 45
    degrees.
    """
    traces = np.asarray(traces, dtype=np.float64)
    nt = traces.shape[-1]
    length = next_fast_len(2 * nt, real=True)
    omega = 2.0 * np.pi * rfftfreq(length, dt)
    half_integral = np.zeros(omega.size, dtype=np.complex128)
    half_integral[1:] = (1j * omega[1:]) ** -0.5
    turned = irfft(rfft(traces, length, axis=-1) * half_integral, length, axis=-1)[..., :nt]
    since = np.maximum(np.arange(nt) * dt - start, 0.0)
    return np.asarray(velocity * np.sqrt(2.0 * np.pi * since) * turned)


def low_cut(
    image: NDArray[Any], spacing: tuple[float, ...], standard_deviation: float | None
) -> NDArray[Any]:
    """Image without its long wavelengths.

    Parameters
    ----------
    image : (nz, nx) or (nz, ny, nx)
        Migrated image, with the smooth backscatter of reverse-time migration.
    spacing : m
        Per axis.
    standard_deviation : m
        Of the Gaussian whose average around each cell is subtracted; wavelengths beyond about
        five times it are halved or less. None: unchanged.

    Notes
    -----
    In wavenumber the filter is ``1 - exp(-k^2 s^2 / 2)``: a Laplacian for long wavelengths, and
    one for short ones.
    """
    if standard_deviation is None or standard_deviation == 0.0:
        return image
    sigma = [standard_deviation / h for h in spacing]
    smooth = gaussian_filter(image.astype(np.float64), sigma, mode="nearest", truncate=4.0)
    return (image - smooth).astype(image.dtype)
