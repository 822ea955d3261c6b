"""Figures are written whole, for 2-D and 3-D, and for data that are all zero."""

import numpy as np
import pytest

from wavepipe.pipeline import figures
from wavepipe.pipeline.earth_model import EarthModel
from wavepipe.pipeline.layouts import make_survey


@pytest.mark.parametrize("shape", [(12, 30), (6, 12, 10)], ids=["2-D", "3-D"])
def test_every_figure_is_drawn(tmp_path, shape):
    random = np.random.default_rng(0)
    ndim = len(shape)
    model = EarthModel(
        {"vp": random.uniform(1500, 3000, shape).astype(np.float32)}, (10.0,) * ndim, (0.0,) * ndim
    )
    shots = make_survey(
        np.full((2, ndim), 20.0), [random.uniform(0, 90, (8, ndim))] * 2, dt=0.004, nt=40
    )
    figures.plot_model(tmp_path / "vp.png", model.vp, model)
    figures.plot_image(tmp_path / "image.png", random.standard_normal(shape), model)
    figures.plot_image(tmp_path / "illumination.png", model.vp, model)
    figures.plot_geometry(tmp_path / "geometry.png", model, shots)
    figures.plot_gather(tmp_path / "gather.png", shots, 1, random.standard_normal((8, 40)))
    figures.plot_convergence(tmp_path / "convergence.png", [2, 1, np.nan, 3, 2], [0, 0, 0, 1, 1])
    names = ["convergence", "gather", "geometry", "illumination", "image", "vp"]
    assert sorted(path.stem for path in tmp_path.iterdir()) == names
    for path in tmp_path.iterdir():
        assert path.read_bytes().startswith(b"\x89PNG")


def test_zeros_and_one_receiver_are_drawn(tmp_path):
    model = EarthModel({"vp": np.full((5, 6), 1500.0, np.float32)}, (10.0, 10.0), (0.0, 0.0))
    shots = make_survey(np.zeros((1, 2)), [np.zeros((1, 2))], dt=0.004, nt=40)
    figures.plot_model(tmp_path / "vp.png", model.vp, model)
    figures.plot_image(tmp_path / "image.png", np.zeros((5, 6)), model)
    figures.plot_gather(tmp_path / "gather.png", shots, 0, np.zeros((1, 40)))
    figures.plot_geometry(tmp_path / "geometry.png", model, shots)
    figures.plot_convergence(tmp_path / "convergence.png", [])
    assert len(list(tmp_path.iterdir())) == 5


@pytest.fixture
def drawn(monkeypatch):
    """Every figure that is saved, by the name of its file."""
    from matplotlib.figure import Figure

    found = {}
    save = Figure.savefig

    def keep(self, path, **options):
        found[path.name.split(".")[0]] = self
        save(self, path, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    return found


def test_each_stage_is_relative_to_where_it_started(tmp_path, drawn):
    figures.plot_convergence(
        tmp_path / "convergence.png", [10, 8, 6, 20, 12], [0, 0, 0, 1, 1],
        first_misfit=[10, 10, 10, 25, 25],
    )  # fmt: skip
    first, second = drawn["convergence"].axes[0].lines
    np.testing.assert_allclose(first.get_ydata(), [1.0, 0.8, 0.6])
    assert second.get_xdata().tolist() == [2, 3, 4]
    np.testing.assert_allclose(second.get_ydata(), [1.0, 0.8, 0.48])


def test_maps_of_model_and_survey_have_y_up(tmp_path, drawn):
    model = EarthModel({"vp": np.full((4, 6, 8), 1500.0, np.float32)}, (10.0,) * 3, (0.0,) * 3)
    shots = make_survey(np.full((1, 3), 20.0), [np.full((1, 3), 30.0)], dt=0.004, nt=40)
    figures.plot_model(tmp_path / "vp.png", model.vp, model)
    figures.plot_geometry(tmp_path / "geometry.png", model, shots)
    top, *sections = drawn["vp"].axes[:3]
    assert not top.yaxis_inverted()
    assert all(axes.yaxis_inverted() for axes in sections)
    assert not drawn["geometry"].axes[0].yaxis_inverted()
    # The map's first row is that of the smallest y.
    assert top.images[0].origin == "lower"
    assert top.images[0].get_extent()[2] < top.images[0].get_extent()[3]


def test_one_value_has_colours_of_its_own_scale(tmp_path, drawn):
    model = EarthModel({"vp": np.full((5, 6), 2000.0, np.float32)}, (10.0, 10.0), (0.0, 0.0))
    figures.plot_model(tmp_path / "vp.png", model.vp, model)
    np.testing.assert_allclose(drawn["vp"].axes[0].images[0].get_clim(), (1900.0, 2100.0))


def test_an_image_is_named_with_its_run_and_says_where_it_is_clipped(tmp_path, drawn):
    model = EarthModel({"vp": np.full((5, 6), 2000.0, np.float32)}, (10.0, 10.0), (0.0, 0.0))
    values = np.random.default_rng(0).standard_normal((5, 6))
    figures.plot_image(tmp_path / "line7" / "figures" / "image.png", values, model)
    axes, bar = drawn["image"].axes
    assert axes.get_title(loc="left") == "RTM image, run line7"
    assert bar.get_ylabel() == "amplitude (clip: percentile 98)"
