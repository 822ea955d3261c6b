"""Earth models from numbers and files: units and axes are stated, values are checked."""

from pathlib import Path

import numpy as np
import pytest
import yaml
import zarr

from wavepipe.pipeline.earth_model import EarthModel, load_earth_model
from wavepipe.pipeline.errors import JobError
from wavepipe.pipeline.job import read_job
from wavepipe.propagators.errors import ModelError

NZ, NX = 20, 30


def vp_2d() -> np.ndarray:
    """(nz, nx), m/s, different at every node."""
    return (1500.0 + np.arange(NZ)[:, None] * 20.0 + np.arange(NX)).astype(np.float32)


def load(folder: Path, **earth_model: object) -> EarthModel:
    """The earth model of a job with this section."""
    path = folder / "job.yaml"
    content = {
        "kind": "model",
        "earth_model": earth_model,
        "survey": {"layout": {"table": "g.csv"}, "dt": 0.004, "nt": 10},
        "wavelet": {"ricker": {"peak_frequency": 8}},
    }
    path.write_text(yaml.safe_dump(content))
    return load_earth_model(read_job(path))


def test_npy_with_axes_in_another_order_is_transposed(tmp_path):
    np.save(tmp_path / "vp.npy", vp_2d().T)
    model = load(
        tmp_path, vp={"path": "vp.npy", "axes": ["x", "z"], "unit": "m/s"}, spacing=[5, 10]
    )
    np.testing.assert_array_equal(model.vp, vp_2d())
    assert model.vp.flags.c_contiguous
    assert model.extent == ((0.0, 95.0), (0.0, 290.0))


@pytest.mark.parametrize("order", ["zyx", "xyz", "yzx"])
def test_every_order_of_three_axes_is_read(tmp_path, order):
    values = np.random.default_rng(1).uniform(1500, 3000, (4, 5, 6)).astype(np.float32)
    np.save(tmp_path / "vp.npy", values.transpose(["zyx".index(axis) for axis in order]))
    model = load(
        tmp_path, vp={"path": "vp.npy", "axes": list(order), "unit": "m/s"}, spacing=[5, 10, 20]
    )
    np.testing.assert_array_equal(model.vp, values)


@pytest.mark.parametrize(
    ("unit", "stored"),
    [
        ("km/s", vp_2d() / 1000),
        ("ft/s", vp_2d() / 0.3048),
        ("s/km", 1000 / vp_2d()),
        ("s/m", 1 / vp_2d().astype(np.float64)),
        ("s2/km2", 1e6 / vp_2d().astype(np.float64) ** 2),
    ],
)
def test_units_are_converted_to_metres_per_second(tmp_path, unit, stored):
    np.save(tmp_path / "vp.npy", stored)
    model = load(tmp_path, vp={"path": "vp.npy", "axes": ["z", "x"], "unit": unit}, spacing=[5, 10])
    # Stored in float32, half an ulp of which is 6e-8; a square root halves it.
    np.testing.assert_allclose(model.vp, vp_2d(), rtol=3e-7)


def test_raw_binary_is_read_with_its_number_format(tmp_path):
    vp_2d().T.astype(">f4").tofile(tmp_path / "vp.bin")
    model = load(
        tmp_path,
        vp={
            "path": "vp.bin", "axes": ["x", "z"], "shape": [NX, NZ], "dtype": ">f4", "unit": "m/s",
        },
        spacing=[5, 10],
    )  # fmt: skip
    np.testing.assert_array_equal(model.vp, vp_2d())


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_zarr_brings_its_axes_unit_and_coordinates(tmp_path, zarr_format):
    group = zarr.create_group(tmp_path / "m.zarr", zarr_format=zarr_format)
    coordinates = {"x": 100 + 10.0 * np.arange(NX), "z": 0.005 * np.arange(NZ)}
    arrays = {"vp": (("x", "z"), vp_2d().T / 1000, "km/s")}
    arrays |= {k: ((k,), v, "km" if k == "z" else "m") for k, v in coordinates.items()}
    for name, (dims, values, unit) in arrays.items():
        named = {"dimension_names": dims} if zarr_format == 3 else {}
        array = group.create_array(name, shape=values.shape, dtype=values.dtype, **named)
        array[...] = values
        array.attrs["units"] = unit
        if zarr_format == 2:
            array.attrs["_ARRAY_DIMENSIONS"] = list(dims)
    model = load(tmp_path, vp={"path": "m.zarr"})
    np.testing.assert_allclose(model.vp, vp_2d(), rtol=3e-7)
    assert model.spacing == pytest.approx((5.0, 10.0))
    assert model.origin == pytest.approx((0.0, 100.0))
    assert model.assumptions == ()
    with pytest.raises(JobError, match=r"spacing of job.yaml is \[10.0, 10.0\] m, but .* carries"):
        load(tmp_path, vp={"path": "m.zarr"}, spacing=[10, 10])
    with pytest.raises(ModelError, match=r"no array 'vq'; it holds vp, x, z"):
        load(tmp_path, vp={"path": "m.zarr", "name": "vq"})


