"""Parametric layouts."""

import numpy as np
import pytest

from wavepipe.pipeline.errors import SurveyError
from wavepipe.pipeline.layout_positions import position_range
from wavepipe.pipeline.layouts import survey_from_layout
from wavepipe.pipeline.survey import apply_outside_policy

SPREAD = {
    "sources": {"x": {"start": 100, "stop": 900, "step": 400}, "depth": 5},
    "receivers": {"x": {"start": 0, "step": 12.5, "count": 9}, "depth": 8},
}
TOWED = {
    "sources": {"x": [500, 600], "depth": 6},
    "near_offset": 50,
    "spacing": 25,
    "count": 4,
    "receiver_depth": 8,
}


def _survey(layout, ndim=2, folder=None):
    return survey_from_layout(layout, dt=0.002, nt=100, ndim=ndim, folder=folder)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (450, [450]),
        ([1, 2.5], [1, 2.5]),
        ({"start": 0, "stop": 10, "step": 5}, [0, 5, 10]),
        ({"start": 0, "stop": 9, "step": 5}, [0, 5]),
        ({"start": 10, "stop": 0, "step": -5}, [10, 5, 0]),
        ({"start": 0, "stop": 0.3, "step": 0.1}, [0, 0.1, 0.2, 0.3]),  # 0.3 / 0.1 is below 3
        ({"start": 1, "step": 2, "count": 3}, [1, 3, 5]),
        ({"start": 0, "stop": 10, "count": 5}, [0, 2.5, 5, 7.5, 10]),
    ],
)
def test_positions_are_numbers_lists_or_ranges(given, expected):
    np.testing.assert_allclose(position_range(given, "x"), expected, rtol=1e-14)


def test_a_fixed_spread_has_every_receiver_for_every_source():
    survey = _survey({"fixed_spread": SPREAD})
    assert survey.n_shots == 3
    assert not survey.has_data
    np.testing.assert_array_equal(survey.source_positions, [[5, 100], [5, 500], [5, 900]])
    for i in range(3):
        shot = survey.shot(i)
        np.testing.assert_array_equal(shot.receiver_positions[:, 1], 12.5 * np.arange(9))
        np.testing.assert_array_equal(shot.receiver_positions[:, 0], 8)
    assert [survey.label(i) for i in range(3)] == ["1", "2", "3"]


def test_a_patch_in_3d_combines_lines_and_stations():
    spread = {
        "sources": {"x": 50, "y": [10, 20], "depth": 5},
        "receivers": {"x": [0, 100], "y": {"start": 0, "step": 30, "count": 3}, "depth": 8},
    }
    survey = _survey({"fixed_spread": spread}, ndim=3)
    np.testing.assert_array_equal(survey.source_positions, [[5, 10, 50], [5, 20, 50]])
    expected = [[8, y, x] for y in (0, 30, 60) for x in (0, 100)]
    np.testing.assert_array_equal(survey.shot(0).receiver_positions, expected)


def test_a_missing_y_in_3d_means_zero():
    survey = _survey({"fixed_spread": SPREAD}, ndim=3)
    np.testing.assert_array_equal(survey.source_positions[:, 1], 0)


@pytest.mark.parametrize(
    ("side", "offsets"),
    [
        ("left", [-50, -75, -100, -125]),
        ("right", [50, 75, 100, 125]),
        ("both", [-125, -100, -75, -50, 50, 75, 100, 125]),
    ],
)
def test_a_streamer_follows_its_source(side, offsets):
    survey = _survey({"towed": {**TOWED, "side": side}})
    for i, x in enumerate((500, 600)):
        shot = survey.shot(i)
        np.testing.assert_array_equal(shot.receiver_positions[:, 1] - x, offsets)
        np.testing.assert_array_equal(shot.receiver_positions[:, 0], 8)


def test_streamers_lie_beside_each_other_in_3d():
    towed = {**TOWED, "sources": {"x": 500, "y": 200, "depth": 6}, "streamers": {"y": [-50, 50]}}
    survey = _survey({"towed": towed}, ndim=3)
    receivers = survey.shot(0).receiver_positions
    np.testing.assert_array_equal(receivers[:, 1], [150] * 4 + [250] * 4)
    np.testing.assert_array_equal(receivers[:4, 2], [450, 425, 400, 375])


def test_receivers_that_run_off_the_model_are_kept_until_the_outside_policy():
    survey = _survey({"towed": {**TOWED, "sources": {"x": [60, 600], "depth": 6}}})
    assert survey.receiver_positions[:, 1].min() < 0
    kept, dropped = apply_outside_policy(survey, ((0, 100), (0, 1000)), "drop")
    assert [kept.n_receivers(i) for i in range(2)] == [1, 4]
    assert "3 of 4 receivers" in dropped[0]


