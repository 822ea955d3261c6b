"""User samples and internal steps: nothing is lost, delayed, dispersed or wrapped between them."""

import time

import numpy as np
import pytest
from clocks import DT, IRRATIONAL_STEPS, band_limited, internal_times, relative

from wavepipe.propagators import time_resampling
from wavepipe.propagators.errors import OptionError
from wavepipe.propagators.time_kernel import HALF_WIDTH
from wavepipe.propagators.time_resampling import (
    TimeGrid,
    bandwidth,
    pass_band,
    plan_time_grid,
    recording_operator,
    source_operator,
)


def leapfrog_oscillator(amplitudes: np.ndarray, angular: float, time_step: float) -> np.ndarray:
    """u'' + angular^2 u = amplitudes, from rest."""
    u = np.zeros(len(amplitudes))
    for m in range(1, len(u) - 1):
        u[m + 1] = 2 * u[m] - u[m - 1] + time_step**2 * (amplitudes[m] - angular**2 * u[m])
    return u


def test_equal_steps_without_correction_change_nothing() -> None:
    grid = plan_time_grid(DT, 57, DT, correct_time_dispersion=False)
    assert grid == TimeGrid(DT, 57, DT, 0, 57)
    assert plan_time_grid(DT, 57, None, False) == grid
    for operator in (source_operator(grid, False), recording_operator(grid, False)):
        np.testing.assert_array_equal(operator.toarray(), np.eye(57))


@pytest.mark.parametrize("step", IRRATIONAL_STEPS)
def test_band_limited_signals_are_interpolated_at_any_ratio(step: float) -> None:
    grid = plan_time_grid(DT, 400, step, False)
    signal = band_limited(400, 0.95 * pass_band(grid, False), seed=1)
    t = np.arange(400) * DT
    # 5e-5 is the kernel's stated error; at worst every wave of the sum has it.
    internal = source_operator(grid, False) @ signal(t)
    assert relative(internal, signal(internal_times(grid))) < 5e-5
    recorded = recording_operator(grid, False) @ signal(internal_times(grid))
    assert relative(recorded, signal(t)) < 5e-5


@pytest.mark.parametrize("correct", [False, True])
@pytest.mark.parametrize("step", IRRATIONAL_STEPS)
def test_there_and_back_is_the_identity_in_the_pass_band(step: float, correct: bool) -> None:
    grid = plan_time_grid(DT, 400, step, correct)
    samples = band_limited(400, 0.95 * pass_band(grid, correct), seed=2)(np.arange(400) * DT)
    back = recording_operator(grid, correct) @ (source_operator(grid, correct) @ samples)
    assert relative(back, samples) < 1e-4  # twice 5e-5


def test_samples_of_the_user_stay_where_they_are_when_the_ratio_is_whole() -> None:
    grid = plan_time_grid(DT, 50, DT / 4, False)
    samples = np.random.default_rng(4).standard_normal(50)
    internal = source_operator(grid, False) @ samples
    # The sinc is zero at the other samples, so even white noise passes through its own samples.
    np.testing.assert_allclose(internal[grid.before :: 4][:50], samples, atol=1e-12)


@pytest.mark.parametrize("courant", [0.3, 0.95])
@pytest.mark.parametrize("fraction", [0.25, 0.6, 0.95])
def test_a_corrected_oscillator_keeps_its_phase(courant: float, fraction: float) -> None:
    """More than 50 cycles of leapfrog come out as those of the exact oscillator."""
    nt = 1500
    step = DT * courant
    grid = plan_time_grid(DT, nt, step, True)
    f = fraction * pass_band(grid, True)
    angular = 2 * np.pi * f
    width = 5.0 / pass_band(grid, True)
    fine = np.arange(64 * nt) * DT / 64

    def source(t: np.ndarray) -> np.ndarray:
        return np.exp(-0.5 * ((t - 5 * width) / width) ** 2) * np.cos(2 * np.pi * f * t)

    driven = source(fine) * np.exp(-1j * angular * fine)
    driven = (np.cumsum(driven) - 0.5 * driven) * DT / 64
    exact = (np.exp(1j * angular * fine) * driven).imag[::64] / angular
    amplitudes = source_operator(grid, True) @ source(np.arange(nt) * DT)
    recorded = recording_operator(grid, True) @ leapfrog_oscillator(amplitudes, angular, step)
    # Two passes of the kernel; uncorrected the error is above 0.5 for each of these.
    assert relative(recorded, exact) < 1e-4
    plain = plan_time_grid(DT, nt, step, False)
    amplitudes = source_operator(plain, False) @ source(np.arange(nt) * DT)
    dispersed = recording_operator(plain, False) @ leapfrog_oscillator(amplitudes, angular, step)
    assert relative(dispersed, exact) > 1e-2


