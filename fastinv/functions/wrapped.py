"""Functions that Python evaluates: vectorised callables and fitted regressors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastinv._common.arrays import Float64Array
from fastinv._common.validation import as_float64
from fastinv.functions.code import NetworkCode
from fastinv.functions.function import Function


@dataclass(frozen=True)
class CallableFunction(Function):
    """A vectorised Python callable as a function.

    Parameters
    ----------
    function : callable
        Takes X (n, n_inputs) float64, a copy of the caller's, and returns (n, n_outputs) real
        numbers, or (n,) where n_outputs is 1. It is not called for n = 0.
    n_inputs, n_outputs : int
    """

    function: Callable[[Float64Array], ArrayLike]
    n_inputs: int
    n_outputs: int
    exact = True

    @property
    def name(self) -> str:
        """Name of the callable."""
        return name_of(self.function)

    def __call__(self, X: ArrayLike) -> Float64Array:
        """Images (n, n_outputs), float64, of the rows of `X` (n, n_inputs)."""
        return checked_call(self.function, self.name, X, self.n_inputs, self.n_outputs)


@dataclass(frozen=True)
class LearnedFunction(Function):
    """A fitted regressor as a function: learned, hence not exact.

    Parameters
    ----------
    regressor : object
        ``predict(X)`` takes (n, n_inputs) and returns (n, n_outputs), or (n,) where n_outputs
        is 1; any fitted scikit-learn regressor does.
    n_inputs, n_outputs : int
    """

    regressor: Any
    n_inputs: int
    n_outputs: int
    exact = False

    @property
    def name(self) -> str:
        """The regressor's method, such as ``LinearRegression.predict``."""
        return name_of(self.regressor)

    @property
    def code(self) -> NetworkCode | None:
        """The network, if the regressor is one of fastinv's."""
        network_code = getattr(self.regressor, "network_code", None)
        return None if network_code is None else network_code()

    def __call__(self, X: ArrayLike) -> Float64Array:
        """Predictions (n, n_outputs), float64, for the rows of `X` (n, n_inputs)."""
        return checked_call(self.regressor.predict, self.name, X, self.n_inputs, self.n_outputs)


def checked_call(
    function: Callable[[Float64Array], ArrayLike],
    name: str,
    X: ArrayLike,
    n_inputs: int,
    n_outputs: int | None,
) -> Float64Array:
    """``function(X)`` as (n, n_outputs) float64; any number of columns where that is None."""
    points = as_float64(X, "X")
    if points.ndim != 2 or points.shape[1] != n_inputs:
        raise ValueError(f"X must have shape (n, {n_inputs}) for {name}, got {points.shape}")
    n = len(points)
    if n == 0 and n_outputs is not None:
        return np.empty((0, n_outputs))  # many callables fail for zero rows
    image = as_float64(function(points.copy()), f"what {name} returns")
    table = image[:, None] if image.ndim == 1 else image
    if table.ndim != 2 or len(table) != n or n_outputs not in (None, table.shape[1]):
        columns = "n_outputs" if n_outputs is None else n_outputs
        raise ValueError(
            f"{name} must return an array of shape ({n}, {columns}) for X of shape "
            f"{points.shape}, got {image.shape}"
        )
    return table


def name_of(f: Any) -> str:
    """The name of a callable or a regressor in messages."""
    if hasattr(f, "predict"):
        return f"{type(f).__name__}.predict"
    return str(getattr(f, "__name__", type(f).__name__))
