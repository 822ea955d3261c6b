"""Points between the nodes: how exact they are, what a free face does, and what is refused."""

import time

import numpy as np
import pytest

from wavepipe.propagators.errors import GeometryError
from wavepipe.propagators.interpolation import (
    PointWeights,
    check_positions,
    divided_by_norm,
    point_weights,
)
from wavepipe.propagators.stencil.one_sided import interior, one_sided

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
    folded = point_weights([cells * h], (h, h), shape, faces={face: "odd"}, margin=[(20, 20)] * 2)
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
    points = point_weights(
        cells * 10, (10, 10), (8, 8), faces=dict.fromkeys(("z0", "x0", "x1"), "odd")
    )
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
    points = point_weights(places, (10, 10), (n, 5), faces={"z0": "odd", "z1": "odd"})
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
    points = point_weights([[0.0, 33.0]], (10, 10), (9, 9), faces={"z0": "odd"})
    np.testing.assert_array_equal(points.rowptr, [0, 0])


def test_many_points_are_spread_quickly() -> None:
    rng = np.random.default_rng(9)
    places = rng.uniform(0, 1, (20_000, 3)) * [500.0, 900.0, 900.0]
    started = time.perf_counter()
    points = point_weights(places, (5.0, 5.0, 5.0), (101, 181, 181), margin=[(20, 20)] * 3)
    assert time.perf_counter() - started < 2.0  # 0.1 s on an idle core
    assert len(points.weights) > 0.99 * 20_000 * 512  # but for the few that lie on a node


class TestStaggeredComponents:
    def test_a_point_on_the_components_own_node_is_that_node_alone(self) -> None:
        points = point_weights([[35.0, 50.0], [0.0, 50.0]], (10, 10), (9, 9), half=[0])
        np.testing.assert_array_equal(points.cells[0], [3, 5])
        assert points.weights[0] == 1.0
        assert points.rowptr[1] == 1
        assert len(points.weights) > 2  # the edge of the model is between two half points

    def test_plane_waves_are_read_as_on_nodes(self) -> None:
        rng = np.random.default_rng(3)
        cells = rng.uniform(5, 18, (300, 2))
        points = point_weights(cells, (1, 1), (24, 24), half=[0])
        z, x = np.indices((24, 24))
        k = 2 * np.pi / 5 * np.array([0.6, 0.8])
        field = np.exp(1j * (k[0] * (z + 0.5) + k[1] * x))
        assert np.abs(read(points, field) - np.exp(1j * cells @ k)).max() < 1.5e-3

    def test_without_a_free_face_the_half_point_beyond_the_model_is_used(self) -> None:
        points = point_weights([[80.0, 40.0]], (10, 10), (9, 9), half=[0], margin=[(0, 2), (0, 0)])
        assert points.cells[:, 0].max() == 10
        none = point_weights([[80.0, 40.0]], (10, 10), (9, 9), half=[0])
        assert none.cells[:, 0].max() == 8

    @pytest.mark.parametrize("kind", ["odd", "even"])
    @pytest.mark.parametrize("half", [False, True])
    @pytest.mark.parametrize("face", ["z0", "z1"])
    def test_mirror_images_are_read(self, face: str, half: bool, kind: str) -> None:
        """A sine or cosine about the face, five points a wavelength, at all depths."""
        n = 24
        z = np.linspace(0.0, 6.0, 49)
        place = z if face == "z0" else n - 1 - z
        wave = np.sin if kind == "odd" else np.cos
        points = point_weights(
            np.stack([place, np.full(49, 3.0)], axis=1),
            (1, 1),
            (n, 7),
            half=[0] if half else [],
            faces={face: kind},
            margin=[(9, 9), (0, 0)],
        )
        rows = np.arange(n) + 0.5 * half
        field = wave(2 * np.pi / 5 * (rows if face == "z0" else n - 1 - rows))
        values = np.zeros(49)
        owner = np.repeat(np.arange(49), np.diff(points.rowptr))
        np.add.at(values, owner, field[points.cells[:, 0]] * points.weights)
        assert np.abs(values - wave(2 * np.pi / 5 * z)).max() < 1.5e-3
        assert points.cells[:, 0].min() >= 0
        assert points.cells[:, 0].max() <= n - 1 - half

    def test_even_images_between_two_faces(self) -> None:
        for n in (2, 3):
            points = point_weights(
                [[0.7, 1.0]], (1, 1), (n, 3), half=[0], faces={"z0": "even", "z1": "even"}
            )
            assert points.weights.sum() == pytest.approx(1.0)
            assert set(points.cells[:, 0]) == set(range(n - 1))


