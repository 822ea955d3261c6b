"""Surveys from SEG-Y headers: shots, positions, units, depths, and what was assumed."""

import json
from dataclasses import replace

import numpy as np
import pytest
from segy_files import line_headers, write_segy

from wavepipe.pipeline.errors import SegyError, SurveyError
from wavepipe.pipeline.layouts import make_survey
from wavepipe.pipeline.segy.gathers import place_samples
from wavepipe.pipeline.segy.headers import Doubt
from wavepipe.pipeline.segy.inspect import describe, inspect_segy
from wavepipe.pipeline.shots import Survey
from wavepipe.pipeline.survey import apply_outside_policy, read_survey

SOURCES = np.array([100, 300, 500])
RECEIVERS = np.array([0, 50, 100, 150])


def _noise(n_traces, n_samples=20, seed=0):
    return np.random.default_rng(seed).standard_normal((n_traces, n_samples)).astype(np.float32)


def _line(path, seed=0, **fields):
    samples = _noise(len(SOURCES) * len(RECEIVERS), seed=seed)
    write_segy(path, samples, line_headers(SOURCES, RECEIVERS, **fields))
    return samples


def _said(survey, words):
    return any(words in sentence for sentence in survey.assumptions)


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
    assert _said(survey, "coordinate units field (bytes 89-90) is 3 (degrees) but the values")
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
    assert _said(survey, "2 shots share 1 field record numbers")


def test_judi_traces_without_an_interval_in_the_binary_header_and_without_signal(data_folder):
    survey = read_survey(data_folder / "segy" / "judi" / "unit_test_shot_records_1.segy", ndim=2)
    assert survey.dt == 0.002
    assert not survey.read_gather(0).live.any()  # all samples are zero


# Shots and their order


def test_shots_and_traces_keep_one_order_however_files_come(tmp_path):
    first, second = tmp_path / "a.sgy", tmp_path / "b.sgy"
    a = _line(first, seed=1)
    samples = _noise(4, seed=2)
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
    samples = _noise(12)
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
    _line(tmp_path / "a.sgy", source_x=100)
    assert read_survey(tmp_path / "a.sgy", ndim=2).n_shots == 3


def test_missing_field_records_are_reported(tmp_path):
    sources = np.array([0, 10, 20, 30, 40])
    headers = line_headers(sources, RECEIVERS)
    headers["field_record"] = np.repeat([1, 2, 5, 6, 7], 4)
    write_segy(tmp_path / "a.sgy", _noise(20), headers)
    assert _said(read_survey(tmp_path / "a.sgy", ndim=2), "2 field records are missing")


def test_components_lie_in_files_of_their_own(tmp_path):
    vz, vx = _line(tmp_path / "vz.sgy", seed=1), _line(tmp_path / "vx.sgy", seed=2)
    survey = read_survey({"vz": tmp_path / "vz.sgy", "vx": tmp_path / "vx.sgy"}, ndim=2)
    assert survey.components == ("vz", "vx")
    assert survey.n_shots == 3
    np.testing.assert_array_equal(survey.component[survey.traces(1)], [0] * 4 + [1] * 4)
    np.testing.assert_array_equal(survey.gather(1), np.concatenate([vz[4:8], vx[4:8]]))


# Scalars, units, depths


def test_each_trace_has_its_own_coordinate_scalar(tmp_path):
    headers = line_headers(np.array([500]), np.array([0, 250, 500, 750]))
    headers["coordinate_scalar"] = np.array([-10, 10, 0, 1])
    headers["receiver_x"] = np.array([2500, 25, 250, 250])
    headers["source_x"] = np.array([5000, 50, 500, 500])
    write_segy(tmp_path / "a.sgy", _noise(4), headers)
    survey = read_survey(tmp_path / "a.sgy", ndim=2)
    assert survey.n_shots == 1
    np.testing.assert_array_equal(survey.receiver_positions[:, 1], 250)
    assert _said(survey, "coordinate scalar (bytes 71-72) differs between traces")


def test_feet_become_metres_and_can_be_overruled(tmp_path):
    samples = _noise(12)
    headers = line_headers(SOURCES, RECEIVERS, source_depth=10)
    path = write_segy(tmp_path / "a.sgy", samples, headers, {"measurement_system": 2})
    feet = read_survey(path, ndim=2)
    np.testing.assert_allclose(feet.source_positions[:, 1], 0.3048 * SOURCES, rtol=1e-15)
    np.testing.assert_allclose(feet.source_positions[:, 0], 3.048, rtol=1e-15)
    assert _said(feet, "lengths are feet")
    metres = read_survey(path, ndim=2, units="m")
    np.testing.assert_array_equal(metres.source_positions[:, 1], SOURCES)
    with pytest.raises(SurveyError, match="'yard' does not exist"):
        read_survey(path, ndim=2, units="yard")


