"""Surveys from SEG-Y headers: shots, positions, units, depths, and what was assumed."""

import json

import numpy as np
import pytest
from segy_files import RECEIVERS, SOURCES, line_headers, noise, said, write_line, write_segy

from wavepipe.pipeline.errors import SegyError, SurveyError
from wavepipe.pipeline.segy.gathers import place_samples
from wavepipe.pipeline.segy.headers import Doubt
from wavepipe.pipeline.segy.inspect import describe, inspect_segy
from wavepipe.pipeline.survey import read_survey

# Real files


def test_viking_shots_lie_where_the_headers_put_them(data_folder):
    survey = read_survey(data_folder / "segy" / "viking_small.segy", ndim=2)
    assert (survey.n_shots, survey.n_traces, survey.nt, survey.dt) == (4, 480, 600, 0.004)
    np.testing.assert_array_equal(survey.source_positions[:, 1], [3237, 3262, 3287, 3312])
    np.testing.assert_array_equal(survey.source_positions[:, 0], 6)
    np.testing.assert_array_equal(survey.receiver_positions[:, 0], 10)
    for i in range(4):
        x = survey.shot(i).receiver_positions[:, 1]
        np.testing.assert_array_equal(np.sort(x), 25.0 * np.arange(i, i + 120))
    assert survey.extent()[1] == (0.0, 3312.0)
    assert said(survey, "coordinate units field (bytes 89-90) is 3 (degrees) but the values")
    gather = survey.read_gather(2)
    assert gather.samples.shape == (120, 600)
    assert gather.live.all()


def test_viking_is_described_with_every_assumption(data_folder):
    found = inspect_segy(data_folder / "segy" / "viking_small.segy")
    survey = json.loads(json.dumps(found, allow_nan=False))["survey"]
    assert survey["n_shots"] == 4
    assert survey["traces_per_shot"] == [120, 120]
    assert survey["source"]["x"] == [3237, 3312]
    assert survey["source"]["depth"] == [6, 6]
    assert survey["receiver"]["x"] == [0, 3050]
    assert survey["receiver"]["depth"] == [10, 10]
    assert survey["receiver_step"] == 25
    text = describe(found)
    for words in (
        "4 shots of 120 traces",
        "depth 6 m",
        "depth 10 m, 25 m apart",
        "every 4 ms",
        "are not angles",
    ):
        assert words in text


def test_judi_records_have_sources_at_20_m_and_receivers_at_50_m(data_folder):
    survey = read_survey(data_folder / "segy" / "judi" / "shot_record_*.segy", ndim=2)
    assert survey.n_shots == 2  # although both files say field record 1
    np.testing.assert_array_equal(survey.source_positions, [[20, 250], [20, 750]])
    np.testing.assert_array_equal(survey.receiver_positions[:, 0], 50)
    np.testing.assert_array_equal(survey.shot(1).receiver_positions[:, 1], 10.0 * np.arange(1, 100))
    assert survey.dt == 0.00075
    assert said(survey, "2 shots share 1 field record numbers")


def test_judi_traces_without_an_interval_in_the_binary_header_and_without_signal(data_folder):
    survey = read_survey(data_folder / "segy" / "judi" / "unit_test_shot_records_1.segy", ndim=2)
    assert survey.dt == 0.002
    assert not survey.read_gather(0).live.any()  # all samples are zero


# Shots and their order


def test_shots_and_traces_keep_one_order_however_files_come(tmp_path):
    first, second = tmp_path / "a.sgy", tmp_path / "b.sgy"
    a = write_line(first, seed=1)
    samples = noise(4, seed=2)
    write_segy(second, samples, line_headers(np.array([200]), RECEIVERS))
    forward = read_survey([first, second], ndim=2)
    backward = read_survey([second, first], ndim=2)
    for survey in (forward, backward):
        assert [survey.label(i) for i in range(4)] == ["1", "1", "2", "3"]
        np.testing.assert_array_equal(survey.source_positions[:, 1], [100, 200, 300, 500])
        np.testing.assert_array_equal(survey.gather(1), samples)
        np.testing.assert_array_equal(survey.gather(2), a[4:8])


