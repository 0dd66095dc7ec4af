"""The search for all solutions of a block of targets, each step for all starts at once."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fastinv._common.arrays import Float64Array, IntArray
from fastinv.backends.batched.folds import partners
from fastinv.backends.batched.places import Places, Where, in_turns
from fastinv.backends.batched.starts import LinearAnchors
from fastinv.backends.distances import distance
from fastinv.backends.reference.function import Derivatives
from fastinv.backends.reference.polish import EVALUATIONS, STATIONARY, Polish
from fastinv.backends.reference.roots import Roots
from fastinv.backends.reference.sets import Sets
from fastinv.backends.reference.verification import solutions
from fastinv.backends.solving import Anchors, Found, Ranked
from fastinv.functions.goal import Goal
from fastinv.functions.problem import Problem
from fastinv.functions.status import SearchStatus, Status

# Starts for each solution that is found, at least; and how many times as many as asked for.
_STARTS_PER_SOLUTION, _MOST_ROUNDS = 4, 64


@dataclass(frozen=True, eq=False)
class Means:
    """What a search works with."""

    problem: Problem
    anchors: Anchors
    linear: LinearAnchors
    f: Derivatives
    polish: Polish
    roots: Roots
    sets: Sets
    separation: float


@dataclass(frozen=True, eq=False)
class _Starts:
    """m starts, in the order in which their results count: the rows of their targets and of the
    anchors that they come from, (m,); ``x`` (m, p) and ``fx`` (m, q)."""

    target: IntArray
    anchor: IntArray
    x: Float64Array
    fx: Float64Array


class Block:
    """The search for all solutions of a goal with finite targets; `near` of the goal does not
    count."""

    def __init__(self, means: Means, goal: Goal) -> None:
        n, p = len(goal), means.f.p
        self._means, self._goal, self._y = means, goal, goal.targets
        self._places = Places(n, means.f.q, means.problem.region, means.separation)
        # The nearest attainable points, for targets without a solution.
        self._nearest_x = np.full((n, p), np.nan)
        self._nearest_residual = np.full(n, np.inf)
        self._nearest_anchor = np.full(n, -1, dtype=np.int64)
        self._nearest_end = np.full(n, STATIONARY, dtype=np.int8)

    def search(self, n_starts: int) -> None:
        """Polish `n_starts` for each target, more where there are many solutions; then the nearest
        anchors of targets that have none."""
        rows, done = np.arange(len(self._goal)), 0
        most = min(_MOST_ROUNDS * n_starts, len(self._means.anchors))
        while len(rows):
            fresh = self._run(self._chosen_starts(rows, done, n_starts))
            self._run(self._partners_of(fresh))
            places = self._places
            isolated = (places.is_solution & ~places.in_set)[rows].sum(axis=1)
            rows = rows[(_STARTS_PER_SOLUTION * isolated > n_starts) & (n_starts < most)]
            done, n_starts = n_starts, min(2 * n_starts, most)
        self._run(self._nearest_anchors())

    def solutions_of(self, row: int) -> Float64Array:
        """The solutions ``(m, p)`` of one target."""
        return np.asarray(self._places.x[row, self._places.is_solution[row]])

    def found(self, k: int) -> Found:
        """Up to `k` solutions of each target, padded; in the first place of one that has none the
        nearest attainable point."""
        places, n = self._places, len(self._goal)
        total = places.is_solution.sum(axis=1)
        order = places.order()[:, :k]
        usable = np.arange(order.shape[1]) < total[:, None]
        ranked, count, search = all_found = Found.empty(n, k, self._means.f.p).clear()
        target, place = np.nonzero(usable)
        source = target, order[target, place]
        ranked.x[target, place] = places.x[source]
        ranked.residual[target, place] = places.residual[source]
        ranked.anchor[target, place] = places.anchor[source]
        ranked.status[target, place] = Status.CONVERGED
        self._write_nearest(ranked, np.flatnonzero((total == 0) & (self._nearest_anchor >= 0)))
        in_set = (places.is_solution & places.in_set).any(axis=1)
        search[:] = np.where(in_set, SearchStatus.SET, SearchStatus.ENDED)
        search[total > k] = SearchStatus.CUT
        count[:] = np.minimum(total, k)
        return all_found

    def _write_nearest(self, ranked: Ranked, rows: IntArray) -> None:
        ranked.x[rows, 0] = self._nearest_x[rows]
        ranked.residual[rows, 0] = self._nearest_residual[rows]
        ranked.anchor[rows, 0] = self._nearest_anchor[rows]
        capped = self._nearest_end[rows] == EVALUATIONS
        ranked.status[rows, 0] = np.where(capped, Status.APPROXIMATE, Status.UNREACHABLE)

    def _chosen_starts(self, rows: IntArray, first: int, n_starts: int) -> _Starts:
        """The starts from `first` to `n_starts` of targets: where the anchors' derivatives point
        to, or the anchors that are closer in y."""
        means, region = self._means, self._means.problem.region
        chosen = means.linear.choose(self._y[rows], n_starts)
        anchors, predicted = chosen.anchor[:, first:], chosen.predicted[:, first:]
        place, row = np.nonzero(anchors.T >= 0)
        target, anchor, x = rows[row], anchors[row, place], predicted[row, place]
        own_x, own_fx = means.anchors.x[anchor], means.anchors.y[anchor]
        x = region.clip_step(np.where(np.isnan(x), own_x, x))
        fx = means.f.values(x)
        y, weight = self._y[target], means.problem.y_weight
        moved = (distance(fx, y, weight) < distance(own_fx, y, weight))[:, None]
        return _Starts(target, anchor, np.where(moved, x, own_x), np.where(moved, fx, own_fx))

    def _partners_of(self, where: Where) -> _Starts:
        """Starts on the other side of the folds beside solutions."""
        means, places, (target, _) = self._means, self._places, where
        spacing = means.linear.spacing
        x = partners(means.problem, means.f, places.x[where], places.fx[where], spacing)
        usable = np.isfinite(x).all(axis=1)
        x, anchor = x[usable], places.anchor[where][usable]
        return _Starts(target[usable], anchor, x, means.f.values(x))

    def _nearest_anchors(self) -> _Starts:
        """The anchors with the nearest images, for targets without a solution, unless something
        nearer was found. Derivatives may be zero or not finite and say nothing, or a target so far
        away that squares overflow."""
        anchors = self._means.anchors
        lost = np.flatnonzero(~self._places.is_solution.any(axis=1))
        least, nearest = anchors.nearest(self._y[lost], 1)
        farther = ~(self._nearest_residual[lost] <= least[:, 0])
        lost, anchor = lost[farther], nearest[farther, 0]
        self._nearest_x[lost], self._nearest_residual[lost] = anchors.x[anchor], least[farther, 0]
        self._nearest_anchor[lost], self._nearest_end[lost] = anchor, STATIONARY
        return _Starts(lost, anchor, anchors.x[anchor], anchors.y[anchor])

    def _run(self, starts: _Starts) -> Where:
        """Polish all, and take what they lead to; the new solutions."""
        means, region = self._means, self._means.problem.region
        y = self._y[starts.target]
        ends = means.polish.run(y, starts.x, starts.fx)
        ends = replace(ends, x=region.wrap(ends.x))
        solved = solutions(replace(self._goal, targets=y), ends, means.roots)
        inside = region.contains(ends.x)
        for rows in in_turns(starts.target):
            good = rows[(solved & inside)[rows]]
            self._places.add(
                starts.target[good], ends.x[good], ends.fx[good], ends.residual[good],
                ends.exact[good], starts.anchor[good],
            )  # fmt: skip
            bad = rows[~solved[rows]]
            bad = bad[ends.residual[bad] < self._nearest_residual[starts.target[bad]]]
            at = starts.target[bad]
            self._nearest_x[at], self._nearest_residual[at] = ends.x[bad], ends.residual[bad]
            self._nearest_anchor[at], self._nearest_end[at] = starts.anchor[bad], ends.end[bad]
        return self._assessed()

    def _assessed(self) -> Where:
        """Find out how sharply new places are determined, and which of them are new solutions."""
        means, places = self._means, self._places
        where = places.unknown()
        if not len(where[0]):
            return where
        y = self._y[where[0]]
        facts = means.roots.assess(y, places.x[where], places.fx[where])
        # Where f ends beside a solution, nothing may be known: it is compared as it is.
        places.x_error[where] = np.where(np.isnan(facts.x_error), 0.0, facts.x_error)
        known = np.full(places.x_error.shape, -1)
        known[where] = np.arange(len(y))
        where = places.tell_apart(where)
        rows = known[where]
        is_member = means.sets.members(y[rows], places.x[where], facts[rows])
        places.thin_out(where, is_member)
        kept = places.is_solution[where]
        return where[0][kept], where[1][kept]
