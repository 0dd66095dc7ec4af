"""Checks of arguments, shared by estimators and solvers.

Each check returns the argument in the form that the rest of the package works with, or raises a
TypeError (wrong kind) or a ValueError (wrong shape or range) that names the argument.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float64Array = NDArray[np.float64]
FLOAT32 = np.dtype(np.float32)
FLOAT64 = np.dtype(np.float64)

# Python's int comes first: asking the abstract class takes ten times as long.
INTEGERS = (int, Integral)
NUMBERS = (float, int, Real)

_LARGEST_BOUND = 1e100  # squares of widths are still finite
RandomState = int | np.random.RandomState | np.random.Generator | None
Option = TypeVar("Option", bound=str)


def check_pairs(X: ArrayLike, y: ArrayLike) -> tuple[Float64Array, Float64Array]:
    """Check training data: inputs `X` with their outputs `y`.

    Parameters
    ----------
    X : array-like of shape (n, p)
    y : array-like of shape (n,) or (n, q)

    Returns
    -------
    X : ndarray of shape (n, p), float64, C-contiguous
    y : ndarray of shape (n, q), float64, C-contiguous

    Raises
    ------
    ValueError
        Wrong dimensions, different lengths, no rows or columns, NaN or infinity.

    Warns
    -----
    UserWarning
        If columns of either are constant.
    """
    X = as_float64(X, "X")
    if X.ndim != 2:
        raise ValueError(f"X must have shape (n, p), got shape {X.shape}")
    y = as_float64(y, "y")
    if y.ndim not in (1, 2):
        raise ValueError(f"y must have shape (n,) or (n, q), got shape {y.shape}")
    if len(X) != len(y):
        raise ValueError(f"X and y must have the same length, got {len(X)} and {len(y)} rows")
    y = y[:, None] if y.ndim == 1 else y
    for array, name in ((X, "X"), (y, "y")):
        if array.size == 0:
            raise ValueError(f"{name} must not be empty, got shape {array.shape}")
        _check_finite_rows(array, name)
        _warn_of_constant_columns(array, name)
    return X, y


def check_bounds(bounds: ArrayLike, n_inputs: int) -> Float64Array:
    """Check the box of allowed inputs.

    Parameters
    ----------
    bounds : array-like of shape (p, 2)
        ``(low, high)`` of each input.
    n_inputs : int
        p

    Returns
    -------
    ndarray of shape (p, 2), float64
    """
    box = as_float64(bounds, "bounds")
    if box.shape != (n_inputs, 2):
        raise ValueError(
            f"bounds must have shape ({n_inputs}, 2), a (low, high) for each input, "
            f"got shape {box.shape}"
        )
    for i, (low, high) in enumerate(box.tolist()):
        if not (np.isfinite([low, high]).all() and low < high):
            raise ValueError(
                f"bounds must be finite with low < high, got ({low}, {high}) for input {i}"
            )
        if max(abs(low), abs(high)) > _LARGEST_BOUND:
            raise ValueError(
                f"bounds must be at most {_LARGEST_BOUND:g} in size, got ({low}, {high}) for "
                f"input {i}"
            )
    return box


def check_targets(y: ArrayLike, n_outputs: int) -> Float64Array:
    """Check targets. NaN and infinity are allowed: their rows become INVALID later.

    Parameters
    ----------
    y : array-like of shape (n, q) or (q,); (n,) or a number where q is 1
        One target of shape (q,) is a batch of one.
    n_outputs : int
        q

    Returns
    -------
    ndarray of shape (n, q), float64, C-contiguous
    """
    targets = as_float64(y, "y")
    if targets.ndim <= 1 and n_outputs == 1:
        return targets.reshape(-1, 1)
    if targets.shape == (n_outputs,):
        return targets.reshape(1, n_outputs)
    if targets.ndim != 2 or targets.shape[1] != n_outputs:
        one_dimensional = "(n,)" if n_outputs == 1 else f"({n_outputs},)"
        raise ValueError(
            f"y must have shape (n, {n_outputs}) or {one_dimensional}, got shape {targets.shape}"
        )
    return targets


def check_n_neighbors(n_neighbors: int, n_anchors: int, name: str = "n_neighbors") -> int:
    """Check a number of neighbours, at most `n_anchors`."""
    count = check_integer(n_neighbors, name)
    if count > n_anchors:
        raise ValueError(f"{name} must be at most the number of anchors, {n_anchors}, got {count}")
    return count


def check_integer(value: int, name: str, minimum: int = 1) -> int:
    """Check an integer that is at least `minimum`."""
    if not isinstance(value, INTEGERS) or isinstance(value, bool):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < minimum:
        wanted = "positive" if minimum == 1 else f"at least {minimum}"
        raise ValueError(f"{name} must be {wanted}, got {value}")
    return int(value)


def check_number(
    value: float,
    name: str,
    *,
    above: float | None = None,
    minimum: float | None = None,
    below: float | None = None,
) -> float:
    """Check a finite number: greater than `above`, at least `minimum` and less than `below`."""
    if not isinstance(value, NUMBERS) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number, got {value!r}")
    try:
        number = float(value)
    except OverflowError:  # an integer beyond all floats
        number = math.inf
    fits = (
        math.isfinite(number)
        and (above is None or value > above)
        and (minimum is None or value >= minimum)
        and (below is None or value < below)
    )
    if not fits:
        limits = (("greater than", above), ("at least", minimum), ("less than", below))
        wanted = ["finite", *(f"{words} {limit}" for words, limit in limits if limit is not None)]
        raise ValueError(f"{name} must be {' and '.join(wanted)}, got {value}")
    return number


def check_option(value: Option, name: str, options: Sequence[Option]) -> Option:
    """Check that `value` is one of `options`."""
    if not isinstance(value, str) or value not in options:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, options))}, got {value!r}")
    return value


def check_flag(value: bool, name: str) -> bool:
    """Check that `value` is True or False."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def check_random_state(random_state: RandomState) -> np.random.Generator:
    """A new PCG64 generator, seeded from what scikit-learn calls `random_state`.

    Parameters
    ----------
    random_state : int, RandomState, Generator or None
        An integer always gives the same stream. A RandomState or Generator is drawn from once, so
        that using it again gives another stream. None seeds from the operating system.
    """
    if isinstance(random_state, np.random.Generator | np.random.RandomState):
        return np.random.default_rng(np.frombuffer(random_state.bytes(32), dtype="<u4"))
    if random_state is not None:
        random_state = check_integer(random_state, "random_state", minimum=0)
    return np.random.default_rng(random_state)


