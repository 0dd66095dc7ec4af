"""From targets to ranked solutions in one native call, or link by link."""

from __future__ import annotations

from dataclasses import replace

from fastinv import _core
from fastinv.backends.chain import run_chain
from fastinv.backends.checks import solving as checks
from fastinv.backends.cpp.nouns import native_anchors, native_problem, twin_fields
from fastinv.backends.reference.polish import Polish
from fastinv.backends.reference.verification import Verification
from fastinv.backends.solving import Anchors, Candidates, PipelineOptions, Ranked, TwinModel
from fastinv.functions.goal import Goal
from fastinv.functions.problem import Problem


class Pipeline:
    """Target to ranked solutions; see :class:`fastinv.backends.solving.Pipeline`.

    If only Python can evaluate f, the links `evaluate` and `polish` run in Python, many
    rows at a time; the others are native.
    """

    def __init__(
        self,
        problem: Problem,
        anchors: Anchors,
        twin: TwinModel | None,
        options: PipelineOptions,
        isa: str,
    ) -> None:
        checks.check_pipeline(problem, anchors, twin)
        self.problem, self.anchors, self.twin, self.options = problem, anchors, twin, options
        self._kernel = _core.Pipeline(
            native_problem(problem, isa),
            native_anchors(anchors),
            None if twin is None else twin_fields(twin),
            options,
            isa,
        )
        self._runs_natively = problem.function.code is not None

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
        if out is None and self._runs_natively:  # the extension checks its arguments
            return Ranked._make(self._kernel.solve(goal, n_candidates, k, n_threads))
        checks.check_solve_call(self, goal, n_candidates, k, n_threads)
        if out is not None:
            checks.check_out(out, len(goal), k, self.problem.n_inputs)
            checks.check_no_overlap("targets", goal.targets, out)
        if not self._runs_natively:
            return run_chain(self, goal, n_candidates, k, n_threads, out)
        assert out is not None
        if goal.near is not None:
            # Copied, because it may lie in `out`, which is written to while `near` is still read.
            goal = replace(goal, near=goal.near.copy())
        self._kernel.solve_into(goal, n_candidates, *out, n_threads)
        return out

    def propose(self, goal: Goal, n_candidates: int, *, n_threads: int = 1) -> Candidates:
        """The anchors near each target."""
        checks.check_solve_call(self, goal, n_candidates, 1, n_threads)
        problem = self.problem
        found = Candidates.empty(len(goal), n_candidates, problem.n_inputs, problem.n_outputs)
        self._kernel.propose(goal, found, n_threads)
        return found

    def correct(self, goal: Goal, candidates: Candidates, *, n_threads: int = 1) -> Candidates:
        """Candidates after a step of the twin network."""
        checks.check_link_call(self, goal, candidates, n_threads)
        corrected = candidates.copy()
        self._kernel.correct(goal, corrected, n_threads)
        return corrected

    def evaluate(self, goal: Goal, candidates: Candidates, *, n_threads: int = 1) -> Candidates:
        """Candidates with their images."""
        checks.check_link_call(self, goal, candidates, n_threads)
        if not self._runs_natively:
            return replace(candidates, fx=self.problem.function.images(candidates.x))
        evaluated = candidates.copy()
        self._kernel.evaluate(goal, evaluated, n_threads)
        return evaluated

    def polish(self, goal: Goal, candidates: Candidates, *, n_threads: int = 1) -> Candidates:
        """Candidates after damped Gauss-Newton steps."""
        checks.check_link_call(self, goal, candidates, n_threads)
        if not self._runs_natively:
            polish = Polish(self.problem, self.options)
            return polish.candidates(goal, candidates, self.anchors)
        polished = candidates.copy()
        self._kernel.polish(goal, polished, n_threads)
        return polished

    def verify(self, goal: Goal, candidates: Candidates, *, n_threads: int = 1) -> Candidates:
        """Candidates with anchors where those are better, and flags of roots."""
        checks.check_link_call(self, goal, candidates, n_threads)
        if not self._runs_natively:
            return Verification(self.problem, self.options).run(goal, candidates, self.anchors)
        verified = candidates.copy()
        self._kernel.verify(goal, verified, n_threads)
        return verified

    def rank(self, goal: Goal, candidates: Candidates, k: int) -> Ranked:
        """The best `k` of the candidates."""
        checks.check_rank_call(self, goal, candidates, k)
        ranked = Ranked.empty(len(goal), k, self.problem.n_inputs)
        self._kernel.rank(goal, candidates.copy(), *ranked)
        return ranked

    def native(self) -> _core.Pipeline | None:
        """The compiled pipeline itself; None if f runs in Python only."""
        return self._kernel if self._runs_natively else None
