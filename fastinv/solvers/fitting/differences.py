"""How far differences must reach to say something about an f in stairs, or one that is noisy.

An f that is a table, or is computed in few digits, is constant or random over short distances.
Differences over those say that nothing matters, or anything. Where derivatives contradict those
over larger distances at the anchors, differences take the distance over which they agree best.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from fastinv._common.arrays import Float64Array, IntArray
from fastinv.functions.code import NetworkCode
from fastinv.functions.function import Function
from fastinv.functions.problem import Problem

_USUAL = float(np.cbrt(np.finfo(np.float64).eps))  # what differences reach where f is smooth
_FACTOR = 4.0  # from one reach that is tried to the next
# In the usual reach. The longest is compared with one that is about as long as a standard deviation
# of the anchors.
_SHORT: Float64Array = np.array([_FACTOR**i for i in range(-1, 2)])
_LONG: Float64Array = np.array([_FACTOR**i for i in range(2, 9)])
_AGREEMENT = 0.01  # largest relative difference between derivatives that agree
_NO_AGREEMENT = 0.9  # the same of those that have nothing in common
# In spreads of an output, for a change of x by a standard deviation: smaller slopes do not count.
_MATTERS = 0.01
_ROUNDING = 64 * float(np.finfo(np.float64).eps)
# Anchors that derivatives are compared at. An f that only Python can evaluate may be dear.
_N_POINTS, _N_POINTS_IN_PYTHON = 32, 16
_QUANTILE = 0.9  # of what is found at the anchors


def look_at_differences(problem: Problem, anchors_x: Float64Array) -> Problem:
    """`problem` with a resolution and with how far differences must reach, where f is in stairs or
    noisy: 6 p evaluations of f at each of a few anchors; 20 p, if it is.

    The reach is what f says where it says so, and has no effect where f has a derivative of its
    own.

    Warns
    -----
    UserWarning
        If differences over no distance agree with those over a larger one.
    """
    function, region = problem.function, problem.region
    if isinstance(function.code, NetworkCode):
        return problem
    n_points = _N_POINTS_IN_PYTHON if function.code is None else _N_POINTS
    x = anchors_x[np.unique(np.linspace(0, len(anchors_x) - 1, n_points).astype(np.int64))]
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        slopes = _slopes(problem, x, _USUAL * _SHORT)
        disagreement = _disagreement(slopes)[1]
        agrees = disagreement <= _AGREEMENT
        if agrees.all():
            level = np.full(region.n_inputs, 1)
        else:
            long = _slopes(problem, x, _USUAL * _LONG)
            slopes = _Slopes(*(np.concatenate(pair) for pair in zip(slopes, long, strict=True)))
            level = np.where(agrees, 1, _best_levels(function, slopes))
        contradicts = np.isfinite(disagreement) & ~agrees | (level > 1)
        noise = _noise(slopes, level, smooth=not contradicts.any())
    resolution = noise * problem.y_scale if noise.any() else None
    if (level == 1).all() or problem.diff_step is not None or function.has_jacobian:
        return replace(problem, resolution=resolution)
    # Rounding asks for more where x is far from zero.
    size = np.maximum(np.abs(x) / region.scale, 1.0).max(axis=0)
    step = np.maximum(_USUAL * np.concatenate([_SHORT, _LONG])[level], _USUAL * np.cbrt(size))
    return replace(problem, resolution=resolution, diff_step=step)


class _Slopes(NamedTuple):
    """Difference quotients ``values`` (levels, n, q, p), in units of the region and the outputs,
    over distances ``widths`` (levels, n, 1, p), and images of some points (levels, n, q)."""

    values: Float64Array
    widths: Float64Array
    images: Float64Array


def _slopes(problem: Problem, x: Float64Array, reach: Float64Array) -> _Slopes:
    """The slopes at `x` ``(n, p)`` for each `reach`, by one call of f."""
    p, region = x.shape[1], problem.region
    h = reach[:, None, None] * region.scale
    low, high = np.maximum(x - h, region.step_lower), np.minimum(x + h, region.step_upper)
    one = np.eye(p, dtype=bool)
    points = [np.where(one, end[:, :, None, :], x[:, None, :]) for end in (low, high)]
    below, above = problem.function.images(np.stack(points)) * problem.y_weight
    widths = ((high - low) / region.scale)[:, :, None, :]
    return _Slopes((above - below).swapaxes(2, 3) / widths, widths, below[:, :, 0])


def _disagreement(slopes: _Slopes) -> Float64Array:
    """How much the slopes of each level differ from those of the next, relative to the larger,
    ``(levels - 1, p)``: of each output 90 % of the anchors where the input matters have less,
    and of those the largest. Infinite where an input matters nowhere."""
    near, far = np.abs(slopes.values[:-1]), np.abs(slopes.values[1:])
    own = np.maximum(near, far)
    spread = np.nanstd(slopes.images[0], axis=0)
    rounding = _ROUNDING * np.nanmax(np.abs(slopes.images[0]), axis=0)
    matters = (own > _MATTERS * spread[:, None]) & (spread > rounding)[:, None]
    relative = np.abs(np.diff(slopes.values, axis=0)) / own
    relative[~(matters & np.isfinite(relative))] = np.inf
    relative.sort(axis=1)  # those that are not finite are at the end
    last = np.isfinite(relative).sum(axis=1, keepdims=True) - 1
    place = np.maximum((_QUANTILE * last).astype(np.int64), 0)
    typical = np.take_along_axis(relative, place, axis=1)[:, 0]
    found = np.where(np.isfinite(typical), typical, -1.0).max(axis=1)
    return np.where(found < 0, np.inf, found)


def _best_levels(function: Function, slopes: _Slopes) -> IntArray:
    """For each input the level at which slopes agree best with those of the next one."""
    disagreement = _disagreement(slopes)[1:]
    # By chance a level can agree with the next one: then that does not agree with its next.
    following = np.concatenate([disagreement[1:], disagreement[-1:]])
    cost = np.maximum(disagreement, following / _FACTOR**2)
    matters = np.isfinite(disagreement).any(axis=0)
    least = np.where(matters, cost.min(axis=0), 0.0)
    if (least > _NO_AGREEMENT).any():
        warnings.warn(
            f"differences of {function.name} along input {int(least.argmax())} do not agree over "
            "any distance: it is not smooth enough to be polished or searched",
            UserWarning,
            stacklevel=2,
        )
    return np.where(matters, 1 + cost.argmin(axis=0), 1)


def _noise(slopes: _Slopes, level: IntArray, *, smooth: bool) -> Float64Array:
    """How far f is from smooth over distances that are too short for differences, ``(q,)``."""
    rough = np.abs(np.diff(slopes.values, axis=0)) * slopes.widths[:-1]
    widened = level[level > 1]
    n_levels = int(widened.min()) - 1 if len(widened) else 2
    found = np.array(
        [[_typical(output) for output in np.moveaxis(one, 1, 0)] for one in rough[:n_levels]]
    )
    if smooth:  # what grows with the third power of the distance is no noise
        noise = np.where(found[1] < _FACTOR**2 * found[0], found.min(axis=0), 0.0)
    else:  # within the shortest distances there may be no stair at all
        noise = found.max(axis=0)
    largest = np.nanmax(np.abs(slopes.images[0]), axis=0)
    # A stair within both distances leaves this part of its height.
    return np.where(noise > _ROUNDING * largest, noise / (1.0 - 1.0 / _FACTOR), 0.0)


def _typical(values: Float64Array) -> float:
    """A large one of those `values` that are finite and positive; 0 if none is."""
    some = values[np.isfinite(values) & (values > 0)]
    return float(np.quantile(some, _QUANTILE)) if len(some) else 0.0
