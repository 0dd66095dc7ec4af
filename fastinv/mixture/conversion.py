"""Mixtures from the raw outputs of networks, and to scikit-learn."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import solve_triangular
from sklearn.mixture import GaussianMixture

from fastinv._common.arrays import Float64Array
from fastinv._common.validation import as_float64
from fastinv.backends.checks.common import FLOAT64
from fastinv.backends.reference.mixtures.likelihood import LIMITS, weights
from fastinv.functions.networks import Covariance, MixtureSpec


def from_raw_outputs(
    raw: ArrayLike, mixture: MixtureSpec, mean: ArrayLike, scale: ArrayLike
) -> tuple[Float64Array, Float64Array, Float64Array, Covariance]:
    """Arguments of :class:`fastinv.mixture.Mixture` for ``y = mean + scale t``; `raw` gives t."""
    rows = as_float64(raw, "raw")
    if rows.ndim != 2 or rows.shape[1] != mixture.n_raw:
        raise ValueError(f"raw must have shape (n, {mixture.n_raw}), got shape {rows.shape}")
    if np.isnan(rows).any():
        raise ValueError(
            f"raw must not hold NaN, got some in row {np.argwhere(np.isnan(rows))[0, 0]}"
        )
    n, k, d = len(rows), mixture.n_components, mixture.n_dims
    shift, unit = _per_dimension(mean, "mean", d), _per_dimension(scale, "scale", d)
    if (unit <= 0.0).any():
        raise ValueError(f"scale must be positive, got {unit.min()}")

    _, log_weights, _ = weights(rows[:, :k], mixture.min_weight, LIMITS[FLOAT64])
    means = shift + unit * rows[:, k : k + k * d].reshape(n, k, d)
    entries = rows[:, k + k * d :].reshape(n, k, mixture.n_scales)
    if mixture.covariance_type == "full":
        return log_weights, means, unit[:, None] * _lower(entries, mixture), "full"
    scales = _scales(entries, mixture.min_scale)
    if mixture.covariance_type == "spherical" and (unit == unit[0]).all():
        return log_weights, means, unit[0] * scales[:, :, 0], "spherical"
    return log_weights, means, unit * scales, "diag"


def to_gaussian_mixture(
    weights: Float64Array, means: Float64Array, scales: Float64Array, covariance_type: Covariance
) -> GaussianMixture:
    """A fitted estimator of one mixture: weights ``(K,)``, means ``(K, D)`` and scales."""
    present = weights > 0.0
    weights, means, scales = weights[present], means[present], scales[present]
    model = GaussianMixture(len(weights), covariance_type=covariance_type)
    model.weights_, model.means_ = weights, means
    if covariance_type == "full":
        identity = np.eye(means.shape[1])
        inverses = [solve_triangular(lower, identity, lower=True).T for lower in scales]
        model.covariances_ = scales @ np.swapaxes(scales, 1, 2)
        model.precisions_cholesky_ = np.array(inverses)
        model.precisions_ = np.array([root @ root.T for root in inverses])
    else:
        model.covariances_ = scales**2
        model.precisions_cholesky_ = 1.0 / scales
        model.precisions_ = model.precisions_cholesky_**2
    model.n_features_in_ = means.shape[1]
    model.converged_, model.n_iter_, model.lower_bound_ = True, 0, -np.inf
    return model


def _per_dimension(values: ArrayLike, name: str, n_dims: int) -> Float64Array:
    given = as_float64(values, name)
    if given.shape not in ((), (n_dims,)):
        raise ValueError(f"{name} must have shape () or ({n_dims},), got shape {given.shape}")
    if not np.isfinite(given).all():
        raise ValueError(f"{name} must be finite, got {given.tolist()}")
    return np.broadcast_to(given, (n_dims,))


def _scales(entries: Float64Array, min_scale: float) -> Float64Array:
    limit = LIMITS[FLOAT64].log_scale
    return min_scale + np.exp(np.clip(entries, -limit, limit))


def _lower(entries: Float64Array, mixture: MixtureSpec) -> Float64Array:
    """Cholesky factors ``(n, K, D, D)`` from their triangles row by row ``(n, K, n_scales)``."""
    d, limit = mixture.n_dims, LIMITS[FLOAT64].off_diagonal
    rows, columns = np.tril_indices(d)
    lower = np.zeros((*entries.shape[:2], d, d))
    lower[:, :, rows, columns] = np.clip(entries, -limit, limit)
    diagonal = np.arange(d)
    lower[:, :, diagonal, diagonal] = _scales(entries[:, :, rows == columns], mixture.min_scale)
    return lower
