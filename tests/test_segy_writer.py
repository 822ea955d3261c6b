"""Gathers, images and models written as SEG-Y, and read back by us and by segyio."""

import errno
import struct
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import segyio
from segy_files import write_segy

from wavepipe.pipeline.errors import DiskFullError, SegyError
from wavepipe.pipeline.layouts import make_survey
from wavepipe.pipeline.segy.file_format import open_segy
from wavepipe.pipeline.segy.images import read_model_segy, write_image_segy
from wavepipe.pipeline.segy.models import read_segy_model
from wavepipe.pipeline.segy.reader import segyio_reads
from wavepipe.pipeline.segy.text_header import read_text
from wavepipe.pipeline.segy.writer import create_gather_file, write_gather
from wavepipe.pipeline.survey import read_survey


def _survey(ndim=2, nt=31, dt=0.002, depth=(6.5, 10.0)):
    sources = np.array(
        [[depth[0], 100.0, 412.5], [depth[0], 120.0, 437.5], [depth[0], 120.0, 470.0]]
    )
    receivers = []
    for count in (4, 6, 5):  # ragged, and off the grid
        x = 12.5 * np.arange(count) + 7.25
        receivers.append(np.stack([np.full(count, depth[1]), 40.0 + x / 10, x], axis=-1))
    keep = [0, 2] if ndim == 2 else [0, 1, 2]
    return make_survey(sources[:, keep], [part[:, keep] for part in receivers], dt=dt, nt=nt)


def _gathers(survey, seed=0):
    rng = np.random.default_rng(seed)
    return [
        rng.standard_normal((survey.n_receivers(i), survey.nt)).astype(np.float32)
        for i in range(survey.n_shots)
    ]


def _write(path, survey, order=None):
    gathers = _gathers(survey)
    create_gather_file(path, survey, survey.dt, "synthetic gathers")
    for i in range(survey.n_shots) if order is None else order:
        write_gather(path, survey, i, gathers[i])
    return gathers


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("depth", [(6.5, 10.0), (0.0, 0.0), (-3.0, 10.0), (4.0, -7.5)])
def test_a_written_survey_reads_back_exactly(tmp_path, ndim, depth):
    survey = _survey(ndim, depth=depth)
    gathers = _write(tmp_path / "a.sgy", survey)
    back = read_survey(tmp_path / "a.sgy", ndim=ndim)
    assert (back.dt, back.nt, back.n_shots) == (survey.dt, survey.nt, survey.n_shots)
    np.testing.assert_array_equal(back.source_positions, survey.source_positions)
    np.testing.assert_array_equal(back.receiver_positions, survey.receiver_positions)
    np.testing.assert_array_equal(back.labels, survey.labels)
    for i, gather in enumerate(gathers):
        np.testing.assert_array_equal(back.gather(i), gather)


def test_bytes_do_not_depend_on_the_order_of_writing_nor_on_repeats(tmp_path):
    survey = _survey()
    _write(tmp_path / "a.sgy", survey)
    _write(tmp_path / "b.sgy", survey, order=[2, 0, 1, 2, 0])
    assert (tmp_path / "a.sgy").read_bytes() == (tmp_path / "b.sgy").read_bytes()


def test_each_shot_fills_its_own_bytes_only(tmp_path):
    survey, path = _survey(), tmp_path / "a.sgy"
    create_gather_file(path, survey, survey.dt, "")
    before = path.read_bytes()
    ranges = [write_gather(path, survey, i, g) for i, g in enumerate(_gathers(survey))]
    after = path.read_bytes()
    assert len(before) == len(after) == 3600 + 15 * (240 + 4 * 31)
    assert ranges[0][0] == 3600
    assert ranges[-1][1] == len(after)
    assert [first for first, _ in ranges[1:]] == [last for _, last in ranges[:-1]]
    assert before[:3600] == after[:3600]


def test_a_shot_that_was_never_written_is_dead_in_its_place(tmp_path):
    survey = _survey()
    _write(tmp_path / "a.sgy", survey, order=[0, 2])
    back = read_survey(tmp_path / "a.sgy", ndim=2)
    np.testing.assert_array_equal(back.source_positions, survey.source_positions)
    assert back.shot(0).live.all()
    assert not back.shot(1).live.any()
    assert not back.read_gather(1).samples.any()


