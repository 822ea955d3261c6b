"""Optimizers on functions whose minimum is known."""

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest

from wavepipe.pipeline.line_search import LineSearch, Point
from wavepipe.pipeline.optimizers import Adam, Lbfgs, Problem, SteepestDescent


def rosenbrock(vector):
    x, y = vector
    value = (1 - x) ** 2 + 100 * (y - x**2) ** 2
    gradient = np.array([-2 * (1 - x) - 400 * x * (y - x**2), 200 * (y - x**2)])
    return Point(vector, float(value), gradient)


def quadratic(matrix, centre):
    def evaluate(vector):
        residual = vector - centre
        return Point(vector, 0.5 * float(residual @ matrix @ residual), matrix @ residual)

    return evaluate


def hilly(n, seed):
    """A positive definite matrix with condition number 1e3, and the place of the minimum."""
    rng = np.random.default_rng(seed)
    directions, _ = np.linalg.qr(rng.standard_normal((n, n)))
    return directions @ np.diag(np.geomspace(1.0, 1e3, n)) @ directions.T, rng.standard_normal(n)


def run(optimizer, evaluate, start, iterations, project=lambda x: x, precondition=lambda x: x):
    point = evaluate(np.asarray(start, dtype=float))
    misfits = [point.misfit]
    problem = Problem(evaluate, project, precondition)
    for _ in range(iterations):
        update = optimizer.update(point, problem)
        point = update.point or evaluate(update.vector)
        misfits.append(point.misfit)
        if update.converged:
            break
    return point, misfits


def test_lbfgs_finds_the_minimum_of_rosenbrock():
    point, misfits = run(Lbfgs(first_step=0.1), rosenbrock, [-1.2, 1.0], 60)
    np.testing.assert_allclose(point.vector, [1.0, 1.0], atol=1e-5)
    assert all(b <= a for a, b in itertools.pairwise(misfits))


def test_lbfgs_is_far_faster_than_steepest_descent_on_a_long_valley():
    matrix, centre = hilly(30, seed=1)
    evaluate = quadratic(matrix, centre)
    _, fast = run(Lbfgs(first_step=0.1), evaluate, np.zeros(30), 40)
    _, slow = run(SteepestDescent(0.05), evaluate, np.zeros(30), 40)
    assert fast[-1] < 1e-4 * fast[0]
    assert fast[-1] < 1e-2 * slow[-1]


def test_lbfgs_uses_the_preconditioner_as_its_first_hessian():
    """With the exact inverse Hessian, the second iteration is Newton's and ends at the minimum."""
    matrix, centre = hilly(20, seed=2)
    inverse = np.linalg.inv(matrix)
    _, misfits = run(
        Lbfgs(first_step=0.1),
        quadratic(matrix, centre),
        np.zeros(20),
        3,
        precondition=lambda v: inverse @ v,
    )
    assert misfits[-1] < 1e-12 * misfits[0]


def test_lbfgs_ends_on_the_bounds_where_the_minimum_lies_outside():
    evaluate = quadratic(np.diag([1.0, 10.0, 100.0]), np.array([5.0, -3.0, 0.2]))

    def project(vector):
        return np.clip(vector, -1.0, 1.0)

    point, _ = run(Lbfgs(first_step=0.1), evaluate, np.zeros(3), 30, project)
    np.testing.assert_allclose(point.vector, [1.0, -1.0, 0.2], atol=1e-6)


def test_lbfgs_keeps_no_more_pairs_than_its_memory():
    matrix, centre = hilly(10, seed=3)
    optimizer = Lbfgs(memory=3, first_step=0.1)
    run(optimizer, quadratic(matrix, centre), np.zeros(10), 8)
    assert len(optimizer._pairs) == 3


def test_lbfgs_says_when_no_step_lowers_the_misfit():
    optimizer = Lbfgs(first_step=0.1)
    point = Point(np.zeros(2), 1.0, np.array([1.0, 0.0]))

    def evaluate(vector):
        return Point(vector, 2.0, np.array([1.0, 0.0]))

    update = optimizer.update(point, Problem(evaluate, lambda x: x, lambda x: x))
    assert update.converged
    assert np.array_equal(update.vector, point.vector)


