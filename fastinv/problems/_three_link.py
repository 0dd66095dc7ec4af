"""Distance from joint angles to the curves of solutions of a planar arm with three links.

Fixing one joint leaves an arm with two links, whose solutions are closed form: its values trace the
curves. The nearest of these points then slides along its curve to the nearest point.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastinv.problems._newton import solve_systems
from fastinv.problems._two_link import elbow_solutions, wrapped

Float64Array = NDArray[np.float64]

_N_VALUES = 257  # values of a fixed joint: points on the curves have gaps of about 0.01
_N_STEPS = 30
_LONGEST_STEP = 0.05
_SLACK = 1e-11
_CHUNK = 128  # targets traced at once, to bound memory


def distance_to_curve(X: Float64Array, targets: Float64Array, bounds: Float64Array) -> Float64Array:
    """Distance from each x to the solutions within the bounds.

    Parameters
    ----------
    X : ndarray of shape (n, 3)
        Finite joint angles.
    targets : ndarray of shape (n, 2)
        Finite positions of the tip.
    bounds : ndarray of shape (3, 2)

    Returns
    -------
    ndarray of shape (n,)
        Infinity where there is no solution within the bounds.
    """
    distances = np.empty(len(X))
    for start in range(0, len(X), _CHUNK):
        rows = slice(start, start + _CHUNK)
        distances[rows] = _distance(X[rows], targets[rows], bounds)
    return distances


def _distance(X: Float64Array, targets: Float64Array, bounds: Float64Array) -> Float64Array:
    nearest = np.full(len(X), np.inf)
    for joint in range(3):
        values = _reachable_values(joint, targets, bounds)
        for side in (-1.0, 1.0):
            points = _trace(joint, values, targets, side)
            gaps = np.linalg.norm(points - X[:, None], axis=2)
            gaps[~_within(points, bounds)] = np.inf
            best = gaps.argmin(axis=1)[:, None]
            gap = np.take_along_axis(gaps, best, axis=1)[:, 0]
            nearest = np.minimum(nearest, gap)
            rows = np.flatnonzero(np.isfinite(gap))
            slid = _slide(points[rows, best[rows, 0]], X[rows], targets[rows])
            valid = _within(slid, bounds)
            gap = np.linalg.norm(slid[valid] - X[rows[valid]], axis=1)
            nearest[rows[valid]] = np.minimum(nearest[rows[valid]], gap)
    return nearest


def _reachable_values(joint: int, targets: Float64Array, bounds: Float64Array) -> Float64Array:
    """Values (n, _N_VALUES) of one joint over the range allowed by bounds and reach.

    The other two links reach 2 at most, hence a window around the target's direction for the
    first joint; a bend t in another shortens its two links to 2 cos(t / 2).
    """
    radius = np.hypot(targets[:, 0], targets[:, 1])
    low, high = bounds[joint]
    if joint == 0:
        with np.errstate(divide="ignore"):
            cosine = (radius**2 - 3.0) / (2.0 * radius)
        width, centre = np.arccos(np.clip(cosine, -1.0, 1.0)), np.arctan2(*targets.T[::-1])
        # A window that leaves the circle on one side enters on the other: take the whole circle.
        width = np.where(np.abs(centre) + width > 1.5 * np.pi, 2.0 * np.pi, width)
    else:
        width = 2.0 * np.arccos(np.clip((radius - 1.0) / 2.0, 0.0, 1.0))
        centre = np.zeros_like(width)
    start = np.clip(centre - width, low, high)[:, None]
    stop = np.clip(centre + width, low, high)[:, None]
    return np.asarray(start + (stop - start) * np.linspace(0.0, 1.0, _N_VALUES))


def _trace(joint: int, values: Float64Array, targets: Float64Array, side: float) -> Float64Array:
    """Solutions (n, m, 3) whose `joint` has the `values` (n, m); NaN beyond reach."""
    goal = targets[:, None]
    bend, length = values / 2.0, 2.0 * np.cos(values / 2.0)
    if joint == 0:
        wrist = goal - np.stack([np.cos(values), np.sin(values)], axis=-1)
        second, third = np.moveaxis(elbow_solutions(wrist, side), -1, 0)
        angles = (values, wrapped(second - values), third)
    elif joint == 1:
        first, second = np.moveaxis(elbow_solutions(goal, side, first=length), -1, 0)
        angles = (wrapped(first - bend), values, wrapped(second - bend))
    else:
        first, second = np.moveaxis(elbow_solutions(goal, side, second=length), -1, 0)
        angles = (first, wrapped(second - bend), values)
    return np.stack(angles, axis=-1)


def _slide(points: Float64Array, X: Float64Array, targets: Float64Array) -> Float64Array:
    """Newton's method for the nearest point of the curve; NaN where it ends off the curve.

    Each step goes back to the curve, and along it by ``t·(x - c) / (1 - k·(x - c))``, with c the
    point, t the unit tangent and k the curvature vector there.
    """
    c = points.copy()
    for _ in range(_N_STEPS):
        directions = np.cumsum(c, axis=1)
        links = np.stack([np.cos(directions), np.sin(directions)], axis=1)
        # Column j of the Jacobian turns all links from j on by a right angle.
        tails = np.cumsum(links[:, :, ::-1], axis=2)[:, :, ::-1]
        jacobian = np.stack([-tails[:, 1], tails[:, 0]], axis=1)
        tangent = np.cross(jacobian[:, 0], jacobian[:, 1])
        tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-300)
        turning = np.cumsum(tangent, axis=1)
        error = targets - links.sum(axis=2)
        curvature = _minimum_norm(jacobian, np.einsum("nij,nj->ni", links, turning**2))
        gap = X - c
        slope = 1.0 - np.sum(curvature * gap, axis=1)
        step = np.sum(tangent * gap, axis=1) / np.maximum(slope, 0.1)
        step = np.clip(step, -_LONGEST_STEP, _LONGEST_STEP)
        c += _minimum_norm(jacobian, error) + step[:, None] * tangent
    directions = np.cumsum(c, axis=1)
    tip = np.stack([np.cos(directions).sum(axis=1), np.sin(directions).sum(axis=1)], axis=1)
    off = np.abs(tip - targets).max(axis=1) > _SLACK
    c[off] = np.nan
    return c


def _minimum_norm(jacobian: Float64Array, vectors: Float64Array) -> Float64Array:
    """The shortest solutions (n, 3) of ``J d = v``."""
    transposed = np.swapaxes(jacobian, 1, 2)
    multipliers = solve_systems(jacobian @ transposed, vectors)
    return np.asarray(np.einsum("nij,nj->ni", transposed, multipliers))


def _within(points: Float64Array, bounds: Float64Array) -> NDArray[np.bool_]:
    low, high = bounds.T
    return np.asarray(((points >= low - _SLACK) & (points <= high + _SLACK)).all(axis=-1))
