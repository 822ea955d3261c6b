"""The store of results: labelled, written in parts, and opened by xarray without a warning."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from wavepipe.pipeline import results, results_gathers
from wavepipe.pipeline.earth_model import EarthModel
from wavepipe.pipeline.errors import RunFolderError
from wavepipe.pipeline.layouts import make_survey
from wavepipe.pipeline.shots import Survey
from wavepipe.pipeline.survey_components import record

NT = 50


def survey(counts: list[int], ndim: int = 2) -> Survey:
    """Shots with the given numbers of receivers."""
    random = np.random.default_rng(0)
    receivers = [random.uniform(0, 100, (count, ndim)) for count in counts]
    return make_survey(random.uniform(0, 100, (len(counts), ndim)), receivers, dt=0.004, nt=NT)


def earth(shape: tuple[int, ...] = (20, 30)) -> EarthModel:
    """A constant model."""
    ones = np.full(shape, 2000.0, np.float32)
    return EarthModel({"vp": ones}, (5.0,) * (len(shape) - 1) + (10.0,), (0.0,) * len(shape))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Where the store shall be."""
    return tmp_path / "results.zarr"


@pytest.mark.parametrize("counts", [[12, 12, 12], [9, 5, 12], [1, 40, 2]], ids=str)
def test_gathers_of_any_length_can_be_written_in_any_order_at_once(store, counts):
    shots = survey(counts)
    results.create_results(store, "model", shots, earth())
    gathers = [np.full((count, NT), i, np.float32) for i, count in enumerate(counts)]

    def write(i: int) -> None:
        results_gathers.write_gather(store, int(shots.first_trace[i]), gathers[i])

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(write, [2, 0, 1]))
    with xr.open_zarr(store) as found:
        np.testing.assert_array_equal(found.gather, np.concatenate(gathers))
        np.testing.assert_array_equal(found.shot, np.repeat([0, 1, 2], counts))
        assert found.gather.dims == ("trace", "time")
        assert found.time.attrs["units"] == "s"
        assert float(found.time[1]) == 0.004
        np.testing.assert_allclose(found.receiver_x, shots.receiver_positions[:, 1])
        np.testing.assert_allclose(found.source_z, np.repeat(shots.source_positions[:, 0], counts))
        assert found.receiver_x.attrs["units"] == "m"
        assert found.gather.attrs["units"] == "Pa"


def test_every_component_has_an_array_with_its_unit(store):
    shots = record(survey([3, 2]), ("vz", "pressure"))
    results.create_results(store, "model", shots, earth(), wavelet_unit="N")
    results_gathers.write_gather(store, 3, np.ones((2, NT)), "gather_vz")
    with xr.open_zarr(store) as found:
        assert found.sizes["trace"] == 5
        assert "gather" not in found
        units = {name: found[f"gather_{name}"].attrs["units"] for name in shots.components}
        assert units == {"vz": "m/s", "pressure": "Pa"}
        assert found.gather_vz.attrs["comment"] == "for a wavelet in N"
        np.testing.assert_array_equal(found.gather_vz[3:], 1)
        assert bool(np.isnan(found.gather_pressure).all())
        np.testing.assert_array_equal(found.shot, [0, 0, 0, 1, 1])


@pytest.mark.parametrize("shape", [(20, 30), (6, 7, 8)], ids=["2-D", "3-D"])
def test_an_image_has_its_coordinates_in_metres(store, shape):
    model = earth(shape)
    results.create_results(store, "rtm", survey([3], len(shape)), model, attributes={"note": "x"})
    results.write_grid(store, "image", np.ones(shape))
    with xr.open_zarr(store) as found:
        assert found.image.dims == model.axes
        assert found.image.dtype == np.float32
        np.testing.assert_allclose(found.x, 10.0 * np.arange(shape[-1]))
        assert {found[axis].attrs["units"] for axis in model.axes} == {"m"}
        assert float(found.image.sum()) == np.prod(shape)
        assert bool(np.isnan(found.illumination).all())  # not written yet
        assert found.image.attrs["units"] == found.illumination.attrs["units"] == "1"
        assert found.attrs["kind"] == "rtm"
        assert found.attrs["note"] == "x"


def test_iterations_are_written_one_by_one_and_cut_where_the_inversion_ended(store):
    results.create_results(store, "fwi", survey([3]), earth(), n_iterations=4)
    for i in range(3):
        results.write_iteration(
            store, i, {"vp": np.full((20, 30), 2000.0 + i)}, misfit=3.0 - i, stage=0,
            max_frequency=5.0, first_misfit=4.0,
        )  # fmt: skip
    with xr.open_zarr(store) as found:
        assert found.sizes["iteration"] == 5
    results.keep_iterations(store, 3)
    with xr.open_zarr(store) as found:
        assert found.vp.dims == ("iteration", "z", "x")
        assert found.vp[:, 0, 0].values.tolist() == [2000.0, 2001.0, 2002.0]
        assert found.misfit.values.tolist() == [3.0, 2.0, 1.0]
        assert found.first_misfit.values.tolist() == [4.0, 4.0, 4.0]
        assert found.misfit.attrs["units"] == found.first_misfit.attrs["units"] == "Pa2 s"
        assert found.vp.attrs["units"] == "m/s"


def test_every_shot_has_a_status_and_a_failure_its_reason(store):
    results.create_results(store, "rtm", survey([3, 3, 3]), earth())
    results.write_status(store, [0, 2], results.DONE)
    results.write_status(store, [1], results.FAILED, ["NaN in the data"])
    with xr.open_zarr(store) as found:
        assert found.status.values.tolist() == ["done", "failed", "done"]
        assert found.failure.values.tolist() == ["", "NaN in the data", ""]
        assert found.shots.values.tolist() == [0, 1, 2]
        assert found.label.values.tolist() == ["1", "2", "3"]


def test_a_selection_keeps_the_index_of_each_shot_in_the_survey(store):
    results.create_results(store, "model", survey([2, 3, 4]).select([0, 2]), earth())
    with xr.open_zarr(store) as found:
        assert found.shots.values.tolist() == [0, 2]
        assert found.shot.values.tolist() == [0, 0, 2, 2, 2, 2]


def test_an_existing_store_is_refused(store):
    results.create_results(store, "rtm", survey([3]), earth())
    with pytest.raises(RunFolderError, match="already exists"):
        results.create_results(store, "rtm", survey([3]), earth())


def test_shots_of_equal_length_share_no_chunk(store):
    results.create_results(store, "model", survey([12, 12, 12]), earth())
    with xr.open_zarr(store) as found:
        assert found.gather.encoding["chunks"] == (12, NT)
