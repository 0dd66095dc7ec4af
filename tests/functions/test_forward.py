"""Forward functions: compilation, its errors, and the wrappers of callables and regressors."""

from __future__ import annotations

import copy
import math
import pickle
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.base import BaseEstimator, clone
from sklearn.linear_model import LinearRegression

import fastinv as fi
from fastinv.functions.compiled import ForwardFunction, forward
from fastinv.functions.conversion import as_forward
from fastinv.functions.wrapped import CallableFunction, LearnedFunction

SEED_POINTS = 311


@forward(n_inputs=2, n_outputs=3)
def mixed(x, y):
    """Elementary functions of two variables."""
    y[0] = np.cos(x[0]) + np.cos(x[0] + x[1])
    y[1] = x[0] * x[1] - x[1] / (1.0 + x[0] * x[0])
    y[2] = math.exp(-abs(x[0]))


@forward(n_inputs=1, n_outputs=2)
def partial(x, y):
    """Fails above 1 and forgets an output below 0."""
    y[0] = 1.0
    if x[0] > 1.0:
        raise ValueError("above 1")
    if x[0] >= 0.0:
        y[1] = 1.0 / x[0]


@forward(n_inputs=3, n_outputs=1)
def lookup(x, y):
    """Index that depends on the data."""
    y[0] = x[int(x[0])]


def plain(x, y):
    y[0] = x[0]


renamed = forward(n_inputs=1, n_outputs=1)(plain)


class Holder(BaseEstimator):
    def __init__(self, function=None):
        self.function = function


def points(n, p=2):
    return np.random.default_rng(SEED_POINTS).normal(size=(n, p))


def by_python(function, X):
    y = np.full((len(X), function.n_outputs), np.nan)
    for row, image in zip(X, y, strict=True):
        function.python_function(row, image)
    return y


def test_attributes():
    assert isinstance(mixed, ForwardFunction)
    assert (mixed.n_inputs, mixed.n_outputs, mixed.name) == (2, 3, "mixed")
    assert mixed.exact
    assert mixed.__doc__ == "Elementary functions of two variables."
    assert mixed.__wrapped__ is mixed.python_function
    assert repr(mixed) == "<ForwardFunction mixed: R^2 -> R^3>"
    assert isinstance(mixed.address, int)
    assert mixed.address == mixed.address != 0


@pytest.mark.parametrize("n", [0, 1, 7, 33])
def test_equals_the_python_function(n):
    X = points(n)
    found = mixed(X)
    assert found.shape == (n, 3)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, by_python(mixed, X), rtol=1e-15, atol=1e-15)


@given(
    X=hnp.arrays(np.float64, st.tuples(st.integers(0, 9), st.just(2)), elements=st.floats(-50, 50))
)
def test_equals_the_python_function_anywhere(X):
    np.testing.assert_allclose(mixed(X), by_python(mixed, X), rtol=1e-14, atol=1e-14)


def test_a_row_has_the_same_bits_alone_in_any_batch_and_for_any_threads():
    X = points(4099)
    alone = np.array([mixed(x) for x in X[:101]])
    batch = mixed(X, n_threads=1)
    assert np.array_equal(batch[:101], alone)
    for n_threads in (2, 3, 8, None):
        assert np.array_equal(batch, mixed(X, n_threads=n_threads))


def test_inputs_of_other_layouts_and_types():
    X = points(7)
    expected = mixed(X)
    assert np.array_equal(mixed(np.asfortranarray(X)), expected)
    assert np.array_equal(mixed(np.repeat(X, 2, axis=1)[:, ::2]), expected)
    assert np.array_equal(mixed(X.tolist()), expected)
    assert np.array_equal(mixed(X[3]), expected[3])
    assert np.array_equal(mixed([[1, 2]]), mixed([[1.0, 2.0]]))
    assert np.array_equal(mixed(X.astype(np.float32)), mixed(X.astype(np.float32).astype(float)))