def test_files_in_feet_and_metres_do_not_mix(tmp_path):
    for name, system in (("a", 1), ("b", 2)):
        headers = line_headers(SOURCES, RECEIVERS)
        write_segy(tmp_path / f"{name}.sgy", _noise(12), headers, {"measurement_system": system})
    with pytest.raises(SurveyError, match="do not share a unit of length"):
        read_survey(tmp_path / "*.sgy", ndim=2)


def test_geographic_coordinates_are_refused_unless_the_unit_is_overruled(tmp_path):
    path = tmp_path / "a.sgy"
    _line(path, coordinate_units=3, coordinate_scalar=-100, source_y=5900, receiver_y=5901)
    with pytest.raises(SurveyError, match="coordinates in degrees"):
        read_survey(path, ndim=2)
    assert read_survey(path, ndim=2, units="m").n_shots == 3


def test_a_geographic_unit_is_not_believed_where_offsets_are_metric(tmp_path):
    path = tmp_path / "a.sgy"
    headers = line_headers(SOURCES, RECEIVERS, coordinate_units=2, source_y=100, receiver_y=100)
    headers["offset"] = headers["receiver_x"] - headers["source_x"]
    write_segy(path, _noise(12), headers)
    assert _said(read_survey(path, ndim=2), "read as metres")


@pytest.mark.parametrize(
    ("source", "receiver", "below", "depths", "expected"),
    [
        (-60, -100, 0, "auto", (6, 10)),  # elevations below the datum
        (60, 100, 0, "auto", (6, 10)),  # depths in the elevation fields
        (0, 0, 0, "auto", (0, 0)),
        (0, -100, 60, "auto", (6, 10)),  # source depth where there is one
        (0, 100, 60, "auto", (6, 10)),
        (12000, 11900, 60, "auto", (-1194, -1190)),  # land: a shot hole below the ground
        (60, -100, 0, "auto", (-6, 10)),  # one convention for both
        (60, 100, 0, "elevation", (-6, -10)),
        (-60, -100, 0, "depth", (-6, -10)),
        (60, 100, 0, {"source": 1, "receiver": 2.5}, (1, 2.5)),
    ],
)
def test_depths_follow_the_signs_of_the_elevation_fields(
    tmp_path, source, receiver, below, depths, expected
):
    fields = {"source_elevation": source, "receiver_elevation": receiver, "source_depth": below}
    _line(tmp_path / "a.sgy", elevation_scalar=-10, coordinate_scalar=1, **fields)
    survey = read_survey(tmp_path / "a.sgy", ndim=2, depths=depths)
    np.testing.assert_allclose(survey.source_positions[:, 0], expected[0], rtol=1e-15)
    np.testing.assert_allclose(survey.receiver_positions[:, 0], expected[1], rtol=1e-15)
    said = ("depth", "is 0 in", "as asked")
    assert any(word in sentence for word in said for sentence in survey.assumptions)


def test_source_depths_are_used_only_where_they_are_given(tmp_path):
    below = np.repeat([0, 7, 8], 4)
    _line(tmp_path / "a.sgy", source_elevation=-5, source_depth=below)
    survey = read_survey(tmp_path / "a.sgy", ndim=2)
    np.testing.assert_array_equal(survey.source_positions[:, 0], [5, 7, 8])
    assert _said(survey, "in the 8 of 12 traces that have it")


def test_datum_elevations_speak_of_land(tmp_path):
    _line(tmp_path / "a.sgy", source_elevation=800, receiver_elevation=810, receiver_datum=500)
    survey = read_survey(tmp_path / "a.sgy", ndim=2)
    np.testing.assert_array_equal(survey.source_positions[:, 0], -800)


@pytest.mark.parametrize("depths", ["down", {"source": 3}])
def test_unknown_depths_are_refused(tmp_path, depths):
    _line(tmp_path / "a.sgy")
    with pytest.raises(SurveyError, match=r"survey\.depths"):
        read_survey(tmp_path / "a.sgy", ndim=2, depths=depths)


# The line of a 2-D survey


