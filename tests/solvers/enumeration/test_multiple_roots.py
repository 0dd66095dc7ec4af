"""Where roots meet: a cluster is one solution, and says that it is not sharply determined."""

import numpy as np
import pytest

import fastinv as fi


@fi.forward(n_inputs=1, n_outputs=1)
def cube(x, y):
    y[0] = x[0] ** 3


@fi.forward(n_inputs=1, n_outputs=1)
def fifth_power(x, y):
    y[0] = x[0] ** 5


@fi.forward(n_inputs=1, n_outputs=1)
def ninth_power(x, y):
    y[0] = x[0] ** 9


@fi.forward(n_inputs=1, n_outputs=1)
def square(x, y):
    y[0] = x[0] ** 2


@fi.forward(n_inputs=1, n_outputs=1)
def third_squared(x, y):
    y[0] = (x[0] - 1.0 / 3.0) ** 2


@fi.forward(n_inputs=1, n_outputs=1)
def expanded_fifth_power(x, y):
    """(x - 1)^5, whose rounding error is as large as the function 1e-3 around the root."""
    t = x[0]
    y[0] = t**5 - 5 * t**4 + 10 * t**3 - 10 * t**2 + 5 * t - 1


@fi.forward(n_inputs=1, n_outputs=1)
def triple_and_simple(x, y):
    y[0] = (x[0] - 0.5) ** 3 * (x[0] + 1.0)


@fi.forward(n_inputs=2, n_outputs=2)
def double_in_the_plane(x, y):
    """(0.25, -0.5), twice."""
    y[0] = (x[0] - 0.25) ** 2 + x[1] + 0.5
    y[1] = x[1] + 0.5


@pytest.mark.parametrize(
    ("f", "bounds", "roots"),
    [
        (square, (-2, 2), [0.0]),
        (cube, (-1, 1), [0.0]),
        (cube, (-3, 1), [0.0]),
        (fifth_power, (-1, 1), [0.0]),
        (ninth_power, (-1, 1), [0.0]),
        (third_squared, (-2, 2), [1 / 3]),
        (expanded_fifth_power, (0, 3), [1.0]),
        (triple_and_simple, (-2, 2), [-1.0, 0.5]),
        (double_in_the_plane, (-2, 2), [[0.25, -0.5]]),
    ],
)
def test_a_cluster_is_one_solution(f, bounds, roots):
    p = f.n_inputs
    solver = fi.NearestSolver(f, bounds=[bounds] * p, random_state=0).fit()
    found = solver.solve_all(np.zeros(f.n_outputs))
    assert found.count.tolist() == [len(roots)]
    assert found.search_status[0] == fi.SearchStatus.ENDED
    roots = np.reshape(roots, (-1, p))
    gap = np.linalg.norm((found.x[0, : len(roots)] - roots) / solver.problem_.region.scale, axis=1)
    assert (gap <= found.x_error[0, : len(roots)]).all()
    assert (gap < 0.2).all()
    assert (found.status[0, : len(roots)] == fi.Status.CONVERGED).all()


@pytest.mark.parametrize(
    ("f", "order"), [(square, 2), (cube, 3), (fifth_power, 5), (ninth_power, 9)]
)
def test_how_sharply_it_is_determined(f, order):
    """By |x|^order = rounding, if not better; a simple root by rounding."""
    solver = fi.NearestSolver(f, bounds=[(-1, 1)], random_state=0).fit()
    found = solver.solve_all([0.0, 0.5])
    assert not found.isolated[0, 0] or found.x_error[0, 0] > 1e-17
    assert found.isolated[1, 0]
    assert found.x_error[1, 0] < 1e-13
    assert found.x_error[0, 0] < 2.0
    gap = abs(found.x[0, 0, 0]) / solver.problem_.region.scale[0]
    assert gap <= found.x_error[0, 0]


def test_beside_a_multiple_root_are_all_that_are_there():
    """x^3 - a: one real root, near to the triple one of a = 0."""
    solver = fi.NearestSolver(cube, bounds=[(-1, 1)], random_state=0).fit()
    targets = np.array([1e-15, -1e-12, 1e-9, -1e-6, 1e-3])
    found = solver.solve_all(targets)
    assert found.count.tolist() == [1] * 5
    np.testing.assert_allclose(found.x[:, 0, 0], np.cbrt(targets), rtol=1e-3)


@fi.forward(n_inputs=2, n_outputs=2)
def oblique_square(x, y):
    y[0] = (x[0] + 0.3 * x[1] - 0.1234567) ** 2
    y[1] = x[1] - 0.2 * x[0]


@fi.forward(n_inputs=2, n_outputs=2)
def oblique_fourth_power(x, y):
    y[0] = (x[0] + 0.3 * x[1] - 0.1234567) ** 4
    y[1] = np.exp(x[1] - 0.2 * x[0])


@pytest.mark.parametrize("f", [oblique_square, oblique_fourth_power], ids=lambda f: f.name)
@pytest.mark.parametrize("exact", [True, False])
def test_double_roots_along_no_axis(f, exact):
    """The other output keeps both inputs moving while the first one vanishes."""
    second = np.random.default_rng(0).uniform(-0.7, 0.7, 100)
    x = np.stack([0.1234567 - 0.3 * second, second], axis=1)
    targets = f(x)  # the first is about 1e-33
    if exact:
        targets[:, 0] = 0.0
    solver = fi.NearestSolver(f, bounds=[(-1, 1)] * 2, random_state=0).fit()
    found = solver.solve_all(targets)
    assert not (found.status[:, 0] == fi.Status.UNREACHABLE).any()
    assert (found.status[:, 0] == fi.Status.CONVERGED).mean() >= 0.98
    assert (found.count <= 1).all()
    gap = np.linalg.norm((found.x[:, 0] - x) / solver.problem_.region.scale, axis=1)
    converged = found.status[:, 0] == fi.Status.CONVERGED
    assert (gap[converged] <= found.x_error[converged, 0] + 1e-15).all()
    assert (solver.solve(targets).status[:, 0] == fi.Status.CONVERGED).mean() >= 0.9
