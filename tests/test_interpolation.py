"""Points between the nodes: how exact they are, what a free face does, and what is refused."""

import time

import numpy as np
import pytest

from wavepipe.propagators.errors import GeometryError
from wavepipe.propagators.interpolation import PointWeights, check_positions, point_weights

NAN = float("nan")


def dense(points: PointWeights, shape: tuple[int, ...], margin: int = 0) -> np.ndarray:
    """One grid of weights per point, with `margin` cells around the model; entries added."""
    grid = np.zeros((len(points.rowptr) - 1, *(n + 2 * margin for n in shape)))
    owner = np.repeat(np.arange(len(grid)), np.diff(points.rowptr))
    np.add.at(grid, (owner, *(points.cells.T + margin)), points.weights)
    return grid


def read(points: PointWeights, field: np.ndarray) -> np.ndarray:
    """The field at the points."""
    values = field[tuple(points.cells.T)] * points.weights
    return np.add.reduceat(np.append(values, 0), points.rowptr[:-1])


def largest_error(points_per_wavelength: float, ndim: int, seed: int = 0) -> float:
    """Largest error of reading unit plane waves of any direction, at 500 random points."""
    rng = np.random.default_rng(seed)
    shape = (24, 26, 25)[:ndim]
    spacing = np.array((5.0, 7.0, 6.0)[:ndim])
    cells = rng.uniform(5, 18, (500, ndim))
    points = point_weights(cells * spacing, spacing, shape)
    index = np.indices(shape)
    worst = 0.0
    for _ in range(25):
        direction = rng.standard_normal(ndim)
        k = 2 * np.pi / points_per_wavelength * direction / np.linalg.norm(direction)
        field = np.exp(1j * np.tensordot(k, index, axes=1))
        worst = max(worst, np.abs(read(points, field) - np.exp(1j * cells @ k)).max())
    return worst


@pytest.mark.parametrize("ndim", [2, 3])
def test_waves_of_five_points_a_wavelength_are_read_to_half_a_percent(ndim: int) -> None:
    # 7.1e-4 per axis, so three axes stay far below the 5e-3 that is promised.
    assert largest_error(5.0, ndim) < 2.2e-3


@pytest.mark.parametrize("ndim", [2, 3])
def test_longer_waves_are_read_better(ndim: int) -> None:
    assert largest_error(8.0, ndim) < 1.6e-3
    assert largest_error(20.0, ndim) < 8e-4
    assert largest_error(100.0, ndim) < 4e-5


def test_the_window_is_the_best_of_its_family() -> None:
    """Neighbouring shapes of the window have a larger error at 5 points a wavelength and more."""
    from wavepipe.propagators import interpolation

    fractions = np.linspace(0.01, 0.99, 33)[:, None]
    k = np.linspace(0.0, 2 * np.pi / 5, 60)
    offsets = np.arange(-3, 5)

    def error(beta: float) -> float:
        distance = offsets - fractions
        taps = np.sinc(distance) * np.i0(beta * np.sqrt(1 - (distance / 4) ** 2))
        taps /= taps.sum(axis=1, keepdims=True)
        return float(
            np.abs(
                np.einsum("xj,kxj->kx", taps, np.exp(1j * k[:, None, None] * distance)) - 1
            ).max()
        )

    best = interpolation.KAISER_BETA
    assert error(best) < 7.2e-4
    assert error(best) < min(error(best - 0.1), error(best + 0.1))


def test_a_point_on_a_node_is_that_node_alone() -> None:
    points = point_weights([[30.0, 50.0], [30.0005, 49.9995]], (10, 10), (9, 9))
    np.testing.assert_array_equal(points.cells, [[3, 5], [3, 5]])
    np.testing.assert_array_equal(points.weights, [1.0, 1.0])


def test_each_axis_is_exact_on_its_own() -> None:
    points = point_weights([[30.0, 52.5, 40.0]], (10, 5, 20), (9, 30, 9))
    np.testing.assert_array_equal(np.unique(points.cells[:, 0]), [3])
    np.testing.assert_array_equal(np.unique(points.cells[:, 2]), [2])
    np.testing.assert_array_equal(points.cells[:, 1], np.arange(7, 15))
    # Half-way between nodes the weights are symmetric.
    np.testing.assert_allclose(points.weights, points.weights[::-1], rtol=1e-13)


