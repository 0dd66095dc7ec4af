"""Gross outliers of measured pairs: what is one, what is none, in any unit."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastinv._common.outliers import without_outliers

SEED = 2718
HONEST = {
    "uniform": lambda rng, n: rng.uniform(-1.0, 1.0, n),
    "normal": lambda rng, n: rng.normal(size=n),
    "exp(10 x)": lambda rng, n: np.exp(10.0 * rng.uniform(-1.0, 1.0, n)),
    "exp(10 x), wide": lambda rng, n: np.exp(10.0 * rng.uniform(-3.0, 3.0, n)),
    "log-normal": lambda rng, n: np.exp(2.0 * rng.normal(size=n)),
    "Student": lambda rng, n: rng.standard_t(3, n),
    "peaks": lambda rng, n: 1.0 / (rng.uniform(-1.0, 1.0, n) ** 2 + 1e-4),
    "narrow peaks": lambda rng, n: 1.0 / (rng.uniform(-1.0, 1.0, n) ** 2 + 1e-6),
    "power": lambda rng, n: rng.uniform(-2.0, 2.0, n) ** 9,
    "indicator": lambda rng, n: (rng.uniform(size=n) < 0.005).astype(float),
    "counts": lambda rng, n: rng.poisson(0.05, n).astype(float),
    "two populations": lambda rng, n: np.where(rng.uniform(size=n) < 0.05, 1e6, rng.normal(size=n)),
    "constant": lambda rng, n: np.full(n, 3.7),
    "constant but for one": lambda rng, n: np.where(np.arange(n) == n // 3, 1e6, 3.7),
    "grid": lambda rng, n: np.logspace(0.0, 12.0, n),
}


def rows_left(X, y):
    """The rows that stay; there must be a warning if and only if some do not."""
    marked = np.column_stack([X, np.arange(len(X))])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        kept, kept_y = without_outliers(marked, y)
    assert len(kept) == len(kept_y)
    assert [w.category for w in caught] == [UserWarning] * (len(kept) < len(X))
    return kept[:, -1].astype(int)


def gross(n_rows=600, n_outliers=1, size=1e6):
    rng = np.random.default_rng(SEED)
    X, y = rng.uniform(-1.0, 1.0, (n_rows, 2)), rng.normal(size=(n_rows, 2))
    rows = rng.choice(n_rows, n_outliers, replace=False)
    return X, y, np.sort(rows), size


@pytest.mark.parametrize("name", list(HONEST))
@pytest.mark.parametrize("n", [1, 2, 19, 100, 600, 3000])
def test_honest_data_stay_the_same_object(name, n):
    for seed in range(8):
        values = HONEST[name](np.random.default_rng([SEED, seed]), n)
        if name == "two populations" and (values > 1e5).sum() <= max(1, n // 100):
            continue  # rarer than one row in a hundred
        X, y = values[:, None], np.arange(n, dtype=float)
        kept = without_outliers(X, y)
        assert kept[0] is X
        assert kept[1] is y


@pytest.mark.parametrize("n_outliers", [1, 2, 3])
@pytest.mark.parametrize("size", [4e3, -1e6, 1e30, 1e300])
@pytest.mark.parametrize("where", ["X", "y"])
def test_gross_outliers_are_left_out(n_outliers, size, where):
    X, y, rows, size = gross(600, n_outliers, size)
    (X if where == "X" else y)[rows, 1] = size * np.linspace(1.0, 3.0, n_outliers)
    assert rows_left(X, y).tolist() == np.setdiff1d(np.arange(600), rows).tolist()


def test_several_sizes_in_several_columns():
    X, y, _, _ = gross()
    y[5:8, 0], y[20:23, 0], X[77, 1], y[99, 1] = 1e30, 1e15, -1e6, 1e5
    gone = [*range(5, 8), *range(20, 23), 77, 99]
    assert rows_left(X, y).tolist() == np.setdiff1d(np.arange(600), gone).tolist()


def test_what_is_more_frequent_than_one_row_in_a_hundred_stays():
    X, y, rows, _ = gross(600, 12)
    y[rows, 0] = 1e6
    assert without_outliers(X, y)[1] is y


def test_what_has_been_left_out_leaves_nothing_more():
    X, y, rows, _ = gross(300, 3)
    y[rows, 0] = [1e4, 1e8, 1e20]
    kept = rows_left(X, y)
    assert rows_left(X[kept], y[kept]).tolist() == list(range(len(kept)))


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(list(HONEST)),
    st.floats(0.0, 8.0),
    st.integers(20, 300),
    st.integers(-300, 300),
    st.floats(-12.0, 12.0),
    st.integers(0, 99),
)
def test_the_decision_is_the_same_in_every_unit(name, size, n, power, digits, seed):
    rng = np.random.default_rng([SEED, seed])
    values = HONEST[name](rng, n)
    values[n // 2] = 10.0**size * np.abs(values).max()
    columns = np.stack([values, rng.normal(size=n)], axis=1)
    left = rows_left(columns, columns[:, 0]).tolist()
    unit = np.array([2.0**power, 2.0**-power])
    assert rows_left(unit * columns, 2.0**power * columns[:, 0]).tolist() == left
    # Right at the limit, rounding decides in other units; no example comes that close.
    assert rows_left(10.0**digits * columns, -columns[:, 0]).tolist() == left


def test_the_warning_names_row_column_and_value():
    X, y, _, _ = gross()
    X[17, 1], y[42, 0] = -2.5e6, 1e9
    named = r"X\[17, 1\] = -2.5e\+06, y\[42, 0\] = 1e\+09\."
    with pytest.warns(UserWarning, match=f"^2 of 600 rows left out.*{named}"):
        without_outliers(X, y)
    y[100:103, 1] = 1e7
    X[200:203, 0] = 1e7
    with pytest.warns(UserWarning, match=r"8 of 600 rows left out.*, and 3 more\."):
        without_outliers(X, y)
    with pytest.warns(UserWarning, match=r"b\[42, 0\] = 1e\+09"):
        without_outliers(X[:60], y[:60], names=("a", "b"))


def test_one_dimensional_targets_stay_so():
    X, y, _, _ = gross()
    y[3, 0] = 1e6
    with pytest.warns(UserWarning, match="1 of 600 rows"):
        kept_x, kept_y = without_outliers(X, y[:, 0])
    assert (kept_x.shape, kept_y.shape) == ((599, 2), (599,))