def test_the_last_finished_iteration_of_an_inversion_is_read(tmp_path):
    group = zarr.create_group(tmp_path / "r.zarr", zarr_format=3)
    array = group.create_array(
        "vp", shape=(3, NZ, NX), dtype="f4", dimension_names=("iteration", "z", "x"),
        fill_value=np.nan, attributes={"units": "m/s"},
    )  # fmt: skip
    array[0], array[1] = vp_2d(), vp_2d() + 1
    model = load(tmp_path, vp={"path": "r.zarr"}, spacing=[5, 10])
    np.testing.assert_array_equal(model.vp, vp_2d() + 1)
    assert any("iteration 1" in text for text in model.assumptions)
    first = load(tmp_path, vp={"path": "r.zarr", "iteration": 0}, spacing=[5, 10])
    np.testing.assert_array_equal(first.vp, vp_2d())
    with pytest.raises(ModelError, match="iteration 2 is not in"):
        load(tmp_path, vp={"path": "r.zarr", "iteration": 2}, spacing=[5, 10])


def test_numbers_make_constant_gradient_and_layered_models(tmp_path):
    grid = {"spacing": [10, 10], "shape": [5, 4], "origin": [20, 0]}
    constant = load(tmp_path, vp={"constant": 1500}, **grid)
    assert np.unique(constant.vp).tolist() == [1500.0]
    gradient = load(tmp_path, vp={"gradient": {"top": 1500, "per_metre": 0.5}}, **grid)
    assert gradient.vp[:, 0].tolist() == [1510, 1515, 1520, 1525, 1530]
    layers = load(tmp_path, vp={"layers": {"tops": [0, 40], "values": [1500, 2000]}}, **grid)
    assert layers.vp[:, 3].tolist() == [1500, 1500, 2000, 2000, 2000]


def test_a_ratio_and_gardner_follow_the_velocity(tmp_path, caplog):
    model = load(
        tmp_path,
        rho={"gardner": {"of": "vp"}},
        vs={"ratio": {"of": "vp", "value": 0.5}},
        vp={"constant": 2000},
        spacing=[10, 10, 10],
        shape=[3, 4, 5],
    )
    assert model.ndim == 3
    assert np.unique(model.parameters["vs"]).tolist() == [1000.0]
    # Gardner et al. (1974): 0.31 * 2000 ** 0.25 = 2.0731 g/cm3.
    np.testing.assert_allclose(model.parameters["rho"], 2073.1, rtol=1e-4)
    assert "physics scalar uses vp only" in caplog.text


