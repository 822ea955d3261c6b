"""Components of a survey: one file each, the same shots and receivers in all of them."""

import numpy as np
import pytest
from segy_files import RECEIVERS, SOURCES, line_headers, noise, write_line, write_segy

from wavepipe.pipeline.errors import SurveyError
from wavepipe.pipeline.layouts import make_survey
from wavepipe.pipeline.outside import apply_outside_policy
from wavepipe.pipeline.segy.inspect import describe, inspect_segy
from wavepipe.pipeline.segy.writer import create_gather_file, write_gather
from wavepipe.pipeline.survey import read_survey
from wavepipe.pipeline.survey_components import one_component, record

REVISION_ONE = {"revision_major": 1}


def _files(folder, **of_vx):
    """vz.sgy and vx.sgy, the second with other headers where given."""
    samples = [write_line(folder / "vz.sgy", 1), write_line(folder / "vx.sgy", 2, **of_vx)]
    return {"vz": folder / "vz.sgy", "vx": folder / "vx.sgy"}, samples


def test_components_lie_in_files_of_their_own(tmp_path):
    files, (vz, vx) = _files(tmp_path)
    survey = read_survey(files, ndim=2)
    assert survey.components == ("vz", "vx")
    assert survey.n_shots == 3
    assert survey.component_traces(1) == {"vz": slice(0, 4), "vx": slice(4, 8)}
    np.testing.assert_array_equal(survey.gather(1), np.concatenate([vz[4:8], vx[4:8]]))
    alone = one_component(survey, "vx")
    assert alone.components == ("vx",)
    np.testing.assert_array_equal(alone.gather(1), vx[4:8])


def test_the_order_of_components_is_not_that_of_the_job(tmp_path):
    files, _ = _files(tmp_path)
    backwards = read_survey(dict(reversed(files.items())), ndim=2)
    assert backwards.components == ("vz", "vx")
    assert backwards.fingerprint() != one_component(backwards, "vz").fingerprint()


@pytest.mark.parametrize(("code", "name"), [(1, "pressure"), (11, "pressure"), (12, "vz"),
                                            (13, "vy"), (14, "vx")])  # fmt: skip
def test_headers_say_which_component_a_file_holds(tmp_path, code, name):
    kind = np.full(12, code)
    kind[5] = 2  # a dead trace says nothing of it
    write_line(tmp_path / "a.sgy", binary=REVISION_ONE, trace_kind=kind)
    assert read_survey(tmp_path / "a.sgy", ndim=2).components == (name,)
    if name != "pressure":
        assert f"records   {name} (m/s" in describe(inspect_segy(tmp_path / "a.sgy"))


def test_a_file_that_declares_nothing_holds_what_the_job_says(tmp_path):
    write_line(tmp_path / "a.sgy", binary=REVISION_ONE, trace_kind=1)
    assert read_survey({"vx": tmp_path / "a.sgy"}, ndim=2).components == ("vx",)
    # in revision 0 the codes from 9 on are anybody's
    write_line(tmp_path / "a.sgy", trace_kind=12)
    assert read_survey(tmp_path / "a.sgy", ndim=2).components == ("pressure",)


def test_files_of_a_pattern_are_told_apart_by_their_headers(tmp_path):
    for name, code in (("x", 14), ("z", 12)):
        write_line(tmp_path / f"{name}.sgy", code, binary=REVISION_ONE, trace_kind=code)
    survey = read_survey(tmp_path / "*.sgy", ndim=2)
    assert survey.components == ("vz", "vx")
    assert survey.n_shots == 3


def test_headers_that_contradict_the_job_are_refused(tmp_path):
    write_line(tmp_path / "a.sgy", binary=REVISION_ONE, trace_kind=14)
    with pytest.raises(SurveyError, match=r"a\.sgy for vz, but .* \(bytes 29-30\) is 14: vx"):
        read_survey({"vz": tmp_path / "a.sgy"}, ndim=2)
    kind = np.repeat([12, 14], 6)
    write_line(tmp_path / "b.sgy", binary=REVISION_ONE, trace_kind=kind)
    with pytest.raises(SurveyError, match=r"b\.sgy holds vz and vx together"):
        read_survey(tmp_path / "b.sgy", ndim=2)
    with pytest.raises(SurveyError, match="names 'vq'; components are pressure, vz, vy, vx"):
        read_survey({"vq": tmp_path / "b.sgy"}, ndim=2)


