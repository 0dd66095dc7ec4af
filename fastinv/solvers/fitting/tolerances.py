"""Units of the outputs, and how far from a target a solution may be."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastinv._common.arrays import Float64Array
from fastinv._common.validation import as_float64, check_number
from fastinv.functions.goal import Goal

RESIDUAL_TOL = 1e-3  # of a solver, where neither tolerance is given


class Tolerances(NamedTuple):
    """The largest residual, and the largest error of each output ``(q,)`` in its own unit, or None.

    Under a relative tolerance, a solution must also be near a root of f - y; errors that the user
    allows are allowed whether f reaches the target or not.
    """

    residual: float
    error: Float64Array | None

    def goal(self, targets: Float64Array, near: Float64Array | None = None) -> Goal:
        """What a call for `targets` ``(n, q)`` asks for."""
        return Goal(targets, self.residual, near, self.error, root=self.error is None)


def resolve_tolerances(
    residual_tol: float | None, error_tol: Any, n_outputs: int, default: float = RESIDUAL_TOL
) -> Tolerances:
    """Both tolerances as given; `default` for the residual where neither is.

    Raises
    ------
    TypeError, ValueError
        A tolerance is no number, negative or NaN, or `error_tol` has another shape than () or (q,).
    """
    error = None if error_tol is None else per_output(error_tol, "error_tol", n_outputs)
    if error is not None and not (error >= 0).all():
        raise ValueError(f"error_tol must be at least 0 for each output, got {error_tol}")
    if residual_tol is not None:
        check_number(residual_tol, "residual_tol", minimum=0.0)
        return Tolerances(float(residual_tol), error)
    return Tolerances(default if error is None else float("inf"), error)


def output_units(y_scale: Any, anchors_y: Float64Array) -> Float64Array:
    """The unit of each output ``(q,)``: `y_scale`, or the standard deviation over the anchors.

    Raises
    ------
    TypeError, ValueError
        `y_scale` has another shape than () or (q,), or is not positive and finite.
    """
    if y_scale is None:
        return column_spread(anchors_y)
    units = per_output(y_scale, "y_scale", anchors_y.shape[1])
    with np.errstate(over="ignore", divide="ignore"):
        if not ((units > 0) & np.isfinite(units) & np.isfinite(1 / units)).all():
            raise ValueError(f"y_scale must be positive and finite, got {y_scale}")
    return units


def per_output(values: Any, name: str, n_outputs: int) -> Float64Array:
    """One number for each output ``(q,)``, from one for all or one each."""
    array = as_float64(values, name)
    if array.shape not in ((), (n_outputs,)):
        raise ValueError(
            f"{name} must be one number or one per output, of shape ({n_outputs},), "
            f"got {array.shape}"
        )
    return np.array(np.broadcast_to(array, (n_outputs,)))


def column_spread(values: Float64Array) -> Float64Array:
    """The standard deviation of each column; of a constant one its size, or 1 where it is 0.

    A column times a power of two has a spread times that power, to the bit: columns are scaled by
    such powers, so that no square overflows or vanishes.
    """
    largest = np.abs(values).max(axis=0)
    unit = np.exp2(np.floor(np.log2(np.where(largest > 0, largest, 1.0))))
    deviation = (values / unit).std(axis=0) * unit
    # A constant column can have a tiny standard deviation, by the rounding of its mean.
    constant = (values.max(axis=0) == values.min(axis=0)) | (deviation == 0)
    return np.where(constant, np.where(largest > 0, largest, 1.0), deviation)