def test_weights_sum_to_one_and_are_continuous_at_a_node() -> None:
    x = np.linspace(80.0, 120.0, 41)
    points = point_weights(np.stack([x, x + 1.7], axis=1), (10, 10), (30, 30))
    np.testing.assert_allclose(dense(points, (30, 30)).sum(axis=(1, 2)), 1.0, atol=1e-14)
    near, on = dense(
        point_weights([[100.002, 100.0], [100.0, 100.0]], (10, 10), (30, 30)), (30, 30)
    )
    # 2e-4 of a cell off the node moves a weight by about as much.
    assert np.abs(near - on).max() < 4e-4


def test_a_point_just_outside_counts_as_on_the_edge() -> None:
    points = point_weights([[-0.0009, 80.0009]], (10, 10), (9, 9))
    np.testing.assert_array_equal(points.cells, [[0, 8]])


def test_absent_points_have_no_entries() -> None:
    points = point_weights([[NAN, NAN], [20.0, 20.0], [NAN, NAN]], (10, 10), (9, 9))
    np.testing.assert_array_equal(points.rowptr, [0, 0, 1, 1])
    assert points.rowptr.dtype == np.int64
    assert points.cells.dtype == np.int32
    none = point_weights(np.empty((0, 2)), (10, 10), (9, 9))
    np.testing.assert_array_equal(none.rowptr, [0])
    assert none.cells.shape == (0, 2)


def test_stencils_reach_into_the_margin_and_are_cut_beyond_it() -> None:
    place = [[5.0, 75.0]]
    whole = dense(point_weights(place, (10, 10), (9, 9), margin=[(20, 20)] * 2), (9, 9), 20)[0]
    cut = dense(point_weights(place, (10, 10), (9, 9), margin=[(1, 20), (0, 2)]), (9, 9), 20)[0]
    assert whole.sum() == pytest.approx(1.0, abs=1e-14)
    expected = whole.copy()
    expected[:19] = 0.0
    expected[:, 31:] = 0.0
    np.testing.assert_array_equal(cut, expected)


@pytest.mark.parametrize("face", ["z0", "z1", "x0", "x1"])
@pytest.mark.parametrize("depth", [0.3, 1.0, 1.5, 2.9])
def test_a_free_face_mirrors_with_the_opposite_sign(face: str, depth: float) -> None:
    """Folding reads an odd field as if its mirror image were there."""
    shape, h = (16, 18), 10.0
    axis = "zx".index(face[0])
    last = shape[axis] - 1
    cells = np.array([8.3, 9.6])
    cells[axis] = depth if face[1] == "0" else last - depth
    folded = point_weights([cells * h], (h, h), shape, free_surface=(face,), margin=[(20, 20)] * 2)
    plain = point_weights([cells * h], (h, h), shape, margin=[(20, 20)] * 2)
    rng = np.random.default_rng(7)
    field = rng.standard_normal((shape[0] + 40, shape[1] + 40))
    row = 20 if face[1] == "0" else 20 + last
    field = np.moveaxis(field, axis, 0)
    mirror = 2 * row - np.arange(len(field))
    inside = (mirror >= 0) & (mirror < len(field))
    odd = np.zeros_like(field)
    odd[inside] = field[inside] - field[mirror[inside]]
    odd = np.moveaxis(odd, 0, axis)
    expected = (dense(plain, shape, 20)[0] * odd).sum()
    assert (dense(folded, shape, 20)[0] * odd).sum() == pytest.approx(expected, rel=1e-12)
    along = folded.cells[:, axis]
    assert along.min() > 0 if face[1] == "0" else along.max() < last


def test_each_node_appears_once_after_folding() -> None:
    rng = np.random.default_rng(8)
    cells = np.concatenate([rng.uniform(0, 4, (50, 2)), rng.uniform(3, 7, (50, 2))])
    points = point_weights(cells * 10, (10, 10), (8, 8), free_surface=("z0", "x0", "x1"))
    for i in range(100):
        nodes = points.cells[points.rowptr[i] : points.rowptr[i + 1]]
        assert len(np.unique(nodes, axis=0)) == len(nodes)
        assert nodes.min() >= 0
        assert nodes.max() <= 7


