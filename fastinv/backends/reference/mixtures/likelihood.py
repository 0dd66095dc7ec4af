"""Mixtures of Gaussians in float64: negative log-likelihood and its gradient by the raw outputs.

Bishop (2006), Pattern Recognition and Machine Learning, eq. 5.148 to 5.157, with a floor under the
weights and one under the scales; the Cholesky factor for full covariance as in Williams (1996),
Neural Computation 8(4). Shapes: n rows, K components, D dimensions, S scale entries a component.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastinv._common.arrays import Float64Array
from fastinv.backends.checks import common as _checks
from fastinv.functions.networks import MixtureSpec


@dataclass(frozen=True)
class Limits:
    """Where numbers are cut off, so that no product below overflows in a dtype.

    Beyond a limit, the gradient is that at the limit, which still points back.
    """

    logit: float  # far above any |z|^2, so that -inf is a weight of 0 for every target
    log_scale: float  # raw log scales
    off_diagonal: float  # raw entries of a Cholesky factor L beside its diagonal
    whitened: float  # z = L^-1 (target - mean), so that its square is finite
    pulled_back: float  # w = L^-T z and L_ii w_i, so that w_i z_j and L_ij w_i are finite


LIMITS = {
    _checks.FLOAT32: Limits(
        logit=1e36, log_scale=40.0, off_diagonal=1e15, whitened=1e15, pulled_back=1e20
    ),
    _checks.FLOAT64: Limits(
        logit=1e300, log_scale=300.0, off_diagonal=1e120, whitened=1e120, pulled_back=1e180
    ),
}
HALF_LOG_2_PI = 0.5 * np.log(2.0 * np.pi)
LARGEST_WHITENED = 1e150  # its square is finite

# -log N of each component (n, K), and its derivatives by means (n, K, D) and raw scales (n, K, S).
ComponentTerms = tuple[Float64Array, Float64Array, Float64Array]


@dataclass(frozen=True)
class MixtureLoss:
    """The mean of :func:`nll_and_gradient` over rows, for a network's outputs."""

    mixture: MixtureSpec
    limits: Limits

    @property
    def n_targets(self) -> int:
        return self.mixture.n_dims

    def __call__(self, outputs: Float64Array, targets: Float64Array) -> tuple[float, Float64Array]:
        losses, gradient = nll_and_gradient(self.mixture, self.limits, outputs, targets)
        return float(losses.mean()), gradient / len(losses)


def nll_and_gradient(
    mixture: MixtureSpec, limits: Limits, raw: Float64Array, targets: Float64Array
) -> tuple[Float64Array, Float64Array]:
    """Losses ``(n,)`` of `targets` ``(n, D)``, and ``d loss_i / d raw_i`` ``(n, n_raw)``."""
    n, k, d = len(raw), mixture.n_components, mixture.n_dims
    logits = raw[:, :k]
    means = raw[:, k : k + k * d].reshape(n, k, d)
    raw_scales = raw[:, k + k * d :].reshape(n, k, mixture.n_scales)
    terms = full_terms if mixture.covariance_type == "full" else axis_aligned_terms

    with np.errstate(over="ignore", invalid="ignore"):  # infinities are limited, NaN stays
        p, log_weights, sensitivity = weights(logits, mixture.min_weight, limits)
        residuals = targets[:, None, :] - means
        nll, d_means, d_scales = terms(residuals, raw_scales, mixture.min_scale, limits)

        log_joint = log_weights - nll
        largest = log_joint.max(axis=1, keepdims=True)
        relative = np.exp(log_joint - largest)
        total = relative.sum(axis=1, keepdims=True)
        losses = -(largest + np.log(total))[:, 0]
        responsibilities = relative / total

        r = responsibilities * sensitivity
        d_logits = p * r.sum(axis=1, keepdims=True) - r
        d_means *= responsibilities[:, :, None]
        d_scales *= responsibilities[:, :, None]
    gradient = [d_logits, d_means.reshape(n, k * d), d_scales.reshape(n, k * mixture.n_scales)]
    return losses, np.concatenate(gradient, axis=1)


