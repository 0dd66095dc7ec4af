"""Forward functions: formulas, their compilation, and its errors."""

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

from fastinv.functions import ForwardFunction, forward

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
    code = mixed.code
    assert (code.n_inputs, code.n_outputs, code.n_weights) == (2, 3, 0)
    assert isinstance(code.values.address, int)
    assert code.values.address != 0
    assert mixed.code is code


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
        calls.append((function.code.values.address, function([3.0])[0]))

    threads = [threading.Thread(target=use) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == [(function.code.values.address, 6.0)] * 6


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
    ) as refusal:
        sly([1.0])
    assert "\x1b" not in str(refusal.value)  # Numba colours its messages where it can


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
