"""Solvers whose candidates come from anchors near the target."""

from __future__ import annotations

from fastinv._common.threads import threads_that_pay
from fastinv._common.validation import check_n_neighbors
from fastinv.backends.protocol import Pipeline, Ranked
from fastinv.functions.goal import Goal
from fastinv.solvers.base import BaseSolver
from fastinv.solvers.fitted import AnchorChoice
from fastinv.solvers.frozen import NativeCall

# With `near` given, this many times more anchors are tried: branches close to the state in x need
# not be the closest ones in y.
_NEAR_FACTOR = 4
_FLOPS_PER_CANDIDATE = 2000.0  # search, f and ranking, beside the networks
_FLOPS_PER_POLISH = 20_000.0


class AnchoredSolver(BaseSolver):
    """Solvers whose candidates come from anchors near the target."""

    n_candidates: int
    anchor_choice: AnchorChoice
    _flops_per_candidate: float

    def _ranked(self, goal: Goal, k: int | None, out: Ranked | None = None) -> Ranked:
        k = self.n_candidates if k is None else check_n_neighbors(k, len(self._anchors), "k")
        n_candidates = self._n_tried(k, goal.near is not None)
        n_threads = self.n_threads
        if n_threads != 1:
            flops = self._flops_per_candidate * len(goal) * n_candidates
            n_threads = threads_that_pay(n_threads, flops)
        return self._pipeline.solve(
            goal, n_candidates=n_candidates, k=k, n_threads=n_threads, out=out
        )

    def _ranked_in_blocks(self, goal: Goal, k: int | None, out: Ranked | None = None) -> Ranked:
        return self._ranked(goal, k, out)  # it works in blocks by itself

    def _make_pipeline(self) -> Pipeline:
        options, code, twin = self.options_, self.problem_.function.code, self._twin_model
        n_weights = 0 if code is None else code.n_weights
        n_weights += 0 if twin is None else twin.spec.n_parameters
        flops = 2.0 * options.n_passes * n_weights + _FLOPS_PER_CANDIDATE
        self._flops_per_candidate = flops + (_FLOPS_PER_POLISH if options.polish else 0.0)
        return super()._make_pipeline()

    def _n_tried(self, k: int, with_near: bool) -> int:
        """Anchors tried per target."""
        n_candidates = max(k, self.n_candidates)
        return min(_NEAR_FACTOR * n_candidates, len(self._anchors)) if with_near else n_candidates

    def _native_call(self, k: int) -> NativeCall | None:
        native = self._pipeline.native()
        if native is None:
            return None
        return NativeCall(native, self._n_tried(k, False), self._n_tried(k, True))