class TestOneSidedFaces:
    n = 30

    def values(
        self, field: np.ndarray, z: np.ndarray, half: bool, kind: str = "one-sided"
    ) -> np.ndarray:
        """Read a field of rows 0 ... n - 1 at depths z below z0, and turned round, below z1."""
        found = []
        for face in ("z0", "z1"):
            place = z if face == "z0" else self.n - 1 - z
            points = point_weights(
                np.stack([place, np.full(len(z), 3.0)], axis=1),
                (1, 1),
                (self.n, 7),
                half=[0] if half else [],
                faces={face: kind},
                margin=[(9, 9), (0, 0)],
            )
            rows = points.cells[:, 0]
            rows = rows if face == "z0" else self.n - 1 - half - rows
            assert rows.min() >= int(kind != "one-sided" and not half)
            owner = np.repeat(np.arange(len(z)), np.diff(points.rowptr))
            values = np.zeros(len(z), dtype=field.dtype)
            np.add.at(values, owner, field[rows] * points.weights)
            found.append(values)
        np.testing.assert_allclose(found[0], found[1], atol=1e-9)
        return found[0]

    @pytest.mark.parametrize("half", [False, True])
    def test_cubics_are_exact_and_rows_are_themselves(self, half: bool) -> None:
        z = np.linspace(0.0, 2.9, 30)
        rows = np.arange(self.n) + 0.5 * half
        for m in range(4):
            np.testing.assert_allclose(self.values(rows**m, z, half), z**m, atol=1e-8)
        noise = np.random.default_rng(1).standard_normal(self.n)
        np.testing.assert_array_equal(self.values(noise, rows[:8], half), noise[:8])
        # And next to a row, nearly that row: no jump.
        np.testing.assert_allclose(self.values(noise, rows[:3] + 2e-4, half), noise[:3], atol=5e-3)

    @pytest.mark.parametrize(
        ("half", "kind", "shallowest", "bounds"),
        [
            (False, "one-sided", 0.0, (0.037, 0.0020, 0.005, 0.003)),
            (True, "one-sided", 0.5, (0.031, 0.0015, 0.004, 0.002)),
            (True, "one-sided", 0.25, (0.091, 0.0036, 0.012, 0.006)),
            (True, "one-sided", 0.0, (0.29, 0.0115, 0.036, 0.020)),
            (False, "inside", 1.0, (0.028, 0.0015, 0.0035, 0.002)),
            (False, "inside", 0.5, (0.25, 0.0095, 0.030, 0.017)),
        ],
    )
    def test_plane_waves_near_the_surface(
        self, half: bool, kind: str, shallowest: float, bounds: tuple[float, ...]
    ) -> None:
        """At 5, 6, 8 and 10 points a wavelength."""
        z = np.linspace(shallowest, 6.0, 60)
        rows = np.arange(self.n) + 0.5 * half
        for points, bound in zip((5, 6, 8, 10), bounds, strict=True):
            k = 2 * np.pi / points
            values = self.values(np.exp(1j * k * rows), z, half, kind)
            assert np.abs(values - np.exp(1j * k * z)).max() < bound

    def test_a_field_that_vanishes_on_the_face_is_read_well(self) -> None:
        z = np.linspace(0.02, 6.0, 60)
        field = np.sin(2 * np.pi / 8 * np.arange(self.n))
        values = self.values(field, z, False, "one-sided")
        assert np.abs(values - np.sin(2 * np.pi / 8 * z)).max() < 3e-3

    def test_weights_stay_moderate(self) -> None:
        z = np.linspace(0.0, 6.0, 121)
        place = np.stack([z, np.full(121, 3.0)], axis=1)
        for half, limit in (([], 4.0), ([0], 20.0)):
            points = point_weights(place, (1, 1), (self.n, 7), half=half, faces={"z0": "one-sided"})
            size = np.add.reduceat(np.abs(points.weights), points.rowptr[:-1])
            assert size.max() < limit

    @pytest.mark.parametrize("n", [2, 3, 6])
    def test_a_thin_model_uses_the_rows_it_has(self, n: int) -> None:
        for half in ([], [0]):
            points = point_weights(
                [[0.3, 3.0], [n - 1.2, 3.0]],
                (1, 1),
                (n, 7),
                half=half,
                faces={"z0": "one-sided", "z1": "one-sided"},
            )
            assert points.cells[:, 0].min() >= 0
            assert points.cells[:, 0].max() <= n - 1 - len(half)
            sums = np.add.reduceat(points.weights, points.rowptr[:-1])
            np.testing.assert_allclose(sums, 1.0, atol=1e-9)

    @pytest.mark.parametrize("order", [2, 4, 6, 8])
    @pytest.mark.parametrize("half", [False, True])
    def test_a_force_has_its_strength_wherever_it_is(self, order: int, half: bool) -> None:
        """A bar, free at z = 0 and held at its end: the load passes on unchanged, and reciprocally.

        Displacement at z of a unit force at z' is L - max(z, z'); nearer than a stencil to the
        force the kink is smoothed.
        """
        n = 40
        closure = one_sided(order)
        d = interior(order, n, n + half)
        d[: closure.plus.shape[0], : closure.plus.shape[1]] = closure.plus
        g = -interior(order, n, n + half).T
        g[: closure.minus.shape[0], : closure.minus.shape[1]] = closure.minus
        # Displacement on nodes, or on half points with stress on nodes, zero on the face.
        inside = np.diag((np.arange(n + half) > 0) * 1.0)
        stiffness = -d @ inside @ g if half else -g @ d
        options = {"half": [0] if half else [], "faces": {"z0": "one-sided"}}
        z = np.array([0.1, 0.25, 0.8, 1.3, 2.6, 4.4, 18.0])
        place = np.stack([z, np.zeros(len(z))], axis=1)
        shape = (n, 1)
        receivers = point_weights(place, (1, 1), shape, **options)
        sources = divided_by_norm(receivers, shape, order, **options)
        green = dense(receivers, shape)[..., 0] @ np.linalg.solve(
            stiffness, dense(sources, shape)[..., 0].T
        )
        np.testing.assert_allclose(green, green.T, rtol=1e-10)
        np.testing.assert_allclose(green[-1, :-1], green[-1, 0], rtol=1e-8)
        assert green[-1, 0] == pytest.approx(n + 0.5 * half - 18.0, abs=0.2)


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
