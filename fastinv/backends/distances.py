"""Distances in y, in units of the outputs, that are correct even if squares overflow or vanish."""

from __future__ import annotations

import numpy as np

from fastinv._common.arrays import Float64Array


def distance(a: Float64Array, b: Float64Array, weight: Float64Array) -> Float64Array:
    """Norms over the last axis of the differences times `weight` ``(q,)``.

    They are correct even if squares overflow or vanish.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        errors = (a - b) * weight
        plain = np.sqrt((errors**2).sum(axis=-1))
        scaled = np.hypot.reduce(np.abs(errors), axis=-1)
    return np.asarray(np.where(np.isfinite(plain) & (plain > 1e-140), plain, scaled))
