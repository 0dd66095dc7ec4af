"""Training pairs as solving meets them: a target, an anchor near it in y, and the solution there.

Pairs that are drawn near each other in x are mostly not what a twin network is asked for: an
anchor that is near a target in y may be far from its solution, or across a fold from it. With a
formula for f the solution that the anchor leads to can be computed beforehand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastinv._common.arrays import Float64Array
from fastinv._common.threads import one_blas_thread
from fastinv.backends.protocol import Anchors
from fastinv.estimators.networks import Float32Array, mean_and_scale
from fastinv.estimators.twin_pairs import Pairs, PairScaling, positive
from fastinv.functions.function import Function
from fastinv.solvers.pairs.near import reflected
from fastinv.training.checkpoints import fingerprint

# Anchors per target, the nearest in y; as many as solvers commonly try.
_N_ANCHORS = 8
# Of the width of the box: a jump across nearly all of it is rarely learned, and spoils others.
_FARTHEST = 0.75
_N_STEPS = 6
_N_PAIRS, _PAIRS_TIMES_INPUTS = 200_000, 1_600_000
_CHUNK = 8192  # rows solved at once, for the memory of their derivatives
_FIRST_DAMPING, _LESS, _MORE, _MOST = 1e-4, 0.1, 30.0, 1e3
_LEAST_RIDGE = 1e-30  # where f is flat, no step
_ROUNDINGS = 1e3  # of x, in a difference: its error does not show
_CLOSE = 1e-10  # squared residual in units of the spread of y: enough for single precision
_STUCK = 1e-6  # the same of a start that found no solution

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class SolvedRows:
    """Scaled rows that each epoch draws `n_pairs` of, with replacement."""

    inputs: Float32Array
    targets: Float32Array
    n_pairs: int

    @classmethod
    def of(cls, pairs: Pairs, scaling: PairScaling, n_pairs: int) -> SolvedRows:
        return cls(*scaling.rows(pairs), n_pairs)

    def epoch(self, rng: np.random.Generator) -> tuple[Float32Array, Float32Array]:
        rows = rng.integers(len(self.inputs), size=self.n_pairs)
        return self.inputs[rows], self.targets[rows]

    def fingerprint(self) -> str:
        return fingerprint((self.inputs, self.targets, np.array([self.n_pairs])))


@dataclass(frozen=True, eq=False)
class Region:
    """Where pairs are made.

    Attributes
    ----------
    box : ndarray of shape (p, 2)
        The bounds, or around all points; solutions stay inside.
    radius : ndarray of shape (p,)
        Unit of steps, see :func:`fastinv.solvers.pairs.radius.pair_radius`.
    """

    box: Float64Array
    radius: Float64Array

    def uniform(self, n: int, rng: np.random.Generator) -> Float64Array:
        """n points (n, p) of the box."""
        return rng.uniform(self.box[:, 0], self.box[:, 1], size=(n, len(self.box)))

    def around(self, points: Float64Array, n: int, rng: np.random.Generator) -> Float64Array:
        """n points (n, p) up to a radius away from any of `points`, inside the box."""
        steps = rng.uniform(-1.0, 1.0, size=(n, len(self.box))) * self.radius
        chosen = points[rng.integers(len(points), size=n)]
        return reflected(chosen + steps, self.box)


def affordable_pairs(n_inputs: int) -> int:
    """How many pairs are enough, or with many inputs take as many evaluations as with eight."""
    return min(_N_PAIRS, max(1, _PAIRS_TIMES_INPUTS // n_inputs))


def targets_for(n_pairs: int, n_anchors: int) -> int:
    """How many targets make `n_pairs` pairs, each with its nearest of `n_anchors`."""
    return -(-n_pairs // min(_N_ANCHORS, n_anchors))


def solved_pairs(
    anchors: Anchors,
    forward: Function,
    region: Region,
    points: Float64Array,
) -> Pairs:
    """Pairs of the images of `points`, each with the anchors nearest to it in y.

    ``x`` is where damped Gauss-Newton steps lead from ``x_anchor`` towards ``y``; where they end
    short of it, as the anchor's branch folds back before ``y``, it is the nearest other solution
    known. Pairs that are nearly as far apart as the box is wide are left out. With more inputs
    than outputs the steps are the shortest ones, so that there, too, each anchor and target have
    one answer.

    Parameters
    ----------
    anchors : Anchors
        Their y may carry noise.
    forward : Function
    region : Region
    points : ndarray of shape (n, p)
        In random order. Those at which f is not finite are left out.

    Returns
    -------
    Pairs
        None where all are too far apart.

    Raises
    ------
    ValueError
        If f is finite at none of `points`.
    """
    x, y = anchors.x, anchors.y
    targets = forward(points)
    finite = np.isfinite(targets).all(axis=1)
    if not finite.any():
        raise ValueError(
            f"{forward.name} must be finite inside bounds: of {len(points)} points drawn there "
            "none has a finite image"
        )
    points, targets = points[finite], np.ascontiguousarray(targets[finite])
    n_anchors = min(_N_ANCHORS, len(x))
    nearest = anchors.nearest(targets, n_anchors)[1].ravel()
    x_anchor = x[nearest]
    images = y[nearest] if forward.exact else forward(x)[nearest]
    targets = np.repeat(targets, n_anchors, axis=0)
    solved, squares = x_anchor.copy(), np.empty(len(x_anchor))
    y_scale = mean_and_scale(y, "y")[1]
    with one_blas_thread():
        for start in range(0, len(solved), _CHUNK):
            rows = slice(start, start + _CHUNK)
            squares[rows] = _solve(
                forward, solved[rows], images[rows], targets[rows], region, y_scale
            )
    _replace_stuck(solved, squares > _STUCK, points, x_anchor, region.radius)
    width = region.box[:, 1] - region.box[:, 0]
    near = (np.abs(solved - x_anchor) <= _FARTHEST * width).all(axis=1)
    return Pairs(solved[near], targets[near], x_anchor[near], y[nearest][near])


def _solve(
    forward: Function,
    x: Float64Array,
    images: Float64Array,
    targets: Float64Array,
    region: Region,
    y_scale: Float64Array,
) -> Float64Array:
    """Move `x` (n, p), in place, by damped Gauss-Newton steps of at most `radius`.

    Levenberg (1944) and Marquardt (1963), "An algorithm for least-squares estimation of nonlinear
    parameters", with steps that are combinations of the gradients of f, hence the shortest.
    """
    left = (targets - images) / y_scale
    squares = (left**2).sum(axis=1)
    damping = np.full(len(x), _FIRST_DAMPING)
    for _ in range(_N_STEPS):
        rows = np.flatnonzero(squares > _CLOSE)
        slopes = _slopes(forward, x[rows], targets[rows] - left[rows] * y_scale, region)
        slopes /= y_scale[:, None]
        steps = _damped_steps(slopes, damping[rows], left[rows])
        steps /= np.maximum(1.0, np.linalg.norm(steps, axis=1, keepdims=True))
        tried = np.clip(x[rows] + region.radius * steps, *region.box.T)
        tried_left = (targets[rows] - forward(tried)) / y_scale
        tried_squares = (tried_left**2).sum(axis=1)
        better = tried_squares < squares[rows]  # false where f is not finite
        moved = rows[better]
        x[moved], left[moved] = tried[better], tried_left[better]
        squares[moved] = tried_squares[better]
        factor = np.where(better, _LESS, _MORE)
        damping[rows] = np.minimum(damping[rows] * factor, _MOST)
    return np.asarray(squares)


def _damped_steps(slopes: Float64Array, damping: Float64Array, left: Float64Array) -> Float64Array:
    """The shortest steps (n, p) that `slopes` (n, q, p) lead along `left` (n, q), damped.

    By the smaller of the two Gram matrices, which give the same: time grows with its cube.
    """
    transposed = slopes.transpose(0, 2, 1)
    more_outputs = slopes.shape[1] > slopes.shape[2]
    gram = transposed @ slopes if more_outputs else slopes @ transposed
    ridge = damping * np.trace(gram, axis1=1, axis2=2) + _LEAST_RIDGE
    damped = gram + ridge[:, None, None] * np.eye(gram.shape[1])
    if more_outputs:
        return np.asarray(np.linalg.solve(damped, transposed @ left[:, :, None])[:, :, 0])
    return np.asarray((transposed @ np.linalg.solve(damped, left[:, :, None]))[:, :, 0])


def _replace_stuck(
    solved: Float64Array,
    stuck: BoolArray,
    points: Float64Array,
    x_anchor: Float64Array,
    radius: Float64Array,
) -> None:
    """Where an anchor's own branch ends before the target, take the nearest other solution.

    Those known are the target's own point and what its other anchors led to.
    """
    n, p = points.shape
    others = np.concatenate([solved.reshape(n, -1, p), points[:, None]], axis=1)
    missing = np.concatenate([stuck.reshape(n, -1), np.zeros((n, 1), dtype=bool)], axis=1)
    rows = np.flatnonzero(stuck)
    of_target = rows // (others.shape[1] - 1)
    apart = np.abs((others[of_target] - x_anchor[rows, None]) / positive(radius)).max(axis=2)
    apart[missing[of_target]] = np.inf
    solved[rows] = others[of_target, apart.argmin(axis=1)]


def _slopes(
    forward: Function, x: Float64Array, images: Float64Array, region: Region
) -> Float64Array:
    """df/dx (n, q, p) in units of the radius, by differences to the inside; 0 if not finite."""
    # What was learned may be a network in single precision.
    precision = np.finfo(np.float64 if forward.exact else np.float32).eps
    low, high = region.box.T
    rounding = np.finfo(np.float64).eps * np.abs(region.box).max(axis=1)
    sizes = np.maximum(np.sqrt(precision) * 0.5 * (high - low), _ROUNDINGS * rounding)
    columns = []
    for i, size in enumerate(np.where(sizes > 0.0, sizes, 1.0)):
        step = np.where(x[:, i] + size > high[i], -size, size)
        shifted = x.copy()
        shifted[:, i] += step
        columns.append((forward(shifted) - images) * (region.radius[i] / step)[:, None])
    slopes = np.stack(columns, axis=2)
    slopes[~np.isfinite(slopes).all(axis=(1, 2))] = 0.0
    return slopes
