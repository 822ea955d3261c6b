"""Samples half a step beside the steps, and no step that changes nothing."""

import numpy as np
import pytest
from clocks import DT, band_limited, internal_times, relative

from wavepipe.propagators.errors import OptionError
from wavepipe.propagators.time_kernel import HALF_WIDTH
from wavepipe.propagators.time_resampling import (
    Shifts,
    pass_band,
    plan_time_grid,
    recording_operator,
    source_operator,
)

ANY = Shifts((0.0, 0.5, -0.5), (0.0, 0.5, -0.5))
STAGGERED_STEPS = [DT, DT / np.sqrt(2), DT / 3, DT * np.sqrt(1.3)]


@pytest.mark.parametrize("shift", [0.0, 0.5, -0.5])
@pytest.mark.parametrize("step", STAGGERED_STEPS)
def test_band_limited_signals_are_sampled_half_a_step_off(step: float, shift: float) -> None:
    grid = plan_time_grid(DT, 400, step, False, ANY)
    signal = band_limited(400, 0.95 * pass_band(grid, False), seed=7)
    t, inside = np.arange(400) * DT, internal_times(grid) + shift * step
    # 5e-5 is the kernel's stated error; at worst every wave of the sum has it.
    assert relative(source_operator(grid, False, shift) @ signal(t), signal(inside)) < 5e-5
    assert relative(recording_operator(grid, False, shift) @ signal(inside), signal(t)) < 5e-5


@pytest.mark.parametrize("correct", [False, True])
@pytest.mark.parametrize("step", STAGGERED_STEPS)
def test_there_and_back_half_a_step_off_is_the_identity(step: float, correct: bool) -> None:
    grid = plan_time_grid(DT, 400, step, correct, ANY)
    samples = band_limited(400, 0.95 * pass_band(grid, correct), seed=2)(np.arange(400) * DT)
    for shift in (0.5, -0.5):
        internal = source_operator(grid, correct, shift) @ samples
        back = recording_operator(grid, correct, shift) @ internal
        assert relative(back, samples) < 1e-4  # twice 5e-5


@pytest.mark.parametrize("correct", [False, True])
def test_plus_half_a_step_is_minus_half_a_step_one_sample_on(correct: bool) -> None:
    grid = plan_time_grid(DT, 300, DT / 1.7, correct, ANY)
    for operator, axis in ((source_operator, 0), (recording_operator, 1)):
        late = operator(grid, correct, 0.5).toarray().swapaxes(0, axis)
        early = operator(grid, correct, -0.5).toarray().swapaxes(0, axis)
        # Both in double precision; 1e-6: tails are cut in slightly different places.
        np.testing.assert_allclose(late[:-1], early[1:], atol=1e-6 * np.abs(late).max())


def test_a_staggered_grid_of_equal_steps_selects_its_whole_steps() -> None:
    grid = plan_time_grid(DT, 57, None, False, ANY)
    assert grid.time_step == DT
    assert grid.before > 0
    samples = np.random.default_rng(9).standard_normal(57)
    internal = source_operator(grid, False) @ samples
    np.testing.assert_array_equal(internal[grid.before :][:57], samples)
    assert not internal[: grid.before].any()
    assert not internal[grid.before + 57 :].any()
    np.testing.assert_array_equal(recording_operator(grid, False) @ internal, samples)
    # Half a step off it is an interpolation: its band ends below the Nyquist frequency.
    assert pass_band(grid, False) == pytest.approx(0.76 * 0.5 / DT)


@pytest.mark.parametrize("correct", [False, True])
@pytest.mark.parametrize("step", STAGGERED_STEPS)
def test_kernels_half_a_step_off_are_whole_at_both_ends(step: float, correct: bool) -> None:
    grid = plan_time_grid(DT, 200, step, correct, ANY)
    for shift in (0.5, -0.5):
        source = source_operator(grid, correct, shift)
        sums = np.asarray(source.sum(axis=0)).ravel() * step / DT
        np.testing.assert_allclose(sums, 1.0, atol=1e-4)
        sums = np.asarray(recording_operator(grid, correct, shift).sum(axis=1)).ravel()
        np.testing.assert_allclose(sums, 1.0, atol=1e-4)


def test_a_shift_needs_room_for_it() -> None:
    grid = plan_time_grid(DT, 50, DT / 2, True)
    with pytest.raises(OptionError, match=r"shift is 0\.5 steps; the time grid has room for 0\.0"):
        source_operator(grid, True, 0.5)
    grid = plan_time_grid(DT, 50, DT / 2, True, Shifts((0.5,), (0.0,)))
    source_operator(grid, True, 0.5)
    with pytest.raises(OptionError, match=r"shift is 0\.5"):
        recording_operator(grid, True, 0.5)
    grid = plan_time_grid(DT, 50, DT / 2, True, ANY)
    with pytest.raises(OptionError, match=r"shift is 0\.25"):
        recording_operator(grid, True, 0.25)


@pytest.mark.parametrize(
    ("source", "recording", "before", "after"),
    [(0.0, 0.0, 0, 0), (0.5, 0.0, 12, 0), (0.0, -0.5, 0, 12), (0.5, -0.5, 12, 12)],
)
def test_steps_beyond_the_samples_are_those_a_shifted_kernel_reaches(
    source: float, recording: float, before: int, after: int
) -> None:
    grid = plan_time_grid(DT, 57, DT, False, Shifts((source,), (recording,)))
    assert (grid.before, grid.n_steps) == (before, before + 57 + after)


