"""From a user's formula ``f(x, y)`` to machine code over a batch of rows, with Numba."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import islice, takewhile
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]
RowFunction = Callable[[Float64Array, Float64Array], object]  # must return nothing

_PROBE_VALUE = 0.5  # in the domain of log, sqrt, arcsin and 1/x, unlike 0 or a negative number
_VECTORISED_HINT = (
    "A plain callable that takes X (n, n_inputs) and returns (n, n_outputs) works without "
    "compilation: pass it to the solver as it is"
)


def probe(function: RowFunction, name: str, n_inputs: int, shape: tuple[int, ...]) -> None:
    """Run `function` once as plain Python, whose errors are clearer than a compiler's.

    Parameters
    ----------
    function : callable
        ``function(x, y)`` with x (n_inputs,) and y of `shape`.
    name : str
        What errors call it.
    n_inputs : int
    shape : tuple of int
        (n_outputs,), or (n_outputs, n_inputs) for a derivative.

    Raises
    ------
    IndexError
        It indexes beyond x or y.
    TypeError
        It returns a value, or fails with a TypeError.
    ValueError
        It writes to x, or assigns an array of another shape.
    """
    x = np.full(n_inputs, _PROBE_VALUE)
    y = np.full(shape, np.nan)
    shapes = f"x of shape ({n_inputs},) and y of shape {shape}"
    try:
        with np.errstate(all="ignore"):
            returned = function(x, y)
    except IndexError as error:
        raise IndexError(f"{name} fails for {shapes}: {error}") from error
    except TypeError as error:
        raise TypeError(f"{name} fails for {shapes}: {error}") from error
    except (ValueError, ArithmeticError) as error:
        if "broadcast" in str(error):
            raise ValueError(f"{name} fails for {shapes}: {error}") from error
        return  # the point may lie outside f's domain; f may still be valid
    if returned is not None:
        raise TypeError(
            f"{name} must write f(x) into y and return nothing, it returned "
            f"{type(returned).__name__}"
        )
    if not np.array_equal(x, np.full(n_inputs, _PROBE_VALUE)):
        raise ValueError(f"{name} writes to its first argument, x; only y may be written to")


def compile_rows(function: RowFunction, name: str, n_inputs: int, shape: tuple[int, ...]) -> Any:
    """Compile `function` into ``void(const double *X, double *Y, int64_t n)``.

    A row's image starts as NaN and is NaN again if f raises, also for an index out of range:
    neither memory nor another row is touched.

    Parameters
    ----------
    function : callable
    name : str
        What errors call it.
    n_inputs : int
        Columns of X, row-major.
    shape : tuple of int
        Shape of a row of Y, as in :func:`probe`.

    Returns
    -------
    numba.core.ccallback.CFunc
        Its ``address`` is valid as long as it lives.

    Raises
    ------
    TypeError
        Numba cannot compile `function`.
    """
    import numba  # takes half a second, which users who only load a model can skip
    from numba import carray  # type: ignore[attr-defined]
    from numba.core import errors, types

    x_type = types.Array(types.float64, 1, "C", readonly=True)
    y_type = types.Array(types.float64, len(shape), "C")
    pointer = types.CPointer(types.float64)  # type: ignore[no-untyped-call]
    try:
        # boundscheck costs nothing measurable: with constant shapes LLVM removes most checks.
        row = numba.njit([types.void(x_type, y_type)], error_model="numpy", boundscheck=True)(
            function
        )
    except (errors.NumbaError, errors.UnsupportedBytecodeError) as error:
        raise TypeError(
            f"Numba cannot compile {name}: {_summary(str(error))}\n{_VECTORISED_HINT}"
        ) from error

    def rows(X: Any, Y: Any, n: int) -> None:
        x = carray(X, (n, n_inputs))
        y = carray(Y, (n, *shape))
        for i in range(n):
            y[i] = np.nan
            # An exception that escaped from a C callback would be printed and would skip all later
            # rows. Numba has no narrower clause than this one.
            try:
                row(x[i], y[i])
            except:  # noqa: E722
                y[i] = np.nan

    # One serial loop; C++ threads share the rows. It does not use parallel=True, because Numba's
    # default threading layer aborts the process when two Python threads enter it at once, and costs
    # seconds of compilation.
    return numba.cfunc(types.void(pointer, pointer, types.int64), error_model="numpy")(rows)


def _summary(message: str) -> str:
    """Of a compiler's long message: what is wrong, and the source line that it points to."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", message)  # colours, where colorama is installed
    lines = [line for line in plain.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith("Failed in ")]
    head = takewhile(lambda line: not line.startswith(("File ", "During: ")), lines)
    carets = [i for i, line in enumerate(lines) if line.strip() == "^"]
    place = [line for line in lines if line.startswith("File ")][-1:]
    if carets and place:
        place = [f"{place[0]} {lines[carets[-1] - 1].strip()}"]
    return "\n".join([*islice(head, 3), *place])
