"""Samples of the set of solutions where it is not made of isolated points."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fastinv._common.arrays import Float64Array
from fastinv._common.validation import RandomState, check_integer, check_random_state
from fastinv.backends.protocol import Search
from fastinv.functions.goal import Goal
from fastinv.solutions.explanation import how_far
from fastinv.training.progress import target_progress

# Relative to the largest singular value: smaller ones are zero within the error of differences. The
# pose of an arm has 12 numbers and 6 degrees of freedom.
_NULL = 1e-6
_STEP = 0.5  # root mean square length of a step, in units of the region
_MOST_STARTS = 64  # solutions that walks begin at
_EFFORT = 4 * 24  # starts that look for them
_SAMPLES_AT_ONCE = 2**12  # so that steps of NumPy end soon


def sample_solutions(
    search: Search,
    goal: Goal,
    n_samples: int,
    *,
    n_steps: int,
    random_state: RandomState,
    verbose: int = 0,
) -> Float64Array:
    """Where random walks of `n_steps` along the set of solutions of the target of `goal` end.

    They begin at solutions that different anchors lead to. A step is a normal vector projected
    onto the null space of f's derivative, then polished onto the set again by the shortest steps;
    one that does not come back to within the tolerance is not taken.

    Raises
    ------
    ValueError
        It is not one finite target, has no solution, or only isolated ones.
    """
    target = goal.targets
    if len(target) != 1:
        raise ValueError(f"y must be one target, got {len(target)}")
    if not np.isfinite(target).all():
        raise ValueError(f"y must be finite, got {target[0]}")
    n_samples = check_integer(n_samples, "n_samples", minimum=0)
    n_steps = check_integer(n_steps, "n_steps", minimum=0)
    points = _first_points(search, goal)
    if not any(_is_free(jacobian) for jacobian in _scaled_jacobians(search, points)):
        raise ValueError(
            "sample_solutions is for solutions that are not isolated, got one where every "
            f"direction changes {search.problem.function.name}: use solve_all"
        )
    rng = check_random_state(random_state)
    x = points[rng.integers(len(points), size=n_samples)]
    goal = replace(goal, targets=np.repeat(target, len(x), axis=0))
    with target_progress(n_steps * len(x), verbose, "steps") as report:
        for step in range(n_steps):
            steps = rng.standard_normal(x.shape) * _STEP
            for begin in range(0, len(x), _SAMPLES_AT_ONCE):
                rows = slice(begin, begin + _SAMPLES_AT_ONCE)
                _walk(search, goal.part(rows.start, rows.stop), x[rows], steps[rows])
                if report is not None:
                    report(step * len(x) + min(rows.stop, len(x)))
    return x


def _walk(search: Search, goal: Goal, x: Float64Array, steps: Float64Array) -> None:
    """Move each `x` ``(n, p)`` by one of `steps`, where that leads to a solution."""
    region = search.problem.region
    moved = x + region.scale * tangential(steps, _scaled_jacobians(search, x))
    polished = search.polish(goal, region.clip(moved))
    taken = polished.residual <= goal.tol
    if goal.error_tol is not None:
        taken &= (np.abs(polished.fx - goal.targets) <= goal.error_tol).all(axis=1)
    x[taken] = polished.x[taken]


def tangential(steps: Float64Array, jacobians: Float64Array) -> Float64Array:
    """The part of `steps` ``(n, p)`` that does not change f, by `jacobians` ``(n, q, p)``."""
    inverses = np.linalg.pinv(jacobians, rcond=_NULL)
    return np.asarray(steps - np.einsum("npq,nqr,nr->np", inverses, jacobians, steps))


def _first_points(search: Search, goal: Goal) -> Float64Array:
    found, count, _ = search.solve_all(goal, k=_MOST_STARTS, n_starts=_EFFORT)
    if not count[0]:
        problem = search.problem
        error = problem.function.images(found.x[:1, :1])[0, 0] - goal.targets[0]
        off = how_far(found.residual[0, 0], error, goal.tol, goal.error_tol, problem.y_scale)
        raise ValueError(
            f"y must be attainable, got {goal.targets[0]}; the nearest point found has {off}"
        )
    return found.x[0, : count[0]]


def _scaled_jacobians(search: Search, x: Float64Array) -> Float64Array:
    """df/dx ``(n, q, p)`` at points ``(n, p)``, in units of the region."""
    return np.asarray(search.jacobians(x) * search.problem.region.scale)


def _is_free(jacobian: Float64Array) -> bool:
    """Whether a derivative (q, p) has a null space."""
    return bool(np.linalg.matrix_rank(jacobian, rtol=_NULL) < jacobian.shape[1])