def test_segyio_sees_the_headers_of_a_gather_file(tmp_path):
    survey = _survey(3)
    gathers = _write(tmp_path / "a.sgy", survey)
    with segyio.open(str(tmp_path / "a.sgy"), ignore_geometry=True) as file:
        assert file.tracecount == 15
        assert segyio.tools.dt(file) == 2000
        assert file.bin[segyio.BinField.MeasurementSystem] == 1
        assert file.bin[segyio.BinField.SEGYRevision] == 1
        head = file.header[5]  # second trace of the second shot
        expected = {
            1: 6,
            5: 6,
            9: 2,
            13: 2,
            17: 2,
            29: 11,
            41: -10000,
            45: 0,
            49: 6500,
            69: -1000,
            71: -1000,
            73: 437500,
            77: 120000,
            81: 19750,
            85: 41975,
            89: 1,
            115: 31,
            117: 2000,
        }
        found = {byte: head[byte] for byte in expected}
        assert found == {**expected, 41: found[41], 49: found[49], 69: found[69]}
        assert (found[41], found[49], found[69]) in ((-100, 65, -10), (-10000, 6500, -1000))
        assert head[37] == -round(np.hypot(437.5 - 19.75, 120 - 41.975))
        np.testing.assert_array_equal(file.trace.raw[4:10], gathers[1])
        text = bytes(file.text[0]).decode()
    assert "synthetic gathers" in text
    assert "component: pressure (Pa)" in text


def test_components_are_named_in_the_headers(tmp_path):
    survey = replace(_survey(), components=("vz",))
    _write(tmp_path / "a.sgy", survey)
    with segyio.open(str(tmp_path / "a.sgy"), ignore_geometry=True) as file:
        assert set(file.attributes(29)[:]) == {12}
        assert b"vz (m/s, positive down)" in bytes(file.text[0])


@pytest.mark.parametrize(("dt", "nt"), [(1e-3 / 3, 31), (0.002, 40000), (0.08, 5), (0.0005, 70000)])
def test_intervals_and_lengths_beyond_revision_one_are_kept(tmp_path, dt, nt):
    survey = replace(_survey(nt=nt, dt=dt).select([0]))
    gathers = _write(tmp_path / "a.sgy", survey)
    back = read_survey(tmp_path / "a.sgy", ndim=2)
    assert open_segy(tmp_path / "a.sgy").revision == (2, 0)
    assert back.dt == pytest.approx(dt, rel=1e-12)
    np.testing.assert_array_equal(back.gather(0), gathers[0])


def test_a_gather_of_the_wrong_shape_or_for_another_file_is_refused(tmp_path):
    survey, path = _survey(), tmp_path / "a.sgy"
    create_gather_file(path, survey, survey.dt, "")
    with pytest.raises(SegyError, match=r"shape \(4, 30\), the file holds \(4, 31\)"):
        write_gather(path, survey, 0, np.zeros((4, 30), dtype=np.float32))
    create_gather_file(path, survey.select([0]), survey.dt, "")
    with pytest.raises(SegyError, match="too short for shot 3"):
        write_gather(path, survey, 2, np.zeros((5, 31), dtype=np.float32))


@pytest.mark.parametrize("shape", [(9, 7), (9, 5, 7), (1, 3), (4, 1, 3)])
def test_images_read_back_with_spacing_and_origin(tmp_path, shape):
    values = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    spacing, origin = ((12.5, 25.0, 6.25), (7.5, -300.0, 1000.0))
    if len(shape) == 2:
        spacing, origin = (spacing[0], spacing[2]), (origin[0], origin[2])
    write_image_segy(tmp_path / "a.sgy", values, spacing, origin, "RTM image\nno unit")
    back, found_spacing, found_origin = read_model_segy(tmp_path / "a.sgy")
    if len(shape) == 3 and shape[1] == 1:
        back, values = back, values[:, 0, :]  # one inline is a section
        spacing, origin = (spacing[0], spacing[2]), (origin[0], origin[2])
    np.testing.assert_array_equal(back, values)
    assert found_spacing == spacing
    assert found_origin == origin
    assert not (tmp_path / "a.sgy.partial").exists()


