"""Rows of measured data that are absurdly far from all others, which would spoil every scale."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np
from numpy.typing import NDArray

from fastinv._common.arrays import Float64Array

_MOST = 100  # one row in so many, and at least one, can be outlying
_LEAST_DEVIATIONS = 20  # with fewer values beside the median there is nothing to compare with
_FAR = 100.0
_MOST_NAMED = 5  # in a warning
_computed = ContextVar("computed", default=False)


@contextmanager
def computed_pairs(computed: bool) -> Iterator[None]:
    """Inside, :func:`without_outliers` keeps every row if they are `computed`: a formula means what
    it gives, however wide its range is."""
    token = _computed.set(computed)
    try:
        yield
    finally:
        _computed.reset(token)


def without_outliers(
    X: Float64Array,
    y: Float64Array,
    *,
    names: tuple[str, str] = ("X", "y"),
    stacklevel: int = 3,
) -> tuple[Float64Array, Float64Array]:
    """The rows of measured pairs without those that hold a gross outlier.

    A gross outlier is so far from its column's median that not even a heavy tail explains it: the
    distances of all but one in a hundred values tell how fast the tail falls, and a power law
    through them, with a factor of a hundred to spare, how far the farthest honest value may be.
    Exponentials of uniform or normal numbers, and Cauchy's distribution, stay within that; of
    600 values of order one it is a few hundred to a thousand. What is rare but not alone (more
    than one row in a hundred) is no outlier, nor is a value in a column that is otherwise constant.
    The decision is the same in every unit; one that has been applied finds nothing more.

    With a squared loss one such row is all that a network learns, whatever the scales, so it is
    left out altogether.

    Parameters
    ----------
    X : ndarray of shape (n, p), float64
    y : ndarray of shape (n,) or (n, q), float64
        Finite, as `X`.
    names : tuple of two str
        What messages call them.
    stacklevel : int, default=3
        Of the warning: 3 is the caller of the function that calls this.

    Returns
    -------
    X, y : ndarray
        The same objects if there is no outlier.

    Warns
    -----
    UserWarning
        Names row, column and value of what was left out.
    """
    if _computed.get():
        return X, y
    columns = np.column_stack([X, y])
    rows = np.arange(len(columns))
    left_out: list[tuple[int, int]] = []  # row and column
    while (outlying := _outlying(columns[rows])).any():
        # Look again without them, so that another fit to what is left finds nothing more.
        found_rows, found_columns = np.nonzero(outlying)
        left_out += zip(rows[found_rows].tolist(), found_columns.tolist(), strict=True)
        rows = rows[~outlying.any(axis=1)]
    if not left_out:
        return X, y
    warnings.warn(
        _message(columns, X.shape[1], sorted(left_out), names), UserWarning, stacklevel=stacklevel
    )
    return X[rows], y[rows]


def _outlying(values: Float64Array) -> NDArray[np.bool_]:
    """Which of `values` ``(n, d)`` are too far from the median of their column."""
    with np.errstate(over="ignore"):  # what is infinitely far away is outlying
        distances = np.abs(values - np.median(values, axis=0))
    return np.column_stack([column > _largest_honest(column) for column in distances.T])


def _largest_honest(distances: Float64Array) -> float:
    """How far from the median a value may be, given all distances ``(n,)``."""
    distances = distances[distances > 0.0]
    n = len(distances)
    if n < _LEAST_DEVIATIONS:
        return np.inf
    n_far = max(1, n // _MOST)
    middle, ordinary = np.partition(distances, [(n - 1) // 2, n - 1 - n_far])[
        [(n - 1) // 2, n - 1 - n_far]
    ]
    # P(distance > d) falls as a power of d: from 1/2 at `middle` to (n_far + 1) / n at `ordinary`,
    # and as much again, and down to 1 / n at the farthest.
    steps = 1.0 + np.log(n_far + 1.0) / np.log(0.5 * n / (n_far + 1.0))
    with np.errstate(over="ignore"):
        return float(_FAR * ordinary * (ordinary / middle) ** steps)


def _message(
    columns: Float64Array, n_inputs: int, left_out: list[tuple[int, int]], names: tuple[str, str]
) -> str:
    n_rows = len({row for row, _ in left_out})
    described = []
    for row, column in left_out[:_MOST_NAMED]:
        name = f"{names[0]}[{row}, {column}]"
        if column >= n_inputs:
            name = f"{names[1]}[{row}, {column - n_inputs}]"
        described.append(f"{name} = {columns[row, column]:.6g}")
    if len(left_out) > _MOST_NAMED:
        described.append(f"and {len(left_out) - _MOST_NAMED} more")
    return (
        f"{n_rows} of {len(columns)} rows left out, as values in them are absurdly far from all "
        f"others of their column: {', '.join(described)}. Correct them, or drop their rows; if "
        "they are right, give the logarithm of that column"
    )
