"""Source wavelets as float64 samples at n dt, with a peak of one."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wavepipe.propagators.errors import OptionError

RICKER_DELAY = 1.5
"""Default delay of a Ricker wavelet, in periods of its peak frequency. What is cut off before
t = 0 is then below 1e-7 of the peak."""

ORMSBY_LEVEL = 1e-2
"""Size, relative to the peak, below which an Ormsby wavelet is cut off with the default delay.
It decays only as 1/t**2, so a smaller level takes a much longer delay."""


def ricker(
    peak_frequency: float, dt: float, nt: int, delay: float | None = None
) -> NDArray[np.float64]:
    r"""Ricker wavelet, the negative second derivative of a Gaussian.

    Parameters
    ----------
    peak_frequency : float, Hz
        Where the amplitude spectrum is largest.
    dt : float, s
        Sample interval.
    nt : int
        Number of samples.
    delay : float, optional, s
        Time of the peak; `RICKER_DELAY` periods by default.

    Returns
    -------
    array of float64, (nt,)
        :math:`(1 - 2 a) e^{-a}`, :math:`a = (\pi f (t - delay))^2`, at t = n dt.
    """
    _check_sampling(dt, nt)
    if not (np.isfinite(peak_frequency) and peak_frequency > 0):
        raise OptionError(
            f"The Ricker wavelet's peak frequency is {peak_frequency} Hz; it must be positive."
        )
    _check_below_nyquist("peak frequency", peak_frequency, dt)
    centre = RICKER_DELAY / peak_frequency if delay is None else delay
    a = (np.pi * peak_frequency * (np.arange(nt) * dt - centre)) ** 2
    return np.asarray((1.0 - 2.0 * a) * np.exp(-a))


def ormsby(
    f1: float, f2: float, f3: float, f4: float, dt: float, nt: int, delay: float | None = None
) -> NDArray[np.float64]:
    r"""Ormsby wavelet: zero phase, with a trapezoid for its amplitude spectrum.

    Parameters
    ----------
    f1, f2, f3, f4 : float, Hz
        Corners of the trapezoid: zero below f1, flat from f2 to f3, zero above f4.
    dt : float, s
        Sample interval.
    nt : int
        Number of samples.
    delay : float, optional, s
        Time of the peak. By default what is cut off before t = 0 is below `ORMSBY_LEVEL`.

    Returns
    -------
    array of float64, (nt,)

    Notes
    -----
    With :math:`q(f) = \pi f^2 \mathrm{sinc}^2(f t)`, the wavelet is
    :math:`(q(f_4) - q(f_3)) / (f_4 - f_3) - (q(f_2) - q(f_1)) / (f_2 - f_1)`
    over its value at t = 0, :math:`\pi (f_4 + f_3 - f_2 - f_1)`.
    """
    _check_sampling(dt, nt)
    if not 0 <= f1 < f2 <= f3 < f4:
        raise OptionError(
            f"The Ormsby corners are {f1:g}, {f2:g}, {f3:g}, {f4:g} Hz; they must rise, "
            "0 <= f1 < f2 <= f3 < f4."
        )
    _check_below_nyquist("highest corner f4", f4, dt)
    width = f4 + f3 - f2 - f1
    if delay is None:
        slopes = 1.0 / (f4 - f3) + 1.0 / (f2 - f1)
        delay = float(np.sqrt(slopes / (np.pi**2 * ORMSBY_LEVEL * width)))
    t = np.arange(nt) * dt - delay

    def q(frequency: float) -> NDArray[np.float64]:
        return np.asarray((frequency * np.sinc(frequency * t)) ** 2)

    high = (q(f4) - q(f3)) / (f4 - f3)
    low = (q(f2) - q(f1)) / (f2 - f1)
    return np.asarray((high - low) / width)


def peak_frequency(wavelet: ArrayLike, dt: float) -> float:
    """Frequency where the amplitude spectrum is largest, between the bins of its transform.

    Parameters
    ----------
    wavelet : array, (..., nt)
        Samples; of several signals, the one spectrum of their summed energy is used.
    dt : float, s
        Sample interval.

    Returns
    -------
    float, Hz
        0 for a wavelet that is zero throughout.
    """
    signals = np.asarray(wavelet, dtype=np.float64)
    signals = signals.reshape(-1, signals.shape[-1])
    length = 8 * signals.shape[-1]
    energy = np.sum(np.abs(np.fft.rfft(signals, length, axis=-1)) ** 2, axis=0)
    top = int(np.argmax(energy))
    if energy[top] == 0.0:
        return 0.0
    shift = 0.0
    if 0 < top < len(energy) - 1:
        before, peak, after = energy[top - 1 : top + 2]
        curvature = before - 2.0 * peak + after
        shift = 0.0 if curvature == 0.0 else 0.5 * (before - after) / curvature
    return float((top + shift) / (length * dt))


def _check_sampling(dt: float, nt: int) -> None:
    if not (np.isfinite(dt) and dt > 0):
        raise OptionError(f"The wavelet's dt is {dt} s; it must be a positive number of seconds.")
    if nt < 1:
        raise OptionError(f"The wavelet's nt is {nt}; at least one sample is needed.")


def _check_below_nyquist(name: str, frequency: float, dt: float) -> None:
    nyquist = 0.5 / dt
    if frequency >= nyquist:
        raise OptionError(
            f"The wavelet's {name}, {frequency:g} Hz, is not below the Nyquist frequency of "
            f"dt = {dt:g} s, {nyquist:g} Hz. Lower it or sample more finely."
        )