def test_segyio_sees_the_grid_of_an_image_and_its_text_says_depth(tmp_path):
    values = np.random.default_rng(0).standard_normal((9, 5, 7)).astype(np.float32)
    write_image_segy(tmp_path / "a.sgy", values, (10, 20, 30), (0, 100, 50), "RTM image")
    with segyio.open(str(tmp_path / "a.sgy")) as file:
        np.testing.assert_array_equal(file.ilines, np.arange(1, 6))
        np.testing.assert_array_equal(file.xlines, np.arange(1, 8))
        np.testing.assert_array_equal(segyio.tools.cube(file), np.moveaxis(values, 0, 2))
        assert segyio.tools.dt(file) == 10000
        head = file.header[8]
        assert (head[181], head[185], head[71], head[21]) == (80, 120, 1, 9)
    text = "\n".join(read_text(open_segy(tmp_path / "a.sgy"))[0])
    assert "RTM image" in text
    assert "holds 1000 times the depth step" in text


def test_depth_steps_beyond_the_interval_field_are_kept(tmp_path):
    write_image_segy(tmp_path / "a.sgy", np.ones((4, 3)), (100, 10), (0, 0), "")
    assert read_model_segy(tmp_path / "a.sgy")[1] == (100.0, 10.0)
    assert not open_segy(tmp_path / "a.sgy").assumptions


def test_a_real_velocity_cube_reads_as_it_was_converted_by_another_code(data_folder):
    folder = data_folder / "segy" / "segysak"
    values, spacing, origin = read_model_segy(folder / "volve10-migvel-depth-sub3d.sgy")
    [truth] = (data_folder / "models" / "3d").glob("volve_migvel_*.npy")
    # Inlines run to the right of the crosslines here, so y counts them backwards.
    np.testing.assert_array_equal(np.moveaxis(values, 0, 2), np.load(truth)[::-1])
    # Coordinates are whole centimetres of a rotated grid.
    np.testing.assert_allclose(spacing, (20, 50, 50), rtol=1e-4)
    assert origin[0] == 0


def test_a_model_that_is_no_full_grid_or_has_no_spacing_is_refused(tmp_path, data_folder):
    with pytest.raises(SegyError, match="no full grid: 239 traces"):
        read_model_segy(data_folder / "segy" / "segysak" / "f3-withdead.sgy")
    path = tmp_path / "a.sgy"
    write_image_segy(path, np.ones((4, 3)), (10, 10), (0, 0), "")
    content = bytearray(path.read_bytes())
    for trace in range(3):
        start = 3600 + trace * (240 + 16)
        content[start + 72 : start + 88] = bytes(16)
        content[start + 180 : start + 188] = bytes(8)
    path.write_bytes(bytes(content))
    with pytest.raises(SegyError, match=r"does not give the spacing along x"):
        read_model_segy(path)
    assert read_model_segy(path, spacing=(5, 12))[1] == (5.0, 12.0)
    with pytest.raises(SegyError, match="must be 2 positive steps"):
        read_model_segy(path, spacing=(5, 5, 12))


def test_nan_in_a_model_is_refused(tmp_path):
    values = np.ones((4, 3))
    values[2, 1] = np.nan
    write_image_segy(tmp_path / "a.sgy", values, (10, 10), (0, 0), "")
    with pytest.raises(SegyError, match=r"trace 1 \(from 0\) holds NaN"):
        read_model_segy(tmp_path / "a.sgy")


def test_written_files_are_read_through_segyio(tmp_path):
    _write(tmp_path / "a.sgy", _survey())
    assert segyio_reads(open_segy(tmp_path / "a.sgy"))


def _turned(path, degrees, mirror=(1, 1), shape=(6, 4, 5)):
    """A volume whose crosslines run at an angle from X, with map coordinates to match."""
    values = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    write_image_segy(path, values, (10, 20, 30), (0, 0, 0), "")
    y, x = np.meshgrid(mirror[0] * 20 * np.arange(4), mirror[1] * 30 * np.arange(5), indexing="ij")
    angle = np.deg2rad(degrees)
    map_x = 5000 + x * np.cos(angle) - y * np.sin(angle)
    map_y = 7000 + x * np.sin(angle) + y * np.cos(angle)
    content = bytearray(path.read_bytes())
    for number, pair in enumerate(zip(map_x.ravel(), map_y.ravel(), strict=True)):
        start = 3600 + number * (240 + 4 * shape[0])
        content[start + 70 : start + 72] = struct.pack(">h", -1000)
        content[start + 180 : start + 188] = struct.pack(">2i", *(round(1000 * p) for p in pair))
    path.write_bytes(bytes(content))
    return values