@pytest.mark.parametrize("degrees", [0, 0.2, 30, 60, 89.9, 90, 120])
def test_a_line_at_any_azimuth_becomes_the_x_axis(tmp_path, degrees):
    angle = np.deg2rad(degrees)
    headers = line_headers(1000 * SOURCES, 1000 * RECEIVERS, coordinate_scalar=-1000)
    for name in ("source", "receiver"):
        along = headers[f"{name}_x"]
        headers[f"{name}_x"] = np.rint(along * np.cos(angle)).astype(int)
        headers[f"{name}_y"] = np.rint(along * np.sin(angle)).astype(int)
    write_segy(tmp_path / "a.sgy", _noise(12), headers)
    survey = read_survey(tmp_path / "a.sgy", ndim=2)
    sign = -1 if degrees > 90 else 1  # the axis runs towards larger X
    order = np.argsort(survey.labels[:, 0])
    # Millimetre rounding; lines within 0.6 degrees of an axis are short by at most 1e-4.
    np.testing.assert_allclose(
        survey.source_positions[order, 1], sign * SOURCES, atol=2e-3, rtol=1e-4
    )


def test_distances_from_the_line_and_its_azimuth_are_reported(tmp_path):
    headers = line_headers(1000 * SOURCES, 1000 * RECEIVERS)
    headers["source_y"] = headers["source_x"] + np.repeat([0, 3000, 0], 4)
    headers["receiver_y"] = headers["receiver_x"]
    write_segy(tmp_path / "a.sgy", _noise(12), headers)
    survey = read_survey(tmp_path / "a.sgy", ndim=2)
    assert _said(survey, "azimuth 44.")
    assert _said(survey, "projected onto the line; the farthest is 1")


def test_origin_and_azimuth_can_be_given(tmp_path):
    path = tmp_path / "a.sgy"
    _line(path, source_y=40, receiver_y=40)
    survey = read_survey(path, ndim=3, line_origin=(100, 0), line_azimuth=0)
    np.testing.assert_allclose(survey.source_positions[:, 2], 40, atol=1e-9)  # x runs north
    np.testing.assert_allclose(survey.source_positions[:, 1], 100 - SOURCES, atol=1e-9)  # y west
    plain = read_survey(path, ndim=3)
    np.testing.assert_array_equal(plain.source_positions[:, 1:], [[40, x] for x in SOURCES])


# Times


def test_a_delay_recording_time_moves_samples_to_their_times(tmp_path):
    samples = _line(tmp_path / "a.sgy", delay=12)
    survey = read_survey(tmp_path / "a.sgy", ndim=2)
    assert survey.nt == 23
    gather = survey.gather(0)
    np.testing.assert_array_equal(gather[:, :3], 0)
    np.testing.assert_array_equal(gather[:, 3:], samples[:4])
    assert _said(survey, "delay recording time (bytes 109-110) 0.012 s is applied")


def test_a_negative_delay_cuts_what_precedes_the_shot(tmp_path):
    samples = _line(tmp_path / "a.sgy", delay=-80, time_scalar=-10)
    survey = read_survey(tmp_path / "a.sgy", ndim=2)
    assert survey.nt == 18
    np.testing.assert_array_equal(survey.gather(1), samples[4:8, 2:])


def test_records_that_end_before_the_shot_are_refused(tmp_path):
    _line(tmp_path / "a.sgy", delay=-1000)
    with pytest.raises(SurveyError, match="end before the time of the shot"):
        read_survey(tmp_path / "a.sgy", ndim=2)


def test_delays_by_parts_of_a_sample_are_band_limited_shifts():
    t = np.arange(200)
    pulse = np.exp(-(((t - 80) / 6.0) ** 2))
    moved = place_samples(pulse[np.newaxis].astype(np.float32), np.array([2.25]), 200)
    # float32 samples of a pulse that is band-limited to rounding.
    np.testing.assert_allclose(moved[0], np.exp(-(((t - 82.25) / 6.0) ** 2)), atol=1e-6)


def test_files_must_share_an_interval_and_are_cut_to_one_length(tmp_path):
    _line(tmp_path / "a.sgy")
    headers = line_headers(np.array([700]), RECEIVERS)
    write_segy(tmp_path / "b.sgy", _noise(4, 15), headers)
    survey = read_survey(tmp_path / "*.sgy", ndim=2)
    assert survey.nt == 15
    assert _said(survey, "cut to the shortest, 15 samples")
    assert survey.gather(0).shape == (4, 15)
    write_segy(tmp_path / "c.sgy", _noise(4), headers, {"interval": 2000})
    with pytest.raises(SurveyError, match=r"a\.sgy has 0\.004 s, c\.sgy has 0\.002 s"):
        read_survey(tmp_path / "*.sgy", ndim=2)


