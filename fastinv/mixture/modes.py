"""Modes of Gaussian mixtures, by hill climbing from every component's mean.

M. A. Carreira-Perpinan (2000), "Mode-finding for mixtures of Gaussian distributions", IEEE
Transactions on Pattern Analysis and Machine Intelligence 22(11): the fixed-point iteration never
goes down, and Newton's steps end it fast.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from fastinv.backends.protocol import Float64Array, IntArray

_MAX_STEPS = 500
_STEP_TOLERANCE = 1e-10  # in units of the narrowest scale
_SAME_MODE = 1e-3  # distance below which two climbs have ended at one top, in its own units
_NUDGE = 1e-3  # what a climb that ended on a saddle is moved by, in units of the narrowest scale


@dataclass(frozen=True, eq=False)
class Modes:
    """Modes of n rows, the highest first, padded to the largest number m of a row.

    Attributes
    ----------
    x : ndarray of shape (n, m, D)
        NaN where padded.
    log_prob : ndarray of shape (n, m)
        ``-inf`` where padded.
    weight : ndarray of shape (n, m)
        Total weight of the components whose climb ends there, 0 where padded.
    count : ndarray of shape (n,), int64
    """

    x: Float64Array
    log_prob: Float64Array
    weight: Float64Array
    count: IntArray


@dataclass(frozen=True, eq=False)
class _Densities:
    """n densities, for climbers ``(m, D)`` that each name the row ``(m,)`` they are on."""

    log_weights: Float64Array  # with the normalising constants, (n, K)
    means: Float64Array  # (n, K, D)
    precisions: Float64Array  # (n, K, D, D)

    def look_around(self, x: Float64Array, rows: IntArray) -> tuple[Float64Array, ...]:
        """Log density, its gradient and Hessian, and the fixed-point iteration's step."""
        precisions = self.precisions[rows]
        pull = np.einsum("mkde,mke->mkd", precisions, x[:, None] - self.means[rows])
        log_prob, share = self._shares(x, rows, pull)
        gradient = -np.einsum("mk,mkd->md", share, pull)
        mean_precision = np.einsum("mk,mkde->mde", share, precisions)
        hessian = np.einsum("mk,mkd,mke->mde", share, pull, pull) - mean_precision
        hessian -= gradient[:, :, None] * gradient[:, None, :]
        step = np.linalg.solve(mean_precision, gradient[..., None])[..., 0]
        return log_prob, gradient, hessian, step

    def log_prob(self, x: Float64Array, rows: IntArray) -> Float64Array:
        pull = np.einsum("mkde,mke->mkd", self.precisions[rows], x[:, None] - self.means[rows])
        return self._shares(x, rows, pull)[0]

    def climb(self, x: Float64Array, rows: IntArray, scale: Float64Array) -> Float64Array:
        """Where climbers end, each on its own: one that has arrived waits for no other, so that
        it ends at the same place in every batch. `scale` ``(n,)`` is the narrowest of each row."""
        x = x.copy()
        active = np.arange(len(x))
        for _ in range(_MAX_STEPS):
            here, on = x[active], rows[active]
            height, gradient, hessian, step = self.look_around(here, on)
            newton = _newton_step(gradient, hessian)
            is_better = self.log_prob(here + newton, on) > height
            step = np.where(is_better[:, None], newton, step)
            x[active] = here + step
            active = active[np.linalg.norm(step, axis=1) > _STEP_TOLERANCE * scale[on]]
            if not len(active):
                break
        return x

    def _shares(
        self, x: Float64Array, rows: IntArray, pull: Float64Array
    ) -> tuple[Float64Array, Float64Array]:
        """Log density, and each component's share in the density."""
        apart = x[:, None] - self.means[rows]
        joint = self.log_weights[rows] - 0.5 * (apart * pull).sum(axis=2)
        log_prob = np.asarray(logsumexp(joint, axis=1))
        return log_prob, np.exp(joint - log_prob[:, None])