@pytest.mark.parametrize(
    ("of_vx", "words"),
    [
        (
            {"receiver_x": np.tile([0, 50, 101, 150], 3)},
            r"shot 1: receiver 2 of vx \(.*vx\.sgy\) is at \(0, 101\) m, that of vz .* at "
            r"\(0, 100\) m",
        ),
        (
            {"source_x": np.repeat([100, 301, 500], 4)},
            r"shot 2: vz \(.*vz\.sgy\) has 4 traces and vx \(.*vx\.sgy\) 0 traces",
        ),
        ({"receiver_elevation": -5}, r"shot 1: receiver 0 of vx .* is at \(5, 0\) m"),
    ],
    ids=["receiver", "source", "depth"],
)
def test_the_first_difference_between_geometries_is_named(tmp_path, of_vx, words):
    files, _ = _files(tmp_path, **of_vx)
    with pytest.raises(SurveyError, match=words):
        read_survey(files, ndim=2)


def test_a_component_that_misses_a_trace_is_refused(tmp_path):
    files, _ = _files(tmp_path)
    headers = {name: np.asarray(v)[:-1] for name, v in line_headers(SOURCES, RECEIVERS).items()}
    write_segy(tmp_path / "vx.sgy", noise(11), headers)
    with pytest.raises(SurveyError, match=r"shot 3: vz .* has 4 traces and vx .* 3 traces"):
        read_survey(files, ndim=2)


def test_other_traces_may_be_dead_in_each_component(tmp_path):
    """Also where the headers of dead traces are blank: the others say where they are."""
    kind = np.ones(12, dtype=int)
    kind[[2, 6]] = 2
    x = np.tile(RECEIVERS, 3)
    x[2] = 0
    files, _ = _files(tmp_path, trace_kind=kind, receiver_x=x)
    survey = read_survey(files, ndim=2)
    np.testing.assert_array_equal(survey.receiver_positions[:, 1], np.tile(RECEIVERS, 6))
    np.testing.assert_array_equal(survey.read_gather(0).live, [1, 1, 1, 1, 1, 1, 0, 1])


def _places():
    spread = np.stack([np.full(3, 10.0), [100.0, 200.0, 300.0]], axis=-1)
    return make_survey(np.array([[5.0, 50.0], [5.0, 250.0]]), [spread, spread[:2]], dt=0.002, nt=10)


def test_a_survey_records_the_components_it_is_asked_for():
    survey = record(_places(), ("vx", "pressure"))
    assert [survey.n_receivers(i) for i in range(2)] == [6, 4]
    assert survey.component_traces(1) == {"vx": slice(0, 2), "pressure": slice(2, 4)}
    for name in survey.components:
        alone = one_component(survey, name)
        np.testing.assert_array_equal(alone.receiver_positions, _places().receiver_positions)
        np.testing.assert_array_equal(alone.first_trace, _places().first_trace)
    assert record(survey, ("vx", "pressure")) is survey


def test_receivers_outside_are_counted_once_for_all_components():
    survey = record(_places(), ("vz", "vx"))
    kept, dropped = apply_outside_policy(survey, ((0, 100), (0, 250)), "drop")
    assert [kept.n_receivers(i) for i in range(2)] == [4, 4]
    assert "1 of 3 receivers are outside" in dropped[0]
    with pytest.raises(SurveyError, match=r"receiver 2 at .* 1 of 5 receiver positions"):
        apply_outside_policy(survey, ((0, 100), (0, 250)), "error")


def test_each_component_is_written_to_a_file_that_says_so(tmp_path):
    survey = record(_places(), ("vz", "pressure"))
    samples = np.random.default_rng(0).standard_normal((2, 6, 10)).astype(np.float32)
    for name in survey.components:
        alone, path = one_component(survey, name), tmp_path / f"{name}.sgy"
        create_gather_file(path, alone, 0.002, "test")
        for i in range(2):
            write_gather(path, alone, i, samples[i, survey.component_traces(i)[name]])
    back = read_survey(tmp_path / "*.sgy", ndim=2)
    assert back.components == ("pressure", "vz")
    for i in range(2):
        for name, rows in back.component_traces(i).items():
            expected = samples[i, survey.component_traces(i)[name]]
            np.testing.assert_array_equal(back.gather(i)[rows], expected)