def test_an_unknown_interval_is_asked_for(tmp_path):
    samples, headers = _noise(12), line_headers(SOURCES, RECEIVERS, interval=0)
    path = write_segy(tmp_path / "a.sgy", samples, headers, {"interval": 0})
    with pytest.raises(SurveyError, match="gives no sample interval"):
        read_survey(path, ndim=2)
    assert read_survey(path, ndim=2, dt=0.003).dt == 0.003
    assert inspect_segy(path)["dt"] is None


# Dead traces, broken files


def test_dead_nan_and_zero_traces_come_back_as_zeros_and_not_live(tmp_path):
    samples = _noise(12)
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
    assert _said(survey, "1 traces are marked dead")


def test_auxiliary_traces_are_left_out(tmp_path):
    kind = np.ones(12, dtype=int)
    kind[[0, 5]] = 6
    _line(tmp_path / "a.sgy", trace_kind=kind)
    survey = read_survey(tmp_path / "a.sgy", ndim=2)
    assert survey.n_traces == 10
    assert _said(survey, "2 auxiliary traces")


def test_headers_without_coordinates_or_of_a_stack_are_refused(tmp_path, data_folder):
    write_segy(tmp_path / "a.sgy", _noise(4))
    with pytest.raises(SurveyError, match="no source or receiver coordinates"):
        read_survey(tmp_path / "a.sgy", ndim=2)
    with pytest.raises(SurveyError, match="looks like a stacked"):
        read_survey(data_folder / "segy" / "segyio" / "f3.sgy", ndim=3)


def test_missing_files_patterns_and_repeats_are_refused(tmp_path):
    _line(tmp_path / "a.sgy")
    with pytest.raises(SegyError, match=r"b\.sgy"):
        read_survey("b.sgy", ndim=2, folder=tmp_path)
    with pytest.raises(SurveyError, match="matches no file"):
        read_survey("b*.sgy", ndim=2, folder=tmp_path)
    with pytest.raises(SurveyError, match=r"names .*a\.sgy 2 times"):
        read_survey(["a.sgy", "a.sgy"], ndim=2, folder=tmp_path)
    assert read_survey("a.sgy", ndim=2, folder=tmp_path).n_shots == 3


def test_a_file_that_shrank_is_refused_when_its_traces_are_read(tmp_path):
    path = tmp_path / "a.sgy"
    _line(path)
    survey = read_survey(path, ndim=2)
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(SegyError, match="changed since its headers were read"):
        survey.gather(2)


# Selections, storage, the model's edge


def test_shots_are_selected_by_slice_or_list(tmp_path):
    samples = _line(tmp_path / "a.sgy")
    survey = read_survey(tmp_path / "a.sgy", ndim=2)
    assert survey.select("all") is survey
    some = survey.select("0:3:2")
    np.testing.assert_array_equal(some.original_index, [0, 2])
    np.testing.assert_array_equal(some.gather(1), samples[8:])
    np.testing.assert_array_equal(survey.select([2, 0, 2]).original_index, [0, 2])
    np.testing.assert_array_equal(some.select([1]).original_index, [2])
    assert some.fingerprint() != survey.fingerprint()
    for wrong, words in (
        ("2", "not understood"),
        ("a:b", "not understood"),
        ([3], "shots 0 to 2"),
        ("5:9", "chooses none"),
        ([], "chooses none"),
    ):
        with pytest.raises(SurveyError, match=words):
            survey.select(wrong)


def test_a_survey_survives_storage(tmp_path):
    samples = _line(tmp_path / "a.sgy", delay=4)
    survey = read_survey(tmp_path / "a.sgy", ndim=2)
    survey.save(tmp_path / "survey.npz")
    loaded = Survey.load(tmp_path / "survey.npz")
    assert Survey.load(tmp_path / "survey.npz") is loaded
    assert loaded.fingerprint() == survey.fingerprint()
    assert loaded.assumptions == survey.assumptions
    np.testing.assert_array_equal(loaded.gather(0)[:, 1:], samples[:4])
    assert not list(tmp_path.glob("*.partial"))


def test_the_fingerprint_changes_with_headers_and_files_but_not_their_place(tmp_path):
    path = tmp_path / "a.sgy"
    _line(path)
    survey = read_survey(path, ndim=2)
    fingerprint = survey.fingerprint()
    moved = path.rename(tmp_path / "b.sgy")
    assert read_survey(moved, ndim=2).fingerprint() == fingerprint
    with pytest.raises(SegyError, match=r"cannot open .*a\.sgy"):
        survey.fingerprint()
    _line(path, source_elevation=-3)
    assert read_survey(path, ndim=2).fingerprint() != fingerprint
    plain = replace(survey, files=())
    assert replace(plain, dt=0.002).fingerprint() != plain.fingerprint()


