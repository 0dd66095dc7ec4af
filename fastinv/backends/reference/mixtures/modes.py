"""All local maxima of mixtures of Gaussians, by hill climbing.

Carreira-Perpinan (2000), Mode-finding for mixtures of Gaussian distributions, IEEE TPAMI 22(11):
the fixed-point iteration climbs monotonically (it is an EM step), and Newton's method finishes
where the log density is concave. Shapes: n rows, K components, D dimensions, P points, each on
the hill of one row.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from fastinv._common.arrays import Float64Array, IntArray
from fastinv.backends.reference.mixtures.likelihood import log_sum_exp, solve_lower

# Lengths are in local standard deviations. Their metric is the mean precision of the components,
# each weighted by its responsibility for the point.
_CONVERGED = 1e-8  # estimated distance to the top; one more Newton step squares it
_LONGEST_NEWTON_STEP = 0.5
_SAME_MODE = 1e-3
_PUSH = 0.1  # length of a push off a saddle point
_N_PUSHES = 5
_MAX_STEPS = 500
_SADDLE = 1e-7  # least upward curvature of a saddle point
_LEAST_CURVATURE = 1e-6  # flatter tops are treated as if they had it
_LARGEST_PRECISION_ROOT = 1e140
_NUMBERS_AT_ONCE = 2**22


@dataclass(frozen=True)
class _Hills:
    """Components ``(n, K)``: log weight over volume, means, and A of precisions ``A^T A``."""

    log_factors: Float64Array
    means: Float64Array
    roots: Float64Array
    precisions: Float64Array


@dataclass(frozen=True)
class _Local:
    """The log density around points, in coordinates u with ``x + basis u``: there the mean
    precision is 1, the gradient is `slope` and the Hessian ``diag(bend - 1)``, bend ascending."""

    log_density: Float64Array  # (P,), up to a constant
    basis: Float64Array  # (P, D, D)
    slope: Float64Array  # (P, D)
    bend: Float64Array  # (P, D)
    precision: Float64Array  # (P, D, D), the mean one


def mixture_modes(
    weights: Float64Array, means: Float64Array, lower: Float64Array
) -> tuple[Float64Array, Float64Array]:
    """Modes ``(n, m, D)``, padded with NaN, the highest first, and their weights ``(n, m)``.

    Parameters
    ----------
    weights : (n, K)
    means : (n, K, D)
    lower : (n, K, D, D)
        Cholesky factors of the covariances.
    """
    n, n_components, n_dims = means.shape
    n_starts = n_components * (n_components + 1) // 2 + 1
    n_at_once = max(1, _NUMBERS_AT_ONCE // (n_starts * n_components * n_dims * n_dims))
    firsts = range(0, n, n_at_once)
    parts = [
        _find_few(weights[i : i + n_at_once], means[i : i + n_at_once], lower[i : i + n_at_once])
        for i in firsts
    ]
    m = max((part_x.shape[1] for part_x, _ in parts), default=0)
    x = np.full((n, m, n_dims), np.nan)
    mode_weights = np.zeros((n, m))
    for i, (part_x, part_weights) in zip(firsts, parts, strict=True):
        x[i : i + n_at_once, : part_x.shape[1]] = part_x
        mode_weights[i : i + n_at_once, : part_x.shape[1]] = part_weights
    return x, mode_weights


def _find_few(
    weights: Float64Array, means: Float64Array, lower: Float64Array
) -> tuple[Float64Array, Float64Array]:
    """``mixture_modes`` for all rows at once, each in units of its own spread."""
    centers = (weights[:, :, None] * means).sum(axis=1)
    variances = (lower**2).sum(axis=3) + (means - centers[:, None]) ** 2
    spreads = np.sqrt((weights[:, :, None] * variances).sum(axis=1))
    scaled_means = (means - centers[:, None]) / spreads[:, None]
    hills = _hills(weights, scaled_means, lower / spreads[:, None, :, None])
    rows, starts, mass = _starts(hills, weights)
    ends, local, is_mode = _summits(hills, rows, starts)
    rows, ends, mass = rows[is_mode], ends[is_mode], mass[is_mode]
    order = np.lexsort((-local.log_density[is_mode], rows))
    precision = local.precision[is_mode][order]
    x, mode_weights = _distinct(len(weights), rows[order], ends[order], precision, mass[order])
    return centers[:, None] + spreads[:, None] * x, mode_weights


def _hills(weights: Float64Array, means: Float64Array, lower: Float64Array) -> _Hills:
    identity = np.eye(means.shape[2])
    roots = np.stack([solve_lower(lower, column) for column in identity], axis=-1)
    roots = np.clip(roots, -_LARGEST_PRECISION_ROOT, _LARGEST_PRECISION_ROOT)
    log_volume = np.log(np.diagonal(lower, axis1=2, axis2=3)).sum(axis=2)
    with np.errstate(divide="ignore"):
        log_factors = np.log(weights) - log_volume
    return _Hills(log_factors, means, roots, np.swapaxes(roots, 2, 3) @ roots)


def _starts(hills: _Hills, weights: Float64Array) -> tuple[IntArray, Float64Array, Float64Array]:
    """Rows, points and weights to climb from: component means, then points between components.

    Every stationary point lies on the ridgeline surface ``(sum a_k P_k)^-1 sum a_k P_k mean_k`` of
    some shares a (Ray & Lindsay 2005, Annals of Statistics 33(5), theorem 1). Its points of equal
    shares, for pairs and for all, reach modes where components cross. Only those on
    a concave part of the log density are used as starts.
    """
    rows, components = np.nonzero(weights > 0.0)
    between_rows, between = _ridge_points(hills, weights > 0.0)
    concave = _look_around(hills, between_rows, between).bend[:, -1] < 1.0
    return (
        np.concatenate([rows, between_rows[concave]]),
        np.concatenate([hills.means[rows, components], between[concave]]),
        np.concatenate([weights[rows, components], np.zeros(np.count_nonzero(concave))]),
    )


def _ridge_points(hills: _Hills, present: NDArray[np.bool_]) -> tuple[IntArray, Float64Array]:
    """Rows and ridgeline points of equal shares, for the pairs and for all of the components."""
    n, n_components, n_dims = hills.means.shape
    if n_components == 1:
        return np.empty(0, np.int64), np.empty((0, n_dims))
    pairs = np.array(list(combinations(range(n_components), 2)))
    pulls = _times(hills.precisions, hills.means)
    whole_precision = np.where(present[:, :, None, None], hills.precisions, 0.0)
    whole_pull = np.where(present[:, :, None], pulls, 0.0)
    precision = np.concatenate(
        [hills.precisions[:, pairs].sum(axis=2), whole_precision.sum(axis=1, keepdims=True)], axis=1
    )
    pull = np.concatenate(
        [pulls[:, pairs].sum(axis=2), whole_pull.sum(axis=1, keepdims=True)], axis=1
    )
    usable = np.concatenate([present[:, pairs].all(axis=2), np.ones((n, 1), np.bool_)], axis=1)
    rows, which = np.nonzero(usable)
    basis = _whitening(precision[rows, which])
    return rows, _times(basis, _transposed_times(basis, pull[rows, which]))


def _summits(
    hills: _Hills, rows: IntArray, starts: Float64Array
) -> tuple[Float64Array, _Local, NDArray[np.bool_]]:
    """The ends of climbs, their surroundings, and whether each is a maximum.

    A climb that starts on a ridge ends on a saddle point; a push lets it continue.
    """
    x = _climb(hills, rows, starts)
    local = _look_around(hills, rows, x)
    for _ in range(_N_PUSHES):
        stuck = np.flatnonzero(local.bend[:, -1] > 1.0 + _SADDLE)
        if len(stuck) == 0:
            break
        upwards = local.basis[stuck, :, -1]
        largest = np.argmax(np.abs(upwards), axis=1)[:, None]
        upwards = upwards * np.sign(np.take_along_axis(upwards, largest, axis=1))
        x[stuck] = _climb(hills, rows[stuck], x[stuck] + _PUSH * upwards)
        local = _look_around(hills, rows, x)
    return x, local, local.bend[:, -1] <= 1.0 + _SADDLE


def _climb(hills: _Hills, rows: IntArray, starts: Float64Array) -> Float64Array:
    """Stationary points ``(P, D)`` at the ends of ascents from `starts` on the hills of `rows`."""
    x = starts.copy()
    fallback = starts.copy()
    highest = np.full(len(x), -np.inf)
    may_leap = np.ones(len(x), np.bool_)
    active = np.arange(len(x))
    for _ in range(_MAX_STEPS):
        if len(active) == 0:
            break
        here = x[active]
        local = _look_around(hills, rows[active], here)
        # A Newton step that led down is undone, and that climb continues with fixed-point steps
        # only.
        slack = 1e-12 * (1.0 + np.abs(local.log_density))
        fell = may_leap[active] & (local.log_density < highest[active] - slack)
        may_leap[active[fell]] = False

        drop = 1.0 - local.bend
        leap = local.slope / np.where(np.abs(drop) < 1e-300, 1e-300, drop)
        leaps = may_leap[active] & (drop[:, -1] > 0.0) & (_length(leap) <= _LONGEST_NEWTON_STEP)
        safe = here + _times(local.basis, local.slope)
        step = _times(local.basis, np.where(leaps[:, None], leap, local.slope))

        remaining = _length(local.slope / np.maximum(np.abs(drop), _LEAST_CURVATURE))
        tiny = (np.abs(step) <= 2.0 * np.finfo(np.float64).eps * np.abs(here)).all(axis=1)
        x[active] = np.where(fell[:, None], fallback[active], here + step)
        fallback[active] = np.where(fell[:, None], fallback[active], safe)
        highest[active] = np.where(fell, highest[active], local.log_density)
        active = active[fell | ~((remaining <= _CONVERGED) | tiny)]
    return x


def _look_around(hills: _Hills, rows: IntArray, x: Float64Array) -> _Local:
    """Log density, gradient and Hessian at `x` ``(P, D)`` on the hills of `rows` ``(P,)``."""
    z = _times(hills.roots[rows], x[:, None] - hills.means[rows])
    terms = hills.log_factors[rows] - 0.5 * (z * z).sum(axis=2)
    log_density = log_sum_exp(terms)
    shares = np.exp(terms - log_density[:, None])
    gradients = -_transposed_times(hills.roots[rows], z)
    gradients[shares == 0.0] = 0.0  # they have no weight, and their squares could overflow
    gradient = (shares[:, :, None] * gradients).sum(axis=1)
    precision = (shares[:, :, None, None] * hills.precisions[rows]).sum(axis=1)

    basis = _whitening(precision)
    deviations = (gradients - gradient[:, None]) @ basis
    deviations *= np.sqrt(shares)[:, :, None]
    bend, axes = np.linalg.eigh(np.swapaxes(deviations, 1, 2) @ deviations)
    basis = basis @ axes
    return _Local(log_density, basis, _transposed_times(basis, gradient), bend, precision)


def _whitening(precision: Float64Array) -> Float64Array:
    """W with ``W^T precision W = 1``, accurate for dimensions of very different scales."""
    units = np.sqrt(np.diagonal(precision, axis1=1, axis2=2))
    values, vectors = np.linalg.eigh(precision / units[:, :, None] / units[:, None, :])
    values = np.maximum(values, np.finfo(np.float64).eps)  # if correlated within rounding
    return np.asarray(vectors / np.sqrt(values)[:, None, :] / units[:, :, None])


def _distinct(
    n: int, rows: IntArray, x: Float64Array, precision: Float64Array, mass: Float64Array
) -> tuple[Float64Array, Float64Array]:
    """Padded points ``(n, m, D)``, all different, with the mass of each.

    `rows` must be sorted, and so must the points within a row, the highest first.
    """
    counts = np.bincount(rows, minlength=n)
    place = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    n_places, n_dims = int(counts.max(initial=0)), x.shape[1]
    points = np.full((n, n_places, n_dims), np.nan)
    metric = np.zeros((n, n_places, n_dims, n_dims))
    masses = np.zeros((n, n_places))
    points[rows, place], metric[rows, place], masses[rows, place] = x, precision, mass

    is_new = ~np.isnan(points[:, :, 0])
    for j in range(n_places):  # later points near it are the same
        offsets = points[:, j + 1 :] - points[:, j, None]
        distances = (offsets * (offsets @ metric[:, j])).sum(axis=2)
        same = is_new[:, j, None] & is_new[:, j + 1 :] & (distances <= _SAME_MODE**2)
        masses[:, j] += np.where(same, masses[:, j + 1 :], 0.0).sum(axis=1)
        is_new[:, j + 1 :] &= ~same

    m = int(is_new.sum(axis=1).max(initial=0))
    first = np.argsort(~is_new, axis=1, kind="stable")[:, :m]
    kept = np.take_along_axis(is_new, first, axis=1)
    points = np.take_along_axis(points, first[:, :, None], axis=1)
    masses = np.take_along_axis(masses, first, axis=1)
    return np.where(kept[:, :, None], points, np.nan), np.where(kept, masses, 0.0)


def _times(matrices: Float64Array, vectors: Float64Array) -> Float64Array:
    return np.asarray((matrices @ vectors[..., None])[..., 0])


def _transposed_times(matrices: Float64Array, vectors: Float64Array) -> Float64Array:
    return _times(np.swapaxes(matrices, -1, -2), vectors)


def _length(vectors: Float64Array) -> Float64Array:
    return np.asarray(np.sqrt((vectors * vectors).sum(axis=1)))
