"""Distribution functions, quantiles and highest-density regions of one-dimensional mixtures.

Weights, means and standard deviations are ``(n, K)`` each.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from fastinv._validation import check_number
from fastinv.backends.protocol import Float64Array

_REACH = 40.0  # standard deviations beyond which no float64 probability is left
_BISECTIONS = 200  # until two ends are neighbouring floats
_GRID = np.linspace(-8.0, 8.0, 129)  # about each component, in its standard deviations


def cdf(
    weights: Float64Array, means: Float64Array, scales: Float64Array, y: Float64Array
) -> Float64Array:
    n = len(means)
    if y.ndim not in (1, 2) or len(y) != n:
        raise ValueError(f"y must have shape ({n},) or ({n}, m), got {y.shape}")
    points = y.reshape(n, -1, 1)
    below = ndtr((points - means[:, None]) / scales[:, None])
    values = np.clip((weights[:, None] * below).sum(axis=2), 0.0, 1.0)
    return np.asarray(values.reshape(y.shape))


def quantile(
    weights: Float64Array, means: Float64Array, scales: Float64Array, level: Float64Array
) -> Float64Array:
    if level.ndim > 1 or not ((level > 0.0) & (level < 1.0)).all():
        raise ValueError("level must be a number, or one-dimensional, between 0 and 1")
    n = len(means)
    levels = np.broadcast_to(np.atleast_1d(level), (n, level.size))
    low = np.repeat((means - _REACH * scales).min(axis=1)[:, None], level.size, axis=1)
    high = np.repeat((means + _REACH * scales).max(axis=1)[:, None], level.size, axis=1)
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        is_below = cdf(weights, means, scales, middle) < levels
        low, high = np.where(is_below, middle, low), np.where(is_below, high, middle)
    values = 0.5 * (low + high)
    return np.asarray(values[:, 0] if level.ndim == 0 else values)


def highest_density_region(
    weights: Float64Array, means: Float64Array, scales: Float64Array, level: float
) -> list[Float64Array]:
    check_number(level, "level", above=0.0, below=1.0)
    return [_region(w, m, s, level) for w, m, s in zip(weights, means, scales, strict=True)]


def _density(w: Float64Array, m: Float64Array, s: Float64Array, y: Float64Array) -> Float64Array:
    z = (y[:, None] - m) / s
    return np.asarray((w / s * np.exp(-0.5 * z * z)).sum(axis=1) / np.sqrt(2 * np.pi))


def _region(w: Float64Array, m: Float64Array, s: Float64Array, level: float) -> Float64Array:
    """Intervals ``(m, 2)`` of one row: the density's level set whose probability is `level`."""
    grid = np.unique((m[:, None] + s[:, None] * _GRID).ravel())
    density = _density(w, m, s, grid)
    low, high = 0.0, float(density.max())
    for _ in range(60):
        threshold = 0.5 * (low + high)
        ends = _crossings(grid, density, threshold)
        inside = cdf(w[None], m[None], s[None], ends.reshape(1, -1)).reshape(-1, 2)
        if (inside[:, 1] - inside[:, 0]).sum() > level:
            low = threshold
        else:
            high = threshold
    ends = _crossings(grid, density, 0.5 * (low + high))
    return _polished(w, m, s, ends, 0.5 * (low + high), float(np.diff(grid).max()))


def _crossings(grid: Float64Array, density: Float64Array, threshold: float) -> Float64Array:
    """Intervals ``(m, 2)`` where the density, straight between grid points, is above."""
    above = np.concatenate([[False], density > threshold, [False]])
    edges = np.flatnonzero(above[1:] != above[:-1])
    left = np.clip(edges - 1, 0, len(grid) - 2)
    rise = density[left + 1] - density[left]
    safe = np.where(rise == 0.0, 1.0, rise)
    share = np.clip((threshold - density[left]) / safe, 0.0, 1.0)
    return np.asarray((grid[left] + share * (grid[left + 1] - grid[left])).reshape(-1, 2))


def _polished(
    w: Float64Array,
    m: Float64Array,
    s: Float64Array,
    ends: Float64Array,
    threshold: float,
    width: float,
) -> Float64Array:
    """`ends` moved to where the density itself crosses, by secant steps no wider than a cell."""
    y = ends.ravel().copy()
    h = 1e-6 * float(s.min())
    for _ in range(4):
        slope = (_density(w, m, s, y + h) - _density(w, m, s, y - h)) / (2 * h)
        miss = threshold - _density(w, m, s, y)
        step = np.where(slope == 0.0, 0.0, miss / np.where(slope == 0.0, 1.0, slope))
        y += np.clip(step, -width, width)
    return y.reshape(-1, 2)
