"""Judges candidates: by anchor, the best of them, after a polish, and their recall."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fastinv._common.arrays import Float64Array
from fastinv.comparison import rmse_in_y
from fastinv.functions.function import Function
from fastinv.functions.goal import Goal
from fastinv.problems import Problem
from fastinv.reproduce.data import Split
from fastinv.reproduce.training.trainings import forward_parameter
from fastinv.solvers import NearestSolver

# A candidate has found an exact solution if it is this near, in widths of the domain.
RECALL_TOLERANCE = 0.01


class PolishedCandidates(NamedTuple):
    """Results of polishing: `x` (n, k, p), and the mean evaluations of f per target."""

    x: Float64Array
    n_evaluations: float


@dataclass(frozen=True, eq=False)
class Judge:
    """Judges candidates x (n, k, p) for n targets, from k anchors, the nearest first.

    As in the paper's code, they are first moved to where f is defined, which only affects
    experiment 4.
    """

    problem: Problem
    forward: Function  # exact or learned
    targets: Float64Array
    polisher: NearestSolver

    @classmethod
    def of(cls, problem: Problem, forward: Function, split: Split) -> Judge:
        """A judge that polishes inside the bounds, on the exact f or on the learned one."""
        polisher = NearestSolver(
            forward_parameter(forward),
            bounds=problem.bounds,
            refine=True,
            n_candidates=1,
            y_scale=1.0,  # as in `rmse`
        ).fit(split.anchors_x, split.anchors_y)
        return cls(problem, forward, split.targets, polisher)

    def rmse(self, x: Float64Array) -> float:
        """RMSE in y, by the exact f, of one solution (n, p) per target."""
        return rmse_in_y(self.problem.forward, self.problem.project(x), self.targets)

    def by_anchor(self, x: Float64Array) -> tuple[float, ...]:
        """The RMSE of the solutions from each of the k anchors."""
        return tuple(self.rmse(solutions) for solutions in x.swapaxes(0, 1))

    def best(self, x: Float64Array, forward: Function | None = None) -> Float64Array:
        """The solution (n, p) with the smallest residual by `forward`, by default its own."""
        flat = self.problem.project(x.reshape(-1, x.shape[2]))
        images = (forward or self.forward)(flat).reshape(*x.shape[:2], -1)
        residuals = np.linalg.norm(images - self.targets[:, None], axis=2)
        return np.asarray(x[np.arange(len(x)), residuals.argmin(axis=1)])

    def polished(self, x: Float64Array) -> PolishedCandidates:
        """Damped Gauss-Newton steps from all candidates, inside the bounds."""
        flat = self.problem.project(x.reshape(-1, x.shape[2]))
        starts = np.clip(flat, *self.problem.bounds.T)
        goal = Goal(np.repeat(self.targets, x.shape[1], axis=0), tol=0.0)
        polished = self.polisher.search().polish(goal, starts)
        n_evaluations = float(polished.n_evaluations.sum()) / len(x)
        return PolishedCandidates(np.asarray(polished.x).reshape(x.shape), n_evaluations)

    def least(self, split: Split, n_candidates: int) -> float:
        """The RMSE that remains even with the exact f, polished from `n_candidates` anchors."""
        solver = NearestSolver(
            self.problem.forward,
            bounds=self.problem.bounds,
            refine=True,
            n_candidates=min(n_candidates, split.n_anchors),
            y_scale=1.0,
        ).fit(split.anchors_x)
        return self.rmse(solver.solve(self.targets, k=1).best)


def branch_recall(problem: Problem, targets: Float64Array, x: Float64Array) -> float | None:
    """The share of all exact solutions of `targets` that are among `x` (n, k, p).

    None if solutions form curves, or if no target has any.
    """
    if problem.inverse is None:
        return None
    low, high = problem.bounds.T
    n_found = n_solutions = 0
    for found, solutions in zip(x, problem.preimages(targets), strict=True):
        differences = np.abs(solutions[:, None] - found[None]) / (high - low)
        n_found += int((differences.max(axis=2, initial=0.0) <= RECALL_TOLERANCE).any(axis=1).sum())
        n_solutions += len(solutions)
    return n_found / n_solutions if n_solutions else None
