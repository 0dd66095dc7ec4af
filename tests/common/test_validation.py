"""Checks of what arguments mean."""

from __future__ import annotations

import math
import warnings
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fastinv._common.validation import (
    as_floats,
    check_bounds,
    check_integer,
    check_n_neighbors,
    check_number,
    check_pairs,
    check_random_state,
    check_targets,
)

HUGE = 2**1024  # the first integer beyond all floats

# --- pairs -------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 7, 33])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int16, bool, object])
def test_pairs_become_float64_columns(n, dtype):
    rng = np.random.default_rng(n)
    X = np.asfortranarray(rng.integers(0, 2, (n, 3)))
    X[0], X[-1] = 0, 1
    y = X[:, 0]
    checked_X, checked_y = check_pairs(X.astype(dtype), y.astype(dtype))
    for checked, given_values in ((checked_X, X), (checked_y, y[:, None])):
        assert checked.dtype == np.float64
        assert checked.flags.c_contiguous
        np.testing.assert_array_equal(checked, given_values)


def test_pairs_are_not_copied_without_need():
    X, y = np.random.default_rng(0).normal(size=(2, 7, 3))
    checked_X, checked_y = check_pairs(X, y)
    assert np.shares_memory(checked_X, X)
    assert np.shares_memory(checked_y, y)


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.zeros(3), np.zeros(3), r"X must have shape \(n, p\), got shape \(3,\)"),
        (3.0, np.zeros(3), r"X must have shape"),
        (np.eye(3), 1.0, r"y must have shape \(n,\) or \(n, q\), got shape \(\)"),
        (np.eye(3), np.zeros((3, 1, 1)), r"y must have shape"),
        (np.eye(3), np.zeros(2), r"got 3 and 2 rows"),
        (np.zeros((0, 2)), np.zeros(0), r"X must not be empty, got shape \(0, 2\)"),
        (np.zeros((2, 0)), np.zeros(2), r"X must not be empty"),
        (np.eye(2), np.zeros((2, 0)), r"y must not be empty"),
        (np.eye(2) * 1j, np.zeros(2), r"X must hold real numbers, got dtype complex128"),
        (np.eye(2), ["1", "2"], r"y must hold real numbers"),
        (np.eye(2), [None, "b"], r"y must hold real numbers"),
        ([[1.0], [1.0, 2.0]], np.zeros(2), r"X must be an array of numbers"),
    ],
)
def test_bad_pairs_are_named(X, y, message):
    with pytest.raises(ValueError, match=message):
        check_pairs(X, y)


@given(
    bad=st.sets(st.integers(0, 32), min_size=1), value=st.sampled_from([np.nan, np.inf, -np.inf])
)
def test_rows_that_are_not_finite_are_counted(bad, value):
    X = np.random.default_rng(0).normal(size=(33, 2))
    X[sorted(bad), len(bad) % 2] = value
    with pytest.raises(ValueError, match=rf"in {len(bad)} of 33 rows, the first is row {min(bad)}"):
        check_pairs(X, np.arange(33.0))


def test_constant_columns_warn_where_there_is_more_than_one_row():
    X = np.column_stack([np.full(7, 3.0), np.arange(7), np.zeros(7)])
    with pytest.warns(UserWarning, match="X is constant in columns 0, 2") as record:
        check_pairs(X, np.arange(7))
    assert len(record) == 1
    with pytest.warns(UserWarning, match="y is constant in column 0:"):
        check_pairs(X[:, 1:2], np.ones(7))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_pairs(X[:1], [1.0])


# --- bounds and targets ------------------------------------------------------------------------


def test_bounds():
    box = check_bounds([(-1, 1), (0, 2)], 2)
    assert box.dtype == np.float64
    np.testing.assert_array_equal(box, [[-1, 1], [0, 2]])


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ([(0, 1)], r"bounds must have shape \(2, 2\).*got shape \(1, 2\)"),
        ([0, 1], r"got shape \(2,\)"),
        ([(0, 1), (1, 1)], r"low < high, got \(1\.0, 1\.0\) for input 1"),
        ([(0, 1), (2, 1)], r"for input 1"),
        ([(0, math.inf), (0, 1)], r"finite.*\(0\.0, inf\) for input 0"),
        ([(math.nan, 1), (0, 1)], r"for input 0"),
    ],
)
def test_bad_bounds(bounds, message):
    with pytest.raises(ValueError, match=message):
        check_bounds(bounds, 2)


@given(
    values=st.tuples(st.integers(0, 9), st.integers(1, 4)).flatmap(
        lambda shape: arrays(np.float64, shape, elements=st.floats())
    )
)
def test_targets_keep_their_values(values):
    n, q = values.shape
    np.testing.assert_array_equal(check_targets(values, q), values)
    for row in values:
        np.testing.assert_array_equal(check_targets(row, q), row.reshape(-1, q))
    if q == 1:
        np.testing.assert_array_equal(check_targets(values[:, 0], 1), values)
        assert check_targets(values[:, 0], 1).shape == (n, 1)


@pytest.mark.parametrize(
    ("y", "n_outputs", "message"),
    [
        (np.zeros(3), 2, r"y must have shape \(n, 2\) or \(2,\), got shape \(3,\)"),
        (np.zeros((4, 3)), 2, r"got shape \(4, 3\)"),
        (np.zeros((4, 2)), 1, r"y must have shape \(n, 1\) or \(n,\), got shape \(4, 2\)"),
        (0.5, 2, r"got shape \(\)"),
        (np.zeros((2, 2, 2)), 2, r"got shape \(2, 2, 2\)"),
    ],
)
def test_bad_targets(y, n_outputs, message):
    with pytest.raises(ValueError, match=message):
        check_targets(y, n_outputs)