def test_out():
    X = points(7)
    out = np.empty((7, 3))
    assert mixed(X, out=out) is out
    assert np.array_equal(out, mixed(X))
    one = np.empty(3)
    assert mixed(X[0], out=one) is one
    assert np.array_equal(one, out[0])


def read_only(shape):
    array = np.empty(shape)
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    ("out", "error", "message"),
    [
        ([[0.0] * 3] * 7, TypeError, "out must be a float64 array, got list"),
        (np.empty((7, 3), np.float32), TypeError, "out must be a float64 array, got float32"),
        (np.empty((7, 2)), ValueError, r"out must have shape \(7, 3\), got \(7, 2\)"),
        (np.empty((3, 7)).T, ValueError, "out must be C-contiguous and writeable"),
        (read_only((7, 3)), ValueError, "out must be C-contiguous and writeable"),
    ],
)
def test_out_is_checked(out, error, message):
    with pytest.raises(error, match=message):
        mixed(points(7), out=out)


def test_out_may_not_overlap_the_input():
    buffer = np.zeros((8, 1))
    with pytest.raises(ValueError, match="out must not overlap X"):
        renamed(buffer[:7], out=buffer[1:])


@pytest.mark.parametrize("shape", [(3,), (7, 3), (2, 2, 2), ()])
def test_wrong_shapes(shape):
    with pytest.raises(ValueError, match=r"X must have shape \(n, 2\) or \(2,\) for mixed, got"):
        mixed(np.zeros(shape))


def test_wrong_types():
    with pytest.raises(ValueError, match="X must hold real numbers, got dtype complex128"):
        mixed([[1j, 2.0]])
    with pytest.raises(TypeError, match="n_threads must be an integer"):
        mixed(points(1), n_threads=1.5)
    with pytest.raises(ValueError, match="n_threads must be positive, got 0"):
        mixed(points(1), n_threads=0)


def test_rows_that_are_not_finite_stay_alone():
    X = points(33)
    clean = mixed(X)
    X[[0, 5, 32], [0, 1, 1]] = [np.nan, np.inf, np.nan]
    found = mixed(X)
    others = np.setdiff1d(np.arange(33), [0, 5, 32])
    assert np.array_equal(found[others], clean[others])
    assert np.isnan(found[0]).all()
    assert np.isnan(found[[5, 32], 0]).all()


def test_a_row_that_raises_or_forgets_an_output_is_nan_alone():
    found = partial([[0.5], [2.0], [-1.0], [0.0], [0.25]])
    expected = [[1, 2], [np.nan, np.nan], [1, np.nan], [1, np.inf], [1, 4]]
    np.testing.assert_array_equal(found, expected)


def test_an_index_out_of_range_is_nan_and_reads_no_memory(capfd):
    X = np.array([[2, 5, 7], [3, 5, 7], [10**6, 5, 7], [-4, 5, 7], [-1, 5, 7], [1, 5, 7]], float)
    np.testing.assert_array_equal(lookup(X)[:, 0], [7, np.nan, np.nan, np.nan, 7, 5])
    assert capfd.readouterr().err == ""


def test_an_index_out_of_range_writes_no_memory():
    @forward(n_inputs=1, n_outputs=1)
    def scatter(x, y):
        y[int(x[0])] = 1.0

    guarded = np.full((9, 1), 7.0)
    scatter([[0.0], [1.0], [1000.0], [-2.0], [0.0]], out=guarded[2:7])
    np.testing.assert_array_equal(guarded[:, 0], [7, 7, 1, np.nan, np.nan, np.nan, 1, 7, 7])


def test_nothing_is_compiled_before_its_first_use():
    calls = []

    def body(x, y):
        calls.append(1)

    function = forward(n_inputs=1, n_outputs=1)(body)
    assert not calls
    with pytest.raises(TypeError, match="Numba cannot compile body"):
        function([1.0])
    assert calls == [1]


