"""Functions that Python evaluates: vectorised callables and fitted regressors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fastinv._common.arrays import Float64Array
from fastinv._common.validation import as_float64
from fastinv.functions.code import NetworkCode
from fastinv.functions.function import Function, checked_diff_step


@dataclass(frozen=True)
class CallableFunction(Function):
    """A vectorised Python callable as a function.

    Solvers take a callable as it is. This class is for what they could not know: its derivative,
    or how far differences should reach.

    Parameters
    ----------
    function : callable
        Takes X (n, n_inputs) float64, a copy of the caller's, and returns (n, n_outputs) real
        numbers, or (n,) where n_outputs is 1, which are copied: it may return the same array each
        time. It is not called for n = 0. Each row of the result depends on the same row of X alone.
    n_inputs, n_outputs : int
    jacobian : callable, default=None
        Takes X (n, n_inputs) and returns dy_i/dx_j (n, n_outputs, n_inputs). None takes central
        differences: 2 n_inputs rows for each derivative, all in one call of `function`.
    diff_step : float or array-like of shape (n_inputs,), default=None
        How far those differences reach to each side of x, as in :func:`fastinv.forward`.

    Raises
    ------
    TypeError
        `jacobian` is not callable.
    ValueError
        `diff_step` has a wrong shape or is not positive.

    Examples
    --------
    >>> import numpy as np, fastinv as fi
    >>> def waves(X):
    ...     return np.sin(3 * X)
    >>> def slopes(X):
    ...     return 3 * np.cos(3 * X)[:, :, None]
    >>> f = fi.CallableFunction(waves, 1, 1, jacobian=slopes)
    >>> solver = fi.NearestSolver(f, bounds=[(0, 2)], random_state=0).fit()
    >>> solver.solve_all(0.5).x[0, :2, 0].round(3)
    array([0.175, 0.873])
    """

    function: Callable[[Float64Array], ArrayLike]
    n_inputs: int
    n_outputs: int
    jacobian: Callable[[Float64Array], ArrayLike] | None = None
    diff_step: tuple[float, ...] | None = None
    exact = True

    if TYPE_CHECKING:  # of what __post_init__ makes a tuple

        def __init__(
            self,
            function: Callable[[Float64Array], ArrayLike],
            n_inputs: int,
            n_outputs: int,
            jacobian: Callable[[Float64Array], ArrayLike] | None = None,
            diff_step: ArrayLike | None = None,
        ) -> None: ...

    def __post_init__(self) -> None:
        if self.jacobian is not None and not callable(self.jacobian):
            raise TypeError(f"jacobian must be callable, got {self.jacobian!r}")
        steps = checked_diff_step(self.diff_step, self.n_inputs)
        object.__setattr__(self, "diff_step", steps)

    @property
    def name(self) -> str:
        """Name of the callable."""
        return name_of(self.function)

    def __call__(self, X: ArrayLike) -> Float64Array:
        """Images (n, n_outputs), float64, of the rows of `X` (n, n_inputs)."""
        return checked_call(self.function, self.name, X, self.n_inputs, self.n_outputs)

    def jacobians(self, x: Float64Array) -> Float64Array:
        """The derivative that was given, ``(n, q, p)``."""
        if self.jacobian is None:
            return super().jacobians(x)
        shape = (len(x), self.n_outputs, self.n_inputs)
        if not len(x):
            return np.empty(shape)
        name = f"jacobian of {self.name}"
        found = as_float64(self.jacobian(x.copy()), f"what {name} returns")
        if found.shape != shape:
            raise ValueError(
                f"{name} must return an array of shape {shape} for X of shape {x.shape}, "
                f"got {found.shape}"
            )
        return found.copy()  # as what f returns

    # It may hold what cannot be copied, such as a library that is open.
    def __copy__(self) -> CallableFunction:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> CallableFunction:
        return self


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
    """A copy of ``function(X)``, (n, n_outputs) float64; any number of columns if that is None."""
    points = as_float64(X, "X")
    if points.ndim != 2 or points.shape[1] != n_inputs:
        raise ValueError(f"X must have shape (n, {n_inputs}) for {name}, got {points.shape}")
    n = len(points)
    if n == 0 and n_outputs is not None:
        return np.empty((0, n_outputs))  # many callables fail for zero rows
    # Copied, since the next call may fill the same array again.
    image = as_float64(function(points.copy()), f"what {name} returns").copy()
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
