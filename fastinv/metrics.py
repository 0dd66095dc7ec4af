"""The error that solvers are compared by."""

from __future__ import annotations

import numpy as np

from fastinv.backends.protocol import Float64Array
from fastinv.forward import Forward


def rmse_in_y(forward: Forward, x: Float64Array, targets: Float64Array) -> float:
    """Root mean square of f(x) - y over targets and components.

    As the published code of Wetzel (2026), "Inverting Non-Injective Functions with Twin Neural
    Network Regression", computes it; f is the exact forward function.

    Parameters
    ----------
    forward : Forward
    x : ndarray of shape (n, p)
        One solution per target.
    targets : ndarray of shape (n, q)

    Returns
    -------
    float
        In the units of y; NaN if an image is.
    """
    return float(np.sqrt(np.mean((forward(x) - targets) ** 2)))
