"""Positions of a survey: scalars, units, depths, and the line of a 2-D survey."""

import numpy as np
import pytest
from segy_files import RECEIVERS, SOURCES, line_headers, noise, said, write_line, write_segy

from wavepipe.pipeline.errors import SurveyError
from wavepipe.pipeline.survey import read_survey

# Scalars, units, depths


def test_each_trace_has_its_own_coordinate_scalar(tmp_path):
    headers = line_headers(np.array([500]), np.array([0, 250, 500, 750]))
    headers["coordinate_scalar"] = np.array([-10, 10, 0, 1])
    headers["receiver_x"] = np.array([2500, 25, 250, 250])
    headers["source_x"] = np.array([5000, 50, 500, 500])
    write_segy(tmp_path / "a.sgy", noise(4), headers)
    survey = read_survey(tmp_path / "a.sgy", ndim=2)
    assert survey.n_shots == 1
    np.testing.assert_array_equal(survey.receiver_positions[:, 1], 250)
    assert said(survey, "coordinate scalar (bytes 71-72) differs between traces")


def test_feet_become_metres_and_can_be_overruled(tmp_path):
    samples = noise(12)
    headers = line_headers(SOURCES, RECEIVERS, source_depth=10)
    path = write_segy(tmp_path / "a.sgy", samples, headers, {"measurement_system": 2})
    feet = read_survey(path, ndim=2)
    np.testing.assert_allclose(feet.source_positions[:, 1], 0.3048 * SOURCES, rtol=1e-15)
    np.testing.assert_allclose(feet.source_positions[:, 0], 3.048, rtol=1e-15)
    assert said(feet, "lengths are feet")
    metres = read_survey(path, ndim=2, units="m")
    np.testing.assert_array_equal(metres.source_positions[:, 1], SOURCES)
    with pytest.raises(SurveyError, match="'yard' does not exist"):
        read_survey(path, ndim=2, units="yard")


def test_files_in_feet_and_metres_do_not_mix(tmp_path):
    for name, system in (("a", 1), ("b", 2)):
        headers = line_headers(SOURCES, RECEIVERS)
        write_segy(tmp_path / f"{name}.sgy", noise(12), headers, {"measurement_system": system})
    with pytest.raises(SurveyError, match="do not share a unit of length"):
        read_survey(tmp_path / "*.sgy", ndim=2)


def test_geographic_coordinates_are_refused_unless_the_unit_is_overruled(tmp_path):
    path = tmp_path / "a.sgy"
    write_line(path, coordinate_units=3, coordinate_scalar=-100, source_y=5900, receiver_y=5901)
    with pytest.raises(SurveyError, match="coordinates in degrees"):
        read_survey(path, ndim=2)
    assert read_survey(path, ndim=2, units="m").n_shots == 3


def test_a_geographic_unit_is_not_believed_where_offsets_are_metric(tmp_path):
    path = tmp_path / "a.sgy"
    headers = line_headers(SOURCES, RECEIVERS, coordinate_units=2, source_y=100, receiver_y=100)
    headers["offset"] = headers["receiver_x"] - headers["source_x"]
    write_segy(path, noise(12), headers)
    assert said(read_survey(path, ndim=2), "read as metres")


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
    write_line(tmp_path / "a.sgy", elevation_scalar=-10, coordinate_scalar=1, **fields)
    survey = read_survey(tmp_path / "a.sgy", ndim=2, depths=depths)
    np.testing.assert_allclose(survey.source_positions[:, 0], expected[0], rtol=1e-15)
    np.testing.assert_allclose(survey.receiver_positions[:, 0], expected[1], rtol=1e-15)
    said = ("depth", "is 0 in", "as asked")
    assert any(word in sentence for word in said for sentence in survey.assumptions)


def test_source_depths_are_used_only_where_they_are_given(tmp_path):
    below = np.repeat([0, 7, 8], 4)
    write_line(tmp_path / "a.sgy", source_elevation=-5, source_depth=below)
    survey = read_survey(tmp_path / "a.sgy", ndim=2)
    np.testing.assert_array_equal(survey.source_positions[:, 0], [5, 7, 8])
    assert said(survey, "in the 8 of 12 traces that have it")


def test_datum_elevations_speak_of_land(tmp_path):
    write_line(tmp_path / "a.sgy", source_elevation=800, receiver_elevation=810, receiver_datum=500)
    survey = read_survey(tmp_path / "a.sgy", ndim=2)
    np.testing.assert_array_equal(survey.source_positions[:, 0], -800)


@pytest.mark.parametrize("depths", ["down", {"source": 3}])
def test_unknown_depths_are_refused(tmp_path, depths):
    write_line(tmp_path / "a.sgy")
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
    write_segy(tmp_path / "a.sgy", noise(12), headers)
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
    write_segy(tmp_path / "a.sgy", noise(12), headers)
    survey = read_survey(tmp_path / "a.sgy", ndim=2)
    assert said(survey, "azimuth 44.")
    assert said(survey, "projected onto the line; the farthest is 1")


def test_origin_and_azimuth_can_be_given(tmp_path):
    path = tmp_path / "a.sgy"
    write_line(path, source_y=40, receiver_y=40)
    survey = read_survey(path, ndim=3, line_origin=(100, 0), line_azimuth=0)
    np.testing.assert_allclose(survey.source_positions[:, 2], 40, atol=1e-9)  # x runs north
    np.testing.assert_allclose(survey.source_positions[:, 1], 100 - SOURCES, atol=1e-9)  # y west
    plain = read_survey(path, ndim=3)
    np.testing.assert_array_equal(plain.source_positions[:, 1:], [[40, x] for x in SOURCES])


def test_an_oblique_line_far_from_the_origin_says_how_its_azimuth_moves_it(tmp_path):
    headers = line_headers(SOURCES + 500000, RECEIVERS + 500000)
    headers["source_y"] = headers["source_x"] + 6000000
    headers["receiver_y"] = headers["receiver_x"] + 6000000
    write_segy(tmp_path / "a.sgy", noise(12), headers)
    assert said(read_survey(tmp_path / "a.sgy", ndim=2), "each 0.01 degrees of azimuth move")
    fixed = read_survey(tmp_path / "a.sgy", ndim=2, line_origin=(500000, 6500000), line_azimuth=45)
    assert not said(fixed, "each 0.01 degrees")
    np.testing.assert_allclose(fixed.source_positions[:, 1], np.sqrt(2) * SOURCES, atol=1e-6)
