"""Functions that Python evaluates: callables and fitted regressors."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

import fastinv as fi
from fastinv.functions import (
    CallableFunction,
    Function,
    LearnedFunction,
    NetworkCode,
    as_forward,
    forward,
)


@forward(n_inputs=2, n_outputs=3)
def mixed(x, y):
    y[0], y[1], y[2] = x[0], x[1], x[0] * x[1]


def points(n, p=2):
    return np.random.default_rng(311).normal(size=(n, p))


def sums(X):
    return np.column_stack([X.sum(axis=1), X[:, 0]])


def test_callable():
    X = points(7)
    f = as_forward(sums, probe_points=X[:3])
    assert isinstance(f, CallableFunction)
    assert (f.n_inputs, f.n_outputs, f.name) == (2, 2, "sums")
    assert f.exact
    assert f.code is None
    assert np.array_equal(f(X), sums(X))
    assert f(np.empty((0, 2))).shape == (0, 2)
    assert pickle.loads(pickle.dumps(f)) == f
    assert as_forward(sums, 2, 2) == f


def test_callable_with_one_output_may_return_a_vector():
    f = as_forward(lambda X: X[:, 0] > 0, probe_points=points(3))
    assert f.n_outputs == 1
    found = f(np.array([[1.0, 0.0], [-1.0, 0.0]]))
    assert found.dtype == np.float64
    assert found.tolist() == [[1.0], [0.0]]


def test_callable_cannot_change_the_callers_points():
    def careless(X):
        X *= 0.0
        return X

    X = points(7)
    before = X.copy()
    CallableFunction(careless, 2, 2)(X)
    assert np.array_equal(X, before)


class OneBuffer:
    """A callable and a regressor that fill the same array each time."""

    def __init__(self):
        self.buffer = np.empty((10_000, 2))

    def predict(self, X):
        image = self.buffer[: len(X)]
        image[:] = sums(X)
        return image

    def __call__(self, X):
        return self.predict(X)


@pytest.mark.parametrize("kind", [CallableFunction, LearnedFunction])
def test_what_is_returned_may_be_filled_again(kind):
    f = kind(OneBuffer(), 2, 2)
    first, second = points(7), 2.0 * points(7)
    images = f(first)
    f(second)
    np.testing.assert_array_equal(images, sums(first))


def test_residuals_are_true_where_a_callable_fills_one_buffer():
    solver = fi.TwinSolver(
        OneBuffer().__call__,
        bounds=[(-1.0, 1.0)] * 2,
        n_anchors=60,
        network=fi.TwinNetwork(hidden_layer_sizes=(8,), max_iter=2),
        pairs=fi.NearPairs(pairs_per_epoch=512),
        random_state=0,
    ).fit()
    y = sums(points(33) / 4.0)
    found = solver.solve(y)
    errors = sums(found.x.reshape(-1, 2)).reshape(33, -1, 2) - y[:, None]
    true = np.linalg.norm(errors / solver.y_scale_, axis=2)
    np.testing.assert_allclose(found.residual, true, rtol=1e-12)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (lambda X: X.sum(), r"must return an array of shape \(7, 2\) .* got \(\)"),
        (lambda X: X[:, 0], r"got \(7,\)"),
        (lambda X: X[:5], r"got \(5, 2\)"),
        (lambda X: X.T, r"got \(2, 7\)"),
        (lambda X: X[None], r"got \(1, 7, 2\)"),
        (lambda X: None, "what <lambda> returns must hold real numbers|shape"),
        (lambda X: X * 1j, "what <lambda> returns must hold real numbers, got dtype complex128"),
        (lambda X: [["a", "b"]] * 7, "what <lambda> returns must hold real numbers"),
        (lambda X: [[1.0], [1.0, 2.0]], "what <lambda> returns must be an array of numbers"),
    ],
)
def test_what_a_callable_returns_is_checked(result, message):
    with pytest.raises(ValueError, match=message):
        CallableFunction(result, 2, 2)(points(7))


def test_a_callable_for_a_single_x_is_recognised():
    with pytest.raises(ValueError, match=r"must return an array of shape \(3, n_outputs\)"):
        as_forward(lambda x: np.array([x[0], x[1]]), probe_points=points(3))


def test_fitted_regressor():
    X = points(33)
    for y in (X.sum(axis=1), sums(X)):
        f = as_forward(LinearRegression().fit(X, y), probe_points=X[:2])
        assert isinstance(f, LearnedFunction)
        assert (f.n_inputs, f.n_outputs) == (2, y.reshape(33, -1).shape[1])
        assert f.name == "LinearRegression.predict"
        assert not f.exact
        assert f.code is None
        np.testing.assert_allclose(f(X), y.reshape(33, -1), atol=1e-12)
        assert f(X[:0]).shape == (0, f.n_outputs)
    with pytest.raises(ValueError, match=r"n_inputs of .* must be one number, got 2 and 3"):
        as_forward(f.regressor, n_inputs=3, n_outputs=1)


def test_forwards_pass_through_if_dimensions_agree():
    assert as_forward(mixed) is mixed
    assert as_forward(mixed, 2, 3) is mixed
    wrapped = CallableFunction(sums, 2, 2)
    assert as_forward(wrapped) is wrapped
    with pytest.raises(ValueError, match="n_outputs of mixed must be one number, got 2 and 3"):
        as_forward(mixed, 2, 2)


@pytest.mark.parametrize("wrong", [None, 3, "f", np.zeros(2), LinearRegression, dict])
def test_what_is_no_forward(wrong):
    with pytest.raises(TypeError, match="f must be a function declared with @forward, a vector"):
        as_forward(wrong, 2, 2)


def test_dimensions_that_cannot_be_found():
    with pytest.raises(ValueError, match="n_inputs of sums must be one number, got nothing"):
        as_forward(sums)
    with pytest.raises(ValueError, match="n_outputs of sums must be one number, got nothing"):
        as_forward(sums, 2)
    with pytest.raises(ValueError, match=r"probe_points must have shape \(m, n_inputs\), got"):
        as_forward(sums, probe_points=[1.0, 2.0])
    with pytest.raises(ValueError, match=r"X must have shape \(n, 2\) for sums, got \(7, 3\)"):
        CallableFunction(sums, 2, 2)(points(7, 3))


def test_a_network_that_fastinv_fitted_has_code():
    X = points(33)
    network = fi.MLPRegressor((5,), max_iter=2, learning_rate="cosine").fit(X, sums(X))
    f = as_forward(network, probe_points=X[:2])
    assert isinstance(f.code, NetworkCode)
    assert (f.code.n_inputs, f.code.n_outputs) == (2, 2)
    assert f.code.n_weights == len(network.parameters_)
    assert f.code.parameters.dtype == np.float32


@pytest.mark.parametrize(
    "function",
    [
        mixed,
        CallableFunction(sums, 2, 2),
        LearnedFunction(LinearRegression().fit(points(9), points(9)), 2, 2),
    ],
    ids=["formula", "callable", "regressor"],
)
def test_images_of_any_shape_and_of_what_is_not_finite(function):
    """f does not see a row that is not finite."""
    assert isinstance(function, Function)
    x = points(12).reshape(2, 3, 2, 2)
    q = function.n_outputs
    images = function.images(x)
    assert images.shape == (2, 3, 2, q)
    np.testing.assert_array_equal(images.reshape(-1, q), function(x.reshape(-1, 2)))
    x[0, 1, 0, 1], x[1, 2, 1, 0] = np.nan, -np.inf
    spoiled = function.images(x)
    finite = np.isfinite(x).all(axis=-1)
    np.testing.assert_allclose(spoiled[finite], images[finite], rtol=1e-14)
    assert np.isnan(spoiled[~finite]).all()
    assert function.images(np.empty((0, 4, 2))).shape == (0, 4, q)
    assert function.images(np.full((3, 2), np.nan)).shape == (3, q)