def find_modes(log_weights: Float64Array, means: Float64Array, factors: Float64Array) -> Modes:
    """All local maxima of n mixtures of K components in D dimensions.

    Parameters
    ----------
    log_weights : ndarray of shape (n, K)
    means : ndarray of shape (n, K, D)
    factors : ndarray of shape (n, K, D, D)
        Lower Cholesky factors of the covariances.
    """
    n, k, d = means.shape
    if n == 0:
        return Modes(np.empty((0, 0, d)), np.empty((0, 0)), np.empty((0, 0)), np.empty(0, np.int64))
    inverse = np.linalg.inv(factors)
    log_det = np.log(np.diagonal(factors, axis1=2, axis2=3)).sum(axis=2)
    constants = log_weights - log_det - 0.5 * d * np.log(2 * np.pi)
    densities = _Densities(constants, means, np.swapaxes(inverse, -1, -2) @ inverse)
    scale = np.diagonal(factors, axis1=2, axis2=3).min(axis=(1, 2))
    rows = np.repeat(np.arange(n), k)
    x = densities.climb(means.reshape(n * k, d), rows, scale)

    curvature, directions = np.linalg.eigh(densities.look_around(x, rows)[2])
    saddles = np.flatnonzero(curvature[:, -1] >= 0.0)
    if len(saddles):
        on = rows[saddles]
        nudge = _NUDGE * scale[on, None] * directions[saddles, :, -1]
        x[saddles] = densities.climb(x[saddles] + nudge, on, scale)
    log_prob, _, hessian, _ = densities.look_around(x, rows)
    is_top = np.linalg.eigvalsh(hessian)[:, -1] < 0.0
    height = np.where(is_top, log_prob, -np.inf)
    return _distinct(
        x.reshape(n, k, d),
        height.reshape(n, k),
        -hessian.reshape(n, k, d, d),
        np.exp(log_weights),
    )


def _newton_step(gradient: Float64Array, hessian: Float64Array) -> Float64Array:
    """``-H^-1 g`` where the density is concave, nothing elsewhere."""
    concave = np.linalg.eigvalsh(hessian)[..., -1] < 0.0
    identity = np.eye(hessian.shape[-1])
    safe = np.where(concave[..., None, None], hessian, -identity)
    step = -np.linalg.solve(safe, gradient[..., None])[..., 0]
    return np.asarray(np.where(concave[..., None], step, 0.0))


def _distinct(
    x: Float64Array, log_prob: Float64Array, curvature: Float64Array, weights: Float64Array
) -> Modes:
    """One of each group of climbers ``(n, K)`` that ended at the same place, the highest first."""
    n, _, d = x.shape
    left = np.asarray(np.isfinite(log_prob))
    rows = np.arange(n)
    found, heights, shares = [], [], []
    while left.any():
        best = np.where(left, log_prob, -np.inf).argmax(axis=1)
        has_one = np.asarray(left.any(axis=1))
        apart = x - x[rows, best][:, None]
        squares = np.einsum("nkd,nde,nke->nk", apart, curvature[rows, best], apart)
        close = left & (squares <= _SAME_MODE**2)
        is_best = has_one[:, None] & (np.arange(x.shape[1]) == best[:, None])
        same = close | is_best
        found.append(np.where(has_one[:, None], x[rows, best], np.nan))
        heights.append(np.where(has_one, log_prob[rows, best], -np.inf))
        shares.append((weights * same).sum(axis=1))
        left = left & ~same
    if not found:
        return Modes(np.empty((n, 0, d)), np.empty((n, 0)), np.empty((n, 0)), np.zeros(n, np.int64))
    height = np.stack(heights, axis=1)
    count = np.isfinite(height).sum(axis=1).astype(np.int64)
    return Modes(np.stack(found, axis=1), height, np.stack(shares, axis=1), count)
