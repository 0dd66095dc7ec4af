"""Whether f is still what a solver was fitted to, and its machine code what its text says."""

from __future__ import annotations

from time import perf_counter

import numpy as np

from fastinv._common.arrays import BoolArray, Float64Array
from fastinv.functions.compiled import ForwardFunction
from fastinv.functions.function import Function
from fastinv.solvers.fitting.places import in_words, spread_rows

_N_PLACES = 4
# Instruction sets and libraries differ in last bits, which f may enlarge.
_SAME = 1e-9
_PATIENCE = 1e-3  # s; after that, no more of the places are computed by Python


def check_unchanged(function: Function, anchors_x: Float64Array, anchors_y: Float64Array) -> None:
    """Compare f at a few anchors with their images, which are those that it had in `fit`.

    Parameters
    ----------
    function : Function
        What was learned from data is left alone: its anchors' y were measured.
    anchors_x, anchors_y : ndarray of shape (n, p), (n, q)

    Raises
    ------
    ValueError
        f has other values now.
    """
    if not function.exact:
        return
    rows = spread_rows(len(anchors_x), _N_PLACES)
    images = function(anchors_x[rows])
    other = np.flatnonzero(~_same(images, anchors_y[rows], anchors_y))
    if len(other):
        row = rows[other[0]]
        raise ValueError(
            f"{function.name} is not what the solver was fitted to: at "
            f"x = {in_words(anchors_x[row])} f(x) is {in_words(images[other[0]])}, but in fit it "
            f"was {in_words(anchors_y[row])}. It, or what it reads, has changed, or it is random: "
            "fit again"
        )
    check_compiled(function, anchors_x, anchors_y)


def check_compiled(function: Function, anchors_x: Float64Array, anchors_y: Float64Array) -> None:
    """Compare the machine code of f with its Python function: globals are constants in the former.

    Parameters
    ----------
    function : Function
    anchors_x, anchors_y : ndarray of shape (n, p), (n, q)
        With images by the machine code.

    Raises
    ------
    ValueError
        What f reads has changed since it was compiled.
    """
    if not isinstance(function, ForwardFunction):
        return
    rows = spread_rows(len(anchors_x), _N_PLACES)
    x, y = anchors_x[rows], anchors_y[rows]
    by_python = _by_python(function, x)
    if _same(by_python, y[: len(by_python)], anchors_y).all():
        return
    # Python may compute otherwise, as it has integers of any size. New machine code tells.
    new = ForwardFunction(function.python_function, function.n_inputs, function.n_outputs)(x)
    stale = np.flatnonzero(~_same(new, y, anchors_y))
    if len(stale):
        raise ValueError(
            f"{function.name} was compiled, and what it reads, such as a global, has changed "
            f"since: at x = {in_words(x[stale[0]])} its machine code is "
            f"{in_words(y[stale[0]])}, but compiled now it would be {in_words(new[stale[0]])}. "
            "Declare it again with @fastinv.forward, and fit again"
        )


def _same(found: Float64Array, expected: Float64Array, anchors_y: Float64Array) -> BoolArray:
    """Which rows are the same but for rounding; without NaN."""
    scale = np.abs(expected) + np.median(np.abs(anchors_y), axis=0)
    with np.errstate(all="ignore"):
        return np.asarray((np.abs(found - expected) <= _SAME * scale).all(axis=1))


def _by_python(function: ForwardFunction, x: Float64Array) -> Float64Array:
    """Images of the first rows of `x`, at least one, by the interpreter; NaN where it raises."""
    images = []
    end = perf_counter() + _PATIENCE
    for row in x:
        image = np.full(function.n_outputs, np.nan)
        try:
            with np.errstate(all="ignore"):
                function.python_function(row.copy(), image)
        except Exception:  # whatever it is, machine code gives NaN
            image[:] = np.nan
        images.append(image)
        if perf_counter() > end:
            break
    return np.array(images)