def test_traces_in_any_order_in_the_file_are_grouped_into_shots(tmp_path):
    headers = line_headers(SOURCES, RECEIVERS)
    order = np.random.default_rng(3).permutation(12)
    samples = noise(12)
    path = write_segy(
        tmp_path / "a.sgy",
        samples[order],
        {name: values[order] for name, values in headers.items()},
    )
    survey = read_survey(path, ndim=2)
    assert survey.n_shots == 3
    for i in range(3):
        x = survey.shot(i).receiver_positions[:, 1]
        sort = np.argsort(x)
        np.testing.assert_array_equal(x[sort], RECEIVERS)
        np.testing.assert_array_equal(survey.gather(i)[sort], samples[4 * i : 4 * i + 4])


def test_one_position_shot_twice_is_two_shots(tmp_path):
    write_line(tmp_path / "a.sgy", source_x=100)
    assert read_survey(tmp_path / "a.sgy", ndim=2).n_shots == 3


def test_missing_field_records_are_reported(tmp_path):
    sources = np.array([0, 10, 20, 30, 40])
    headers = line_headers(sources, RECEIVERS)
    headers["field_record"] = np.repeat([1, 2, 5, 6, 7], 4)
    write_segy(tmp_path / "a.sgy", noise(20), headers)
    assert said(read_survey(tmp_path / "a.sgy", ndim=2), "2 field records are missing")


# Times


def test_a_delay_recording_time_moves_samples_to_their_times(tmp_path):
    samples = write_line(tmp_path / "a.sgy", delay=12)
    survey = read_survey(tmp_path / "a.sgy", ndim=2)
    assert survey.nt == 23
    gather = survey.gather(0)
    np.testing.assert_array_equal(gather[:, :3], 0)
    np.testing.assert_array_equal(gather[:, 3:], samples[:4])
    assert said(survey, "delay recording time (bytes 109-110) 0.012 s is applied")


def test_a_negative_delay_cuts_what_precedes_the_shot(tmp_path):
    samples = write_line(tmp_path / "a.sgy", delay=-80, time_scalar=-10)
    survey = read_survey(tmp_path / "a.sgy", ndim=2)
    assert survey.nt == 18
    np.testing.assert_array_equal(survey.gather(1), samples[4:8, 2:])


def test_records_that_end_before_the_shot_are_refused(tmp_path):
    write_line(tmp_path / "a.sgy", delay=-1000)
    with pytest.raises(SurveyError, match="end before the time of the shot"):
        read_survey(tmp_path / "a.sgy", ndim=2)


def test_delays_by_parts_of_a_sample_are_band_limited_shifts():
    t = np.arange(200)
    pulse = np.exp(-(((t - 80) / 6.0) ** 2))
    moved = place_samples(pulse[np.newaxis].astype(np.float32), np.array([2.25]), 200)
    # float32 samples of a pulse that is band-limited to rounding.
    np.testing.assert_allclose(moved[0], np.exp(-(((t - 82.25) / 6.0) ** 2)), atol=1e-6)


def test_files_must_share_an_interval_and_are_cut_to_one_length(tmp_path):
    write_line(tmp_path / "a.sgy")
    headers = line_headers(np.array([700]), RECEIVERS)
    write_segy(tmp_path / "b.sgy", noise(4, 15), headers)
    survey = read_survey(tmp_path / "*.sgy", ndim=2)
    assert survey.nt == 15
    assert said(survey, "cut to the shortest, 15 samples")
    assert survey.gather(0).shape == (4, 15)
    write_segy(tmp_path / "c.sgy", noise(4), headers, {"interval": 2000})
    with pytest.raises(SurveyError, match=r"a\.sgy has 0\.004 s, c\.sgy has 0\.002 s"):
        read_survey(tmp_path / "*.sgy", ndim=2)


def test_an_unknown_interval_is_asked_for(tmp_path):
    samples, headers = noise(12), line_headers(SOURCES, RECEIVERS, interval=0)
    path = write_segy(tmp_path / "a.sgy", samples, headers, {"interval": 0})
    with pytest.raises(SurveyError, match="gives no sample interval"):
        read_survey(path, ndim=2)
    assert read_survey(path, ndim=2, dt=0.003).dt == 0.003
    assert inspect_segy(path)["dt"] is None


# Dead traces, broken files


