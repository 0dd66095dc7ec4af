"""Polishing, the search for all solutions, and paths of solutions, in native code."""

from __future__ import annotations

import numpy as np

from fastinv import _core
from fastinv._common.arrays import Float64Array
from fastinv.backends.checks import solving as checks
from fastinv.backends.cpp.nouns import native_anchors, native_problem
from fastinv.backends.solving import (
    Anchors,
    Assessed,
    Found,
    PipelineOptions,
    Polished,
    Track,
)
from fastinv.functions.goal import Goal
from fastinv.functions.problem import Problem


class Search:
    """Every solution; see :class:`fastinv.backends.solving.Search`."""

    def __init__(
        self, problem: Problem, anchors: Anchors, options: PipelineOptions, isa: str
    ) -> None:
        checks.check_pipeline(problem, anchors, None)
        self.problem = problem
        self._kernel = _core.Search(
            native_problem(problem, isa),
            native_anchors(anchors),
            options,
        )

    def polish(self, goal: Goal, x: Float64Array, *, n_threads: int = 1) -> Polished:
        """Damped Gauss-Newton from each row of `x`."""
        checks.check_starts(self.problem, goal, x, n_threads)
        n, q = goal.targets.shape
        polished = Polished(
            x=np.array(x, order="C"),
            fx=np.empty((n, q)),
            residual=np.empty(n),
            n_evaluations=np.empty(n, dtype=np.int64),
            end=np.empty(n, dtype=np.int8),
        )
        self._kernel.polish(goal, *polished, n_threads)
        return polished

    def jacobians(self, x: Float64Array) -> Float64Array:
        """dy_i/dx_j ``(n, q, p)`` at points `x` ``(n, p)``."""
        out = np.empty((len(x), self.problem.n_outputs, self.problem.n_inputs))
        self._kernel.jacobians(np.ascontiguousarray(x), out)
        return out

    def assess(self, goal: Goal, x: Float64Array, *, n_threads: int = 1) -> Assessed:
        """How sharply the roots near points `x` are determined."""
        checks.check_starts(self.problem, goal, x, n_threads)
        x_error, isolated = np.empty(len(goal)), np.empty(len(goal), dtype=np.uint8)
        self._kernel.assess(goal, np.ascontiguousarray(x), x_error, isolated, n_threads)
        return Assessed(x_error, isolated.astype(np.bool_))

    def solve_all(
        self, goal: Goal, *, k: int, n_starts: int, n_threads: int = 1, out: Found | None = None
    ) -> Found:
        """Up to `k` distinct solutions of each target."""
        checks.check_search_call(self.problem, goal, k, n_starts, n_threads)
        found = Found.empty(len(goal), k, self.problem.n_inputs) if out is None else out
        self._kernel.solve_all(goal, n_starts, *found.ranked, found.n_found, found.ended, n_threads)
        return found

    def solve_path(
        self, goal: Goal, start: Float64Array, *, n_starts: int, out: Track | None = None
    ) -> Track:
        """The solution that begins at `start`, followed along the targets."""
        checks.check_path_call(self.problem, goal, start, n_starts)
        track = Track.empty(len(goal), self.problem.n_inputs) if out is None else out
        x, residual, status, jumped = track
        start = np.ascontiguousarray(start)
        self._kernel.solve_path(goal, start, n_starts, x, residual, status, jumped.view(np.uint8))
        return track
