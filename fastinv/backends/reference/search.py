"""Polishing, the search and paths: an oracle that is thorough and slow."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastinv._common.arrays import Float64Array, IntArray
from fastinv.backends.checks import solving as checks
from fastinv.backends.reference.function import Derivatives
from fastinv.backends.reference.polish import EVALUATIONS, Ends, Polish
from fastinv.backends.solving import Anchors, PipelineOptions, Polished, Ranked, Track
from fastinv.functions.goal import Goal
from fastinv.functions.problem import Problem
from fastinv.functions.status import Status

_ROUNDING = 64 * float(np.finfo(np.float64).eps)
_LONGEST_STEP = 0.5  # longest step of a path, in units of the region
_BEND = 0.02  # largest distance from the end of the first step, relative to it
_SMALLEST_PIECE = 1e-5  # shortest piece of the way from one target to the next


class _Found(NamedTuple):
    x: Float64Array
    residual: float
    anchor: int
    rank: float  # the residual, or zero if it is only rounding


class _Point(NamedTuple):
    """The present solution of a path, and its image."""

    x: Float64Array
    fx: Float64Array


class Search:
    """Every solution; see :class:`fastinv.backends.solving.Search`.

    Every anchor is a start, whatever ``n_starts`` is: the solutions that the compiled search
    finds from some of them must be among these. ``n_threads`` has no effect.
    """

    def __init__(self, problem: Problem, anchors: Anchors, options: PipelineOptions) -> None:
        checks.check_pipeline(problem, anchors, None)
        checks.check_runs_natively(problem)
        self.problem = problem
        self._anchors = anchors
        self._separation = options.separation
        self._region = problem.region
        self._f = Derivatives(problem)
        self._polish = Polish(problem, options)

    def polish(self, goal: Goal, x: Float64Array, *, n_threads: int = 1) -> Polished:
        """Damped Gauss-Newton from each row of `x`."""
        checks.check_starts(self.problem, goal, x, n_threads)
        ends = self._polish_from(goal.targets, x)
        return Polished(
            self._region.wrap(ends.x), ends.fx, ends.residual, ends.n_evaluations, ends.end
        )

    def jacobians(self, x: Float64Array) -> Float64Array:
        """dy_i/dx_j ``(n, q, p)`` at points `x` ``(n, p)``."""
        return self._f.jacobians(x)

    def solve_all(
        self, goal: Goal, *, k: int, n_starts: int, n_threads: int = 1
    ) -> tuple[Ranked, IntArray]:
        """Up to `k` distinct solutions of each target, and their counts."""
        checks.check_search_call(self.problem, goal, k, n_starts, n_threads)
        n, p = len(goal), self.problem.n_inputs
        ranked = Ranked(
            x=np.full((n, k, p), np.nan),
            residual=np.full((n, k), np.inf),
            anchor=np.full((n, k), -1, dtype=np.int64),
            status=np.full((n, k), Status.INVALID, dtype=np.int8),
        )
        count = np.zeros(n, dtype=np.int64)
        for row, y in enumerate(goal.targets):
            if not np.isfinite(y).all():
                continue
            ends = self._from_all_anchors(y)
            solutions = self._distinct(y, ends, goal.tol)[:k]
            count[row] = len(solutions)
            for place, found in enumerate(solutions):
                ranked.x[row, place] = found.x
                ranked.residual[row, place] = found.residual
                ranked.anchor[row, place] = found.anchor
                ranked.status[row, place] = Status.CONVERGED
            if not solutions:
                self._write_nearest(ends, row, ranked)
        return ranked, count

    def solve_path(self, goal: Goal, start: Float64Array, *, n_starts: int) -> Track:
        """The solution that begins at `start`, followed along the targets."""
        checks.check_path_call(self.problem, goal, start, n_starts)
        n, p = len(goal), self.problem.n_inputs
        track = Track(
            x=np.full((n, p), np.nan),
            residual=np.full(n, np.inf),
            status=np.full(n, Status.INVALID, dtype=np.int8),
            jumped=np.zeros(n, dtype=np.bool_),
        )
        at = _Point(start, self._f.values(start))
        for row, y in enumerate(goal.targets):
            if not np.isfinite(y).all():
                continue
            ahead = self._follow(y, at, goal.tol)
            if ahead is None:
                ahead = self._jump(y, at, goal.tol)
                track.jumped[row] = ahead is not None
            at = at if ahead is None else ahead
            track.x[row] = at.x
            track.residual[row] = np.linalg.norm(at.fx - y)
            track.status[row] = Status.UNREACHABLE if ahead is None else Status.CONVERGED
        return track

    def _polish_from(self, targets: Float64Array, x: Float64Array) -> Ends:
        with np.errstate(over="ignore", invalid="ignore"):
            fx = self._f.values(x)
        return self._polish.run(targets, x, fx)

    def _from_all_anchors(self, y: Float64Array) -> Ends:
        return self._polish_from(np.tile(y, (len(self._anchors), 1)), self._anchors.x)

    def _distinct(self, y: Float64Array, ends: Ends, tol: float) -> list[_Found]:
        """Solutions by rank and then by coordinates; only the best of equal ones."""
        distinct: list[_Found] = []
        wrapped = self._region.wrap(ends.x)
        for anchor in np.argsort(ends.residual, kind="stable"):
            x, residual = wrapped[anchor], float(ends.residual[anchor])
            if not (residual <= tol and self._region.contains(x)):
                continue
            if any(self._region.distance(x, other.x) <= self._separation for other in distinct):
                continue
            size = float(np.linalg.norm(y) + np.linalg.norm(ends.fx[anchor]))
            rank = 0.0 if residual <= max(_ROUNDING * size, 1e-4 * tol) else residual
            distinct.append(_Found(x, residual, int(anchor), rank))
        # Rounding must not decide between equal coordinates.
        unit = self._separation * self._region.scale
        return sorted(distinct, key=lambda found: (found.rank, *self._units(found.x, unit)))

    @staticmethod
    def _units(x: Float64Array, unit: Float64Array) -> list[float]:
        return list(np.round(x / unit) if (unit > 0).all() else x)

    def _write_nearest(self, ends: Ends, row: int, ranked: Ranked) -> None:
        """The nearest attainable point, in the first place of a row that has no solution."""
        residuals = np.where(np.isnan(ends.residual), np.inf, ends.residual)
        anchor = int(residuals.argmin())
        if np.isinf(residuals[anchor]):
            return
        ranked.x[row, 0] = self._region.wrap(ends.x[anchor])
        ranked.residual[row, 0] = residuals[anchor]
        ranked.anchor[row, 0] = anchor
        capped = ends.end[anchor] == EVALUATIONS
        ranked.status[row, 0] = Status.APPROXIMATE if capped else Status.UNREACHABLE

    def _follow(self, y: Float64Array, start: _Point, tol: float) -> _Point | None:
        """Follow the branch to y, in pieces if one step is not enough; None if it ends."""
        whole = self._step_towards(y, start, tol)
        if whole is not None:
            return whole
        at, done, piece = start, 0.0, 0.5
        while done < 1.0:
            ahead = min(done + piece, 1.0)
            target = y if ahead == 1.0 else start.fx + ahead * (y - start.fx)
            reached = self._step_towards(target, at, tol)
            if reached is not None:
                at, done, piece = reached, ahead, 2 * piece
                continue
            piece *= 0.5
            if piece < _SMALLEST_PIECE:
                return None
        return at

    def _step_towards(self, y: Float64Array, at: _Point, tol: float) -> _Point | None:
        """One step; None unless it is short and ends at a solution about where the derivative
        predicts."""
        ends = self._polish.run(y[None], at.x[None], at.fx[None])
        first, later = float(ends.first_step[0]), float(ends.later_steps[0])
        if not (ends.residual[0] <= tol and first <= _LONGEST_STEP):
            return None
        if later > _BEND * first + 1e-9:
            return None
        return _Point(ends.x[0], ends.fx[0])

    def _jump(self, y: Float64Array, at: _Point, tol: float) -> _Point | None:
        """The solution nearest to the end of the path; None if there is none."""
        solutions = self._distinct(y, self._from_all_anchors(y), tol)
        if not solutions:
            return None
        nearest = min(solutions, key=lambda found: float(self._region.distance(found.x, at.x)))
        return _Point(nearest.x, self._f.values(nearest.x))
