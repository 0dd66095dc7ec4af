"""Inverse kinematics of a planar arm with two links, by the law of cosines."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]

_REACH_SLACK = 1e-14  # rounding may put a straight arm beyond reach


def elbow_solutions(
    targets: Float64Array,
    side: float,
    first: Float64Array | float = 1.0,
    second: Float64Array | float = 1.0,
) -> Float64Array:
    """Joint angles that bring the tip to each target.

    Parameters
    ----------
    targets : ndarray of shape (..., 2)
    side : {-1.0, 1.0}
        Sign of the second angle.
    first, second : float or ndarray of shape (...)
        Lengths of the links.

    Returns
    -------
    ndarray of shape (..., 2)
        The first angle, and the second relative to the first, both in (-π, π]; NaN beyond reach.
    """
    radius = np.hypot(targets[..., 0], targets[..., 1])
    # tan²(second angle / 2), as a quotient whose parts do not cancel.
    outer = (first + second - radius) * (first + second + radius)
    inner = (radius - first + second) * (radius + first - second)
    reachable = (outer >= -_REACH_SLACK) & (inner >= -_REACH_SLACK)
    bend = 2.0 * np.arctan2(np.sqrt(np.maximum(outer, 0.0)), np.sqrt(np.maximum(inner, 0.0)))
    lead = np.arctan2(second * np.sin(bend), first + second * np.cos(bend))
    angle = wrapped(np.arctan2(targets[..., 1], targets[..., 0]) - side * lead)
    solutions = np.stack([angle, side * bend], axis=-1)
    return np.where(reachable[..., None], solutions, np.nan)


def wrapped(angle: Float64Array) -> Float64Array:
    """`angle` in (-π, π]; angles already there do not change."""
    return angle - 2.0 * np.pi * np.ceil((angle - np.pi) / (2.0 * np.pi))
