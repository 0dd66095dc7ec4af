"""From targets to ranked solutions in float64: ITNNR, algorithm 2, one formula per line."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fastinv._common.arrays import BoolArray, FlagArray, Float64Array, IntArray, StatusArray
from fastinv.backends.chain import run_chain
from fastinv.backends.checks import solving as checks
from fastinv.backends.distances import distance
from fastinv.backends.reference import mlp
from fastinv.backends.reference.function import Derivatives
from fastinv.backends.reference.polish import Polish
from fastinv.backends.reference.verification import Verification, allowed
from fastinv.backends.solving import (
    Anchors,
    CandidateFlag,
    Candidates,
    PipelineOptions,
    Ranked,
    TwinModel,
    limited,
)
from fastinv.functions.goal import Goal
from fastinv.functions.problem import Problem
from fastinv.functions.status import Status

# Groups of candidates, in their order.
_EXACTLY, _NEARLY, _BY_RESIDUAL, _UNTRUSTED, _COPY, _INVALID = range(6)


class Pipeline:
    """Target to ranked solutions; see :class:`fastinv.backends.solving.Pipeline`."""

    def __init__(
        self, problem: Problem, anchors: Anchors, twin: TwinModel | None, options: PipelineOptions
    ) -> None:
        checks.check_pipeline(problem, anchors, twin)
        self.problem, self.anchors, self.twin, self.options = problem, anchors, twin, options
        self._region = problem.region
        self._f = Derivatives(problem)

    def solve(
        self,
        goal: Goal,
        *,
        n_candidates: int,
        k: int,
        n_threads: int = 1,
        out: Ranked | None = None,
    ) -> Ranked:
        """The best `k` of `n_candidates` for each target."""
        checks.check_solve_call(self, goal, n_candidates, k, n_threads)
        if out is not None:
            checks.check_out(out, len(goal), k, self.problem.n_inputs)
            checks.check_no_overlap("targets", goal.targets, out)
        return run_chain(self, goal, n_candidates, k, n_threads, out)

    def propose(self, goal: Goal, n_candidates: int, *, n_threads: int = 1) -> Candidates:
        """The anchors near each target."""
        checks.check_solve_call(self, goal, n_candidates, 1, n_threads)
        n = len(goal)
        finite = np.isfinite(goal.targets).all(axis=1)
        anchor = np.tile(np.arange(n_candidates, dtype=np.int64), (n, 1))
        anchor_distance = np.full(n, np.nan)
        found = self._find_anchors(goal.targets[finite], n_candidates)
        anchor[finite], anchor_distance[finite] = found
        return Candidates(
            self.anchors.x[anchor],
            self.anchors.y[anchor],
            anchor,
            np.zeros((n, n_candidates), dtype=np.uint8),
            anchor_distance,
        )

    def correct(self, goal: Goal, candidates: Candidates, *, n_threads: int = 1) -> Candidates:
        """Candidates after a step of the twin network."""
        checks.check_link_call(self, goal, candidates, n_threads)
        x, flags = candidates.x, np.zeros(candidates.flags.shape, dtype=np.uint8)
        twin = self.twin
        if twin is not None:
            y = np.broadcast_to(goal.targets[:, None, :], candidates.fx.shape)
            moves = (np.isfinite(y) & np.isfinite(candidates.fx)).all(axis=2)
            with np.errstate(over="ignore", invalid="ignore"):  # `rank` finds these rows
                features = limited(twin.features(y, candidates.fx, x))
                steps = mlp.forward(twin.spec, twin.parameters.astype(np.float64), features)
                steps[~moves] = 0.0
                x = x + twin.dx_scale * steps
            flags[(np.abs(steps) > twin.reach).any(axis=2)] |= CandidateFlag.EXTRAPOLATED
        outside = ((x < self._region.lower) | (x > self._region.upper)).any(axis=2)
        flags[outside] |= CandidateFlag.CLIPPED
        return replace(candidates, x=self._region.clip(x), flags=flags)

    def evaluate(self, goal: Goal, candidates: Candidates, *, n_threads: int = 1) -> Candidates:
        """Candidates with their images."""
        checks.check_link_call(self, goal, candidates, n_threads)
        with np.errstate(over="ignore", invalid="ignore"):
            return replace(candidates, fx=self._f.values(candidates.x))

    def polish(self, goal: Goal, candidates: Candidates, *, n_threads: int = 1) -> Candidates:
        """Candidates after damped Gauss-Newton steps."""
        checks.check_link_call(self, goal, candidates, n_threads)
        polish = Polish(self.problem, self.options)
        return polish.candidates(goal, candidates, self.anchors)

    def verify(self, goal: Goal, candidates: Candidates, *, n_threads: int = 1) -> Candidates:
        """Candidates with anchors where those are better, and flags of roots."""
        checks.check_link_call(self, goal, candidates, n_threads)
        return Verification(self.problem, self.options).run(goal, candidates, self.anchors)

    def rank(self, goal: Goal, candidates: Candidates, k: int) -> Ranked:
        """The best `k` of the candidates."""
        checks.check_rank_call(self, goal, candidates, k)
        x, anchor = candidates.x.copy(), candidates.anchor.copy()
        residual = self._residuals(goal, candidates)
        unusable = ~np.isfinite(goal.targets).all(axis=1)
        x[unusable], residual[unusable], anchor[unusable] = np.nan, np.inf, -1
        status = self._statuses(goal, residual, candidates)
        order = self._order(goal, x, residual, status, candidates.flags)[:, :k]
        return Ranked(
            np.take_along_axis(x, order[:, :, None], axis=1),
            np.take_along_axis(residual, order, axis=1),
            np.take_along_axis(anchor, order, axis=1),
            np.take_along_axis(status, order, axis=1),
        )

    def native(self) -> None:
        """There is none."""

    def _find_anchors(
        self, targets: Float64Array, n_candidates: int
    ) -> tuple[IntArray, Float64Array]:
        """Anchors ``(n, n_candidates)`` and the distance in y to the nearest, ``(n,)``."""
        options = self.options
        n_pool = 0
        if options.branch_distance > 0:
            n_pool = min(len(self.anchors), options.pool_factor * n_candidates)
        distances, anchors = self.anchors.nearest(targets, max(n_pool, n_candidates))
        if n_pool > n_candidates:
            anchors = np.array([self._spread(nearby, n_candidates) for nearby in anchors])
        return anchors.reshape(len(targets), n_candidates), distances[:, 0]

    def _spread(self, nearby: IntArray, n_candidates: int) -> IntArray:
        """Anchors of `nearby`, nearest first: those far in x from all chosen ones, then others."""
        x = self.anchors.x
        chosen: list[int] = []
        for a in nearby:
            if (self._region.distance(x[a], x[chosen]) > self.options.branch_distance).all():
                chosen.append(a)
        others = [a for a in nearby if a not in chosen]
        return np.array([*chosen, *others][:n_candidates], dtype=np.int64)

    def _residuals(self, goal: Goal, candidates: Candidates) -> Float64Array:
        """Residuals ``(n, k)``, inf if not finite."""
        residual = distance(candidates.fx, goal.targets[:, None, :], self.problem.y_weight)
        residual[~np.isfinite(residual) | ~np.isfinite(candidates.x).all(axis=2)] = np.inf
        return residual

    def _statuses(self, goal: Goal, residual: Float64Array, candidates: Candidates) -> StatusArray:
        """The first status that holds for each candidate, ``(n, k)``."""
        coverage, flags = self.options.coverage, candidates.flags
        far = (candidates.anchor_distance > coverage) & (residual.min(axis=1) > coverage)
        converged = allowed(goal, candidates.fx, residual)
        if goal.root:
            converged &= (flags & CandidateFlag.ROOT) > 0
            converged |= (flags & CandidateFlag.EXACT) > 0
        status = np.select(
            [
                ~np.isfinite(residual),
                converged,
                np.broadcast_to(far[:, None], residual.shape),
                (flags & CandidateFlag.CLIPPED) > 0,
                (flags & CandidateFlag.EXTRAPOLATED) > 0,
            ],
            [
                Status.INVALID,
                Status.CONVERGED,
                Status.UNREACHABLE,
                Status.OUT_OF_BOUNDS,
                Status.EXTRAPOLATED,
            ],
            default=Status.APPROXIMATE,
        )
        return status.astype(np.int8)

    def _order(
        self,
        goal: Goal,
        x: Float64Array,
        residual: Float64Array,
        status: StatusArray,
        flags: FlagArray,
    ) -> IntArray:
        """For each row, the candidates by group, then key, then their order."""
        untrusted = np.zeros(residual.shape, dtype=np.bool_)
        if not self.options.trust_residual:
            untrusted = (flags & CandidateFlag.EXTRAPOLATED) > 0
        converged = (status == Status.CONVERGED) & ~untrusted
        exact = converged & ((flags & CandidateFlag.EXACT) > 0)
        group = np.full(residual.shape, _BY_RESIDUAL)
        group[untrusted] = _UNTRUSTED
        group[~np.isfinite(residual)] = _INVALID
        key, has_residual = residual.copy(), np.ones(residual.shape, dtype=np.bool_)
        if goal.near is not None:
            group[converged] = _NEARLY
            key[converged] = self._region.distance(x, goal.near[:, None, :])[converged]
        else:
            key[exact] = self._places(x, exact)[exact]
            has_residual[exact] = False
        group[exact] = _EXACTLY
        if self.options.polish:
            group[self._duplicates(status, x, residual)] = _COPY
        # Copies may have both kinds of keys. The sort is stable.
        return np.lexsort((key, has_residual, group), axis=-1).astype(np.int64)

    def _places(self, x: Float64Array, exact: BoolArray) -> IntArray:
        """The place of each candidate ``(n, k)`` among those that are exact, by coordinates."""
        units = self._region.units(x, self.options.separation)
        a, b = units[:, None, :, :], units[:, :, None, :]  # (n, b, a, p)
        first = np.cumprod(a == b, axis=3)  # equal up to this coordinate
        equal_before = np.concatenate([np.ones_like(first[..., :1]), first[..., :-1]], axis=3)
        b_first = ((b < a) & (equal_before > 0)).any(axis=3)
        return np.asarray((b_first & exact[:, :, None]).sum(axis=1))

    def _duplicates(
        self, status: StatusArray, x: Float64Array, residual: Float64Array
    ) -> BoolArray:
        """Which CONVERGED candidates ``(n, k)`` repeat a better one."""
        converged = status == Status.CONVERGED
        index = np.arange(residual.shape[1])
        gaps = self._region.distance(x[:, :, None], x[:, None, :])
        same = gaps <= self.options.separation
        r_a, r_b = residual[:, :, None], residual[:, None, :]
        better = (r_b < r_a) | ((r_b == r_a) & (index < index[:, None]))  # b is better than a
        both = converged[:, :, None] & converged[:, None, :]
        return np.asarray((same & better & both).any(axis=2))
