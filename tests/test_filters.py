"""Filters, tapers and mutes on gathers and images."""

import numpy as np
import pytest
from scipy.signal import fftconvolve
from scipy.special import hankel2

from wavepipe.pipeline.evaluation import Treatment
from wavepipe.pipeline.filters import (
    band_limit,
    default_taper,
    end_taper,
    line_source,
    low_cut,
    low_pass,
)
from wavepipe.pipeline.gathers import trace_weights
from wavepipe.pipeline.mutes import direct_mute
from wavepipe.propagators.wavelets import ricker


def test_filtering_the_data_equals_modelling_with_the_filtered_wavelet():
    """A gather is the wavelet convolved with a response; a causal filter may act on either."""
    rng = np.random.default_rng(5)
    wavelet = ricker(12.0, 0.004, 300)
    response = rng.standard_normal((4, 300)) * (rng.random((4, 300)) > 0.95)

    def record(samples):
        return fftconvolve(response, samples[None], axes=-1)[:, :300]

    filtered = low_pass(record(wavelet), 0.004, 6.0)
    modelled = record(low_pass(wavelet, 0.004, 6.0))
    # float64 rounding through a recursive filter
    np.testing.assert_allclose(filtered, modelled, atol=1e-11 * np.abs(filtered).max())


def test_the_low_pass_keeps_what_is_below_and_removes_what_is_above():
    time = np.arange(4000) * 0.002
    for frequency, gain in ((3.0, 1.0), (6.0, np.sqrt(0.5)), (12.0, 1 / 256)):
        out = low_pass(np.sin(2 * np.pi * frequency * time), 0.002, 6.0)[2000:]
        # Butterworth of order 8: 1 / sqrt(1 + 2**16) an octave above; warped a little at 500 Hz
        assert np.abs(out).max() == pytest.approx(gain, rel=0.05)


def test_no_low_pass_leaves_the_traces_alone():
    traces = np.random.default_rng(0).standard_normal((2, 50))
    assert np.array_equal(low_pass(traces, 0.004, None), traces)
    assert np.array_equal(low_pass(traces, 0.004, 125.0), traces)


def test_the_band_limit_is_symmetric_and_keeps_its_band():
    """It filters adjoint sources: <B x, y> = <x, B y>, and low frequencies pass unchanged."""
    rng = np.random.default_rng(6)
    x, y = rng.standard_normal((2, 400))
    left, right = band_limit(x, 0.004, 20.0) @ y, x @ band_limit(y, 0.004, 20.0)
    assert abs(left - right) < 1e-12 * np.linalg.norm(x) * np.linalg.norm(y)
    slow = ricker(6.0, 0.004, 400, 0.8)
    # what a Ricker wavelet of 6 Hz holds above 20 Hz
    np.testing.assert_allclose(band_limit(slow, 0.004, 20.0), slow, atol=1e-3)


def test_a_record_ends_smoothly_at_zero():
    weights = end_taper(200, 0.004, 0.1)
    assert np.all(weights[:175] == 1.0)
    assert weights[-1] == pytest.approx(0.0, abs=1e-15)
    assert np.all(np.diff(weights) <= 0)
    assert np.all(end_taper(200, 0.004, 0.0) == 1.0)


def test_the_default_taper_is_part_of_the_record_but_not_shorter_than_some_periods():
    assert default_taper(1000, 0.004, 40.0) == pytest.approx(0.2)
    assert default_taper(300, 0.004, 40.0) == pytest.approx(0.1)
    assert default_taper(50, 0.004, 40.0) == pytest.approx(0.05)


def test_a_point_source_seen_as_a_line_has_the_line_sources_amplitude_and_phase():
    """Against the exact 2-D field of the same wavelet, in the far field."""
    c, r, dt, nt = 2000.0, 3000.0, 0.004, 750
    wavelet = ricker(10.0, dt, nt, 0.2)
    spectrum = np.fft.rfft(wavelet, 4 * nt)
    omega = 2 * np.pi * np.fft.rfftfreq(4 * nt, dt)
    point = np.fft.irfft(spectrum * np.exp(-1j * omega * r / c) / (4 * np.pi * r))[:nt]
    green = np.zeros(omega.size, dtype=complex)
    green[1:] = -0.25j * hankel2(0, omega[1:] * r / c)
    line = np.fft.irfft(spectrum * green)[:nt]
    found = line_source(point[None], dt, c)[0]
    # sqrt(t) for the gain of a wavelet that lasts 0.2 s after 1.5 s of travel: a few per cent
    assert np.linalg.norm(found - line) < 0.08 * np.linalg.norm(line)


def test_the_low_cut_removes_long_wavelengths_and_keeps_short_ones():
    x = np.arange(400) * 10.0
    for wavelength, gain in (
        (2000.0, 1 - np.exp(-0.5 * (2 * np.pi * 40 / 2000) ** 2)),
        (100.0, 1 - np.exp(-0.5 * (2 * np.pi * 40 / 100) ** 2)),
    ):
        image = np.tile(np.sin(2 * np.pi * x / wavelength), (60, 1))
        found = low_cut(image, (10.0, 10.0), 40.0)[:, 100:300]
        assert np.std(found) / np.std(image[:, 100:300]) == pytest.approx(gain, abs=0.01)
    assert low_cut(image, (10.0, 10.0), None) is image


def test_the_direct_mute_follows_offset_over_velocity():
    weights = direct_mute(np.array([0.0, 1500.0]), 500, 0.004, velocity=1500.0, flat=0.1, taper=0.2)
    time = np.arange(500) * 0.004
    for trace, start in zip(weights, (0.1, 1.1), strict=True):
        assert np.all(trace[time <= start] == 0.0)
        assert np.all(trace[time >= start + 0.2] == pytest.approx(1.0))
        assert trace[np.argmin(np.abs(time - start - 0.1))] == pytest.approx(0.5, abs=0.02)


def test_dead_and_absent_traces_weigh_nothing():
    receivers = np.array([[10.0, 0.0], [10.0, 50.0], [np.nan, np.nan]])
    live = np.array([True, False, True])
    weights = trace_weights(np.array([5.0, 0.0]), receivers, live, 100, 0.004, Treatment())
    assert weights[0, 0] == 1.0
    assert not weights[1:].any()
