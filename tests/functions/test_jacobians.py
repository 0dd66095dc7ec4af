"""Formulas with a derivative of their own."""

from __future__ import annotations

import math
import pickle

import numba
import numpy as np
import pytest

import fastinv as fi
from fastinv.functions import forward


def swirl_rows(x, y):
    y[0] = np.sin(2.0 * x[0]) + x[1] ** 3 - x[1]
    y[1] = x[0] * x[1] + 0.5 * x[0]


def swirl_jacobian(x, J):
    J[0, 0] = 2.0 * np.cos(2.0 * x[0])
    J[0, 1] = 3.0 * x[1] ** 2 - 1.0
    J[1, 0] = x[1] + 0.5
    J[1, 1] = x[0]


swirl_jacobian_rows = numba.njit(swirl_jacobian)  # for derivatives that are made of it
swirl = forward(n_inputs=2, n_outputs=2)(swirl_rows)
swirl_with_jacobian = forward(n_inputs=2, n_outputs=2, jacobian=swirl_jacobian)(swirl_rows)
BOX = [(-1.5, 1.5)] * 2


def swirl_solver(f):
    return fi.NearestSolver(f, bounds=BOX, random_state=0).fit()


def test_solutions_are_the_same_with_and_without_a_jacobian():
    assert swirl.code.jacobian is None
    assert isinstance(swirl_with_jacobian.code.jacobian.address, int)
    y = swirl(np.random.default_rng(7).uniform(-1.4, 1.4, size=(100, 2)))
    by_differences, exact = (swirl_solver(f) for f in (swirl, swirl_with_jacobian))
    first, second = by_differences.solve_all(y), exact.solve_all(y)
    np.testing.assert_array_equal(first.count, second.count)
    assert len(set(first.count.tolist())) > 2
    np.testing.assert_allclose(first.x, second.x, atol=1e-6)
    solved = exact.solve(y)
    assert (solved.residual[:, 0] < 1e-12).all()
    np.testing.assert_allclose(
        solved.residual[:, 0], by_differences.solve(y).residual[:, 0], atol=1e-12
    )


def test_the_jacobian_is_what_is_stepped_with():
    """Where it is zero, it leads nowhere."""

    def zero_near_a_solution(x, J):
        swirl_jacobian_rows(x, J)
        if abs(x[0] - 0.31) + abs(x[1] - 0.17) < 0.4:
            J[:] = 0.0

    f = forward(n_inputs=2, n_outputs=2, jacobian=zero_near_a_solution)(swirl_rows)
    stuck = swirl_solver(f)

    def reaches_it(solver):
        x = solver.solve(swirl([0.31, 0.17])).x[0]
        return np.abs(x - [0.31, 0.17]).max(axis=1).min() < 1e-6

    assert reaches_it(swirl_solver(swirl))
    assert not reaches_it(stuck)


def test_a_jacobian_that_is_not_finite_does_no_harm():
    def broken(x, J):
        swirl_jacobian_rows(x, J)
        if x[0] > 0.0 and x[1] < 0.5:
            J[0, 0] = np.nan

    solver = swirl_solver(forward(n_inputs=2, n_outputs=2, jacobian=broken)(swirl_rows))
    y = swirl([[0.31, 0.17], [1.0, -0.5]])
    found = solver.solve(y)
    assert np.isfinite(found.residual).all()
    errors = swirl(found.x.reshape(-1, 2)).reshape(2, 5, 2) - y[:, None]
    np.testing.assert_allclose(
        found.residual,
        np.linalg.norm(errors / solver.y_scale_, axis=2),
    )
    listed = solver.solve_all(y)
    assert (listed.count < swirl_solver(swirl).solve_all(y).count).all()


@pytest.mark.parametrize(
    ("jacobian", "error", "message"),
    [
        (lambda x, J: np.cos(x), TypeError, "jacobian of swirl_rows must .* return nothing"),
        (lambda x, J: J.__setitem__((2, 0), 1.0), IndexError, "jacobian of swirl_rows fails"),
        (lambda x: None, TypeError, "jacobian of swirl_rows fails"),
    ],
)
def test_wrong_jacobians(jacobian, error, message):
    f = forward(n_inputs=2, n_outputs=2, jacobian=jacobian)(swirl_rows)
    with pytest.raises(error, match=message):
        _ = f.code
    with pytest.raises(error, match=message):
        swirl_solver(f)


def test_a_jacobian_must_be_a_function():
    for jacobian in (3, "J", math.sin):
        with pytest.raises(TypeError, match=r"jacobian must be a plain Python function j\(x, J\)"):
            forward(n_inputs=2, n_outputs=2, jacobian=jacobian)(swirl_rows)


def test_a_jacobian_is_pickled_along():
    f = pickle.loads(
        pickle.dumps(forward(n_inputs=2, n_outputs=2, jacobian=swirl_jacobian)(swirl_rows))
    )
    assert f.jacobian is swirl_jacobian
    assert f.code.jacobian.address
    y = swirl([[0.31, 0.17]])
    solver = swirl_solver(swirl_with_jacobian)
    again = pickle.loads(pickle.dumps(solver))
    assert again.problem_.function is again.forward_
    assert again.forward_.code.jacobian is not None
    np.testing.assert_array_equal(again.solve_all(y).x, solver.solve_all(y).x)
    np.testing.assert_array_equal(again.solve(y).x, solver.solve(y).x)