# --- scalars -----------------------------------------------------------------------------------


def test_n_neighbors():
    assert check_n_neighbors(np.int32(7), 7) == 7
    with pytest.raises(ValueError, match="n_neighbors must be at most the number of anchors, 7"):
        check_n_neighbors(8, 7)
    with pytest.raises(ValueError, match="k must be positive, got 0"):
        check_n_neighbors(0, 7, name="k")
    with pytest.raises(TypeError, match=r"n_neighbors must be an integer, got 2\.0"):
        check_n_neighbors(2.0, 7)


def test_number_says_all_that_is_wanted():
    assert check_number(0, "a", minimum=0.0, below=1.0) == 0.0
    for value in (1.0, -1e-300, math.nan, math.inf):
        with pytest.raises(ValueError, match=r"a must be finite and at least 0\.0 and less than 1"):
            check_number(value, "a", minimum=0.0, below=1.0)
    with pytest.raises(ValueError, match=r"greater than 0\.0, got 0"):
        check_number(0, "a", above=0.0)


@pytest.mark.parametrize("value", [np.inf, np.nan, np.float32(np.inf), HUGE, -HUGE])
def test_numbers_that_no_float_holds_are_named(value):
    with pytest.raises(ValueError, match="a must be finite and at least 0"):
        check_number(value, "a", minimum=0.0)


@pytest.mark.parametrize("value", [2, 2.0, np.float32(2.0), np.int16(2), Fraction(2)])
def test_numbers_of_every_kind_become_floats(value):
    number = check_number(value, "a", above=0.0, below=2.5)
    assert number == 2.0
    assert type(number) is float


@pytest.mark.parametrize("value", [True, np.True_, "2", None, 1j, np.array(2)])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(TypeError, match="a must be a number"):
        check_number(value, "a")
    with pytest.raises(TypeError, match="a must be an integer"):
        check_integer(value, "a")


@pytest.mark.parametrize("value", [3, np.int8(3), np.uint64(3)])
def test_integers_of_every_kind_become_ints(value):
    assert check_integer(value, "a") == 3
    assert type(check_integer(value, "a")) is int


def test_random_state():
    draw = [check_random_state(seed).random() for seed in (0, np.int64(0), 1)]
    assert draw[0] == draw[1] == np.random.default_rng(0).random() != draw[2]
    assert check_random_state(None).random() != check_random_state(None).random()
    legacy = np.random.RandomState(0)
    assert check_random_state(legacy).random() != check_random_state(legacy).random()
    for kind in (np.random.RandomState, np.random.default_rng):
        assert check_random_state(kind(3)).random() == check_random_state(kind(3)).random()


def test_masked_values_are_no_values():
    masked = np.ma.masked_array([[1.0, 2.0], [3.0, 4.0]], mask=[[0, 0], [1, 0]])
    targets = check_targets(masked, 2)
    np.testing.assert_array_equal(targets, [[1.0, 2.0], [np.nan, 4.0]])


def test_unaligned_arrays_are_copied_to_where_kernels_can_read_them():
    buffer = bytearray(8 * 6 + 1)
    unaligned = np.frombuffer(buffer, np.float64, count=6, offset=1).reshape(3, 2)
    assert not unaligned.flags.aligned
    assert check_targets(unaligned, 2).flags.aligned


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_keep_the_float32_of_an_array_where_no_dtype_is_asked_for(dtype):
    plain = np.arange(6.0).reshape(3, 2).astype(dtype)
    for values in (plain, np.asfortranarray(plain), plain[::-1], np.array(1.5, dtype)):
        found = as_floats(values, "a")
        assert found.dtype == dtype
        assert found.flags.c_contiguous
        np.testing.assert_array_equal(found, values, strict=True)
    assert as_floats(plain, "a") is plain
    assert as_floats(plain, "a", np.dtype(np.float64)).dtype == np.float64


def test_floats_of_all_else_are_float64_unless_float32_is_asked_for():
    for values in ([[1.0, 2.0]], [np.float32(1.5)], np.arange(3, dtype=np.int16), True):
        assert as_floats(values, "a").dtype == np.float64
        assert as_floats(values, "a", np.dtype(np.float32)).dtype == np.float32
    assert as_floats(1e60, "a", np.dtype(np.float32)) == np.inf


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_floats_of_masked_and_unaligned_arrays(dtype):
    masked = np.ma.masked_array(np.array([1, 2], dtype), mask=[0, 1])
    np.testing.assert_array_equal(as_floats(masked, "a"), [1.0, np.nan])
    assert type(as_floats(masked, "a")) is np.ndarray
    size = np.dtype(dtype).itemsize
    unaligned = np.frombuffer(bytearray(size * 6 + 1), dtype, count=6, offset=1)
    assert not unaligned.flags.aligned
    assert as_floats(unaligned, "a").flags.aligned


def test_bounds_whose_width_would_overflow():
    with pytest.raises(ValueError, match=r"bounds must be at most 1e\+100 in size"):
        check_bounds([(-1e308, 1e308)], 1)