@pytest.mark.parametrize("step", STAGGERED_STEPS)
@pytest.mark.parametrize("source", [0.0, 0.5])
@pytest.mark.parametrize("recording", [0.0, -0.5])
def test_what_a_tight_grid_leaves_out_is_zero(step: float, source: float, recording: float) -> None:
    """Its operators are those of a roomier grid; before its first step no source has begun."""
    tight = plan_time_grid(DT, 90, step, False, Shifts((source,), (recording,)))
    roomy = plan_time_grid(DT, 90, step, False, ANY)
    first = roomy.before - tight.before
    window = slice(first, first + tight.n_steps)
    entering = source_operator(roomy, False, source).toarray()
    read = recording_operator(roomy, False, recording).toarray()
    # 1e-12: rounding, and sinc(12) where a kernel ends on a step.
    np.testing.assert_allclose(
        source_operator(tight, False, source).toarray(), entering[window], atol=1e-12
    )
    np.testing.assert_allclose(
        recording_operator(tight, False, recording).toarray(), read[:, window], atol=1e-12
    )
    assert np.abs(entering[:first]).max(initial=0.0) < 1e-12
    assert np.abs(read[:, window.stop :]).max(initial=0.0) < 1e-12


@pytest.mark.parametrize("correct", [False, True])
@pytest.mark.parametrize("nt", [20, 150, 400])
def test_a_source_may_be_shorter_or_longer_than_the_recording(nt: int, correct: bool) -> None:
    grid = plan_time_grid(DT, 100, DT / 1.7, correct, ANY)
    long = source_operator(grid, correct, 0.5, 400).toarray()
    matrix = source_operator(grid, correct, 0.5, nt).toarray()
    assert matrix.shape == (grid.n_steps, nt)
    # 1e-6: tails are cut in slightly different places.
    np.testing.assert_allclose(matrix, long[:, :nt], atol=1e-6 * np.abs(long).max())
    if not correct:  # a correction spreads what is above the band over the record
        assert not matrix[:, 100 + 2 * HALF_WIDTH + 1 :].any()


CELLS, H, C, RHO, SHOT = 600, 10.0, 2000.0, 1800.0, 100


def staggered_leapfrog(
    force: np.ndarray, injection: np.ndarray, receiver: int, step: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One dimension, order 2: p_t = K (q - v_x), v_t = (f - p_x) / rho.

    Pressure and force at whole steps, velocity and injection at half steps. Returns at the
    receiver: the pressure, and the velocity half a step later and half a step earlier.
    """
    p, v = np.zeros(CELLS), np.zeros(CELLS)
    pressure, late, early = (np.zeros(len(force)) for _ in range(3))
    for m in range(len(force)):
        pressure[m], early[m] = p[receiver], v[receiver]
        v -= step / RHO * (np.roll(p, -1) - p) / H
        v[SHOT] += step / RHO * force[m] / H
        late[m] = v[receiver]
        p -= step * RHO * C**2 * (v - np.roll(v, 1)) / H
        p[SHOT] += step * RHO * C**2 * injection[m] / H
    return pressure, late, early


@pytest.mark.parametrize("kind", ["force", "injection"])
def test_a_staggered_system_keeps_phase_and_amplitude(kind: str) -> None:
    """Twenty wavelengths at 0.9 of the stability limit, up to the end of the pass band."""
    step = 0.9 * H / C
    nt, dt = 600, 3e-3
    grid = plan_time_grid(dt, nt, step, True, ANY)
    highest = pass_band(grid, True)
    width, f = 3.0 / highest, 0.9 * highest
    t = np.arange(nt) * dt
    signal = np.exp(-0.5 * ((t - 5 * width) / width) ** 2) * np.cos(2 * np.pi * f * t)
    amplitudes = source_operator(grid, True, 0.0 if kind == "force" else 0.5) @ signal
    nothing = np.zeros_like(amplitudes)
    receiver = SHOT + round(20 * C / highest / H)
    if kind == "force":  # at a velocity node, half a cell on
        fields = staggered_leapfrog(amplitudes, nothing, receiver, step)
        p_distance, v_distance = (receiver - SHOT - 0.5) * H, (receiver - SHOT) * H
        size = 0.5
    else:
        fields = staggered_leapfrog(nothing, amplitudes, receiver, step)
        p_distance, v_distance = (receiver - SHOT) * H, (receiver - SHOT + 0.5) * H
        size = 0.5 * RHO * C
    frequency = np.fft.rfftfreq(8 * nt, dt)
    omega = 2 * np.pi * np.maximum(frequency, 1e-9)
    band = np.abs(frequency - f) < 0.1 * highest
    assert frequency[band].max() > 0.99 * highest
    # Exact in time on this grid: sin(k h / 2) = omega h / 2 c.
    k = 2.0 / H * np.arcsin(0.5 * omega[band] * H / C)
    exact = size * np.fft.rfft(signal, 8 * nt)[band] / np.cos(0.5 * k * H)
    for record, shift, scale, distance in (
        (fields[0], 0.0, 1.0, p_distance),
        (fields[1], 0.5, 1.0 / (RHO * C), v_distance),
        (fields[2], -0.5, 1.0 / (RHO * C), v_distance),
    ):
        spectrum = np.fft.rfft(recording_operator(grid, True, shift) @ record, 8 * nt)[band]
        ratio = spectrum / (exact * scale * np.exp(-1j * k * distance))
        # Asked for: 1e-3. A shift forgotten makes 3e-3, no correction 3e-2.
        assert np.abs(np.angle(ratio) / (k * distance)).max() < 1e-5
        assert np.abs(np.abs(ratio) - 1.0).max() < 1e-3
