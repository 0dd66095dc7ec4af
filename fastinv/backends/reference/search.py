"""Polishing, the search and paths: an oracle that is thorough and slow."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from fastinv._common.arrays import BoolArray, Float64Array
from fastinv.backends.checks import solving as checks
from fastinv.backends.distances import distance
from fastinv.backends.reference.function import Derivatives
from fastinv.backends.reference.polish import EVALUATIONS, Ends, Polish
from fastinv.backends.reference.roots import Roots
from fastinv.backends.reference.sets import BETWEEN_MEMBERS, MOST_MEMBERS, Sets
from fastinv.backends.reference.verification import solutions
from fastinv.backends.solving import (
    Anchors,
    Assessed,
    Found,
    PipelineOptions,
    Polished,
    Ranked,
    Track,
)
from fastinv.functions.goal import Goal
from fastinv.functions.problem import Problem
from fastinv.functions.status import SearchStatus, Status

_LONGEST_STEP = 0.5  # longest step of a path, in units of the region
_BEND = 0.02  # largest distance from the end of the first step, relative to it
_SMALLEST_PIECE = 1e-5  # shortest piece of the way from one target to the next


class _Found(NamedTuple):
    x: Float64Array
    residual: float
    anchor: int
    rank: float  # the residual, or zero if it is only rounding
    x_error: float
    in_set: bool  # not isolated


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
        self.problem = problem
        self._anchors = anchors
        self._separation = options.separation
        self._region = problem.region
        self._f = Derivatives(problem)
        self._polish = Polish(problem, options)
        self._roots = Roots(problem)
        self._sets = Sets(problem, self._roots, self._polish)

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

    def assess(self, goal: Goal, x: Float64Array, *, n_threads: int = 1) -> Assessed:
        """How sharply the roots near points `x` ``(n, p)`` are determined."""
        checks.check_starts(self.problem, goal, x, n_threads)
        x_error = np.full(len(goal), np.inf)
        isolated = np.zeros(len(goal), dtype=np.bool_)
        fx = np.full(goal.targets.shape, np.nan)
        usable = np.isfinite(goal.targets).all(axis=1) & np.isfinite(x).all(axis=1)
        fx[usable] = self._f.values(x[usable])
        rows = np.flatnonzero(np.isfinite(fx).all(axis=1))
        exact, near = self._roots.shows(goal.targets[rows], x[rows], fx[rows])
        rows = rows[exact | near]
        if len(rows):
            facts = self._roots.assess(goal.targets[rows], x[rows], fx[rows])
            x_error[rows] = facts.x_error
            isolated[rows] = ~self._sets.members(goal.targets[rows], x[rows], facts)
        return Assessed(x_error, isolated)

    def solve_all(
        self, goal: Goal, *, k: int, n_starts: int, n_threads: int = 1, out: Found | None = None
    ) -> Found:
        """Up to `k` distinct solutions of each target."""
        checks.check_search_call(self.problem, goal, k, n_starts, n_threads)
        n, p = len(goal), self.problem.n_inputs
        all_found = (Found.empty(n, k, p) if out is None else out).clear()
        ranked, count, search = all_found
        for row, y in enumerate(goal.targets):
            goal.report(row)
            if not np.isfinite(y).all():
                continue
            ends = self._from_all_anchors(y)
            solutions = self._distinct(goal, y, ends)
            is_set = any(found.in_set for found in solutions)
            search[row] = SearchStatus.SET if is_set else SearchStatus.ENDED
            if len(solutions) > k:
                solutions, search[row] = solutions[:k], SearchStatus.CUT
            count[row] = len(solutions)
            for place, found in enumerate(solutions):
                ranked.x[row, place] = found.x
                ranked.residual[row, place] = found.residual
                ranked.anchor[row, place] = found.anchor
                ranked.status[row, place] = Status.CONVERGED
            if not solutions:
                self._write_nearest(ends, row, ranked)
        return all_found

    def solve_path(
        self, goal: Goal, start: Float64Array, *, n_starts: int, out: Track | None = None
    ) -> Track:
        """The solution that begins at `start`, followed along the targets."""
        checks.check_path_call(self.problem, goal, start, n_starts)
        n, p = len(goal), self.problem.n_inputs
        track = (Track.empty(n, p) if out is None else out).clear()
        at = _Point(start, self._f.values(start))
        for row, y in enumerate(goal.targets):
            goal.report(row)
            if not np.isfinite(y).all():
                continue
            ahead = self._follow(goal, y, at)
            if ahead is None:
                ahead = self._jump(goal, y, at, n_starts)
                track.jumped[row] = ahead is not None
            at = at if ahead is None else ahead
            track.x[row] = at.x
            track.residual[row] = distance(at.fx, y, self.problem.y_weight)
            track.status[row] = Status.UNREACHABLE if ahead is None else Status.CONVERGED
        return track

    def _polish_from(self, targets: Float64Array, x: Float64Array) -> Ends:
        with np.errstate(over="ignore", invalid="ignore"):
            fx = self._f.values(x)
        return self._polish.run(targets, x, fx)

    def _from_all_anchors(self, y: Float64Array) -> Ends:
        return self._polish_from(np.tile(y, (len(self._anchors), 1)), self._anchors.x)

    def _are_solutions(self, goal: Goal, y: Float64Array, ends: Ends) -> BoolArray:
        """Which ends ``(n,)`` are solutions for the target `y` ``(q,)``."""
        targets = np.tile(y, (len(ends.x), 1))
        return solutions(replace(goal, targets=targets), ends, self._roots)

    def _distinct(self, goal: Goal, y: Float64Array, ends: Ends) -> list[_Found]:
        """Solutions by rank and then by coordinates; only the best of those that f cannot tell
        apart, and some members of a set that are far from each other."""
        wrapped = self._region.wrap(ends.x)
        rows = np.flatnonzero(self._are_solutions(goal, y, ends) & self._region.contains(wrapped))
        if not len(rows):
            return []
        rows = rows[np.argsort(ends.residual[rows], kind="stable")]
        targets = np.tile(y, (len(rows), 1))
        facts = self._roots.assess(targets, wrapped[rows], ends.fx[rows])
        distinct: list[_Found] = []
        for i, anchor in enumerate(rows):
            x, x_error = wrapped[anchor], float(facts.x_error[i])
            gaps = np.array([float(self._region.distance(x, other.x)) for other in distinct])
            errors = np.array([other.x_error for other in distinct])
            # Where one is not exact yet, the other may be what it would become.
            both_exact = np.array([other.rank == 0.0 for other in distinct], dtype=bool)
            both_exact &= bool(ends.exact[anchor])
            share = np.where(both_exact, 0.5, 2.0)
            if (gaps <= np.maximum(share * (errors + x_error), self._separation)).any():
                continue
            in_set = bool(self._sets.members(targets[:1], x[None], facts[np.array([i])])[0])
            members = np.array([other.in_set for other in distinct], dtype=bool)
            crowded = (gaps[members] < BETWEEN_MEMBERS).any() or members.sum() >= MOST_MEMBERS
            if in_set and crowded:
                continue
            residual = float(ends.residual[anchor])
            rank = 0.0 if ends.exact[anchor] else residual
            distinct.append(_Found(x, residual, int(anchor), rank, x_error, in_set))
        units = self._region.units(np.array([found.x for found in distinct]), self._separation)
        order = sorted(range(len(distinct)), key=lambda i: (distinct[i].rank, *units[i]))
        return [distinct[i] for i in order]

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

    def _follow(self, goal: Goal, y: Float64Array, start: _Point) -> _Point | None:
        """Follow the branch to y, in pieces if one step is not enough; None if it ends."""
        whole = self._step_towards(goal, y, start)
        if whole is not None:
            return whole
        at, done, piece = start, 0.0, 0.5
        while done < 1.0:
            ahead = min(done + piece, 1.0)
            target = y if ahead == 1.0 else start.fx + ahead * (y - start.fx)
            reached = self._step_towards(goal, target, at)
            if reached is not None:
                at, done, piece = reached, ahead, 2 * piece
                continue
            piece *= 0.5
            if piece < _SMALLEST_PIECE:
                return None
        return at

    def _step_towards(self, goal: Goal, y: Float64Array, at: _Point) -> _Point | None:
        """One step; None unless it is short and ends at a solution about where the derivative
        predicts."""
        ends = self._polish.run(y[None], at.x[None], at.fx[None])
        first, later = float(ends.first_step[0]), float(ends.later_steps[0])
        if not (self._are_solutions(goal, y, ends)[0] and first <= _LONGEST_STEP):
            return None
        if later > _BEND * first + 1e-9:
            return None
        return _Point(ends.x[0], ends.fx[0])

    def _jump(self, goal: Goal, y: Float64Array, at: _Point, n_starts: int) -> _Point | None:
        """The solution nearest to the end of the path; None if there is none."""
        x = self._solutions(goal, y, n_starts)
        if not len(x):
            return None
        nearest = x[self._region.distance(x, at.x).argmin()]
        return _Point(nearest, self._f.values(nearest))

    def _solutions(self, goal: Goal, y: Float64Array, n_starts: int) -> Float64Array:
        """Solutions ``(m, p)`` of one target, to choose from where a path jumps."""
        return np.array([found.x for found in self._distinct(goal, y, self._from_all_anchors(y))])
