"""Every solution of many targets, and paths of solutions, with one call of f for each step."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np

from fastinv._common.arrays import Float64Array
from fastinv.backends.batched.block import Block, Means
from fastinv.backends.batched.starts import LinearAnchors
from fastinv.backends.checks import solving as checks
from fastinv.backends.reference import search as reference
from fastinv.backends.solving import Found
from fastinv.functions.goal import Goal

_NUMBERS_AT_A_TIME = 1 << 22  # of the points that one call of f may take


class Search(reference.Search):
    """Every solution; see :class:`fastinv.backends.solving.Search`.

    Each step of a search is taken for all starts of many targets, in one call of f. The derivatives
    at the anchors, 2 p evaluations each unless f brings its own, are computed when a search first
    needs them. `n_threads` has no effect: f is called in the thread of the caller.
    """

    @cached_property
    def _means(self) -> Means:
        linear = LinearAnchors(self.problem, self._f, self._anchors)
        return Means(
            self.problem, self._anchors, linear, self._f, self._polish, self._roots, self._sets,
            self._separation,
        )  # fmt: skip

    def solve_all(
        self, goal: Goal, *, k: int, n_starts: int, n_threads: int = 1, out: Found | None = None
    ) -> Found:
        """Up to `k` distinct solutions of each target."""
        checks.check_search_call(self.problem, goal, k, n_starts, n_threads)
        n, p, q = len(goal), self.problem.n_inputs, self.problem.n_outputs
        all_found = (Found.empty(n, k, p) if out is None else out).clear()
        ranked = all_found.ranked
        finite = np.flatnonzero(np.isfinite(goal.targets).all(axis=1))
        n_starts = min(n_starts, len(self._anchors))
        n_targets = max(1, _NUMBERS_AT_A_TIME // (n_starts * p * (p + q)))
        for i in range(0, len(finite), n_targets):
            rows = finite[i : i + n_targets]
            goal.report(int(rows[0]))
            found = self._searched(replace(goal, targets=goal.targets[rows]), n_starts).found(k)
            ranked.x[rows], ranked.residual[rows] = found.ranked.x, found.ranked.residual
            ranked.anchor[rows], ranked.status[rows] = found.ranked.anchor, found.ranked.status
            all_found.n_found[rows], all_found.ended[rows] = found.n_found, found.ended
        return all_found

    def _solutions(self, goal: Goal, y: Float64Array, n_starts: int) -> Float64Array:
        """Solutions ``(m, p)`` of one target, to choose from where a path jumps."""
        n_starts = min(n_starts, len(self._anchors))
        return self._searched(replace(goal, targets=y[None]), n_starts).solutions_of(0)

    def _searched(self, goal: Goal, n_starts: int) -> Block:
        block = Block(self._means, goal)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            block.search(n_starts)
        return block
