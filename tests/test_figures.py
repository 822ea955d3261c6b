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