def test_many_threads_compile_once():
    calls = []

    def body(x, y):
        y[0] = 2.0 * x[0]

    function = forward(n_inputs=1, n_outputs=1)(body)
    barrier = threading.Barrier(6)

    def use():
        barrier.wait()
        calls.append((function.address, function([3.0])[0]))

    threads = [threading.Thread(target=use) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == [(function.address, 6.0)] * 6


@pytest.mark.parametrize("wrong", [None, 3, math.sin, LinearRegression, LinearRegression()])
def test_only_functions_are_decorated(wrong):
    with pytest.raises(TypeError, match="decorates a plain Python function f"):
        forward(n_inputs=1, n_outputs=1)(wrong)


def test_wrong_numbers_of_arguments_and_dimensions():
    with pytest.raises(TypeError, match=r"must take two arguments, x and y.*<lambda>\(x\)"):
        forward(n_inputs=1, n_outputs=1)(lambda x: x)
    with pytest.raises(TypeError, match="must take two arguments"):
        forward(n_inputs=1, n_outputs=1)(lambda x, y, z: None)
    with pytest.raises(ValueError, match="n_inputs must be positive, got 0"):
        forward(n_inputs=0, n_outputs=1)(plain)
    with pytest.raises(TypeError, match="n_outputs must be an integer"):
        forward(n_inputs=1, n_outputs=1.5)(plain)


def reads_beyond(x, y):
    y[0] = x[2]


def writes_beyond(x, y):
    y[0] = y[1] = y[2] = 0.0


def returns_a_value(x, y):
    return x[0] + x[1]


def writes_to_x(x, y):
    x[0] = 1.0
    y[:] = x


def assigns_another_shape(x, y):
    y[:] = np.ones(3)


def adds_text(x, y):
    y[0] = x[0] + "one"


def calls_what_numba_lacks(x, y):
    y[:] = x.tolist()


def opens_a_file(x, y):
    if x[0] > 100.0:
        with open("table") as table:
            y[0] = len(table.read())


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (reads_beyond, IndexError, r"reads_beyond fails for x of shape \(2,\).*out of bounds"),
        (writes_beyond, IndexError, r"writes_beyond fails for .* y of shape \(2,\).*out of bounds"),
        (returns_a_value, TypeError, "returns_a_value must write f.x. into y and return nothing"),
        (writes_to_x, ValueError, "writes_to_x writes to its first argument, x"),
        (assigns_another_shape, ValueError, "assigns_another_shape fails for .*broadcast"),
        (adds_text, TypeError, "adds_text fails for"),
        (
            calls_what_numba_lacks,
            TypeError,
            "(?s)calls_what_numba_lacks: .*tolist.*line .*callable",
        ),
        (opens_a_file, TypeError, "(?s)Numba cannot compile opens_a_file: .*callable that takes X"),
    ],
)
def test_errors_of_the_first_use_name_the_function(function, error, message):
    with pytest.raises(error, match=message):
        forward(n_inputs=2, n_outputs=2)(function)([[1.0, 2.0]])


def test_writing_to_x_somewhere_else_does_not_compile():
    @forward(n_inputs=1, n_outputs=1)
    def sly(x, y):
        if x[0] > 100.0:
            x[0] = 1.0
        y[0] = x[0]

    with pytest.raises(
        TypeError, match=r"(?s)Numba cannot compile sly: .*readonly array.*x\[0\] = 1.0"
    ):
        sly([1.0])


def test_a_point_outside_the_domain_is_no_error():
    @forward(n_inputs=1, n_outputs=1)
    def far(x, y):
        if x[0] < 10.0:
            raise ValueError("below 10")
        y[0] = math.sqrt(x[0] - 10.0)

    np.testing.assert_array_equal(far([[19.0], [0.0]]), [[3.0], [np.nan]])


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickle_by_reference(protocol):
    assert pickle.loads(pickle.dumps(mixed, protocol)) is mixed


