"""Densities of Gaussian components, in logarithms throughout.

Shapes: n rows, K components, D dimensions; ``...`` are axes that broadcast.
"""

from __future__ import annotations

import numpy as np

from fastinv._common.arrays import Float64Array
from fastinv.backends.reference.mixtures.likelihood import (
    LARGEST_WHITENED,
    log_sum_exp,
    solve_lower,
)
from fastinv.functions.networks import Covariance

HALF_LOG_2_PI = 0.5 * float(np.log(2.0 * np.pi))
LARGEST_SCALE = 1e140  # smallest: 1 / LARGEST_SCALE; squares stay finite and positive


def scale_matrix(scales: Float64Array, n_dims: int, covariance_type: Covariance) -> Float64Array:
    """Lower Cholesky factors ``(n, K, D, D)`` of the covariances."""
    if covariance_type == "full":
        return scales
    if covariance_type == "spherical":
        scales = np.repeat(scales[:, :, None], n_dims, axis=2)
    return scales[..., None] * np.eye(n_dims)


def log_densities(
    y: Float64Array,
    log_weights: Float64Array,
    means: Float64Array,
    scales: Float64Array,
    covariance_type: Covariance,
) -> Float64Array:
    """log p(y) ``(n, m)`` for `y` ``(n, m, D)`` or ``(1, m, D)``.

    NaN if y has NaN, -inf if it has infinities but no NaN.
    """
    n, n_components, n_dims = means.shape
    finite_y = np.where(np.isfinite(y), y, 0.0)
    terms = np.empty((n, y.shape[1], n_components))
    for k in range(n_components):  # one at a time: n m K D numbers at once would be too many
        residuals = finite_y - means[:, k, None, :]
        scale = scales[:, k, None]
        if covariance_type == "full":
            z = solve_lower(scale, residuals)
            log_volume = np.log(np.diagonal(scale, axis1=2, axis2=3)).sum(axis=2)
        else:
            scale = scale[:, :, None] if covariance_type == "spherical" else scale
            with np.errstate(over="ignore"):
                z = np.clip(residuals / scale, -LARGEST_WHITENED, LARGEST_WHITENED)
            log_volume = np.log(np.broadcast_to(scale, (n, 1, n_dims))).sum(axis=2)
        constant = log_weights[:, k, None] - log_volume - n_dims * HALF_LOG_2_PI
        terms[:, :, k] = constant - 0.5 * (z * z).sum(axis=2)
    log_prob = log_sum_exp(terms)
    infinite, missing = np.isinf(y).any(axis=2), np.isnan(y).any(axis=2)
    return np.where(missing, np.nan, np.where(infinite, -np.inf, log_prob))
