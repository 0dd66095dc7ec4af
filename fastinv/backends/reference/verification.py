"""Whether candidates near enough to a target are near a root, too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fastinv._common.arrays import BoolArray, Float64Array
from fastinv.backends.distances import distance
from fastinv.backends.reference.roots import Roots
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


class Verification:
    """The link *verify*; it also serves an f that only Python can evaluate."""

    def __init__(self, problem: Problem, options: PipelineOptions) -> None:
        self._problem, self._options = problem, options

    def run(self, goal: Goal, candidates: Candidates, anchors: Anchors) -> Candidates:
        """Candidates, or their anchors where those are exact and closer, with flags of roots."""
        weight, y = self._problem.y_weight, goal.targets[:, None, :]
        x, fx, flags = candidates.x.copy(), candidates.fx.copy(), candidates.flags.copy()
        finite = np.isfinite(goal.targets).all(axis=1)[:, None]
        images = anchors.y[candidates.anchor]
        anchor_residual = distance(images, y, weight)
        residual = distance(fx, y, weight)
        residual[~np.isfinite(x).all(axis=2)] = np.inf
        if self._options.anchors_exact:
            worse = finite & ~(residual <= anchor_residual)
            x[worse], fx[worse] = anchors.x[candidates.anchor[worse]], images[worse]
            residual[worse], flags[worse] = anchor_residual[worse], 0
        if goal.root:
            unknown = finite & ((flags & CandidateFlag.ROOT) == 0) & allowed(goal, fx, residual)
            shown = np.zeros_like(unknown)
            if not self._options.polish:
                shown = unknown & (residual <= _MUCH_CLOSER * anchor_residual)
            rest = unknown & ~shown
            if rest.any():
                targets = np.broadcast_to(y, fx.shape)[rest]
                shown[rest] = Roots(self._problem).shows(targets, x[rest], fx[rest])
            flags[shown] |= CandidateFlag.ROOT
        return replace(candidates, x=x, fx=fx, flags=flags)
