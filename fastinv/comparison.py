"""Measures of errors and training times, shared by the demo and the paper's experiments."""

from __future__ import annotations

import time

import numpy as np

from fastinv._common.arrays import Float64Array
from fastinv.functions.function import Function
from fastinv.solvers import DirectSolver, TwinSolver


def rmse_in_y(forward: Function, x: Float64Array, targets: Float64Array) -> float:
    """Root mean square of f(x) - y over targets and components.

    As in the published code of Wetzel (2026), "Inverting Non-Injective Functions with Twin Neural
    Network Regression"; f is the exact forward function.

    Parameters
    ----------
    forward : Function
    x : ndarray of shape (n, p)
        One solution per target.
    targets : ndarray of shape (n, q)

    Returns
    -------
    float
        In the units of y; NaN if an image is NaN.
    """
    return float(np.sqrt(np.mean((forward(x) - targets) ** 2)))


def timed_fit(solver: TwinSolver | DirectSolver, X: Float64Array | None = None) -> float:
    """Train `solver` on `X` and its images, and return the seconds that it took.

    Raises
    ------
    KeyboardInterrupt
        If the training is interrupted; without this function that only ends it early.
    """
    start = time.perf_counter()
    solver.fit(X)
    elapsed = time.perf_counter() - start
    if solver.stopped_ == "interrupted":
        raise KeyboardInterrupt
    return elapsed
