"""Training pairs like those of solving: a target, an anchor near it in y, and the solution.

Pairs of points near each other in x are mostly not what a twin network has to solve: an
anchor that is near a target in y may be far from its solution, or across a fold from it. With a
formula for f the solution that the anchor leads to can be computed beforehand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastinv._common.arrays import BoolArray, Float64Array
from fastinv.backends.protocol import (
    Anchors,
    Backend,
    Candidates,
    Pipeline,
    PipelineOptions,
)
from fastinv.estimators.networks import Float32Array
from fastinv.estimators.twin_pairs import Pairs, PairScaling, positive
from fastinv.functions.function import Function
from fastinv.functions.goal import Goal
from fastinv.functions.problem import Problem
from fastinv.functions.region import Region
from fastinv.solvers.fitting.differences import look_at_differences
from fastinv.solvers.fitting.refinement import evaluations_of
from fastinv.solvers.pairs.near import reflected
from fastinv.training.checkpoints import fingerprint

# Anchors per target, the nearest in y; as many as solvers commonly try.
_N_ANCHORS = 8
# Relative to the width of the box: a longer jump is rarely learned, and disturbs others.
_FARTHEST = 0.75
_N_STEPS = 6
_N_PAIRS, _PAIRS_TIMES_INPUTS = 200_000, 1_600_000
_TARGETS_AT_ONCE = 256  # so many, for the memory of their derivatives where f runs in Python
_CLOSE = 1e-5  # residual: enough for single precision
_STUCK = 1e-3  # the residual of a start that found no solution


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
class PairRegion:
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
    backend: Backend,
    anchors: Anchors,
    function: Function,
    region: PairRegion,
    points: Float64Array,
    n_threads: int = 1,
) -> Pairs:
    """Pairs of the images of `points`, each with the anchors nearest to it in y.

    ``x`` is where polishing leads from ``x_anchor`` towards ``y``, by steps of at most a radius;
    where it ends short of ``y``, as the anchor's branch folds back before it, ``x`` is the nearest
    other solution known. Pairs that are nearly as far apart as the box is wide are left out. With
    more inputs than outputs the steps are the shortest ones, so that there, too, each anchor and
    target have one answer.

    Parameters
    ----------
    backend : Backend
        Whose `anchors` these are.
    anchors : Anchors
        Their y may carry noise.
    function : Function
    region : PairRegion
    points : ndarray of shape (n, p)
        In random order. Those at which f is not finite are left out.
    n_threads : int, default=1
        Has no influence on the result.

    Returns
    -------
    Pairs
        None where all are too far apart.

    Raises
    ------
    ValueError
        If f is finite at none of `points`.
    """
    targets = function(points)
    finite = np.isfinite(targets).all(axis=1)
    if not finite.any():
        raise ValueError(
            f"{function.name} must be finite inside bounds: of {len(points)} points drawn there "
            "none has a finite image"
        )
    points, targets = points[finite], np.ascontiguousarray(targets[finite])
    pipeline = _pipeline(backend, anchors, function, region)
    n_anchors = min(_N_ANCHORS, len(anchors))
    parts = [
        _polished(pipeline, targets[first : first + _TARGETS_AT_ONCE], n_anchors, n_threads)
        for first in range(0, len(targets), _TARGETS_AT_ONCE)
    ]
    anchor = np.concatenate([part.anchor for part in parts]).ravel()
    solved = np.concatenate([part.x for part in parts]).reshape(len(anchor), -1)
    images = np.concatenate([part.fx for part in parts]).reshape(len(anchor), -1)
    targets = np.repeat(targets, n_anchors, axis=0)
    x_anchor = anchors.x[anchor]
    stuck = ~(np.linalg.norm((images - targets) / anchors.y_scale, axis=1) <= _STUCK)
    _replace_stuck(solved, stuck, points, x_anchor, region.radius)
    width = region.box[:, 1] - region.box[:, 0]
    near = (np.abs(solved - x_anchor) <= _FARTHEST * width).all(axis=1)
    return Pairs(solved[near], targets[near], x_anchor[near], anchors.y[anchor][near])


def _pipeline(
    backend: Backend, anchors: Anchors, function: Function, region: PairRegion
) -> Pipeline:
    """The chain whose links propose anchors and polish them, inside the box."""
    low, high = region.box.T
    no_periods = np.full(len(low), np.inf)
    box = Region(np.array(low), np.array(high), positive(region.radius), no_periods)
    options = PipelineOptions(
        anchors_exact=False,
        polish=True,
        sufficient_residual=_CLOSE,
        longest_step=1.0,
        max_evaluations=evaluations_of(function, _N_STEPS),
    )
    problem = look_at_differences(Problem(function, box, anchors.y_scale), anchors.x)
    return backend.pipeline(problem, anchors, None, options)


def _polished(
    pipeline: Pipeline, targets: Float64Array, n_anchors: int, n_threads: int
) -> Candidates:
    """Where the anchors nearest to each target lead, with images."""
    goal = Goal(targets, tol=0.0)
    candidates = pipeline.propose(goal, n_anchors, n_threads=n_threads)
    if not pipeline.problem.function.exact:  # what was measured is not what f gives there
        candidates = pipeline.evaluate(goal, candidates, n_threads=n_threads)
    return pipeline.polish(goal, candidates, n_threads=n_threads)


def _replace_stuck(
    solved: Float64Array,
    stuck: BoolArray,
    points: Float64Array,
    x_anchor: Float64Array,
    radius: Float64Array,
) -> None:
    """Where an anchor's own branch ends before the target, take the nearest other solution.

    The other solutions are the target's own point and those from its other anchors.
    """
    n, p = points.shape
    others = np.concatenate([solved.reshape(n, -1, p), points[:, None]], axis=1)
    missing = np.concatenate([stuck.reshape(n, -1), np.zeros((n, 1), dtype=bool)], axis=1)
    rows = np.flatnonzero(stuck)
    of_target = rows // (others.shape[1] - 1)
    apart = np.abs((others[of_target] - x_anchor[rows, None]) / positive(radius)).max(axis=2)
    apart[missing[of_target]] = np.inf
    solved[rows] = others[of_target, apart.argmin(axis=1)]
