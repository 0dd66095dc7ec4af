"""Exact solutions of polynomial equations: companion matrices, then Newton's method."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fastinv.functions.compilation import RowFunction

Float64Array = NDArray[np.float64]

# A double root is found as a pair at most this far apart along either axis. A root farther from the
# real axis is truly complex.
_NEAR_REAL = 1e-2
_N_STEPS = 40  # a double root halves the error in each step: 40 steps take 1e-2 to 1e-14
_TOLERANCE = 1e-11


def real_roots(coefficients: Float64Array) -> Float64Array:
    """Real parts of the roots that are real within rounding.

    Parameters
    ----------
    coefficients : ndarray of shape (n, d + 1)
        Highest power first; the first coefficient is not zero. Infinity and NaN are allowed.

    Returns
    -------
    ndarray of shape (n, d)
        NaN for a complex root, and for all roots if a coefficient is not finite.
    """
    n, degree = coefficients.shape[0], coefficients.shape[1] - 1
    finite = np.asarray(np.isfinite(coefficients).all(axis=1))
    companion = np.zeros((n, degree, degree))
    companion[:, np.arange(1, degree), np.arange(degree - 1)] = 1.0
    companion[finite, 0] = -coefficients[finite, 1:] / coefficients[finite, :1]
    roots = np.linalg.eigvals(companion)
    real = np.abs(roots.imag) <= _NEAR_REAL * (1.0 + np.abs(roots.real))
    return np.where(real & finite[:, None], roots.real, np.nan)


def polish(
    function: RowFunction,
    jacobian: Callable[[Float64Array], Float64Array],
    starts: Float64Array,
    targets: Float64Array,
) -> Float64Array:
    """Newton's method for f(x) = y with as many equations as unknowns.

    Parameters
    ----------
    function : callable
        The formula of f, called with columns, (p, m) and (p, m), instead of one row.
    jacobian : callable
        Columns (p, m) to df_i/dx_j, (m, p, p).
    starts : ndarray of shape (n, k, p)
        NaN where there is none.
    targets : ndarray of shape (n, p)

    Returns
    -------
    ndarray of shape (n, k, p)
        Solutions; NaN where the start is NaN or the iteration did not converge.
    """
    row, slot = np.nonzero(np.isfinite(starts).all(axis=2))
    x, y = starts[row, slot].T, targets[row].T
    scale = 1.0 + np.abs(y).max(axis=0)
    best, error = x.copy(), np.full(len(row), np.inf)
    active = np.arange(len(row))
    for _ in range(_N_STEPS):
        residual = np.empty_like(x)
        function(x, residual)
        residual -= y[:, active]
        size = np.abs(residual).max(axis=0)
        better = size < error[active]
        best[:, active[better]], error[active[better]] = x[:, better], size[better]
        going = size > np.finfo(np.float64).eps * scale[active]
        active = active[going]
        x = x[:, going] - solve_systems(jacobian(x[:, going]), residual[:, going].T).T
    converged = error <= _TOLERANCE * scale
    solutions = np.full_like(starts, np.nan)
    solutions[row[converged], slot[converged]] = best.T[converged]
    return solutions


def solve_systems(matrices: Float64Array, vectors: Float64Array) -> Float64Array:
    """Solutions (m, p) of linear systems; zero where the matrix (m, p, p) is singular."""
    regular = np.linalg.det(matrices) != 0.0
    steps = np.zeros_like(vectors)
    steps[regular] = np.linalg.solve(matrices[regular], vectors[regular, :, None])[:, :, 0]
    return steps
