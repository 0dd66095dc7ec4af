"""Formulas: Python functions that Numba compiles to machine code, for kernels to call."""

from __future__ import annotations

import functools
import inspect
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastinv._common.arrays import Float64Array
from fastinv._common.threads import resolve_n_threads
from fastinv._common.validation import as_float64, check_integer
from fastinv.functions.code import CompiledCode, RowCode
from fastinv.functions.compilation import RowFunction, compile_rows, probe
from fastinv.functions.function import Function, checked_diff_step


def forward(
    n_inputs: int,
    n_outputs: int,
    jacobian: RowFunction | None = None,
    diff_step: ArrayLike | None = None,
) -> Callable[[RowFunction], ForwardFunction]:
    """Declare a formula: a decorator for ``def f(x, y)``, which writes f(x) into y.

    Parameters
    ----------
    n_inputs, n_outputs : int
        Lengths of x and y. Both are float64 vectors; x must not be written to.
    jacobian : callable, default=None
        ``jacobian(x, J)`` writes dy_i/dx_j into J[i, j], J of shape (n_outputs, n_inputs). None
        takes central differences where a derivative is needed.
        Solvers compare it with differences at a few anchors, and raise where it is another one.
    diff_step : float or array-like of shape (n_inputs,), default=None
        How far those differences reach to each side of x, in units of a solver's scale of each
        input: the standard deviation of its anchors. None takes 6e-6, the cube root of the rounding
        unit. An f that is a table, or is computed in single precision, needs more.

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
    return lambda function: ForwardFunction(function, n_inputs, n_outputs, jacobian, diff_step)


class ForwardFunction(Function):
    """A formula, compiled by Numba when it is first evaluated; safe to share between threads.

    Rows do not affect each other. Where f raises, or where an index leaves its array, the row's
    image is NaN; so is an output that f does not write. Division by zero gives infinity or NaN,
    as in NumPy. Write NaN rather than raise an error with a computed message: Numba
    never frees such a message. Globals and variables of enclosing functions are constants once f is
    compiled; solvers raise, in `fit`, `freeze` and when they are loaded, if they find that one has
    changed.

    Parameters
    ----------
    function : callable
        ``function(x, y)`` writes the image of x (n_inputs,) into y (n_outputs,).
    n_inputs, n_outputs : int
    jacobian : callable, default=None
        ``jacobian(x, J)`` writes the derivative into J (n_outputs, n_inputs).
    diff_step : float or array-like of shape (n_inputs,), default=None
        As in :func:`forward`. The attribute has one for each input, or is None.

    Raises
    ------
    TypeError
        `function` is not a plain Python function with two arguments. On first use: it returns a
        value, or Numba cannot compile it.
    ValueError
        A dimension is below 1; `diff_step` has a wrong shape or is not positive. On first use:
        `function` writes to x.
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
        diff_step: ArrayLike | None = None,
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
        self.diff_step = checked_diff_step(diff_step, self.n_inputs)
        self._lock = threading.Lock()
        self._code: CompiledCode | None = None
        self._native: Any = None  # the extension's function, made on the first call

    @property
    def name(self) -> str:
        """Name of the decorated function."""
        return self.__name__

    @property
    def python_function(self) -> RowFunction:
        """The decorated function itself."""
        return self.__wrapped__

    @property
    def code(self) -> CompiledCode:
        """The machine code; compiles on first use."""
        if self._code is None:
            with self._lock:
                if self._code is None:
                    self._code = self._compiled()
        return self._code

    def _compiled(self) -> CompiledCode:
        p, q = self.n_inputs, self.n_outputs
        values = _row_code(self.python_function, self.name, p, (q,))
        jacobian = None
        if self.jacobian is not None:
            jacobian = _row_code(self.jacobian, f"jacobian of {self.name}", p, (q, p))
        return CompiledCode(p, q, values, jacobian)

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
        if self._native is None:
            self._native = _native(self.code)
        self._native.values(
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
            return name  # by reference, like other functions
        return ForwardFunction, (
            self.python_function,
            self.n_inputs,
            self.n_outputs,
            self.jacobian,
            self.diff_step,
        )


def _checked_out(out: Any, shape: tuple[int, ...], X: Float64Array) -> Float64Array:
    """`out`, after checking that native code may write to it."""
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


def _row_code(function: RowFunction, name: str, n_inputs: int, shape: tuple[int, ...]) -> RowCode:
    probe(function, name, n_inputs, shape)
    compiled = compile_rows(function, name, n_inputs, shape)
    return RowCode(int(compiled.address), compiled)


def _native(code: CompiledCode) -> Any:
    from fastinv import _core  # imported here: describing functions needs no extension

    return _core.compiled_function(code.n_inputs, code.n_outputs, code.values, code.jacobian)