def _small_survey():
    sources = np.array([[5.0, 50.0], [5.0, 400.0], [5.0, 900.0]])
    receivers = np.stack([np.full(5, 10.0), 100.0 * np.arange(1, 6)], axis=-1)
    return make_survey(
        sources, [receivers, receivers + np.array([0, 200]), receivers], dt=0.002, nt=10
    )


def test_positions_outside_the_model_are_an_error_that_names_shot_and_place():
    survey = _small_survey()
    with pytest.raises(SurveyError, match=r"shot 3 \(index 2\): source at \(5, 900\) m is outside"):
        apply_outside_policy(survey, ((0, 100), (0, 600)), "error")
    words = r"shot 2 \(index 1\): receiver 4 at \(10, 700\) m is outside .* x from 0 to 650 m"
    with pytest.raises(SurveyError, match=words):
        apply_outside_policy(survey.select("0:2"), ((0, 100), (0, 650)), "error")
    same, dropped = apply_outside_policy(survey, ((0, 100), (0, 900)), "error")
    assert same is survey
    assert dropped == []


def test_positions_outside_the_model_can_be_dropped_and_are_listed():
    kept, dropped = apply_outside_policy(_small_survey(), ((0, 100), (0, 600)), "drop")
    np.testing.assert_array_equal(kept.original_index, [0, 1])
    assert [kept.n_receivers(i) for i in range(2)] == [5, 4]
    np.testing.assert_array_equal(kept.shot(1).receiver_positions[:, 1], [300, 400, 500, 600])
    assert len(dropped) == 2
    assert "shot 2 (index 1): 1 of 5 receivers" in dropped[0]
    assert "shot 3 (index 2): left out: its source at (5, 900) m" in dropped[1]


def test_a_survey_that_misses_the_model_altogether_is_refused():
    for policy in ("error", "drop"):
        with pytest.raises(SurveyError, match=r"outside|no shot of the survey lies in the model"):
            apply_outside_policy(_small_survey(), ((0, 100), (5000, 6000)), policy)
    with pytest.raises(SurveyError, match="does not exist"):
        apply_outside_policy(_small_survey(), ((0, 100), (0, 900)), "clip")


def test_dead_traces_outside_the_model_are_left_out_under_either_policy():
    survey = _small_survey()
    live = survey.live.copy()
    live[9] = False  # shot 2, receiver 4, at x = 700 m
    kept, dropped = apply_outside_policy(replace(survey, live=live), ((0, 100), (0, 650)), "drop")
    kept, dropped = apply_outside_policy(
        replace(survey, live=live).select("0:2"), ((0, 100), (0, 650)), "error"
    )
    assert kept.n_receivers(1) == 4
    assert len(dropped) == 1


def test_an_oblique_line_far_from_the_origin_says_how_its_azimuth_moves_it(tmp_path):
    headers = line_headers(SOURCES + 500000, RECEIVERS + 500000)
    headers["source_y"] = headers["source_x"] + 6000000
    headers["receiver_y"] = headers["receiver_x"] + 6000000
    write_segy(tmp_path / "a.sgy", _noise(12), headers)
    assert _said(read_survey(tmp_path / "a.sgy", ndim=2), "each 0.01 degrees of azimuth move")
    fixed = read_survey(tmp_path / "a.sgy", ndim=2, line_origin=(500000, 6500000), line_azimuth=45)
    assert not _said(fixed, "each 0.01 degrees")
    np.testing.assert_allclose(fixed.source_positions[:, 1], np.sqrt(2) * SOURCES, atol=1e-6)


# Files that lost their end


def _shots_of(path, counts, **binary):
    """A file whose shots have so many traces each."""
    shot = np.repeat(np.arange(len(counts)), counts)
    headers = {
        "field_record": shot + 1,
        "source_x": 100 * shot + 5,
        "receiver_x": 10 * np.arange(len(shot)),
    }
    write_segy(path, _noise(len(shot)), headers, binary)
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
    _line(path, interval=np.repeat([4000, 2000], [9, 3]))
    survey = read_survey(path, ndim=2)
    assert survey.dt == 0.004
    assert _said(survey, "2000 us in 3 traces, 4000 us in 9 traces); 4000 us is used for all")