def test_a_wave_has_the_right_phase_after_twenty_wavelengths_at_a_large_courant_number() -> None:
    """One dimension, exact in space, stepped at 0.9 of the spectral stability limit."""
    n, h, c, points = 600, 10.0, 2000.0, 4.7
    step = 0.9 * 2.0 * h / (np.pi * c)
    nt, dt = 700, 2.1e-3
    highest = c / (points * h)
    grid = plan_time_grid(dt, nt, step, True)
    assert highest < pass_band(grid, True)
    width = 3.0 / highest
    t = np.arange(nt) * dt
    f = 0.9 * highest  # the envelope takes the spectrum up to about `highest`

    def source(t: np.ndarray) -> np.ndarray:
        return np.exp(-0.5 * ((t - 5 * width) / width) ** 2) * np.cos(2 * np.pi * f * t)

    k = 2 * np.pi * np.fft.rfftfreq(n, h)
    amplitudes = source_operator(grid, True) @ source(t)
    shot, receiver = 100, 100 + round(20 * points)
    u = previous = np.zeros(n)
    recorded = np.zeros(grid.n_steps)
    for m, amplitude in enumerate(amplitudes):
        recorded[m] = u[receiver]
        acceleration = -(c**2) * np.fft.irfft(k**2 * np.fft.rfft(u), n)
        acceleration[shot] += c**2 * amplitude / h
        u, previous = 2 * u - previous + step**2 * acceleration, u
    spectrum = np.fft.rfft(recording_operator(grid, True) @ recorded, 8 * nt)
    frequency = np.fft.rfftfreq(8 * nt, dt)
    # (1/c^2) p_tt - p_xx = s delta: p = c/2 times the integral of s (t - x/c).
    omega = 2 * np.pi * np.maximum(frequency, 1e-9)
    distance = (receiver - shot) * h
    exact = np.fft.rfft(source(t), 8 * nt) * c / (2j * omega) * np.exp(-1j * omega * distance / c)
    band = np.abs(frequency - f) < 0.1 * highest
    error = np.angle(spectrum[band] / exact[band]) / (omega[band] * distance / c)
    assert frequency[band].max() > 0.99 * highest
    assert np.abs(error).max() < 1e-5  # asked for: 1e-3; uncorrected: 2e-2
    assert np.abs(np.abs(spectrum[band] / exact[band]) - 1).max() < 1e-3