def test_nodes_have_depths_of_their_own():
    nodes = {
        "sources": {"x": {"start": 0, "stop": 100, "step": 50}, "depth": 10},
        "receivers": {"x": [20, 60], "depth": [452, 447]},
    }
    survey = _survey({"nodes": nodes})
    np.testing.assert_array_equal(survey.shot(2).receiver_positions, [[452, 20], [447, 60]])


def test_a_table_gives_ragged_shots_in_order_of_their_numbers(tmp_path):
    (tmp_path / "g.csv").write_text(
        "shot, source_x, source_z, receiver_x, receiver_z\n"
        "7, 100, 5, 0, 8\n7, 100, 5, 10, 8\n\n3, 50, 5, 20, 9\n7, 100, 5, 30, 8\n"
    )
    survey = _survey({"table": "g.csv"}, folder=tmp_path)
    assert [survey.label(i) for i in range(2)] == ["3", "7"]
    np.testing.assert_array_equal(survey.source_positions, [[5, 50], [5, 100]])
    np.testing.assert_array_equal(survey.shot(0).receiver_positions, [[9, 20]])
    np.testing.assert_array_equal(survey.shot(1).receiver_positions, [[8, 0], [8, 10], [8, 30]])


def test_a_table_in_3d_has_y(tmp_path):
    (tmp_path / "g.csv").write_text(
        "shot,source_x,source_y,source_z,receiver_x,receiver_y,receiver_z\n1,1,2,3,4,5,6\n"
    )
    survey = _survey({"table": tmp_path / "g.csv"}, ndim=3)
    np.testing.assert_array_equal(survey.source_positions, [[3, 2, 1]])
    np.testing.assert_array_equal(survey.receiver_positions, [[6, 5, 4]])


HEAD = "shot,source_x,source_z,receiver_x,receiver_z\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "lacks the columns shot"),
        ("shot,source_x\n", "lacks the columns source_z, receiver_x, receiver_z"),
        (HEAD, "no shot"),
        (HEAD + "1,2,three,4,5\n", "line 2: source_z is 'three'"),
        (HEAD + "1,2,3,4\n", "line 2: receiver_z is ''"),
        (HEAD + "1,2,3,nan,5\n", "line 2: receiver_x is 'nan'"),
        (HEAD + "1.5,2,3,4,5\n", "shots are numbered by integers"),
        (HEAD + "1,2,3,4,5\n1,9,3,4,5\n", "line 3: shot 1 has its source at"),
    ],
)
def test_a_wrong_table_is_refused_with_its_line(tmp_path, content, words):
    (tmp_path / "g.csv").write_text(content)
    with pytest.raises(SurveyError, match=words):
        _survey({"table": "g.csv"}, folder=tmp_path)


def test_a_missing_table_is_refused(tmp_path):
    with pytest.raises(SurveyError, match=r"cannot read .*none\.csv"):
        _survey({"table": "none.csv"}, folder=tmp_path)


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        ({}, "needs one kind out of fixed_spread, towed, nodes, table"),
        ({"ring": {}}, "'ring' does not exist"),
        ({"fixed_spread": SPREAD, "towed": TOWED}, "needs one kind"),
        ({"fixed_spread": {"sources": SPREAD["sources"]}}, "lacks 'receivers'"),
        ({"fixed_spread": {**SPREAD, "lines": 3}}, "does not know 'lines'"),
        ({"fixed_spread": 5}, "needs keys and values"),
        ({"towed": {**TOWED, "side": "up"}}, "'up' does not exist; use left, right or both"),
        ({"towed": {**TOWED, "spacing": 0}}, "must be positive"),
        ({"towed": {**TOWED, "count": 2.5}}, "whole number"),
        ({"towed": {**TOWED, "streamers": {"y": 0}}}, "belongs to 3-D"),
        ({"nodes": {**SPREAD, "sources": {"x": [1, 2], "depth": [1, 2, 3]}}}, "3 values for 2"),
        ({"nodes": {**SPREAD, "sources": {"x": [1, 2], "y": 3, "depth": 1}}}, "belongs to 3-D"),
        ({"nodes": {**SPREAD, "sources": {"x": "far", "depth": 1}}}, "is 'far'"),
        ({"nodes": {**SPREAD, "sources": {"x": [], "depth": 1}}}, "empty list"),
        ({"nodes": {**SPREAD, "sources": {"x": {"start": 0, "stop": 9}, "depth": 1}}}, "a range"),
        (
            {
                "nodes": {
                    **SPREAD,
                    "sources": {"x": {"start": 0, "stop": 9, "step": -1}, "depth": 1},
                }
            },
            "never arrives",
        ),
        ({"table": 3}, "needs the path of a CSV file"),
    ],
)
def test_a_wrong_layout_is_refused_and_names_its_key(layout, words):
    with pytest.raises(SurveyError, match=words):
        _survey(layout)


def test_a_layout_has_no_traces_to_read():
    with pytest.raises(SurveyError, match="the survey is a layout"):
        _survey({"fixed_spread": SPREAD}).gather(0)