def weights(
    logits: Float64Array, min_weight: float, limits: Limits
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Softmax p, logarithms of the weights ``(1 - K e) p + e``, and d log weight / d log p.

    All are ``(n, K)``; e is `min_weight`.
    """
    logits = np.clip(logits, -limits.logit, limits.logit)
    below = logits - logits.max(axis=1, keepdims=True)
    log_p = below - np.log(np.exp(below).sum(axis=1, keepdims=True))
    p = np.exp(log_p)
    if min_weight == 0.0:  # only logarithms: p may underflow where log p does not
        return p, log_p, np.ones_like(p)
    free = (1.0 - logits.shape[1] * min_weight) * p
    return p, np.log(free + min_weight), free / (free + min_weight)


def axis_aligned_terms(
    residuals: Float64Array, raw: Float64Array, min_scale: float, limits: Limits
) -> ComponentTerms:
    """Terms for one scale a component, S = 1, or one a dimension, S = D."""
    exp_raw = np.exp(np.clip(raw, -limits.log_scale, limits.log_scale))
    scales = min_scale + exp_raw
    z = np.clip(residuals / scales, -limits.whitened, limits.whitened)
    nll = (np.log(scales) + 0.5 * z**2 + HALF_LOG_2_PI).sum(axis=2)
    d_raw = (1.0 - z**2) * (exp_raw / scales)
    if raw.shape[2] == 1:
        d_raw = d_raw.sum(axis=2, keepdims=True)
    return nll, -z / scales, d_raw


def full_terms(
    residuals: Float64Array, raw: Float64Array, min_scale: float, limits: Limits
) -> ComponentTerms:
    """Terms for covariances ``L L^T``, `raw` being the lower triangles of L row by row.

    With ``z = L^-1 (target - mean)`` and ``w = L^-T z``: ``-log N = sum log L_ii + |z|^2 / 2 + c``
    and its derivative by L_ij is ``-w_i z_j``, on the diagonal ``1 / L_ii - w_i z_i``.
    """
    n, k, d = residuals.shape
    rows, columns = np.tril_indices(d)
    diagonal = rows == columns
    exp_raw = np.exp(np.clip(raw[:, :, diagonal], -limits.log_scale, limits.log_scale))
    scales = min_scale + exp_raw
    lower: Any = np.zeros((n, k, d, d))
    lower[:, :, rows, columns] = np.clip(raw, -limits.off_diagonal, limits.off_diagonal)

    z = np.empty((n, k, d))
    for i in range(d):
        rest = residuals[:, :, i] - (lower[:, :, i, :i] * z[:, :, :i]).sum(axis=2)
        z[:, :, i] = np.clip(rest / scales[:, :, i], -limits.whitened, limits.whitened)
    scaled_w = np.empty((n, k, d))  # L_ii w_i
    w = np.empty((n, k, d))
    for i in reversed(range(d)):
        rest = z[:, :, i] - (lower[:, :, i + 1 :, i] * w[:, :, i + 1 :]).sum(axis=2)
        scaled_w[:, :, i] = np.clip(rest, -limits.pulled_back, limits.pulled_back)
        w[:, :, i] = scaled_w[:, :, i] / scales[:, :, i]
        w[:, :, i] = np.clip(w[:, :, i], -limits.pulled_back, limits.pulled_back)

    nll = (np.log(scales) + 0.5 * z**2 + HALF_LOG_2_PI).sum(axis=2)
    d_raw = -w[:, :, rows] * z[:, :, columns]
    d_raw[:, :, diagonal] = (1.0 - scaled_w * z) * (exp_raw / scales)
    return nll, -w, d_raw


def solve_lower(lower: Float64Array, right: Float64Array) -> Float64Array:
    """Solve ``lower z = right`` for z, with `lower` ``(..., D, D)`` and `right` ``(..., D)``.

    Entries are limited to where their squares are finite.
    """
    z = np.empty(np.broadcast_shapes(lower.shape[:-1], right.shape))
    with np.errstate(over="ignore"):
        for i in range(right.shape[-1]):
            rest = right[..., i] - (lower[..., i, :i] * z[..., :i]).sum(axis=-1)
            quotient = rest / lower[..., i, i]
            z[..., i] = np.clip(quotient, -LARGEST_WHITENED, LARGEST_WHITENED)
    return z


def log_sum_exp(terms: Float64Array) -> Float64Array:
    """log of the sum of ``exp(terms)`` over the last axis; -inf if all terms are -inf."""
    largest = terms.max(axis=-1, keepdims=True)
    largest = np.where(np.isneginf(largest), 0.0, largest)
    with np.errstate(divide="ignore"):
        total = np.log(np.exp(terms - largest).sum(axis=-1))
    return np.asarray(largest[..., 0] + total)