@pytest.mark.parametrize("correct", [False, True])
@pytest.mark.parametrize("step", [DT / 2.7, DT])
def test_nothing_wraps_round_the_ends(step: float, correct: bool) -> None:
    if step == DT and not correct:
        pytest.skip("the identity has no kernel")
    grid = plan_time_grid(DT, 600, step, correct)
    reach = grid.before + 1  # the kernel; two more hold its tail, if it has one
    source = source_operator(grid, correct)
    recording = recording_operator(grid, correct)
    last, first = source[:, [599]].toarray().ravel(), source[:, [0]].toarray().ravel()
    assert np.all(last[: grid.n_steps // 2] == 0.0)
    assert np.all(first[grid.before + 3 * reach :] == 0.0)
    early, late = recording[[0]].toarray().ravel(), recording[[599]].toarray().ravel()
    assert np.all(early[grid.before + 3 * reach :] == 0.0)
    assert np.all(late[: grid.n_steps // 2] == 0.0)
    # The kernel of the first and last sample is whole: it sums to the ratio of the intervals.
    for column in (first, last):
        assert column.sum() * step / DT == pytest.approx(1.0, abs=1e-4)
    for row in (early, late):
        assert row.sum() == pytest.approx(1.0, abs=1e-4)


def test_without_correction_the_kernel_is_zero_beyond_its_half_width() -> None:
    grid = plan_time_grid(DT, 100, DT / 3.3, False)
    matrix = source_operator(grid, False).tocoo()
    distance = np.abs((matrix.row - grid.before) * grid.time_step - matrix.col * DT) / DT
    assert distance.max() <= HALF_WIDTH
    assert HALF_WIDTH >= 8  # at least 16 samples in all


@pytest.mark.parametrize("correct", [False, True])
def test_a_wavelet_cut_in_mid_swing_is_interpolated_away_from_the_cut(correct: bool) -> None:
    grid = plan_time_grid(DT, 500, DT / 2.3, correct)
    f = 0.5 * pass_band(grid, correct)
    t = np.arange(500) * DT
    cut = np.where(t < 1.0, np.cos(2 * np.pi * f * t), 0.0)
    back = recording_operator(grid, correct) @ (source_operator(grid, correct) @ cut)
    # Two kernels reach 2 x 12 periods of the cutoff to both sides of the cuts at 0 and 1 s.
    reach = 2 * HALF_WIDTH * 0.76 / (2 * pass_band(grid, correct)) + 2 * DT
    quiet = t > 1.0 + reach
    steady = (t > reach) & (t < 1.0 - reach)
    assert quiet.any()
    assert steady.any()
    assert np.abs(back[quiet]).max() < 1e-4
    assert np.abs(back - cut)[steady].max() < 2e-4


def test_frequencies_above_the_users_nyquist_do_not_fold_back() -> None:
    grid = plan_time_grid(DT, 300, DT / 4, False)
    t = internal_times(grid)
    recording = recording_operator(grid, False)
    inner = slice(30, 270)
    for f in (1.3, 1.6, 2.5, 3.9):
        wave = np.cos(2 * np.pi * f * 0.5 / DT * t + 0.3)
        assert np.abs((recording @ wave)[inner]).max() < 1e-4


@pytest.mark.parametrize(("nt", "step"), [(4000, 0.5), (8000, 1.0), (4000, 0.37)])
def test_operators_are_sparse_and_quick_to_build(nt: int, step: float) -> None:
    grid = plan_time_grid(1e-3, nt, step * 1e-3, True)
    started = time.perf_counter()
    source = source_operator(grid, True)
    seconds = time.perf_counter() - started
    assert seconds < 4.0  # 0.2-0.6 s on an idle core
    assert source.nnz < 0.2 * np.prod(source.shape)
    assert source_operator(plan_time_grid(1e-3, nt, step * 1e-3, True), True) is source


def test_building_in_blocks_gives_the_whole_transform() -> None:
    """Against the integral over omega, taken directly and far finer."""
    grid = plan_time_grid(DT, 200, 0.8 * DT, True)
    matrix = source_operator(grid, True).toarray()
    period = 0.76 / (2 * pass_band(grid, True))
    u = np.linspace(-HALF_WIDTH, HALF_WIDTH, 4001)
    window = np.i0(9.0 * np.sqrt(np.clip(1 - (u / HALF_WIDTH) ** 2, 0, None))) / np.i0(9.0)
    step = grid.time_step
    omega = (np.arange(2**13) + 0.5) * np.pi / step / 2**13
    theta = 2 / step * np.sin(omega * step / 2)
    x = theta * period / np.pi
    waves = np.cos(np.pi * np.outer(np.minimum(x, 1.6), u))
    response = waves @ (np.sinc(u) * window) * (u[1] - u[0])
    # The spectrum ends at its first minimum, lifted to meet zero there.
    end = np.argmax((x[:-1] > 1) & (np.diff(response) > 0))
    response = np.where(x <= x[end], response - response[end], 0.0) / (1 - response[end])
    t = internal_times(grid)
    for n in (0, 63, 64, 150, 199):
        waves = np.cos(np.outer(t, omega) - theta * n * DT)
        direct = waves @ response * (omega[1] - omega[0]) / np.pi * DT
        # 3e-6: where the far tails are cut off.
        assert np.abs(matrix[:, n] - direct).max() < 3e-6 * np.abs(direct).max()


def test_long_records_keep_a_narrower_band_and_bounded_matrices(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    short, long = (plan_time_grid(1e-3, nt, 1e-3, True) for nt in (8000, 40_000))
    assert pass_band(short, True) == pytest.approx(0.137 / 1e-3, rel=0.02)
    # What is left is 8 points a wavelength of the fastest velocity in 2-D.
    assert pass_band(long, True) == pytest.approx(0.067 / 1e-3, rel=0.02)
    monkeypatch.setattr(time_resampling, "LARGEST_SPREAD", 60)
    grid = plan_time_grid(0.9e-3, 1111, 1e-3, True)
    source, recording = source_operator(grid, True), recording_operator(grid, True)
    # A sample's spread, and the kernel's tails on both sides.
    assert np.diff(recording.indptr).max() < 60 + 5 * grid.before
    t = np.arange(1111) * 0.9e-3
    f = 0.9 * pass_band(grid, True)
    samples = np.exp(-0.5 * ((t - 0.5) / 0.1) ** 2) * np.cos(2 * np.pi * f * t)
    assert relative(recording @ (source @ samples), samples) < 1e-4


def test_bad_steps_are_refused_with_their_value() -> None:
    with pytest.raises(OptionError, match=r"time_step is -0\.1 s"):
        plan_time_grid(DT, 10, -0.1, False)
    with pytest.raises(OptionError, match="dt is nan"):
        plan_time_grid(float("nan"), 10, 0.1, False)
    with pytest.raises(OptionError, match="nt is 0"):
        plan_time_grid(DT, 0, None, False)


def test_bandwidth_finds_the_highest_frequency_that_matters() -> None:
    t = np.arange(1000) * DT
    smooth = np.exp(-0.5 * ((t - 2.0) / 0.3) ** 2) * np.cos(2 * np.pi * 30 * t)
    # The Gaussian's spectrum is exp(-(2 pi 0.3 df)^2 / 2): energy of 1e-8 lies beyond 3 Hz.
    assert 31.0 < bandwidth(smooth, DT, 1e-4) < 34.0
    assert bandwidth(np.stack([smooth, 0 * smooth]), DT, 1e-4) == bandwidth(smooth, DT, 1e-4)
    assert bandwidth(np.zeros((3, 100)), DT, 1e-4) == 0.0
    noise = np.random.default_rng(5).standard_normal((4, 1000))
    assert bandwidth(noise, DT, 1e-2) > 0.99 * 0.5 / DT


def test_bandwidth_counts_a_cut_end() -> None:
    t = np.arange(500) * DT
    tail = np.cos(2 * np.pi * 10 * t) * np.exp(-0.5 * ((t - 2.0) / 0.5) ** 2)  # cut at its top
    assert bandwidth(tail, DT, 1e-3) > 60.0
    assert bandwidth(tail * np.cos(np.pi * t / 4) ** 4, DT, 1e-3) < 20.0
    whole_cycles = np.cos(2 * np.pi * 10 * t)  # periodic in the record, but cut all the same
    assert bandwidth(whole_cycles, DT, 1e-3) > 60.0


def test_bandwidth_of_a_faint_wide_trace_beside_a_loud_one_follows_the_sum() -> None:
    t = np.arange(500) * DT
    loud = np.exp(-0.5 * ((t - 1.0) / 0.1) ** 2) * np.cos(2 * np.pi * 20 * t)
    noise = np.random.default_rng(6).standard_normal(500)
    assert bandwidth(np.stack([loud, 1e-6 * noise]), DT, 1e-3) < 30.0
    assert bandwidth(np.stack([loud, 1e-1 * noise]), DT, 1e-3) > 100.0
