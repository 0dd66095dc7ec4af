"""The search for all solutions of a block of targets, each step for all starts at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fastinv._common.arrays import BoolArray, Float64Array, IntArray
from fastinv.backends.batched.folds import partners
from fastinv.backends.batched.solutions import Collection
from fastinv.backends.batched.starts import LinearAnchors
from fastinv.backends.distances import distance
from fastinv.backends.reference.function import Derivatives
from fastinv.backends.reference.polish import EVALUATIONS, STATIONARY, Ends, Polish
from fastinv.backends.solving import Anchors, Ranked
from fastinv.functions.region import Region
from fastinv.functions.status import Status

_ROUNDING = 64 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class Means:
    """What a search works with."""

    f: Derivatives
    region: Region
    anchors: Anchors
    linear: LinearAnchors
    polish: Polish
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
    """Finds up to `k` solutions of each of finite targets `y` ``(n, q)``.

    Attributes
    ----------
    solutions : Collection
    """

    def __init__(self, means: Means, y: Float64Array, tol: float, k: int) -> None:
        n, p = len(y), means.f.p
        self._means, self._y, self._tol = means, y, tol
        self.solutions = Collection(n, k, means.region, means.separation)
        # The nearest attainable points, for targets without a solution.
        self._nearest_x = np.full((n, p), np.nan)
        self._nearest_residual = np.full(n, np.inf)
        self._nearest_anchor = np.full(n, -1, dtype=np.int64)
        self._nearest_end = np.full(n, STATIONARY, dtype=np.int8)

    def search(self, n_starts: int) -> None:
        """Polish `n_starts` for each target, then the partners of solutions near folds, then the
        nearest anchors of targets that have no solution."""
        starts = self._chosen_starts(n_starts)
        ends, is_new = self._run(starts)
        self._run(self._partners_of(starts, ends, is_new))
        self._run(self._nearest_anchors())
        self.solutions.sort()

    def ranked(self) -> Ranked:
        """What was found, padded; in the first place of a target without a solution the nearest
        attainable point."""
        solutions = self.solutions
        status = np.full(solutions.residual.shape, Status.INVALID, dtype=np.int8)
        status[np.isfinite(solutions.residual)] = Status.CONVERGED
        ranked = Ranked(solutions.x, solutions.residual, solutions.anchor, status)
        rows = np.flatnonzero((solutions.count == 0) & (self._nearest_anchor >= 0))
        ranked.x[rows, 0] = self._nearest_x[rows]
        ranked.residual[rows, 0] = self._nearest_residual[rows]
        ranked.anchor[rows, 0] = self._nearest_anchor[rows]
        capped = self._nearest_end[rows] == EVALUATIONS
        ranked.status[rows, 0] = np.where(capped, Status.APPROXIMATE, Status.UNREACHABLE)
        return ranked

    def _chosen_starts(self, n_starts: int) -> _Starts:
        """Where the anchors' derivatives point to, or the anchors that are closer in y."""
        means = self._means
        chosen = means.linear.choose(self._y, n_starts)
        place, target = np.nonzero(chosen.anchor.T >= 0)
        anchor, x = chosen.anchor[target, place], chosen.predicted[target, place]
        own_x, own_fx = means.anchors.x[anchor], means.anchors.y[anchor]
        x = means.region.clip_step(np.where(np.isnan(x), own_x, x))
        fx = means.f.values(x)
        y = self._y[target]
        moved = (distance(fx, y) < distance(own_fx, y))[:, None]
        return _Starts(target, anchor, np.where(moved, x, own_x), np.where(moved, fx, own_fx))

    def _partners_of(self, starts: _Starts, ends: Ends, is_new: BoolArray) -> _Starts:
        """Starts on the other side of the folds beside new solutions."""
        means = self._means
        x = means.region.wrap(ends.x[is_new])
        x = partners(means.f, means.region, x, ends.fx[is_new], means.linear.spacing)
        usable = np.isfinite(x).all(axis=1)
        target, anchor = starts.target[is_new][usable], starts.anchor[is_new][usable]
        return _Starts(target, anchor, x[usable], means.f.values(x[usable]))

    def _nearest_anchors(self) -> _Starts:
        """The anchors with the nearest images, for targets without a solution, unless something
        nearer was found. Derivatives may be zero or not finite and say nothing, or a target so far
        away that squares overflow."""
        anchors = self._means.anchors
        lost = np.flatnonzero(self.solutions.count == 0)
        least, nearest = anchors.nearest(self._y[lost], 1)
        farther = ~(self._nearest_residual[lost] <= least[:, 0])
        lost, anchor = lost[farther], nearest[farther, 0]
        self._nearest_x[lost], self._nearest_residual[lost] = anchors.x[anchor], least[farther, 0]
        self._nearest_anchor[lost], self._nearest_end[lost] = anchor, STATIONARY
        return _Starts(lost, anchor, anchors.x[anchor], anchors.y[anchor])

    def _run(self, starts: _Starts) -> tuple[Ends, BoolArray]:
        """Polish all, and take what they lead to; says which led to new solutions."""
        ends = self._means.polish.run(self._y[starts.target], starts.x, starts.fx)
        is_new = np.zeros(len(starts.target), dtype=np.bool_)
        for rows in _in_turns(starts.target):
            is_new[rows] = self._take(starts, ends, rows)
        return ends, is_new

    def _take(self, starts: _Starts, ends: Ends, rows: IntArray) -> BoolArray:
        """Take the results `rows`, of different targets; says which are new solutions."""
        target, residual = starts.target[rows], ends.residual[rows]
        x = self._means.region.wrap(ends.x[rows])
        solved = residual <= self._tol
        is_new = solved & self._means.region.contains(x)
        rank = self._ranks(self._y[target], ends.fx[rows], residual)
        is_new[is_new] = self.solutions.add(
            target[is_new], x[is_new], residual[is_new], rank[is_new],
            starts.anchor[rows][is_new],
        )  # fmt: skip
        nearer = ~solved & (residual < self._nearest_residual[target])
        at = target[nearer]
        self._nearest_x[at], self._nearest_residual[at] = x[nearer], residual[nearer]
        self._nearest_anchor[at] = starts.anchor[rows][nearer]
        self._nearest_end[at] = ends.end[rows][nearer]
        return is_new

    def _ranks(self, y: Float64Array, fx: Float64Array, residual: Float64Array) -> Float64Array:
        """The residuals, zero where they are only rounding."""
        size = np.linalg.norm(y, axis=1) + np.linalg.norm(fx, axis=1)
        rounding = np.maximum(_ROUNDING * size, 1e-4 * self._tol)
        return np.where(residual <= rounding, 0.0, residual)


def _in_turns(target: IntArray) -> Iterator[IntArray]:
    """The rows of `target` in groups, the first rows of all targets, then the second ones, and so
    on."""
    order = np.argsort(target, kind="stable")
    first = np.searchsorted(target[order], target[order])
    turn = np.empty(len(target), dtype=np.int64)
    turn[order] = np.arange(len(target)) - first
    for t in range(int(turn.max(initial=-1)) + 1):
        yield np.flatnonzero(turn == t)
