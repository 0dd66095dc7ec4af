"""Residuals as solvers report them, and roots as SciPy finds them, computed from outside."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import least_squares


def residuals(solver: Any, images: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
    """Norms of errors in units of the outputs; the last axis is that of outputs."""
    errors = (np.asarray(images) - np.asarray(y)) / solver.y_scale_
    return np.asarray(np.linalg.norm(errors, axis=-1))


def residual_after_scipy(solver: Any, y: NDArray[np.float64], x: NDArray[np.float64]) -> float:
    """What `least_squares` leaves of the residual for one target, started at one point."""

    def errors(x: NDArray[np.float64]) -> NDArray[np.float64]:
        images = solver.forward_(x[None])[0]
        return np.asarray(np.nan_to_num((images - y) / solver.y_scale_, nan=1e6))

    low, high = solver.bounds_.T
    end = least_squares(
        errors, np.clip(x, low, high), bounds=(low, high), xtol=1e-15, ftol=1e-15, gtol=1e-15
    )
    return float(np.sqrt(2 * end.cost))
