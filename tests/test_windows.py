"""Aperture windows: where they lie, and which faces absorb inside the model."""

import numpy as np
import pytest

from wavepipe.pipeline.windows import GRANULE, Window, face_widths, shot_window

WIDTHS = face_widths(2, 10)


def test_a_window_holds_its_points_aperture_and_layers():
    points = np.array([[20.0, 3000.0], [10.0, 2500.0], [10.0, 3500.0]])
    window = shot_window(points, (50, 1000), (10.0, 10.0), 500.0, WIDTHS)
    assert window.inside == ("x0", "x1")
    assert (window.start[0], window.stop[0]) == (0, 50)
    # 2500 - 500 m is cell 200, less 10 cells of layer
    assert window.start[1] == 190
    # the last cell of 3500 + 500 m is 400; widened by up to a granule, then 10 cells of layer
    assert 401 + 10 <= window.stop[1] < 401 + 10 + GRANULE
    assert np.allclose(window.shift(points, (10.0, 10.0))[:, 1], points[:, 1] - 1900.0)


@pytest.mark.parametrize(
    ("x", "inside"),
    [(100.0, ("x1",)), (5000.0, ("x0", "x1")), (9900.0, ("x0",)), (550.0, ("x1",))],
    ids=["left edge", "middle", "right edge", "layer would stick out"],
)
def test_faces_are_inside_only_where_the_layer_fits_in_the_model(x, inside):
    window = shot_window(np.array([[10.0, x]]), (50, 1000), (10.0, 10.0), 500.0, WIDTHS)
    assert window.inside == inside
    assert window.start[1] >= 0
    assert window.stop[1] <= 1000


def test_shots_of_a_moving_spread_share_a_shape():
    spread = np.arange(40) * 12.5
    shapes = {
        shot_window(
            np.column_stack([np.full(40, 10.0), x + spread]),
            (50, 2000),
            (10.0, 10.0),
            300.0,
            WIDTHS,
        ).shape
        for x in np.arange(5000.0, 8000.0, 37.5)
    }
    # spreads that straddle one more cell may need one more granule
    assert len(shapes) <= 2


def test_no_aperture_is_the_whole_model():
    window = shot_window(np.array([[0.0, 0.0]]), (50, 100), (10.0, 10.0), None, WIDTHS)
    assert window == Window((0, 0), (50, 100))


def test_a_window_in_three_dimensions_is_cut_along_both_horizontal_axes():
    window = shot_window(
        np.array([[10.0, 500.0, 800.0], [10.0, np.nan, np.nan], [10.0, 520.0, 900.0]]),
        (20, 100, 200),
        (10.0, 10.0, 10.0),
        100.0,
        face_widths(3, 5),
    )
    assert window.inside == ("y0", "y1", "x0", "x1")
    assert window.shape[0] == 20
    assert window.start[1:] == (35, 65)


def test_the_union_of_windows_holds_both():
    left, right = Window((0, 5), (10, 20), ("x1",)), Window((0, 15), (10, 40), ("x0",))
    union = left.union(right)
    assert union == Window((0, 5), (10, 40))
    assert right.within(union) == (slice(0, 10), slice(10, 35))
