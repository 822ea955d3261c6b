"""Shots of a survey: selections, storage, fingerprints, and what lies outside the model."""

from dataclasses import replace

import numpy as np
import pytest
from segy_files import write_line

from wavepipe.pipeline.errors import SegyError, SurveyError
from wavepipe.pipeline.layouts import make_survey
from wavepipe.pipeline.outside import apply_outside_policy
from wavepipe.pipeline.shots import Survey
from wavepipe.pipeline.survey import read_survey


def test_shots_are_selected_by_slice_or_list(tmp_path):
    samples = write_line(tmp_path / "a.sgy")
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
    samples = write_line(tmp_path / "a.sgy", delay=4)
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
    write_line(path)
    survey = read_survey(path, ndim=2)
    fingerprint = survey.fingerprint()
    moved = path.rename(tmp_path / "b.sgy")
    assert read_survey(moved, ndim=2).fingerprint() == fingerprint
    with pytest.raises(SegyError, match=r"cannot open .*a\.sgy"):
        survey.fingerprint()
    write_line(path, source_elevation=-3)
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