@pytest.mark.parametrize("first_step", [1e-3, 1.0, 50.0])
def test_the_line_search_meets_the_wolfe_conditions_from_any_first_step(first_step):
    evaluate = quadratic(np.diag([1.0, 4.0]), np.array([2.0, 1.0]))
    start = evaluate(np.zeros(2))
    search = LineSearch(max_evaluations=20)
    found = search(start, -start.gradient, first_step, evaluate, lambda x: x)
    change = found.vector - start.vector
    slope = float(start.gradient @ change)
    assert found.misfit <= start.misfit + search.decrease * slope
    assert float(found.gradient @ change) >= search.curvature * slope


def test_the_line_search_steps_back_from_a_misfit_that_is_not_a_number():
    evaluate = quadratic(np.eye(2), np.array([1.0, 0.0]))

    def fragile(vector):
        point = evaluate(vector)
        return point if vector[0] < 3 else Point(vector, float("nan"), np.full(2, np.nan))

    start = fragile(np.zeros(2))
    found = LineSearch()(start, -start.gradient, 20.0, fragile, lambda x: x)
    assert found.misfit < start.misfit


def test_steepest_descent_changes_no_element_by_more_than_its_step():
    evaluate = quadratic(np.diag([1.0, 5.0]), np.array([300.0, 400.0]))
    start = evaluate(np.zeros(2))
    update = SteepestDescent(20.0).update(start, Problem(evaluate, lambda x: x, lambda x: x))
    assert np.abs(update.vector).max() == pytest.approx(20.0)
    assert np.all(update.vector >= 0.0)


def test_adam_takes_its_step_whatever_the_unit_of_the_misfit():
    steps = []
    for unit in (1e-12, 1.0, 1e12):
        evaluate = quadratic(unit * np.diag([1.0, 3.0]), np.array([100.0, 100.0]))
        update = Adam(20.0).update(
            evaluate(np.zeros(2)), Problem(evaluate, lambda x: x, lambda x: x)
        )
        steps.append(update.vector)
    np.testing.assert_allclose(steps[0], steps[1])
    np.testing.assert_allclose(steps[2], steps[1])
    # The first step of Adam has the sign of the gradient and the size of the step length.
    np.testing.assert_allclose(steps[1], 20.0, rtol=1e-2)


def test_adam_approaches_the_minimum_of_a_quadratic():
    matrix, centre = hilly(10, seed=4)
    _, misfits = run(Adam(0.05), quadratic(matrix, centre), np.zeros(10), 200)
    assert misfits[-1] < 0.02 * misfits[0]


THREADS = """
import numpy as np
from wavepipe.pipeline.line_search import dot
a, b = np.random.default_rng(1).standard_normal((2, 200_000))
print(dot(a, b).hex())
"""


def test_inner_products_have_the_same_bits_for_any_number_of_threads():
    """Those of a BLAS do not: a resumed inversion would take another step."""
    found = {
        subprocess.run(
            [sys.executable, "-c", THREADS],
            env=os.environ | {"OPENBLAS_NUM_THREADS": str(n), "OMP_NUM_THREADS": str(n)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for n in (1, 2, 4)
    }
    assert len(found) == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: Lbfgs(memory=3, first_step=0.1),
        lambda: SteepestDescent(0.05, momentum=0.9),
        lambda: Adam(0.05),
    ],
    ids=["lbfgs", "steepest descent", "adam"],
)
@pytest.mark.parametrize("iterations", [0, 1, 7])
def test_what_an_optimizer_remembers_is_all_that_it_needs(make, iterations):
    """One that takes it over goes on with the same bits."""
    evaluate = quadratic(*hilly(12, seed=2))
    first, second = make(), make()
    start, _ = run(first, evaluate, np.zeros(12), iterations)
    second.remember({name: array.copy() for name, array in first.memory_arrays().items()})
    expected, found = (run(one, evaluate, start.vector, 4)[0] for one in (first, second))
    assert found.vector.tobytes() == expected.vector.tobytes()
