"""Distances in y that are correct even if squares overflow or vanish."""

from __future__ import annotations

import numpy as np

from fastinv._common.arrays import Float64Array


def distance(a: Float64Array, b: Float64Array) -> Float64Array:
    """Euclidean distances over the last axis, correct even if squares overflow or vanish."""
    with np.errstate(over="ignore", invalid="ignore"):
        plain = np.sqrt(((a - b) ** 2).sum(axis=-1))
        scaled = np.hypot.reduce(np.abs(a - b), axis=-1)
    return np.asarray(np.where(np.isfinite(plain) & (plain > 1e-140), plain, scaled))