def test_smoothing_keeps_a_constant_and_rounds_a_step(tmp_path):
    grid = {"spacing": [10, 10], "shape": [21, 4]}
    flat = load(tmp_path, vp={"constant": 1500, "smoothing": 50}, **grid)
    np.testing.assert_allclose(flat.vp, 1500, rtol=1e-6)  # float32
    layers = {"tops": [0, 100], "values": [1500, 2000]}
    step = load(tmp_path, vp={"layers": layers, "smoothing": 30}, **grid)
    assert 1500 < step.vp[9, 0] < step.vp[10, 0] < 2000


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (np.nan, r"vp in .*vp.npy is nan at cell \[3, 4\], \(z, x\) = \(15, 40\) m"),
        (np.inf, r"is inf at cell \[3, 4\]"),
        (0.0, r"is 0.0 m/s at cell \[3, 4\].*must be positive"),
        (-2000.0, r"is -2000.0 m/s at cell \[3, 4\]"),
        (30000.0, r"is 30000.0 m/s at cell \[3, 4\].*outside 100 to 20000"),
    ],
)
def test_a_bad_cell_is_refused_with_its_value_and_place(tmp_path, change, part):
    values = vp_2d()
    values[3, 4] = change
    np.save(tmp_path / "vp.npy", values)
    with pytest.raises(ModelError, match=part):
        load(tmp_path, vp={"path": "vp.npy", "axes": ["z", "x"], "unit": "m/s"}, spacing=[5, 10])


@pytest.mark.parametrize(
    ("unit", "part"), [("m/s", r"at most 2.\d+ m/s.*km/s"), ("g/cm3", "no unit of velocity")]
)
def test_a_unit_that_the_values_contradict_is_refused(tmp_path, unit, part):
    np.save(tmp_path / "vp.npy", vp_2d() / 1000 + 0.5)
    with pytest.raises(ValueError, match=part):
        load(tmp_path, vp={"path": "vp.npy", "axes": ["z", "x"], "unit": unit}, spacing=[5, 10])


def test_metres_per_second_under_km_per_second_are_refused(tmp_path):
    np.save(tmp_path / "vp.npy", vp_2d())
    with pytest.raises(ModelError, match=r"outside 100 to 20000 m/s"):
        load(tmp_path, vp={"path": "vp.npy", "axes": ["z", "x"], "unit": "km/s"}, spacing=[5, 10])


@pytest.mark.parametrize(
    ("parameter", "grid", "part"),
    [
        ({"path": "vp.npy", "axes": ["z", "x"]}, {"spacing": [5, 5]}, "does not say its unit"),
        ({"path": "vp.npy", "unit": "m/s"}, {"spacing": [5, 5]}, "order of its axes"),
        ({"path": "vp.npy", "unit": "m/s", "axes": ["z", "z"]}, {"spacing": [5, 5]}, "each axis"),
        ({"path": "vp.npy", "unit": "m/s", "axes": ["z", "x"]}, {}, "has no spacing"),
        (
            {"path": "vp.npy", "unit": "m/s", "axes": ["z", "x"]},
            {"spacing": [5, 5, 5]},
            "3 numbers, but the model is 2-D",
        ),
        (
            {"path": "vp.npy", "unit": "m/s", "axes": ["z", "x"]},
            {"spacing": [5, 5], "shape": [3, 3]},
            r"shape of job.yaml is \[3, 3\], but",
        ),
        ({"path": "vp.npy", "name": "vp"}, {"spacing": [5, 5]}, "'name' belongs to a Zarr"),
        ({"constant": 1500}, {"spacing": [5, 5]}, "Add shape"),
        ({"path": "vp.dat"}, {"spacing": [5, 5]}, "cannot tell what vp.dat is"),
        (
            {"path": "vp.dat", "shape": [3, 4], "dtype": "<f4", "axes": ["z", "x"], "unit": "m/s"},
            {"spacing": [5, 5]},
            "has 40 bytes, but 3 x 4 numbers of <f4 are 48 bytes",
        ),
        ({"path": "broken.npy", "unit": "m/s"}, {"spacing": [5, 5]}, "not a readable .npy"),
        ({"path": "absent.npy", "unit": "m/s"}, {"spacing": [5, 5]}, "does not exist"),
        ({"ratio": {"of": "vs", "value": 2}}, {"spacing": [5, 5], "shape": [3, 3]}, "not given"),
    ],
)
def test_what_is_not_stated_or_does_not_fit_is_refused(tmp_path, parameter, grid, part):
    np.save(tmp_path / "vp.npy", vp_2d())
    (tmp_path / "vp.dat").write_bytes(b"\0" * 40)
    (tmp_path / "broken.npy").write_bytes(b"\x93NUMPY\x01\x00")
    with pytest.raises(ValueError, match=part):
        load(tmp_path, vp=parameter, **grid)