def test_pickle_by_the_python_function():
    loaded = pickle.loads(pickle.dumps(renamed))
    assert loaded is not renamed
    assert loaded.python_function is plain
    assert np.array_equal(loaded([[3.0]]), [[3.0]])


def test_what_cannot_be_found_again_is_not_pickled():
    local = forward(n_inputs=1, n_outputs=1)(lambda x, y: None)
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(local)


def test_copies_are_the_function_itself():
    assert copy.copy(mixed) is mixed
    assert copy.deepcopy({"f": mixed})["f"] is mixed
    assert clone(Holder(mixed)).function is mixed
    local = forward(n_inputs=1, n_outputs=1)(lambda x, y: None)
    assert copy.copy(local) is local
    assert clone(Holder(local)).function is local


def sums(X):
    return np.column_stack([X.sum(axis=1), X[:, 0]])


def test_callable():
    X = points(7)
    f = as_forward(sums, probe_points=X[:3])
    assert isinstance(f, CallableFunction)
    assert (f.n_inputs, f.n_outputs, f.name) == (2, 2, "sums")
    assert f.exact
    assert f.address is None
    assert f.address is None
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
        assert f.address is None
        assert f.address is None
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


# Derivatives


def swirl_rows(x, y):
    y[0] = np.sin(2.0 * x[0]) + x[1] ** 3 - x[1]
    y[1] = x[0] * x[1] + 0.5 * x[0]


def swirl_jacobian(x, J):
    J[0, 0] = 2.0 * np.cos(2.0 * x[0])
    J[0, 1] = 3.0 * x[1] ** 2 - 1.0
    J[1, 0] = x[1] + 0.5
    J[1, 1] = x[0]


swirl = forward(n_inputs=2, n_outputs=2)(swirl_rows)
swirl_with_jacobian = forward(n_inputs=2, n_outputs=2, jacobian=swirl_jacobian)(swirl_rows)
BOX = [(-1.5, 1.5)] * 2


def swirl_solver(f):
    return fi.NearestSolver(f, bounds=BOX, random_state=0).fit()


def test_solutions_are_the_same_with_and_without_a_jacobian():
    assert swirl.jacobian_address is None
    assert isinstance(swirl_with_jacobian.jacobian_address, int)
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
    """One that is zero leads nowhere."""

    def zero(x, J):
        for i in range(2):
            for j in range(2):
                J[i, j] = 0.0

    stuck = swirl_solver(forward(n_inputs=2, n_outputs=2, jacobian=zero)(swirl_rows))
    y = swirl([[0.31, 0.17]])
    assert stuck.solve(y).residual[0, 0] > 1e-6
    assert swirl_solver(swirl).solve(y).residual[0, 0] < 1e-12


def test_a_jacobian_that_is_not_finite_does_no_harm():
    def broken(x, J):
        J[0, 0] = np.nan

    solver = swirl_solver(forward(n_inputs=2, n_outputs=2, jacobian=broken)(swirl_rows))
    y = swirl([[0.31, 0.17], [1.0, -0.5]])
    found, listed = solver.solve(y), solver.solve_all(y)
    assert np.isfinite(found.residual).all()
    np.testing.assert_allclose(
        found.residual,
        np.linalg.norm(swirl(found.x.reshape(-1, 2)).reshape(2, 5, 2) - y[:, None], axis=2),
    )
    assert (listed.count == 0).all()


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
        _ = f.jacobian_address
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
    assert f.jacobian_address
    y = swirl([[0.31, 0.17]])
    solver = swirl_solver(swirl_with_jacobian)
    again = pickle.loads(pickle.dumps(solver))
    assert again.pipeline_spec_.refine.jacobian == again.forward_.jacobian_address
    np.testing.assert_array_equal(again.solve_all(y).x, solver.solve_all(y).x)
    np.testing.assert_array_equal(again.solve(y).x, solver.solve(y).x)
