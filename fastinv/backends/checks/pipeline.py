"""What every backend asks of a pipeline's specification and of the arguments of its methods."""

from __future__ import annotations

from itertools import combinations
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
from fastinv.backends.protocol import (
    Candidates,
    LearnedForward,
    NetworkSpec,
    PipelineSpec,
    Ranked,
    RefineSpec,
    TwinNetwork,
)

UINT8 = np.dtype(np.uint8)
INT8 = np.dtype(np.int8)


def check_pipeline_spec(spec: PipelineSpec) -> None:
    check_array("anchors_x", spec.anchors_x, (None, None), (FLOAT64,))
    check_array("anchors_y", spec.anchors_y, (len(spec.anchors_x), None), (FLOAT64,))
    for name in ("anchors_x", "anchors_y"):
        check_not_empty(name, getattr(spec, name))
        check_finite(name, getattr(spec, name))
    p, q = spec.anchors_x.shape[1], spec.anchors_y.shape[1]
    for name in ("lower", "upper", "x_spread"):
        check_array(name, getattr(spec, name), (p,), (FLOAT64,))
    if not (spec.lower <= spec.upper).all():
        raise ValueError(
            f"lower must be at most upper in every input, got {spec.lower} and {spec.upper}"
        )
    check_finite("x_spread", spec.x_spread)
    if not (spec.x_spread > 0).all():
        raise ValueError(f"x_spread must be positive, got {spec.x_spread}")
    check_number("tol", spec.tol)
    check_number("coverage", spec.coverage)
    check_number("apart", spec.apart)
    check_count("pool", spec.pool)
    check_count("n_passes", spec.n_passes)
    if spec.refine is not None:
        _check_refine(spec.refine, p)
    if spec.twin is not None:
        _check_twin(spec.twin, p, q)
    _check_forward(spec.forward, p, q)


def _check_refine(refine: RefineSpec, p: int) -> None:
    check_array("refine.periods", refine.periods, (p,), (FLOAT64,))
    if not (refine.periods > 0).all():
        raise ValueError(f"refine.periods must be positive, got {refine.periods}")
    check_count("refine.max_evaluations", refine.max_evaluations)
    check_number("refine.separation", refine.separation)


def _check_twin(twin: TwinNetwork, p: int, q: int) -> None:
    _check_network("twin", twin.spec, twin.parameters, 2 * q + p, p)
    for name, length in (("y_mean", q), ("x_mean", p)):
        check_array(f"twin.{name}", getattr(twin, name), (length,), (FLOAT64,))
    for name, length in (("dy_scale", q), ("y_scale", q), ("x_scale", p), ("dx_scale", p)):
        _check_scale(f"twin.{name}", getattr(twin, name), length)
    check_number("twin.reach", twin.reach, positive=True)


def _check_forward(forward: int | LearnedForward | None, p: int, q: int) -> None:
    if forward is None:
        return
    if isinstance(forward, LearnedForward):
        _check_network("forward", forward.spec, forward.parameters, p, q)
        for name, length in (("x_mean", p), ("y_mean", q)):
            check_array(f"forward.{name}", getattr(forward, name), (length,), (FLOAT64,))
        for name, length in (("x_scale", p), ("y_scale", q)):
            _check_scale(f"forward.{name}", getattr(forward, name), length)
        return
    if not isinstance(forward, Integral):
        raise TypeError(
            "forward must be the address of a compiled function, a LearnedForward or None, "
            f"got {type(forward).__name__}"
        )
    if forward <= 0:
        raise ValueError(f"forward must be the address of a compiled function, got {forward}")


def _check_network(
    name: str, spec: NetworkSpec, parameters: NDArray[Any], n_inputs: int, n_outputs: int
) -> None:
    if (spec.n_inputs, spec.n_outputs) != (n_inputs, n_outputs):
        raise ValueError(
            f"{name}.spec must have {n_inputs} inputs and {n_outputs} outputs, "
            f"got {spec.n_inputs} and {spec.n_outputs}"
        )
    check_parameters(f"{name}.parameters", spec, parameters)


def _check_scale(name: str, scale: NDArray[np.float64], length: int) -> None:
    check_array(name, scale, (length,), (FLOAT64,))
    if not ((scale > 0) & np.isfinite(scale)).all():
        raise ValueError(f"{name} must be positive and finite, got {scale}")


def check_candidates_call(
    spec: PipelineSpec, targets: NDArray[np.float64], n_neighbors: int, n_threads: int
) -> None:
    """Arguments of :meth:`Pipeline.candidates`; targets may be NaN or infinite."""
    n_anchors, q = spec.anchors_y.shape
    check_array("targets", targets, (None, q), (FLOAT64,))
    check_count("n_neighbors", n_neighbors, high=n_anchors, high_name="the number of anchors")
    check_count("n_threads", n_threads)


