"""Solutions that are not isolated: where f has fewer independent outputs than inputs, they fill
curves and surfaces."""

from __future__ import annotations

import numpy as np

from fastinv._common.arrays import BoolArray, Float64Array
from fastinv.backends.reference.function import Derivatives
from fastinv.backends.reference.polish import Polish
from fastinv.backends.reference.roots import RootFacts, Roots
from fastinv.functions.problem import Problem

# Of a set: its members, and how far apart they are at least, in units of the region.
MOST_MEMBERS = 8
BETWEEN_MEMBERS = 0.25
# Walks along a set, in units of the region. The longest one leaves what f's noise makes look like a
# set around a multiple root; the shortest one does not reach other solutions.
_WALKS = (0.002, 0.05, 0.2)
# f does not change, to first order, along a direction with so small a part of the largest change.
_FLAT = 1e-5
# What remains of the residual of a walk where a polish leads back onto the set.
_BACK = 1e-6


class Sets:
    """Tells isolated solutions from members of sets."""

    def __init__(self, problem: Problem, roots: Roots, polish: Polish) -> None:
        self._f, self._roots, self._polish = Derivatives(problem), roots, polish
        self._region = problem.region

    def members(self, y: Float64Array, x: Float64Array, facts: RootFacts) -> BoolArray:
        """Whether solutions go on from each solution `x` ``(n, p)`` for `y` ``(n, q)``."""
        p, q = x.shape[1], y.shape[1]
        _, values, directions = np.linalg.svd(self._roots.derivatives(x))
        flat = values <= _FLAT * values.max(axis=1, keepdims=True)
        if min(p, q) == 1:
            flat |= facts.singular[:, None]
        # Regular solutions do if there are more inputs, by the theorem of implicit functions.
        member = np.full(len(x), p > q)
        member[flat.any(axis=1)] = False
        for k in range(p):
            if p > q:
                rows = np.flatnonzero(flat.any(axis=1) & ~member)
                along = np.tile(np.eye(p)[k], (len(rows), 1))
            else:
                rows = np.flatnonzero(flat[:, k] & ~member)
                along = directions[rows, k]
            if len(rows):
                member[rows] = self._go_on(y[rows], x[rows], along)
        return member

    def _go_on(self, y: Float64Array, x: Float64Array, direction: Float64Array) -> BoolArray:
        """Whether there are solutions about as far from x as each of the walks, to a side."""
        all_walks = np.ones(len(x), dtype=np.bool_)
        for length in _WALKS:
            either_side = np.zeros(len(x), dtype=np.bool_)
            for sign in (-1.0, 1.0):
                step = sign * length * self._region.scale * direction
                start = self._region.clip_step(x + step)
                with np.errstate(over="ignore", invalid="ignore"):
                    images = self._f.values(start)
                    ends = self._polish.run(y, start, images)
                left = self._roots.residual(y, images)
                walked = self._region.distance(ends.x, x)
                far_enough = (walked >= 0.5 * length) & (walked <= 2 * length)
                either_side |= far_enough & (ends.exact | (ends.residual <= _BACK * left))
            all_walks &= either_side
        return all_walks
