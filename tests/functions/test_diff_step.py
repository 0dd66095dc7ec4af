"""How far differences reach, and derivatives that callables bring along."""

import pickle
from copy import deepcopy

import numpy as np
import pytest

import fastinv as fi
from fastinv.backends import get_backend
from fastinv.functions import CallableFunction, Problem, Region

BACKENDS = ["cpp", "reference"]


def cubes_rows(x, y):
    y[0] = x[0] ** 3 + x[1]
    y[1] = x[0] * x[1] ** 3


def cubes(X):
    return np.stack([X[:, 0] ** 3 + X[:, 1], X[:, 0] * X[:, 1] ** 3], axis=1)


def cubes_jacobian(X):
    a, b = X.T
    return np.stack([3 * a**2, np.ones(len(X)), b**3, 3 * a * b**2], axis=1).reshape(-1, 2, 2)


def jacobians(function, x, backend, *, scale=(1.0, 1.0), bound=np.inf):
    box = np.full(2, bound)
    region = Region(-box, box, np.array(scale), np.full(2, np.inf))
    problem, backend = Problem(function, region, np.ones(2)), get_backend(backend)
    return backend.search(problem, backend.anchors(x, function(x), np.ones(2))).jacobians(x)


def points(n, seed=0):
    return np.random.default_rng([620, seed]).uniform(-2, 2, size=(n, 2))


def functions(diff_step):
    return [
        fi.forward(2, 2, diff_step=diff_step)(cubes_rows),
        CallableFunction(cubes, 2, 2, diff_step=diff_step),
    ]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("compiled", [True, False])
def test_differences_reach_as_far_as_is_said(compiled, backend):
    """Of x**3 the difference quotient is 3 x**2 + h**2, and of x only 1."""
    f = functions([0.25, 0.5])[0 if compiled else 1]
    x = points(7)
    found = jacobians(f, x, backend, scale=(1.0, 3.0))
    exact = cubes_jacobian(x)
    wrong = np.zeros_like(exact)
    wrong[:, 0, 0] = 0.25**2
    wrong[:, 1, 1] = x[:, 0] * 1.5**2
    np.testing.assert_allclose(found, exact + wrong, atol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("compiled", [True, False])
def test_wide_differences_stay_within_the_bounds(compiled, backend):
    seen = []

    def watched(X):
        seen.append(X)
        return cubes(X)

    f = functions(0.5)[0] if compiled else CallableFunction(watched, 2, 2, diff_step=0.5)
    x = np.array([[2.0, -2.0], [1.9, 0.0]])
    found = jacobians(f, x, backend, bound=2.0)
    below, above = np.maximum(x[:, 0] - 0.5, -2.0), np.minimum(x[:, 0] + 0.5, 2.0)
    np.testing.assert_allclose(found[:, 0, 0], (above**3 - below**3) / (above - below))
    assert all((np.abs(X) <= 2.0).all() for X in seen)


@pytest.mark.parametrize("backend", BACKENDS)
def test_without_a_step_both_kinds_differ_by_rounding(backend):
    x = points(33)
    for f in functions(None):
        assert f.diff_step is None
        np.testing.assert_allclose(jacobians(f, x, backend), cubes_jacobian(x), atol=1e-8)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_callable_may_bring_its_derivative(backend):
    calls = []

    def watched(X):
        calls.append(len(X))
        X_given = X.copy()
        J = cubes_jacobian(X)
        X *= 0.0  # a copy
        assert X_given.shape == X.shape
        return J

    x = points(7)
    before = x.copy()
    f = CallableFunction(cubes, 2, 2, jacobian=watched)
    np.testing.assert_array_equal(jacobians(f, x, backend), cubes_jacobian(x))
    assert calls == [7]
    assert (x == before).all()
    assert jacobians(f, x, backend)[:0].shape == (0, 2, 2)


@pytest.mark.parametrize(
    ("jacobian", "message"),
    [
        (lambda X: X, r"jacobian of cubes must return an array of shape \(7, 2, 2\) .* \(7, 2\)"),
        (lambda X: cubes_jacobian(X)[:3], r"got \(3, 2, 2\)"),
        (lambda X: None, "what jacobian of cubes returns|must return"),
        (lambda X: cubes_jacobian(X) * 1j, "what jacobian of cubes returns must hold real"),
    ],
)
def test_what_a_jacobian_returns_is_checked(jacobian, message):
    with pytest.raises(ValueError, match=message):
        jacobians(CallableFunction(cubes, 2, 2, jacobian=jacobian), points(7), "cpp")


@pytest.mark.parametrize(
    ("diff_step", "message"),
    [
        (0.0, "diff_step must be positive and finite, got 0.0"),
        (-1e-3, "diff_step must be positive"),
        ([1e-3, np.nan], "diff_step must be positive"),
        ([1e-3, np.inf], "diff_step must be positive"),
        ([1e-3] * 3, r"diff_step must be a number or one for each of 2 inputs, got shape \(3,\)"),
        ("wide", "diff_step must hold real numbers"),
    ],
)
def test_wrong_steps(diff_step, message):
    with pytest.raises(ValueError, match=message):
        fi.forward(2, 2, diff_step=diff_step)(cubes_rows)
    with pytest.raises(ValueError, match=message):
        CallableFunction(cubes, 2, 2, diff_step=diff_step)


def test_a_jacobian_of_a_callable_must_be_callable():
    with pytest.raises(TypeError, match=r"jacobian must be callable, got array"):
        CallableFunction(cubes, 2, 2, jacobian=np.eye(2))


def test_what_is_said_is_pickled_copied_and_compared():
    for f, plain in zip(functions([1e-3, 2e-3]), functions(None), strict=True):
        assert f.diff_step == (1e-3, 2e-3)
        assert deepcopy(f) is f
        assert pickle.loads(pickle.dumps(f)).diff_step == (1e-3, 2e-3)
        assert f != plain
    given = CallableFunction(cubes, 2, 2, jacobian=cubes_jacobian)
    assert pickle.loads(pickle.dumps(given)) == given
    assert given.has_jacobian
    assert not functions(None)[1].has_jacobian
    assert functions(0.5)[1].diff_step == (0.5, 0.5)


def test_a_step_reaches_the_solvers():
    """With steps that are too wide Newton's method is slow, but it ends at the same solutions."""
    y = cubes(points(20, 1) * 0.5)
    listed = []
    for f in (*functions(None), *functions(1e-3)):
        solver = fi.NearestSolver(f, bounds=[(-2, 2)] * 2, n_anchors=300, random_state=0).fit()
        step = None if f.diff_step is None else [1e-3, 1e-3]
        assert step == (None if step is None else solver.problem_.diff_step.tolist())
        listed.append(solver.solve_all(y))
    for other in listed[1:]:
        np.testing.assert_array_equal(other.count, listed[0].count)
        np.testing.assert_allclose(other.x, listed[0].x, atol=1e-6)
