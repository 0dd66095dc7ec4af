"""One solution, followed along a path of targets."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fastinv._common.arrays import Float64Array
from fastinv._common.validation import as_float64
from fastinv.backends.protocol import Search
from fastinv.solutions import SolutionPath
from fastinv.solvers.enumeration.all_solutions import starts_of
from fastinv.solvers.fitting.tolerances import Tolerances


def solution_path(
    search: Search, targets: ArrayLike, start: ArrayLike, *, tolerances: Tolerances, effort: float
) -> SolutionPath:
    """The solution that begins at `start`, followed along `targets`.

    Raises
    ------
    ValueError
        Wrong shapes, or `start` not finite or outside the bounds.
    """
    problem = search.problem
    goal = tolerances.goal(_path_targets(targets, problem.n_outputs))
    state = as_float64(start, "start")
    if state.shape != (problem.n_inputs,):
        raise ValueError(f"start must have shape ({problem.n_inputs},), got {state.shape}")
    if not np.isfinite(state).all():
        raise ValueError("start must be finite, got NaN or infinity")
    if not problem.region.allows(state):
        raise ValueError(f"start must lie inside the bounds, got {state}")
    track = search.solve_path(goal, state, n_starts=starts_of(effort))
    return SolutionPath(goal.targets, *track)


def _path_targets(targets: ArrayLike, n_outputs: int) -> Float64Array:
    """A copy (n, q) of the targets."""
    rows = as_float64(targets, "targets")
    if rows.ndim == 1 and n_outputs == 1:
        rows = rows[:, None]
    if rows.ndim != 2 or rows.shape[1] != n_outputs:
        raise ValueError(f"targets must have shape (n, {n_outputs}), got {rows.shape}")
    return rows.copy()
