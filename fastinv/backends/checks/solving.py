"""Checks of problems, anchors, goals and solving calls that all backends share."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastinv._common.arrays import Float64Array
from fastinv.backends.checks.common import (
    FLOAT64,
    INT64,
    check_array,
    check_count,
    check_finite,
    check_not_empty,
    check_number,
    check_parameters,
)
from fastinv.functions.goal import Goal
from fastinv.functions.problem import Problem

if TYPE_CHECKING:
    from fastinv.backends.solving import Anchors, Candidates, Pipeline, Ranked, TwinModel

UINT8 = np.dtype(np.uint8)
INT8 = np.dtype(np.int8)


def units_of_anchors(y: Float64Array, y_scale: Float64Array | None) -> Float64Array:
    """`y_scale`, or a unit of 1 for each output."""
    if y_scale is not None:
        return y_scale
    return np.ones(y.shape[1] if y.ndim == 2 else 1)


def check_anchors(x: Float64Array, y: Float64Array, y_scale: Float64Array) -> None:
    """Check points and their images: the same number of each, at least one, finite; and units."""
    check_array("x of anchors", x, (None, None), (FLOAT64,))
    check_array("y of anchors", y, (len(x), None), (FLOAT64,))
    for name, array in (("x of anchors", x), ("y of anchors", y)):
        check_not_empty(name, array)
        check_finite(name, array)
    check_array("y_scale", y_scale, (y.shape[1],), (FLOAT64,))
    with np.errstate(divide="ignore", over="ignore"):
        if not ((y_scale > 0) & np.isfinite(y_scale) & np.isfinite(1 / y_scale)).all():
            raise ValueError(f"y_scale must be positive and finite, got {y_scale}")


def check_nearest_call(anchors: Anchors, targets: Float64Array, k: int, n_threads: int) -> None:
    """Arguments of :meth:`Anchors.nearest`."""
    check_array("targets", targets, (None, anchors.y.shape[1]), (FLOAT64,))
    check_finite("targets", targets)
    check_count("k", k, high=len(anchors), high_name="the number of anchors")
    check_count("n_threads", n_threads)


def check_pipeline(problem: Problem, anchors: Anchors, twin: TwinModel | None) -> None:
    """Check that anchors and twin network have the dimensions of `problem`."""
    p, q = problem.n_inputs, problem.n_outputs
    if (anchors.x.shape[1], anchors.y.shape[1]) != (p, q):
        raise ValueError(
            f"anchors must have {p} inputs and {q} outputs, got {anchors.x.shape[1]} and "
            f"{anchors.y.shape[1]}"
        )
    if twin is not None:
        _check_twin(twin, p, q)


def _check_twin(twin: TwinModel, p: int, q: int) -> None:
    if (twin.spec.n_inputs, twin.spec.n_outputs) != (2 * q + p, p):
        raise ValueError(
            f"twin.spec must have {2 * q + p} inputs and {p} outputs, "
            f"got {twin.spec.n_inputs} and {twin.spec.n_outputs}"
        )
    check_parameters("twin.parameters", twin.spec, twin.parameters)
    for name, length in (("y_mean", q), ("x_mean", p)):
        check_array(f"twin.{name}", getattr(twin, name), (length,), (FLOAT64,))
    for name, length in (("dy_scale", q), ("y_scale", q), ("x_scale", p), ("dx_scale", p)):
        scale = getattr(twin, name)
        check_array(f"twin.{name}", scale, (length,), (FLOAT64,))
        if not ((scale > 0) & np.isfinite(scale)).all():
            raise ValueError(f"twin.{name} must be positive and finite, got {scale}")
    check_number("twin.reach", twin.reach, positive=True)


def check_goal(problem: Problem, goal: Goal) -> None:
    """Check a goal. Targets may be NaN or infinite; states may not."""
    check_array("targets", goal.targets, (None, problem.n_outputs), (FLOAT64,))
    if goal.tol != np.inf:
        check_number("tol", goal.tol)
    if goal.error_tol is not None:
        check_array("error_tol", goal.error_tol, (problem.n_outputs,), (FLOAT64,))
        if not (goal.error_tol >= 0).all():
            raise ValueError(f"error_tol must be at least 0, got {goal.error_tol}")
    if goal.near is not None:
        check_array("near", goal.near, (len(goal), problem.n_inputs), (FLOAT64,))
        check_finite("near", goal.near)


def check_solve_call(
    pipeline: Pipeline, goal: Goal, n_candidates: int, k: int, n_threads: int
) -> None:
    """Arguments of :meth:`Pipeline.solve`."""
    check_goal(pipeline.problem, goal)
    check_count(
        "n_candidates", n_candidates, high=len(pipeline.anchors), high_name="the number of anchors"
    )
    check_count("k", k, high=n_candidates, high_name="n_candidates")
    check_count("n_threads", n_threads)


def check_out(out: Ranked, n: int, k: int, p: int) -> None:
    """Check arrays for `k` solutions with `p` inputs of `n` targets."""
    check_written("out.x", out.x, (n, k, p), FLOAT64)
    check_written("out.residual", out.residual, (n, k), FLOAT64)
    check_written("out.anchor", out.anchor, (n, k), INT64)
    check_written("out.status", out.status, (n, k), INT8)


def check_no_overlap(name: str, array: NDArray[Any], out: Ranked) -> None:
    """Refuse `out` if two of its arrays, or one of them and `array`, overlap.

    :func:`check_out` checks types, shapes and dtypes.
    """
    arrays: tuple[Any, ...] = (array, *out)
    array, x, residual, anchor, status = arrays
    if (  # usually there are no views; comparing bounds takes ten times as long
        type(array) is type(x) is type(residual) is type(anchor) is type(status) is np.ndarray
        and array.flags.owndata
        and x.flags.owndata
        and residual.flags.owndata
        and anchor.flags.owndata
        and status.flags.owndata
        and array is not residual  # only these two may share shape and dtype
    ):
        return
    for i, j in combinations(range(len(arrays)), 2):
        if np.may_share_memory(arrays[i], arrays[j]):
            names = (name, *(f"out.{field}" for field in out._fields))
            raise ValueError(f"{names[i]} and {names[j]} must not overlap in memory")


def check_apart(arrays: dict[str, NDArray[Any]]) -> None:
    """Refuse arrays of which two overlap; by the names that messages use."""
    for (name, array), (other_name, other) in combinations(arrays.items(), 2):
        if np.may_share_memory(array, other):
            raise ValueError(f"{name} and {other_name} must not overlap in memory")


def check_written(
    name: str, array: NDArray[Any], shape: tuple[int, ...], dtype: np.dtype[Any]
) -> None:
    """Check an array of that shape and dtype to which native code can write."""
    if not (type(array) is np.ndarray and array.dtype == dtype and array.shape == shape):
        check_array(name, array, shape, (dtype,))
    if not array.flags.carray:
        raise ValueError(f"{name} must be C-contiguous, aligned and writeable")


def check_candidates(pipeline: Pipeline, goal: Goal, candidates: Candidates) -> None:
    """Check candidates: one row per target; images may be NaN or infinite."""
    p, q, n = pipeline.problem.n_inputs, pipeline.problem.n_outputs, len(goal)
    check_array("candidates.x", candidates.x, (n, None, p), (FLOAT64,))
    k = candidates.x.shape[1]
    check_array("candidates.fx", candidates.fx, (n, k, q), (FLOAT64,))
    check_array("candidates.anchor", candidates.anchor, (n, k), (INT64,))
    check_array("candidates.flags", candidates.flags, (n, k), (UINT8,))
    check_array("candidates.anchor_distance", candidates.anchor_distance, (n,), (FLOAT64,))
    anchor, n_anchors = candidates.anchor, len(pipeline.anchors)
    if anchor.size and (anchor.min() < 0 or anchor.max() >= n_anchors):
        raise ValueError(
            f"candidates.anchor must hold indices from 0 to {n_anchors - 1}, "
            f"got {anchor.min()} to {anchor.max()}"
        )


def check_link_call(pipeline: Pipeline, goal: Goal, candidates: Candidates, n_threads: int) -> None:
    """Arguments of the links that turn candidates into others, such as :meth:`Pipeline.correct`."""
    check_goal(pipeline.problem, goal)
    check_candidates(pipeline, goal, candidates)
    check_count("n_threads", n_threads)


def check_rank_call(pipeline: Pipeline, goal: Goal, candidates: Candidates, k: int) -> None:
    """Arguments of :meth:`Pipeline.rank`."""
    check_goal(pipeline.problem, goal)
    check_candidates(pipeline, goal, candidates)
    check_count("k", k, high=candidates.x.shape[1], high_name="the number of candidates")


def check_starts(problem: Problem, goal: Goal, x: Float64Array, n_threads: int) -> None:
    """Arguments of :meth:`Search.polish`; targets and starts may be NaN or infinite."""
    check_goal(problem, goal)
    check_array("x", x, (len(goal), problem.n_inputs), (FLOAT64,))
    check_count("n_threads", n_threads)


def check_search_call(problem: Problem, goal: Goal, k: int, n_starts: int, n_threads: int) -> None:
    """Arguments of :meth:`Search.solve_all`."""
    check_goal(problem, goal)
    check_count("k", k)
    check_count("n_starts", n_starts)
    check_count("n_threads", n_threads)


def check_path_call(problem: Problem, goal: Goal, start: Float64Array, n_starts: int) -> None:
    """Arguments of :meth:`Search.solve_path`."""
    check_goal(problem, goal)
    check_array("start", start, (problem.n_inputs,), (FLOAT64,))
    check_finite("start", start)
    check_count("n_starts", n_starts)