def check_solve_call(
    spec: PipelineSpec,
    targets: NDArray[np.float64],
    n_neighbors: int,
    k: int,
    near: NDArray[np.float64] | None,
    n_threads: int,
    out: Ranked | None = None,
) -> None:
    """Arguments of :meth:`Pipeline.solve`."""
    if out is not None:
        check_out(out, len(targets), k, spec.anchors_x.shape[1])
        check_no_overlap("targets", targets, out)
    if near is None and _is_usual_call(spec, targets, n_neighbors, k, n_threads):
        return
    if spec.forward is None:
        raise ValueError(
            "solve needs a forward function, got forward=None: call candidates, evaluate f on "
            "them, and call rank"
        )
    check_candidates_call(spec, targets, n_neighbors, n_threads)
    check_count("k", k, high=n_neighbors, high_name="n_neighbors")
    _check_near(spec, targets, near)


def _is_usual_call(
    spec: PipelineSpec,
    targets: NDArray[np.float64],
    n_neighbors: int,
    k: int,
    n_threads: int,
) -> bool:
    """Whether arguments of the exact types pass all checks: a tenth of the checks' own time,
    which is that of solving for one target."""
    n_anchors, q = spec.anchors_y.shape
    return (
        spec.forward is not None
        and type(targets) is np.ndarray
        and targets.dtype == FLOAT64
        and targets.ndim == 2
        and targets.shape[1] == q
        and type(n_neighbors) is type(k) is type(n_threads) is int
        and 1 <= k <= n_neighbors <= n_anchors
        and n_threads >= 1
    )


def check_out(out: Ranked, n: int, k: int, p: int) -> None:
    """Arrays that `k` solutions with `p` inputs of `n` targets can be written to."""
    check_written("out.x", out.x, (n, k, p), FLOAT64)
    check_written("out.residual", out.residual, (n, k), FLOAT64)
    check_written("out.anchor", out.anchor, (n, k), INT64)
    check_written("out.status", out.status, (n, k), INT8)


def check_no_overlap(name: str, array: NDArray[Any], out: Ranked) -> None:
    """Refuse the arrays of `out` where two of them, or one of them and `array`, overlap.

    What is no array, or has another shape or dtype than it should, is up to :func:`check_out`.
    """
    arrays: tuple[Any, ...] = (array, *out)
    array, x, residual, anchor, status = arrays
    if (  # no views, as usual: tenths of a microsecond; to compare bounds takes ten times as long
        type(array) is type(x) is type(residual) is type(anchor) is type(status) is np.ndarray
        and array.flags.owndata
        and x.flags.owndata
        and residual.flags.owndata
        and anchor.flags.owndata
        and status.flags.owndata
        and array is not residual  # no others have the same shape and dtype
    ):
        return
    for i, j in combinations(range(len(arrays)), 2):
        if np.may_share_memory(arrays[i], arrays[j]):
            names = (name, *(f"out.{field}" for field in out._fields))
            raise ValueError(f"{names[i]} and {names[j]} must not overlap in memory")


def check_written(
    name: str, array: NDArray[Any], shape: tuple[int, ...], dtype: np.dtype[Any]
) -> None:
    if not (type(array) is np.ndarray and array.dtype == dtype and array.shape == shape):
        check_array(name, array, shape, (dtype,))
    if not array.flags.carray:
        raise ValueError(f"{name} must be C-contiguous, aligned and writeable")


def check_rank_call(
    spec: PipelineSpec,
    targets: NDArray[np.float64],
    candidates: Candidates,
    fx: NDArray[np.float64],
    k: int,
    near: NDArray[np.float64] | None,
) -> None:
    """Arguments of :meth:`Pipeline.rank`; images may be NaN or infinite."""
    n_anchors, q = spec.anchors_y.shape
    p = spec.anchors_x.shape[1]
    check_array("targets", targets, (None, q), (FLOAT64,))
    n = len(targets)
    check_array("candidates.x", candidates.x, (n, None, p), (FLOAT64,))
    n_candidates = candidates.x.shape[1]
    if n_candidates > n_anchors:
        raise ValueError(
            f"candidates.x must hold at most one candidate per anchor, {n_anchors} a target, "
            f"got {n_candidates}"
        )
    check_array("candidates.anchor", candidates.anchor, (n, n_candidates), (INT64,))
    check_array("candidates.flags", candidates.flags, (n, n_candidates), (UINT8,))
    check_array("candidates.anchor_distance", candidates.anchor_distance, (n,), (FLOAT64,))
    check_array("fx", fx, (n, n_candidates, q), (FLOAT64,))
    check_count("k", k, high=n_candidates, high_name="the number of candidates")
    _check_near(spec, targets, near)
    anchor = candidates.anchor
    if anchor.size and (anchor.min() < 0 or anchor.max() >= n_anchors):
        raise ValueError(
            f"candidates.anchor must hold indices from 0 to {n_anchors - 1}, "
            f"got {anchor.min()} to {anchor.max()}"
        )


def _check_near(
    spec: PipelineSpec, targets: NDArray[np.float64], near: NDArray[np.float64] | None
) -> None:
    if near is not None:
        check_array("near", near, (len(targets), spec.anchors_x.shape[1]), (FLOAT64,))
        check_finite("near", near)
