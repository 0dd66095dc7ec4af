"""Solutions that are not points: a few members stand for them, and the result says so."""

import numpy as np
import pytest

import fastinv as fi


@fi.forward(n_inputs=2, n_outputs=1)
def total(x, y):
    y[0] = x[0] + x[1]


@fi.forward(n_inputs=2, n_outputs=1)
def product(x, y):
    y[0] = x[0] * x[1]


@fi.forward(n_inputs=2, n_outputs=2)
def total_twice(x, y):
    y[0] = x[0] + x[1]
    y[1] = 2.0 * (x[0] + x[1])


@fi.forward(n_inputs=2, n_outputs=2)
def point_and_line(x, y):
    """Zero on the line x0 = 1, and at the point (-1, 0.5)."""
    y[0] = (x[0] - 1.0) * (x[0] + 1.0)
    y[1] = (x[0] - 1.0) * (x[1] - 0.5)


@fi.forward(n_inputs=3, n_outputs=2)
def circle_in_space(x, y):
    y[0] = x[0] ** 2 + x[1] ** 2
    y[1] = x[2]


@pytest.mark.parametrize(
    ("f", "target"),
    [
        (total, [0.3]),
        (product, [0.2]),
        (product, [0.0]),
        (total_twice, [0.3, 0.6]),
        (circle_in_space, [0.5, 0.1]),
    ],
)
def test_a_few_members_stand_for_a_set(f, target):
    solver = fi.NearestSolver(f, bounds=[(-1, 1)] * f.n_inputs, random_state=0).fit()
    found = solver.solve_all(target)
    n = found.count[0]
    assert 1 <= n <= 12
    assert found.search_status[0] == fi.SearchStatus.SET
    assert not found.isolated[0, :n].any()
    np.testing.assert_allclose(f(found.x[0, :n]), np.tile(target, (n, 1)), atol=1e-14)
    assert (found.status[0, :n] == fi.Status.CONVERGED).all()
    assert "isolated" in found.explain(0) or "set" in found.explain(0)


def test_a_point_beside_a_line():
    solver = fi.NearestSolver(point_and_line, bounds=[(-2, 2)] * 2, random_state=0).fit()
    found = solver.solve_all([0.0, 0.0])
    n = found.count[0]
    x, isolated = found.x[0, :n], found.isolated[0, :n]
    assert found.search_status[0] == fi.SearchStatus.SET
    np.testing.assert_allclose(x[isolated], [[-1.0, 0.5]], atol=1e-12)
    np.testing.assert_allclose(x[~isolated, 0], 1.0, atol=1e-7)
    assert 1 <= (~isolated).sum() <= 12


def test_isolated_solutions_are_no_set():
    arm = fi.problems.two_link_arm
    solver = fi.NearestSolver(arm.forward, bounds=arm.bounds, random_state=0).fit()
    found = solver.solve_all(arm.sample(50, random_state=4)[1])
    assert (found.search_status == fi.SearchStatus.ENDED).all()
    assert found.isolated[np.isfinite(found.residual)].all()