def test_parameters_on_different_grids_are_refused(tmp_path):
    np.save(tmp_path / "vp.npy", vp_2d())
    np.save(tmp_path / "rho.npy", np.full((NZ, NX + 1), 2000.0))
    with pytest.raises(ModelError, match="differ in shape"):
        load(
            tmp_path,
            vp={"path": "vp.npy", "axes": ["z", "x"], "unit": "m/s"},
            rho={"path": "rho.npy", "axes": ["z", "x"], "unit": "kg/m3"},
            spacing=[5, 5],
        )


def test_a_model_survives_the_way_through_segy(tmp_path):
    from wavepipe.pipeline.segy.images import write_image_segy

    write_image_segy(tmp_path / "vp.sgy", vp_2d(), (5.0, 10.0), (0.0, 0.0), "vp, m/s")
    model = load(tmp_path, vp={"path": "vp.sgy"})
    np.testing.assert_allclose(model.vp, vp_2d(), rtol=1e-6)  # IBM floats keep 21 to 24 bits
    assert model.spacing == pytest.approx((5.0, 10.0))
    assert any("taken to be in m/s" in text for text in model.assumptions)


def test_marmousi_is_read_from_npy_and_raw_binary(tmp_path, data_folder):
    models = data_folder / "models"
    npy = load(
        tmp_path,
        vp={
            "path": str(models / "agl_marmousi2_vp_20m.npy"), "axes": ["z", "x"], "unit": "m/s",
        },
        spacing=[20, 20],
    )  # fmt: skip
    assert npy.shape == (176, 851)
    assert npy.vp[0, 0] == pytest.approx(1500, abs=1)
    raw = load(
        tmp_path,
        vp={
            "path": str(models / "marmousi2_elastic_20m" / "marmousi_II_marine.vp"),
            "shape": [500, 174], "dtype": "<f4", "axes": ["x", "z"], "unit": "m/s",
        },
        spacing=[20, 20],
    )  # fmt: skip
    assert raw.shape == (174, 500)
    assert raw.vp[0].tolist() == [1500.0] * 500


def test_the_origin_of_a_file_may_be_moved_and_that_is_said(tmp_path):
    from wavepipe.pipeline.segy.images import write_image_segy

    write_image_segy(tmp_path / "vp.sgy", vp_2d(), (5.0, 10.0), (0.0, 4000.0), "vp, m/s")
    model = load(tmp_path, vp={"path": "vp.sgy"}, origin=[0, 0])
    assert model.origin == (0.0, 0.0)
    assert any("replaces [0.0, 4000.0] m" in text for text in model.assumptions)


VP_NPY = {"path": "vp.npy", "axes": ["z", "x"], "unit": "m/s"}


def test_a_model_that_may_not_be_read_is_named_with_the_reason(tmp_path, monkeypatch):
    np.save(tmp_path / "vp.npy", vp_2d())
    opened = Path.open

    def refuse(self, *arguments, **options):
        if self.name == "vp.npy":
            raise PermissionError(13, "Permission denied", str(self))
        return opened(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ModelError, match=r"cannot read .*vp\.npy: Permission denied") as caught:
        load(tmp_path, vp=VP_NPY, spacing=[5, 10])
    assert "numpy.save" not in str(caught.value)


def test_npy_files_that_are_none_are_refused_without_advice_to_unpickle(tmp_path):
    (tmp_path / "vp.npy").write_text("1500 1600 1700\n")
    with pytest.raises(ModelError, match="does not start as one") as caught:
        load(tmp_path, vp=VP_NPY, spacing=[5, 10])
    assert "pickle" not in str(caught.value)
    np.save(tmp_path / "vp.npy", np.array([{}, {}], dtype=object))
    with pytest.raises(ModelError, match="it holds Python objects") as caught:
        load(tmp_path, vp=VP_NPY, spacing=[5, 10])
    assert "pickle" not in str(caught.value)
