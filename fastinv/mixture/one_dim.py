"""Mixtures of Gaussians in one dimension: cdf, quantiles and highest-density regions.

Shapes: n rows, K components, m values for each row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from fastinv._common.arrays import BoolArray, Float64Array
from fastinv.backends.reference.mixtures.likelihood import log_sum_exp
from fastinv.mixture.densities import HALF_LOG_2_PI

Interval = tuple[float, float]
ValueAndSlope = Callable[[Float64Array], tuple[Float64Array, Float64Array]]

_EPS = float(np.finfo(np.float64).eps)
_MAX_STEPS = 200
_SPACINGS = 16.0  # of floats, the least scale whose intervals have ends that can be told apart
_LARGEST_SCALE = 1e140
_TAIL = 40.0  # standard deviations; the density there is below 1e-340 of that at the mean


@dataclass(frozen=True)
class Line:
    """Mixtures on a line: everything is ``(n, K)``."""

    log_weights: Float64Array
    means: Float64Array
    scales: Float64Array

    def standardize(self, y: Float64Array) -> Float64Array:
        """Standardised values ``(n, m, K)`` of `y` ``(n, m)``."""
        return (y[:, :, None] - self.means[:, None]) / self.scales[:, None]

    def resolved(self) -> Line:
        """The same, without components that are narrower than the floats around them are apart."""
        spacing = np.spacing(np.abs(self.means))
        least = np.minimum(_SPACINGS * spacing, _LARGEST_SCALE)
        return Line(self.log_weights, self.means, np.maximum(self.scales, least))

    def cdf(self, y: Float64Array) -> Float64Array:
        """P(Y <= y) ``(n, m)`` for `y` ``(n, m)`` or ``(1, m)``."""
        weights = np.exp(self.log_weights)[:, None]
        mass: Float64Array = np.sum(weights * ndtr(self.standardize(y)), axis=2)
        return np.minimum(mass, 1.0)

    def log_density(self, y: Float64Array) -> tuple[Float64Array, Float64Array, Float64Array]:
        """log p and its first two derivatives, ``(n, m)`` each, at `y` ``(n, m)``."""
        scales = self.scales[:, None]
        z = self.standardize(y)
        terms = (self.log_weights - np.log(self.scales))[:, None] - 0.5 * z * z - HALF_LOG_2_PI
        log_p = log_sum_exp(terms)
        shares = np.exp(terms - log_p[:, :, None])
        slopes = -z / scales
        slope = (shares * slopes).sum(axis=2)
        spread = (slopes - slope[:, :, None]) ** 2
        return log_p, slope, (shares * (spread - 1.0 / scales**2)).sum(axis=2)


def quantiles(line: Line, p: Float64Array) -> Float64Array:
    """y ``(n, m)`` with ``P(Y <= y) = p``, for `p` ``(n, m)`` in [0, 1].

    The quantiles of the components enclose that of the mixture. The upper half is solved in
    ``P(Y > y)``, which keeps its relative precision there.
    """
    inner = np.where((p > 0.0) & (p < 1.0), p, 0.5)
    side = np.where(inner <= 0.5, 1.0, -1.0)
    tail = np.where(inner <= 0.5, inner, 1.0 - inner)
    weights = np.exp(line.log_weights)[:, None]
    scales = line.scales[:, None]
    ends = line.means[:, None] + scales * ndtri(inner)[:, :, None]
    low = np.where(weights > 0.0, ends, np.inf).min(axis=2)
    high = np.where(weights > 0.0, ends, -np.inf).max(axis=2)

    def excess(y: Float64Array) -> tuple[Float64Array, Float64Array]:
        z = line.standardize(y)
        mass = (weights * ndtr(side[:, :, None] * z)).sum(axis=2)
        density = (weights * np.exp(-0.5 * z * z - HALF_LOG_2_PI) / scales).sum(axis=2)
        return side * (mass - tail), density

    y = increasing_root(excess, low, high, 2.0 * _EPS * tail)
    return np.where(p == 0.0, -np.inf, np.where(p == 1.0, np.inf, y))


def highest_density_regions(line: Line, modes: Float64Array, level: float) -> list[list[Interval]]:
    """Intervals that hold `level` of each row's mass, where the density is at least a threshold.

    Between neighbouring modes the density has one minimum, and on either side of a mode it is
    monotone. So a threshold gives each mode at most one interval, and a higher one less mass.
    Components too narrow for floats to show are widened; an interval may still be a single number.

    Parameters
    ----------
    modes : (n, m)
        All modes of each row, in any order, padded with NaN.
    """
    if len(modes) == 0:
        return []
    line = line.resolved()
    slopes = _slopes(line, modes)
    floor = np.maximum(slopes.log_valleys[:, 0], slopes.log_valleys[:, -1])[:, None]
    top = slopes.log_peaks.max(axis=1)[:, None]

    def shortage(threshold: Float64Array) -> tuple[Float64Array, Float64Array]:
        ends = _ends(line, slopes, threshold)
        mass = line.cdf(ends)
        n_modes = ends.shape[1] // 2
        inside = (mass[:, n_modes:] - mass[:, :n_modes]).sum(axis=1)
        log_p, slope, _ = line.log_density(ends)
        moves = np.abs(log_p - threshold) < 1e-6 * (1.0 + np.abs(threshold))
        with np.errstate(over="ignore"):
            rate = np.where(moves, np.exp(threshold) / np.maximum(np.abs(slope), 1e-300), 0.0)
        return (level - inside)[:, None], rate.sum(axis=1)[:, None]

    threshold = increasing_root(shortage, floor, top, np.full_like(top, 1e-14))
    left, right = np.split(_ends(line, slopes, threshold), 2, axis=1)
    above = slopes.log_peaks >= threshold
    return [_joined(*row) for row in zip(left, right, slopes.valleys, above, strict=True)]


@dataclass(frozen=True)
class _Slopes:
    """Peaks ``(n, m)`` from left to right, padding at the right end with a density of 0,
    and the valleys ``(n, m + 1)`` beside them; the outer ones are far in the tails."""

    peaks: Float64Array
    log_peaks: Float64Array
    valleys: Float64Array
    log_valleys: Float64Array


def _slopes(line: Line, modes: Float64Array) -> _Slopes:
    present = line.log_weights > -np.inf
    left = np.where(present, line.means - _TAIL * line.scales, np.inf).min(axis=1)[:, None]
    right = np.where(present, line.means + _TAIL * line.scales, -np.inf).max(axis=1)[:, None]
    peaks = np.sort(modes, axis=1)  # NaN last
    is_mode = ~np.isnan(peaks)
    peaks = np.where(is_mode, peaks, right)
    log_peaks = np.where(is_mode, line.log_density(peaks)[0], -np.inf)

    between = increasing_root(
        lambda y: line.log_density(y)[1:], peaks[:, :-1], peaks[:, 1:], np.zeros(1)
    )
    between = np.where(is_mode[:, 1:], between, right)
    valleys = np.concatenate([left, between, right], axis=1)
    return _Slopes(peaks, log_peaks, valleys, line.log_density(valleys)[0])


def _ends(line: Line, slopes: _Slopes, threshold: Float64Array) -> Float64Array:
    """Left and right ends ``(n, 2 m)`` of each mode's interval above a log density ``(n, 1)``.

    A mode below the threshold has an empty interval; one that is joined to its neighbour ends in
    the valley between them.
    """
    n_modes = slopes.peaks.shape[1]
    rising = np.repeat([1.0, -1.0], n_modes)

    def above(y: Float64Array) -> tuple[Float64Array, Float64Array]:
        log_p, slope, _ = line.log_density(y)
        return rising * (log_p - threshold), rising * slope

    peaks = np.tile(slopes.peaks, (1, 2))
    valleys = np.concatenate([slopes.valleys[:, :-1], slopes.valleys[:, 1:]], axis=1)
    log_valleys = np.concatenate([slopes.log_valleys[:, :-1], slopes.log_valleys[:, 1:]], axis=1)
    joined = log_valleys >= threshold
    empty = np.tile(slopes.log_peaks < threshold, (1, 2))
    fixed_end = np.where(empty, peaks, valleys)
    low = np.where(joined | empty, fixed_end, np.minimum(peaks, valleys))
    high = np.where(joined | empty, fixed_end, np.maximum(peaks, valleys))
    return increasing_root(above, low, high, 8.0 * _EPS * (1.0 + np.abs(threshold)))


def _joined(
    left: Float64Array, right: Float64Array, valleys: Float64Array, above: BoolArray
) -> list[Interval]:
    """Intervals of one row, of modes `above` the threshold; those that meet in a valley are
    joined."""
    intervals: list[Interval] = []
    ends = left.tolist(), right.tolist(), valleys.tolist(), above.tolist()
    for low, high, valley, is_above in zip(*ends, strict=False):
        if not is_above:
            continue
        if intervals and low == valley == intervals[-1][1]:
            low = intervals.pop()[0]
        intervals.append((low, high))
    return intervals


def increasing_root(
    function: ValueAndSlope, low: Float64Array, high: Float64Array, noise: Float64Array
) -> Float64Array:
    """Roots of increasing functions between `low` and `high`, for all entries at once.

    Newton's method, and bisection where a step would leave the bracket or does not halve the one
    before the last (as rtsafe in Press et al., Numerical Recipes, 9.4). An entry stops where the
    value is at most `noise` in size, or when it moves by rounding errors only.
    """
    x = low + 0.5 * (high - low)
    last_step = step_before = high - low
    found: NDArray[np.bool_] = np.zeros(x.shape, np.bool_)
    for _ in range(_MAX_STEPS):
        value, slope = function(x)
        found = found | (np.abs(value) <= noise)
        low = np.where(value < 0.0, x, low)
        high = np.where(value > 0.0, x, high)
        with np.errstate(all="ignore"):  # a slope of 0, or an infinite step, means bisection
            newton = x - value / slope
        leap = np.abs(newton - x)
        usable = (newton >= low) & (newton <= high) & (leap <= 0.5 * step_before)
        # If the slope is nearly infinite, a tiny step does not mean that the root is reached.
        usable &= (leap > 2.0 * _EPS * np.abs(x)) | (np.abs(value) <= 1e3 * noise)
        new = np.where(found, x, np.where(usable, newton, low + 0.5 * (high - low)))
        step_before, last_step = last_step, np.abs(new - x)
        found = found | (last_step <= 2.0 * _EPS * np.abs(new))
        x = new
        if found.all():
            break
    return x
