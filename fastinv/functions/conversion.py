"""Turns a user's f of any kind into a Function."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike

from fastinv._common.validation import as_float64, check_integer
from fastinv.functions.function import Function
from fastinv.functions.wrapped import CallableFunction, LearnedFunction, checked_call, name_of


def as_forward(
    f: Any,
    n_inputs: int | None = None,
    n_outputs: int | None = None,
    *,
    probe_points: ArrayLike | None = None,
) -> Function:
    """Turn a user's f of any kind into a :class:`~fastinv.functions.function.Function`.

    Parameters
    ----------
    f : Function, fitted regressor or callable
        A callable takes (n, n_inputs) and returns (n, n_outputs).
    n_inputs, n_outputs : int, optional
        Dimensions, if known. If `f` has its own, they must agree.
    probe_points : array-like of shape (m, n_inputs), optional
        Points at which a callable or a regressor is evaluated once, to find n_outputs and to
        check what it returns. Two or more tell a vectorised callable from one that takes a
        single x.

    Returns
    -------
    Function

    Raises
    ------
    TypeError
        `f` is none of these.
    ValueError
        Dimensions disagree or cannot be found, or what `f` returns has another shape or does not
        hold real numbers.
    """
    if isinstance(f, Function):
        _agreed(f.name, "n_inputs", f.n_inputs, n_inputs)
        _agreed(f.name, "n_outputs", f.n_outputs, n_outputs)
        return f
    is_regressor = hasattr(f, "predict")
    if isinstance(f, type) or not (is_regressor or callable(f)):
        raise TypeError(
            "f must be a function declared with @forward, a vectorised callable or a fitted "
            f"regressor, got {f!r}"
        )
    name = name_of(f)
    points = None if probe_points is None else as_float64(probe_points, "probe_points")
    if points is not None and points.ndim != 2:
        raise ValueError(f"probe_points must have shape (m, n_inputs), got {points.shape}")
    width = None if points is None else points.shape[1]
    n_inputs = _agreed(name, "n_inputs", getattr(f, "n_features_in_", n_inputs), n_inputs, width)
    if points is not None:
        image = checked_call(f.predict if is_regressor else f, name, points, n_inputs, n_outputs)
        n_outputs = image.shape[1]
    n_outputs = _agreed(name, "n_outputs", n_outputs)
    return (LearnedFunction if is_regressor else CallableFunction)(f, n_inputs, n_outputs)


def _agreed(name: str, dimension: str, *candidates: int | None) -> int:
    """The single value of all `candidates` that are not None."""
    values = {check_integer(value, dimension) for value in candidates if value is not None}
    if len(values) != 1:
        found = " and ".join(map(str, sorted(values))) or "nothing that says so"
        raise ValueError(f"{dimension} of {name} must be one number, got {found}")
    return values.pop()
