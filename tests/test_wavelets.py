"""Wavelets: where they peak, what is cut off, what spectrum they have."""

import numpy as np
import pytest

from wavepipe.propagators.errors import OptionError
from wavepipe.propagators.wavelets import ORMSBY_LEVEL, ormsby, peak_frequency, ricker

DT = 2e-3


def test_a_ricker_peaks_at_one_at_its_delay() -> None:
    wavelet = ricker(10.0, DT, 300, delay=0.2)
    assert wavelet.dtype == np.float64
    assert wavelet.shape == (300,)
    assert wavelet[100] == 1.0
    assert np.argmax(wavelet) == 100
    np.testing.assert_allclose(wavelet[100:150], wavelet[100:50:-1], atol=1e-14)


def test_a_ricker_follows_its_formula_between_samples() -> None:
    wavelet = ricker(12.5, DT, 200, delay=0.1234)
    a = (np.pi * 12.5 * (57 * DT - 0.1234)) ** 2
    assert wavelet[57] == pytest.approx((1 - 2 * a) * np.exp(-a), rel=1e-12)


@pytest.mark.parametrize("frequency", [3.0, 25.0])
def test_the_default_delay_cuts_off_next_to_nothing(frequency: float) -> None:
    late = ricker(frequency, DT, 1000)
    assert abs(late[0]) < 1e-7
    assert np.argmax(late) * DT == pytest.approx(1.5 / frequency, abs=DT)


@pytest.mark.parametrize("frequency", [4.0, 10.0, 31.7])
def test_the_peak_frequency_of_a_ricker_is_found(frequency: float) -> None:
    assert peak_frequency(ricker(frequency, DT, 500), DT) == pytest.approx(frequency, rel=1e-3)


def test_the_peak_frequency_of_a_short_record_is_found_between_its_bins() -> None:
    # 60 samples have bins 8 Hz apart.
    assert peak_frequency(ricker(21.0, DT, 60, delay=0.06), DT) == pytest.approx(21.0, rel=1e-2)


def test_the_peak_frequency_of_several_wavelets_is_that_of_the_strongest() -> None:
    pair = np.stack([ricker(10.0, DT, 300), 5 * ricker(20.0, DT, 300)])
    assert peak_frequency(pair, DT) == pytest.approx(20.0, rel=2e-2)


def test_the_peak_frequency_of_odd_signals_is_harmless() -> None:
    assert peak_frequency(np.zeros(50), DT) == 0.0
    assert peak_frequency(np.ones(50), DT) == 0.0
    assert 0.0 <= peak_frequency(np.eye(1, 50)[0], DT) <= 0.5 / DT
    assert peak_frequency(np.array([1.0]), DT) >= 0.0
    alternating = np.cos(np.pi * np.arange(64))
    assert peak_frequency(alternating, DT) == pytest.approx(0.5 / DT)


def test_an_ormsby_has_a_trapezoid_for_a_spectrum() -> None:
    nt = 16384
    corners = (5.0, 10.0, 40.0, 60.0)
    wavelet = ormsby(*corners, DT, nt, delay=nt * DT / 2)
    assert wavelet.max() == pytest.approx(1.0, abs=1e-12)
    spectrum = np.abs(np.fft.rfft(wavelet)) * DT
    frequency = np.fft.rfftfreq(nt, DT)
    trapezoid = np.interp(frequency, corners, [0, 1, 1, 0])
    height = 1.0 / (60 + 40 - 10 - 5)  # its two-sided integral is the peak, 1
    # The record cuts the 1/t**2 tails at 16 s, which rounds the corners by 1e-3 at most.
    assert np.abs(spectrum / height - trapezoid).max() < 1e-3


def test_an_ormsby_from_zero_frequency_is_allowed() -> None:
    wavelet = ormsby(0.0, 2.0, 30.0, 40.0, DT, 1000, delay=1.0)
    assert np.isfinite(wavelet).all()
    assert wavelet[500] == pytest.approx(1.0, abs=1e-12)


def test_the_default_delay_of_an_ormsby_keeps_what_it_says() -> None:
    corners = (3.0, 6.0, 30.0, 45.0)
    wavelet = ormsby(*corners, DT, 4000)
    peak = int(np.argmax(wavelet))
    assert peak > 10
    whole = ormsby(*corners, DT, 4000 + 3000, delay=peak * DT + 6.0)
    assert np.abs(whole[:3000]).max() < ORMSBY_LEVEL


@pytest.mark.parametrize(
    "corners", [(5, 5, 30, 40), (5, 10, 8, 40), (5, 10, 40, 40), (-1, 2, 3, 4)]
)
def test_ormsby_corners_must_rise(corners: tuple[float, float, float, float]) -> None:
    with pytest.raises(OptionError, match="must rise"):
        ormsby(*corners, DT, 100)


def test_frequencies_at_or_above_nyquist_are_refused() -> None:
    with pytest.raises(OptionError, match=r"300 Hz.*Nyquist.*250 Hz"):
        ricker(300.0, DT, 100)
    with pytest.raises(OptionError, match="f4, 260 Hz"):
        ormsby(5, 10, 100, 260, DT, 100)


@pytest.mark.parametrize("frequency", [0.0, -3.0, float("nan"), float("inf")])
def test_a_ricker_needs_a_positive_frequency(frequency: float) -> None:
    with pytest.raises(OptionError, match="peak frequency"):
        ricker(frequency, DT, 100)


def test_bad_sampling_is_refused() -> None:
    with pytest.raises(OptionError, match="dt is 0"):
        ricker(10.0, 0, 100)
    with pytest.raises(OptionError, match="nt is 0"):
        ormsby(1, 2, 3, 4, DT, 0)