@pytest.mark.parametrize("n", [2, 3, 5, 9])
def test_a_model_thinner_than_the_stencil_between_two_free_faces(n: int) -> None:
    """The longest standing wave that fits between the faces is read."""
    cells = np.linspace(0.0, n - 1.0, 23)
    places = np.stack([cells * 10, np.full(23, 20.0)], axis=1)
    points = point_weights(places, (10, 10), (n, 5), free_surface=("z0", "z1"))
    mode = np.sin(np.pi * np.arange(n) / (n - 1))
    field = np.repeat(mode[:, None], 5, axis=1)
    counts = np.diff(points.rowptr)
    values = np.zeros(23)
    values[counts > 0] = [
        points.weights[a:b] @ field[tuple(points.cells[a:b].T)]
        for a, b in zip(points.rowptr[:-1], points.rowptr[1:], strict=True)
        if b > a
    ]
    # 2 (n - 1) points a wavelength: from 5 on the error is the interpolation's own.
    error = np.abs(values - np.sin(np.pi * cells / (n - 1))).max()
    assert error < (1e-3 if 2 * (n - 1) >= 5 else 0.2 if n == 3 else 1.1)


def test_a_receiver_on_a_free_face_hears_nothing() -> None:
    points = point_weights([[0.0, 33.0]], (10, 10), (9, 9), free_surface=("z0",))
    np.testing.assert_array_equal(points.rowptr, [0, 0])


def test_many_points_are_spread_quickly() -> None:
    rng = np.random.default_rng(9)
    places = rng.uniform(0, 1, (20_000, 3)) * [500.0, 900.0, 900.0]
    started = time.perf_counter()
    points = point_weights(places, (5.0, 5.0, 5.0), (101, 181, 181), margin=[(20, 20)] * 3)
    assert time.perf_counter() - started < 2.0  # 0.1 s on an idle core
    assert len(points.weights) > 0.99 * 20_000 * 512  # but for the few that lie on a node


class TestRefusedPositions:
    spacing, shape = (10.0, 10.0), (11, 21)

    def check(self, positions: object, what: str = "receiver", free: tuple[str, ...] = ()) -> None:
        check_positions(np.asarray(positions), self.spacing, self.shape, what, free)

    def test_positions_inside_and_absent_receivers_pass(self) -> None:
        self.check(
            [[[0.0, 0.0], [100.0, 200.0], [NAN, NAN]], [[100.0009, -0.0009], [5, 5], [1, 2]]]
        )
        self.check([[[0.0, 50.0]]], "receiver", ("z0",))
        self.check([[[10.0, 50.0]]], "source", ("z0",))

    def test_a_position_outside_is_named_with_the_models_extent(self) -> None:
        expected = (
            r"Shot 1: receiver 2 at \(z, x\) = \(50, 200\.5\) m is outside the model, which spans "
            r"z 0 \.\.\. 100 m, x 0 \.\.\. 200 m"
        )
        with pytest.raises(GeometryError, match=expected):
            self.check([[[0.0, 0.0]] * 3, [[0.0, 0.0], [5.0, 5.0], [50.0, 200.5]]])

    @pytest.mark.parametrize("value", [-0.0011, 100.0011, float("inf"), float("-inf")])
    def test_the_edges_tolerance_is_a_ten_thousandth_of_a_cell(self, value: float) -> None:
        with pytest.raises(GeometryError, match="outside the model"):
            self.check([[[value, 5.0]]])

    def test_several_offenders_are_counted(self) -> None:
        with pytest.raises(GeometryError, match=r"2 more like it"):
            self.check([[[-5.0, 0.0]] * 3])

    def test_a_partly_absent_position_is_refused(self) -> None:
        with pytest.raises(GeometryError, match=r"Shot 0: receiver 1 .* partly NaN"):
            self.check([[[0.0, 0.0], [NAN, 5.0]]])

    def test_an_absent_source_is_refused(self) -> None:
        with pytest.raises(
            GeometryError, match=r"Shot 0: source 0 .* Only receivers may be absent"
        ):
            self.check([[[NAN, NAN]]], "source")

    @pytest.mark.parametrize(("face", "place"), [("z0", (0.0, 5.0)), ("x1", (5.0, 200.0))])
    def test_a_source_on_a_free_face_is_refused(
        self, face: str, place: tuple[float, float]
    ) -> None:
        with pytest.raises(GeometryError, match=f"on the free surface {face}"):
            self.check([[place]], "source", ("z0", "x1"))

    def test_positions_of_the_wrong_dimension_are_refused(self) -> None:
        with pytest.raises(GeometryError, match=r"\(n_shots, n_receivers, 2\)"):
            self.check([[[1.0, 2.0, 3.0]]])

    def test_three_dimensions_have_three_letters(self) -> None:
        with pytest.raises(GeometryError, match=r"\(z, y, x\) = \(0, -9, 0\)"):
            check_positions([[[0.0, -9.0, 0.0]]], (1, 1, 1), (5, 5, 5), "source")
