"""What is called a solution is one: a root exists there, to the accuracy of f."""

import numpy as np
import pytest

import fastinv as fi


@fi.forward(n_inputs=1, n_outputs=1)
def growth(x, y):
    y[0] = np.exp(10.0 * x[0])


@fi.forward(n_inputs=1, n_outputs=1)
def steep_growth(x, y):
    y[0] = np.exp(50.0 * x[0])


@fi.forward(n_inputs=1, n_outputs=1)
def square(x, y):
    y[0] = x[0] ** 2


@fi.forward(n_inputs=1, n_outputs=1)
def shifted_square(x, y):
    y[0] = (x[0] - 1.0 / 3.0) ** 2


@fi.forward(n_inputs=2, n_outputs=2)
def wide_and_narrow(x, y):
    """One output of a wide range, beside one of a narrow range."""
    y[0] = np.exp(40.0 * x[0])
    y[1] = x[1] ** 2


@pytest.mark.parametrize(
    ("f", "bounds", "target"),
    [
        (growth, [(-3, 3)], [-0.5]),
        (growth, [(-3, 3)], [-1e-12]),
        (steep_growth, [(-1, 1)], [-5.0]),
        (square, [(-2, 2)], [-1e-10]),
        (square, [(-2, 2)], [-1e-13]),
        (square, [(-1e6, 1e6)], [-1e-4]),
        (shifted_square, [(-2, 2)], [-1e-10]),
        (wide_and_narrow, [(-1, 1), (-1, 1)], [-1.0, 0.3]),
        (wide_and_narrow, [(-1, 1), (-1, 1)], [1.0, -1e-9]),
    ],
)
def test_what_cannot_be_is_not_converged(f, bounds, target):
    solver = fi.NearestSolver(f, bounds=bounds, random_state=0).fit()
    found = solver.solve_all(target)
    assert found.count.tolist() == [0]
    assert not (found.status == fi.Status.CONVERGED).any()
    assert not (solver.solve(target).status == fi.Status.CONVERGED).any()


@pytest.mark.parametrize("target", [0.5, 1e-10, 1e-13, 1.0, 1e10])
def test_small_images_of_a_wide_range_are_found(target):
    """As exactly as their own size allows, though 1e13 is the spread."""
    solver = fi.NearestSolver(growth, bounds=[(-3, 3)], random_state=0).fit()
    found = solver.solve_all(target)
    assert found.count.tolist() == [1]
    assert found.x[0, 0, 0] == pytest.approx(np.log(target) / 10, abs=1e-13)
    assert found.x_error[0, 0] < 1e-12
    assert (solver.solve(target).status[0, 0]) == fi.Status.CONVERGED


@pytest.mark.parametrize("f", [square, shifted_square])
@pytest.mark.parametrize("target", [1e-6, 1e-10])
def test_close_beside_a_fold_are_two(f, target):
    solver = fi.NearestSolver(f, bounds=[(-2, 2)], random_state=0).fit()
    found = solver.solve_all(target)
    middle, half = (0.0, np.sqrt(target)) if f is square else (1 / 3, np.sqrt(target))
    assert found.count.tolist() == [2]
    np.testing.assert_allclose(found.x[0, :2, 0], [middle - half, middle + half], atol=1e-10)
    gaps = np.abs(found.x[0, :2, 0] - [middle - half, middle + half])
    scale = solver.problem_.region.scale[0]
    assert (gaps / scale <= found.x_error[0, :2] + 1e-17).all()
    assert found.isolated[0, :2].all()


def test_a_tolerance_in_units_means_what_it_says():
    """Under `error_tol` the user decides what a solution is."""
    solver = fi.NearestSolver(growth, bounds=[(-3, 3)], random_state=0).fit()
    assert solver.solve_all(-0.5, error_tol=0.6).count[0] >= 1
    assert solver.solve_all(-0.5, error_tol=0.4).count[0] == 0
    found = solver.solve_all(-0.5, error_tol=0.6)
    assert np.isinf(found.x_error[0, 0])  # there is none, and none is shown