def as_float64(values: ArrayLike, name: str) -> Float64Array:
    """`values` as float64, C-contiguous; copied only if necessary."""
    try:
        if isinstance(values, np.ma.MaskedArray):
            values = _without_mask(values, FLOAT64)
        array: NDArray[Any] = np.asarray(values)
    except ValueError as error:  # ragged
        raise ValueError(f"{name} must be an array of numbers: {error}") from error
    if array.dtype.kind not in "biufO":
        raise ValueError(f"{name} must hold real numbers, got dtype {array.dtype}")
    try:
        array = np.asarray(array, FLOAT64, order="C")
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must hold real numbers: {error}") from error
    return array if array.flags.aligned else array.copy()


def as_floats(
    values: ArrayLike, name: str, dtype: np.dtype[np.floating[Any]] | None = None
) -> NDArray[np.floating[Any]]:
    """`values` in `dtype`, float32 or float64, C-contiguous; copied only if necessary.

    None keeps float32 arrays and converts all others to float64. Values too large for float32
    become infinite.
    """
    is_single = isinstance(values, np.ndarray) and values.dtype == FLOAT32
    if dtype is None:
        dtype = FLOAT32 if is_single else FLOAT64
    if is_single and dtype == FLOAT32:
        if isinstance(values, np.ma.MaskedArray):
            values = _without_mask(values, FLOAT32)
        array = np.asarray(values, order="C")
        return array if array.flags.aligned else array.copy()
    wide = as_float64(values, name)
    if dtype == FLOAT64:
        return wide
    with np.errstate(over="ignore"):
        return wide.astype(dtype)


def _without_mask(values: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Masked entries as NaN, because the numbers below the mask are not values."""
    filled: NDArray[Any] = np.ma.filled(values.astype(dtype), np.nan)
    return filled


def _check_finite_rows(array: Float64Array, name: str) -> None:
    bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
    if len(bad):
        raise ValueError(
            f"{name} must be finite, got NaN or infinity (inf) in {len(bad)} of {len(array)} rows, "
            f"the first is row {bad[0]}"
        )


def _warn_of_constant_columns(array: Float64Array, name: str) -> None:
    if len(array) == 1:  # one row does not make a column constant
        return
    constant = np.flatnonzero(array.max(axis=0) == array.min(axis=0)).tolist()
    if constant:
        columns = ", ".join(map(str, constant))
        warnings.warn(
            f"{name} is constant in column{'s' * (len(constant) > 1)} {columns}: "
            "nothing can be learned from that",
            UserWarning,
            stacklevel=4,
        )