def test_dead_nan_and_zero_traces_come_back_as_zeros_and_not_live(tmp_path):
    samples = noise(12)
    samples[1, 3], samples[2] = np.nan, 0.0
    kind = np.ones(12, dtype=int)
    kind[3] = 2
    write_segy(tmp_path / "a.sgy", samples, line_headers(SOURCES, RECEIVERS, trace_kind=kind))
    survey = read_survey(tmp_path / "a.sgy", ndim=2)
    np.testing.assert_array_equal(survey.shot(0).live, [True, True, True, False])
    gather = survey.read_gather(0)
    np.testing.assert_array_equal(gather.live, [True, False, False, False])
    np.testing.assert_array_equal(gather.samples[0], samples[0])
    assert not gather.samples[1:].any()
    assert said(survey, "1 traces are marked dead")


def test_auxiliary_traces_are_left_out(tmp_path):
    kind = np.ones(12, dtype=int)
    kind[[0, 5]] = 6
    write_line(tmp_path / "a.sgy", trace_kind=kind)
    survey = read_survey(tmp_path / "a.sgy", ndim=2)
    assert survey.n_traces == 10
    assert said(survey, "2 auxiliary traces")


def test_headers_without_coordinates_or_of_a_stack_are_refused(tmp_path, data_folder):
    write_segy(tmp_path / "a.sgy", noise(4))
    with pytest.raises(SurveyError, match="no source or receiver coordinates"):
        read_survey(tmp_path / "a.sgy", ndim=2)
    with pytest.raises(SurveyError, match="looks like a stacked"):
        read_survey(data_folder / "segy" / "segyio" / "f3.sgy", ndim=3)


def test_missing_files_patterns_and_repeats_are_refused(tmp_path):
    write_line(tmp_path / "a.sgy")
    with pytest.raises(SegyError, match=r"b\.sgy"):
        read_survey("b.sgy", ndim=2, folder=tmp_path)
    with pytest.raises(SurveyError, match="matches no file"):
        read_survey("b*.sgy", ndim=2, folder=tmp_path)
    with pytest.raises(SurveyError, match=r"names .*a\.sgy 2 times"):
        read_survey(["a.sgy", "a.sgy"], ndim=2, folder=tmp_path)
    assert read_survey("a.sgy", ndim=2, folder=tmp_path).n_shots == 3


def test_a_file_that_shrank_is_refused_when_its_traces_are_read(tmp_path):
    path = tmp_path / "a.sgy"
    write_line(path)
    survey = read_survey(path, ndim=2)
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(SegyError, match="changed since its headers were read"):
        survey.gather(2)


# Files that lost their end


def _shots_of(path, counts, **binary):
    """A file whose shots have so many traces each."""
    shot = np.repeat(np.arange(len(counts)), counts)
    headers = {
        "field_record": shot + 1,
        "source_x": 100 * shot + 5,
        "receiver_x": 10 * np.arange(len(shot)),
    }
    write_segy(path, noise(len(shot)), headers, binary)
    return path


@pytest.mark.parametrize(
    ("counts", "binary", "words"),
    [
        ([8, 8, 8, 7], {}, "the last shot of cut.sgy has 7 of the usual 8 traces"),
        ([8, 9, 3], {}, "the last shot of cut.sgy has 3 of the usual 8 traces"),
        ([5], {"traces_per_ensemble": 8}, "has 5 of the usual 8 traces"),
        (
            [8, 8],
            {"revision_major": 2, "n_traces": 24},
            "cut.sgy holds 16 traces, and its own header says 24",
        ),
    ],
    ids=["one trace", "varying", "one shot", "revision 2"],
)
def test_a_file_that_lost_its_end_is_doubted(tmp_path, counts, binary, words):
    survey = read_survey(_shots_of(tmp_path / "cut.sgy", counts, **binary), ndim=2)
    doubts = [note for note in survey.assumptions if isinstance(note, Doubt)]
    assert len(doubts) == 1
    assert words in doubts[0]


@pytest.mark.parametrize("counts", [[8, 8, 8, 8], [8, 6, 9, 7], [8, 8, 8, 9], [4, 8, 4]])
def test_whole_files_are_not_doubted(tmp_path, counts):
    survey = read_survey(_shots_of(tmp_path / "whole.sgy", counts), ndim=2)
    assert not any(isinstance(note, Doubt) for note in survey.assumptions)


def test_an_interval_that_varies_between_traces_is_doubted(tmp_path):
    path = tmp_path / "vary.sgy"
    write_line(path, interval=np.repeat([4000, 2000], [9, 3]))
    survey = read_survey(path, ndim=2)
    assert survey.dt == 0.004
    assert said(survey, "2000 us in 3 traces, 4000 us in 9 traces); 4000 us is used for all")
