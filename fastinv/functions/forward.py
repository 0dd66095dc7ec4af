"""Forward functions: what a solver inverts, whether a formula, a callable or a fitted regressor.

:func:`forward` turns a formula into a :class:`ForwardFunction`, which Numba compiles to machine
code that the C++ kernels call without the interpreter. :func:`as_forward` wraps whatever else a
user has, so that solvers meet one protocol, :class:`Forward`.
"""

from __future__ import annotations

import functools
import inspect
import sys
import threading
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastinv import _core
from fastinv._common.threads import resolve_n_threads
from fastinv._common.validation import as_float64, check_integer
from fastinv.functions.compilation import RowFunction, compile_rows, probe
from fastinv.functions.wrapped import CallableForward, EstimatorForward, checked_call, name_of

__all__ = [
    "CallableForward",
    "EstimatorForward",
    "Forward",
    "ForwardFunction",
    "as_forward",
    "forward",
]

Float64Array = NDArray[np.float64]


class Forward(Protocol):
    """What solvers ask of f.

    Attributes
    ----------
    n_inputs, n_outputs : int
        Dimensions p of x and q of y.
    name : str
        What messages call f.
    exact : bool
        True for a formula or a callable, False for something learned from data.
    address : int or None
        ``void(const double *X, double *Y, int64_t n)`` over row-major (n, p) and (n, q); None
        where only Python can evaluate f.
    """

    @property
    def n_inputs(self) -> int: ...
    @property
    def n_outputs(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def exact(self) -> bool: ...
    @property
    def address(self) -> int | None: ...

    def __call__(self, X: ArrayLike) -> Float64Array:
        """Images (n, n_outputs) of the rows of `X` (n, n_inputs), float64."""
        ...


def forward(
    n_inputs: int, n_outputs: int, jacobian: RowFunction | None = None
) -> Callable[[RowFunction], ForwardFunction]:
    """Declare a formula: a decorator for ``def f(x, y)``, which writes f(x) into y.

    Parameters
    ----------
    n_inputs, n_outputs : int
        Lengths of x and y. Both are float64 vectors; x must not be written to.
    jacobian : callable, default=None
        ``jacobian(x, J)`` writes dy_i/dx_j into J[i, j], J of shape (n_outputs, n_inputs). None
        takes central differences where a derivative is needed.

    Returns
    -------
    callable
        Turns the function into a :class:`ForwardFunction`. Nothing is compiled before its first
        use.

    Examples
    --------
    >>> import numpy as np, fastinv as fi
    >>> @fi.forward(n_inputs=2, n_outputs=1)
    ... def product(x, y):
    ...     y[0] = x[0] * x[1]
    >>> product([[2.0, 3.0], [4.0, 5.0]])
    array([[ 6.],
           [20.]])
    """
    return lambda function: ForwardFunction(function, n_inputs, n_outputs, jacobian)


class ForwardFunction:
    """A formula, compiled by Numba when it is first evaluated; safe to share between threads.

    Rows do not affect each other. Where f raises, or where an index leaves its array, the row's
    image is NaN; so is an output that f does not write. Division by zero gives infinity or NaN,
    as in NumPy. To write NaN is better than to raise an error whose message is computed: Numba
    never frees such a message.

    Parameters
    ----------
    function : callable
        ``function(x, y)`` writes the image of x (n_inputs,) into y (n_outputs,).
    n_inputs, n_outputs : int
    jacobian : callable, default=None
        ``jacobian(x, J)`` writes the derivative into J (n_outputs, n_inputs).

    Raises
    ------
    TypeError
        `function` is not a plain Python function of two arguments. On first use: it returns a
        value, or Numba cannot compile it.
    ValueError
        A dimension is below 1. On first use: `function` writes to x.
    IndexError
        On first use: `function` indexes beyond x or y.
    """

    __module__: str
    __name__: str
    __qualname__: str
    __wrapped__: RowFunction
    exact = True

    def __init__(
        self,
        function: RowFunction,
        n_inputs: int,
        n_outputs: int,
        jacobian: RowFunction | None = None,
    ) -> None:
        if not inspect.isfunction(function):
            raise TypeError(f"@forward decorates a plain Python function f(x, y), got {function!r}")
        if jacobian is not None and not inspect.isfunction(jacobian):
            raise TypeError(f"jacobian must be a plain Python function j(x, J), got {jacobian!r}")
        self.n_inputs = check_integer(n_inputs, "n_inputs")
        self.n_outputs = check_integer(n_outputs, "n_outputs")
        signature = inspect.signature(function)
        try:
            signature.bind(None, None)
        except TypeError as error:
            raise TypeError(
                f"{function.__name__} must take two arguments, x and y, and write f(x) into y; "
                f"its signature is {function.__name__}{signature}"
            ) from error
        functools.update_wrapper(self, function)
        self.jacobian = jacobian
        self._lock = threading.Lock()
        self._native: Any = None
        self._native_jacobian: Any = None

    @property
    def name(self) -> str:
        """Name of the decorated function."""
        return self.__name__

    @property
    def python_function(self) -> RowFunction:
        """The decorated function itself."""
        return self.__wrapped__

    @property
    def address(self) -> int:
        """Address of ``void(const double *X, double *Y, int64_t n)``; compiles on first use.

        The code lives as long as this object does.
        """
        if self._native is None:
            with self._lock:
                if self._native is None:
                    self._native = self._compiled(self.python_function, self.name, self.n_outputs)
        return int(self._native.address)

    @property
    def jacobian_address(self) -> int | None:
        """Address of ``void(const double *X, double *J, int64_t n)``, with J (n, n_outputs,
        n_inputs); None without a `jacobian`. Compiles on first use."""
        if self.jacobian is None:
            return None
        if self._native_jacobian is None:
            with self._lock:
                if self._native_jacobian is None:
                    self._native_jacobian = self._compiled(
                        self.jacobian, f"jacobian of {self.name}", self.n_outputs, self.n_inputs
                    )
        return int(self._native_jacobian.address)

    def _compiled(self, function: RowFunction, name: str, *shape: int) -> Any:
        probe(function, name, self.n_inputs, shape)
        return compile_rows(function, name, self.n_inputs, shape)

    def __call__(
        self,
        X: ArrayLike,
        *,
        out: Float64Array | None = None,
        n_threads: int | None = None,
    ) -> Float64Array:
        """Images of the rows of `X`.

        Parameters
        ----------
        X : array-like of shape (n, n_inputs) or (n_inputs,)
        out : ndarray of shape (n, n_outputs) or (n_outputs,), optional
            C-contiguous float64 array to write to; it may not overlap `X`.
        n_threads : int, optional
            Threads that share the rows, by default as many as pay. The result does not depend on
            it.

        Returns
        -------
        ndarray of shape (n, n_outputs), or (n_outputs,) for one x; float64

        Raises
        ------
        TypeError, ValueError, IndexError
            `X`, `out` or `n_threads` is not as described; or f cannot be compiled.
        """
        points = as_float64(X, "X")
        if points.ndim not in (1, 2) or points.shape[-1] != self.n_inputs:
            raise ValueError(
                f"X must have shape (n, {self.n_inputs}) or ({self.n_inputs},) for {self.name}, "
                f"got {points.shape}"
            )
        shape = (*points.shape[:-1], self.n_outputs)
        out = np.empty(shape) if out is None else _checked_out(out, shape, points)
        _core.evaluate_forward(
            self.address,
            points.reshape(-1, self.n_inputs),
            out.reshape(-1, self.n_outputs),
            resolve_n_threads(n_threads),
        )
        return out

    def __repr__(self) -> str:
        return f"<ForwardFunction {self.name}: R^{self.n_inputs} -> R^{self.n_outputs}>"

    # scikit-learn's clone deep-copies parameters; a copy would compile the same code again.
    def __copy__(self) -> ForwardFunction:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> ForwardFunction:
        return self

    def __reduce__(self) -> str | tuple[Any, ...]:
        name = self.__qualname__
        found: Any = sys.modules.get(self.__module__)
        for part in name.split("."):
            found = getattr(found, part, None)
        if found is self:
            return name  # by reference, as functions are
        return ForwardFunction, (
            self.python_function,
            self.n_inputs,
            self.n_outputs,
            self.jacobian,
        )


def as_forward(
    f: Any,
    n_inputs: int | None = None,
    n_outputs: int | None = None,
    *,
    probe_points: ArrayLike | None = None,
) -> Forward:
    """Whatever a user has for f, as a :class:`Forward`.

    Parameters
    ----------
    f : ForwardFunction, CallableForward, EstimatorForward, fitted regressor or callable
        A callable takes (n, n_inputs) and returns (n, n_outputs).
    n_inputs, n_outputs : int, optional
        Dimensions, where they are known. Those that `f` itself states must agree.
    probe_points : array-like of shape (m, n_inputs), optional
        Points at which a callable or a regressor is evaluated once, to find n_outputs and to
        check what it returns. Two or more tell a vectorised callable from one that takes a
        single x.

    Returns
    -------
    Forward

    Raises
    ------
    TypeError
        `f` is none of these.
    ValueError
        Dimensions disagree or cannot be found, or what `f` returns has another shape or does not
        hold real numbers.
    """
    if isinstance(f, ForwardFunction | CallableForward | EstimatorForward):
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
    return (EstimatorForward if is_regressor else CallableForward)(f, n_inputs, n_outputs)


def _checked_out(out: Any, shape: tuple[int, ...], X: Float64Array) -> Float64Array:
    """`out`, once it is known to be an array that native code may write to."""
    if not isinstance(out, np.ndarray) or out.dtype != np.float64:
        found = out.dtype if isinstance(out, np.ndarray) else type(out).__name__
        raise TypeError(f"out must be a float64 array, got {found}")
    if out.shape != shape:
        raise ValueError(f"out must have shape {shape}, got {out.shape}")
    if not (out.flags.c_contiguous and out.flags.writeable):
        raise ValueError("out must be C-contiguous and writeable")
    if np.may_share_memory(out, X):
        raise ValueError("out must not overlap X")
    return out


def _agreed(name: str, dimension: str, *candidates: int | None) -> int:
    """The one value that all `candidates` which are not None agree on."""
    values = {check_integer(value, dimension) for value in candidates if value is not None}
    if len(values) != 1:
        found = " and ".join(map(str, sorted(values))) or "nothing that says so"
        raise ValueError(f"{dimension} of {name} must be one number, got {found}")
    return values.pop()
