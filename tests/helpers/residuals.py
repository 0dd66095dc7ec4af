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


def residual_after_newton(solver: Any, y: NDArray[np.float64], x: NDArray[np.float64]) -> float:
    """What one Newton step from a point leaves of the residual."""
    shifts = 1e-6 * np.diag(np.ptp(solver.bounds_, axis=1))
    low, high = solver.bounds_.T
    ends = np.clip(x + shifts, low, high), np.clip(x - shifts, low, high)
    differences = solver.forward_(ends[0]) - solver.forward_(ends[1])
    slopes = differences / (ends[0] - ends[1]).sum(axis=1, keepdims=True) / solver.y_scale_
    errors = (solver.forward_(x[None])[0] - y) / solver.y_scale_
    moved = np.clip(x - np.linalg.pinv(slopes.T) @ errors, low, high)
    return float(residuals(solver, solver.forward_(moved[None])[0], y))
