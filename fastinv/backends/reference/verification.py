"""Whether candidates near enough to a target are near a root, too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fastinv._common.arrays import BoolArray, Float64Array
from fastinv.backends.distances import distance
from fastinv.backends.reference.polish import Ends
from fastinv.backends.reference.roots import MOST_NOISE, Roots
from fastinv.backends.solving import Anchors, CandidateFlag, Candidates, PipelineOptions
from fastinv.functions.goal import Goal
from fastinv.functions.problem import Problem

# A candidate that came this much closer to the target than its anchor is near a root: f changes
# along the way to it much more than what is left. Otherwise it needs a derivative.
_MUCH_CLOSER = 0.125


def allowed(goal: Goal, fx: Float64Array, residual: Float64Array) -> BoolArray:
    """Which images `fx` ``(n, k, q)`` with that `residual` ``(n, k)`` the tolerances of the goal
    allow."""
    within = residual <= goal.tol
    if goal.error_tol is not None:
        with np.errstate(invalid="ignore", over="ignore"):
            errors = np.abs(fx - goal.targets[:, None, :])
        within &= (errors <= goal.error_tol).all(axis=2)
    return within


def solutions(goal: Goal, ends: Ends, roots: Roots) -> BoolArray:
    """Which ends ``(n,)`` of a polish, one for each target of `goal`, are solutions."""
    within: BoolArray = allowed(goal, ends.fx[:, None], ends.residual[:, None])[:, 0]
    if not goal.root:
        return within
    shown = ends.exact.copy()
    rows = np.flatnonzero(~ends.exact & (within | (ends.residual <= MOST_NOISE)))
    exact, near = roots.shows(goal.targets[rows], ends.x[rows], ends.fx[rows])
    shown[rows] = exact | (near & within[rows])
    return shown


class Verification:
    """The link *verify*; it also serves an f that only Python can evaluate."""

    def __init__(self, problem: Problem, options: PipelineOptions) -> None:
        self._problem, self._options = problem, options

    def run(self, goal: Goal, candidates: Candidates, anchors: Anchors) -> Candidates:
        """Candidates, or their anchors where those are exact and closer, with flags of roots."""
        weight, y = self._problem.y_weight, goal.targets[:, None, :]
        x, fx, flags = candidates.x.copy(), candidates.fx.copy(), candidates.flags.copy()
        finite = np.asarray(np.isfinite(goal.targets).all(axis=1))[:, None]
        images = anchors.y[candidates.anchor]
        anchor_residual = distance(images, y, weight)
        residual = distance(fx, y, weight)
        residual[~np.isfinite(x).all(axis=2)] = np.inf
        if self._options.anchors_exact:
            worse = finite & ~(residual <= anchor_residual)
            x[worse], fx[worse] = anchors.x[candidates.anchor[worse]], images[worse]
            residual[worse], flags[worse] = anchor_residual[worse], 0
        if goal.root:
            unknown = finite & ((flags & CandidateFlag.ROOT) == 0)
            within = allowed(goal, fx, residual)
            if self._options.polish:
                rest = unknown & (within | (residual <= MOST_NOISE))
            else:
                closer = unknown & within & (residual <= _MUCH_CLOSER * anchor_residual)
                flags[closer] |= CandidateFlag.ROOT
                rest = unknown & within & ~closer
            if rest.any():
                targets = np.broadcast_to(y, fx.shape)[rest]
                exact, near = Roots(self._problem).shows(targets, x[rest], fx[rest])
                shown = np.where(exact, CandidateFlag.EXACT | CandidateFlag.ROOT, 0)
                shown |= np.where(near & within[rest], CandidateFlag.ROOT, 0)
                flags[rest] |= shown.astype(np.uint8)
        return replace(candidates, x=x, fx=fx, flags=flags)
