"""Every solution of many targets, and paths of solutions, with one call of f for each step."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from fastinv._common.arrays import Float64Array, IntArray
from fastinv.backends.batched.block import Block, Means
from fastinv.backends.batched.starts import LinearAnchors
from fastinv.backends.checks import solving as checks
from fastinv.backends.reference import search as reference
from fastinv.backends.solving import Ranked
from fastinv.functions.goal import Goal
from fastinv.functions.status import Status

_NUMBERS_AT_A_TIME = 1 << 22  # of the points that one call of f may take
_MOST_SOLUTIONS = 64  # to choose from where a path jumps


class Search(reference.Search):
    """Every solution; see :class:`fastinv.backends.solving.Search`.

    Each step of a search is taken for all starts of many targets, in one call of f. The derivatives
    at the anchors, 2 p evaluations each unless f brings its own, are computed when a search first
    needs them. `n_threads` has no effect: f is called in the thread of the caller.
    """

    @cached_property
    def _means(self) -> Means:
        linear = LinearAnchors(self._f, self._region, self._anchors)
        return Means(self._f, self._region, self._anchors, linear, self._polish, self._separation)

    def solve_all(
        self, goal: Goal, *, k: int, n_starts: int, n_threads: int = 1
    ) -> tuple[Ranked, IntArray]:
        """Up to `k` distinct solutions of each target, and their counts."""
        checks.check_search_call(self.problem, goal, k, n_starts, n_threads)
        n, p, q = len(goal), self.problem.n_inputs, self.problem.n_outputs
        ranked = Ranked(
            np.full((n, k, p), np.nan),
            np.full((n, k), np.inf),
            np.full((n, k), -1, dtype=np.int64),
            np.full((n, k), Status.INVALID, dtype=np.int8),
        )
        count = np.zeros(n, dtype=np.int64)
        finite = np.flatnonzero(np.isfinite(goal.targets).all(axis=1))
        n_starts = min(n_starts, len(self._anchors))
        n_targets = max(1, _NUMBERS_AT_A_TIME // (n_starts * p * (p + q)))
        for i in range(0, len(finite), n_targets):
            rows = finite[i : i + n_targets]
            block = self._searched(goal.targets[rows], goal.tol, n_starts, k)
            some = block.ranked()
            ranked.x[rows], ranked.residual[rows] = some.x, some.residual
            ranked.anchor[rows], ranked.status[rows] = some.anchor, some.status
            count[rows] = block.solutions.count
        return ranked, count

    def _solutions(self, y: Float64Array, tol: float, n_starts: int) -> Float64Array:
        """Solutions ``(m, p)`` of one target."""
        block = self._searched(y[None], tol, min(n_starts, len(self._anchors)), _MOST_SOLUTIONS)
        return np.asarray(block.solutions.x[0, : block.solutions.count[0]])

    def _searched(self, y: Float64Array, tol: float, n_starts: int, k: int) -> Block:
        block = Block(self._means, y, tol, k)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            block.search(n_starts)
        return block
