"""One solution, followed along a path of targets."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastinv._common.arrays import Float64Array
from fastinv._common.validation import as_float64
from fastinv.backends.checks.common import FLOAT64
from fastinv.backends.checks.solving import INT8, check_apart, check_written
from fastinv.backends.protocol import Search, Track
from fastinv.functions.goal import Goal
from fastinv.solutions import SolutionPath
from fastinv.solvers.enumeration.all_solutions import starts_of
from fastinv.solvers.fitting.tolerances import Tolerances
from fastinv.training.progress import target_progress


def solution_path(
    search: Search,
    targets: ArrayLike,
    start: ArrayLike,
    *,
    tolerances: Tolerances,
    effort: float,
    verbose: int = 0,
    out: SolutionPath | None = None,
) -> SolutionPath:
    """The solution that begins at `start`, followed along `targets`; `out` is filled if given.

    Raises
    ------
    TypeError
        `out` is no SolutionPath, or its arrays have other dtypes.
    ValueError
        Wrong shapes, or `start` not finite or outside the bounds; two arrays of `out` overlap.
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
    n_starts = starts_of(effort)
    if out is None:
        out = SolutionPath(goal.targets, *Track.empty(len(goal), problem.n_inputs))
    track = _arrays_of(out, goal, problem.n_inputs)
    state = state.copy()  # it may be a part of `out`
    np.copyto(out.targets, goal.targets)
    with target_progress(len(goal), verbose) as goal.progress:
        search.solve_path(goal, state, n_starts=n_starts, out=track)
    return out


def _arrays_of(out: Any, goal: Goal, n_inputs: int) -> Track:
    """The arrays of `out`, after checks."""
    if not isinstance(out, SolutionPath):
        raise TypeError(f"out must be a SolutionPath, got {type(out).__name__}")
    n = len(goal)
    check_written("out.targets", out.targets, goal.targets.shape, FLOAT64)
    check_written("out.x", out.x, (n, n_inputs), FLOAT64)
    check_written("out.residual", out.residual, (n,), FLOAT64)
    check_written("out.status", out.status, (n,), INT8)
    check_written("out.jumped", out.jumped, (n,), np.dtype(np.bool_))
    track = Track(out.x, out.residual, out.status, out.jumped)
    arrays = {"targets": out.targets, **track._asdict()}
    check_apart({f"out.{name}": array for name, array in arrays.items()})
    return track


def _path_targets(targets: ArrayLike, n_outputs: int) -> Float64Array:
    """A copy (n, q) of the targets."""
    rows = as_float64(targets, "targets")
    if rows.ndim == 1 and n_outputs == 1:
        rows = rows[:, None]
    if rows.ndim != 2 or rows.shape[1] != n_outputs:
        raise ValueError(f"targets must have shape (n, {n_outputs}), got {rows.shape}")
    return rows.copy()