@pytest.mark.parametrize("mirror", [(1, 1), (-1, 1), (1, -1), (-1, -1)])
def test_axes_that_run_backwards_are_turned_round(tmp_path, mirror):
    values = _turned(tmp_path / "a.sgy", 0, mirror)
    model = read_segy_model(tmp_path / "a.sgy")
    np.testing.assert_array_equal(model.values, values[:, :: mirror[0], :: mirror[1]])
    assert model.spacing == (10.0, 20.0, 30.0)
    assert model.origin == (0.0, 7000 - 60 * (mirror[0] < 0), 5000 - 120 * (mirror[1] < 0))


def test_crosslines_along_y_are_exchanged_with_inlines(tmp_path):
    values = _turned(tmp_path / "a.sgy", 90)
    model = read_segy_model(tmp_path / "a.sgy")
    # Crosslines run north and inlines west, so x is the inlines backwards.
    np.testing.assert_array_equal(model.values, np.swapaxes(values, 1, 2)[:, :, ::-1])
    assert model.spacing == (10.0, 30.0, 20.0)
    assert model.origin == (0.0, 7000.0, 4940.0)
    assert any("exchanged" in sentence for sentence in model.assumptions)


@pytest.mark.parametrize("degrees", [30, -50])
def test_a_rotated_volume_fits_a_survey_read_at_its_azimuth(tmp_path, degrees):
    values = _turned(tmp_path / "a.sgy", degrees)
    model = read_segy_model(tmp_path / "a.sgy")
    np.testing.assert_array_equal(model.values, values)
    np.testing.assert_allclose(model.spacing, (10, 20, 30), rtol=1e-4)
    assert any("set survey.line_azimuth" in sentence for sentence in model.assumptions)
    # A shot over the first node, in map coordinates, lies at the model's origin.
    headers = {"source_x": 5000, "source_y": 7000, "receiver_x": 5000, "receiver_y": 7000}
    write_segy(tmp_path / "s.sgy", np.ones((1, 4)), headers)
    survey = read_survey(tmp_path / "s.sgy", ndim=3, line_azimuth=90 - degrees)
    np.testing.assert_allclose(survey.source_positions[0], model.origin, atol=0.2)


def test_a_section_at_an_angle_fits_a_survey_along_it(tmp_path):
    path = tmp_path / "a.sgy"
    _turned(path, 30, shape=(6, 4, 5))
    model = read_segy_model(path)
    inline = tmp_path / "inline.sgy"
    content = path.read_bytes()
    inline.write_bytes(content[: 3600 + 5 * (240 + 24)])
    section = read_segy_model(inline)
    np.testing.assert_array_equal(section.values, model.values[:, 0])
    x = 30.0 * np.arange(5)
    points = np.stack([5000 + x * np.cos(np.pi / 6), 7000 + x * np.sin(np.pi / 6)], axis=-1)
    headers = {"source_x": 1000 * points[0, 0], "source_y": 1000 * points[0, 1]}
    headers |= {"receiver_x": 1000 * points[:, 0], "receiver_y": 1000 * points[:, 1]}
    write_segy(tmp_path / "s.sgy", np.ones((5, 4)), {**headers, "coordinate_scalar": -1000})
    survey = read_survey(tmp_path / "s.sgy", ndim=2)
    # Millimetres in the headers, over 120 m of line, seen from 8600 m.
    np.testing.assert_allclose(survey.receiver_positions[:, 1], section.origin[1] + x, atol=0.2)


def test_shots_can_be_written_at_the_same_time(tmp_path):
    rng = np.random.default_rng(0)
    sources = np.stack([np.full(40, 5.0), 10.0 * np.arange(40)], axis=-1)
    spread = np.stack([np.full(30, 8.0), 12.5 * np.arange(30)], axis=-1)
    survey = make_survey(sources, [spread] * 40, dt=0.001, nt=50)
    gathers = rng.standard_normal((40, 30, 50)).astype(np.float32)
    for name in ("a", "b"):
        create_gather_file(tmp_path / f"{name}.sgy", survey, survey.dt, "")
    for i in range(40):
        write_gather(tmp_path / "a.sgy", survey, i, gathers[i])
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: write_gather(tmp_path / "b.sgy", survey, i, gathers[i]), range(40)))
    assert (tmp_path / "a.sgy").read_bytes() == (tmp_path / "b.sgy").read_bytes()


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(SegyError, match=r"cannot create .*none/a\.sgy of 0\.0"):
        create_gather_file(tmp_path / "none" / "a.sgy", _survey(), 0.002, "")


def test_a_full_disk_shows_before_the_first_shot(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(DiskFullError, match=r"No space left on device\. Choose another output"):
        create_gather_file(tmp_path / "a.sgy", _survey(), 0.002, "")
