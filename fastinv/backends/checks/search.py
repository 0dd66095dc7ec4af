"""What every backend asks of the arguments of a search for all solutions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastinv.backends.checks.common import (
    FLOAT64,
    check_array,
    check_count,
    check_finite,
    check_number,
)
from fastinv.backends.checks.pipeline import check_pipeline_spec
from fastinv.backends.protocol import PipelineSpec, RefineSpec


def check_search_spec(spec: PipelineSpec) -> RefineSpec:
    """Its ``refine``, which a search needs, as it needs a forward function."""
    check_pipeline_spec(spec)
    if spec.forward is None:
        raise ValueError("search needs a forward function, got forward=None")
    if spec.refine is None:
        raise ValueError("search needs refine, got None")
    return spec.refine


def check_polish_call(
    spec: PipelineSpec, targets: NDArray[np.float64], x: NDArray[np.float64], n_threads: int
) -> None:
    """Arguments of :meth:`Search.polish`; targets and starts may be NaN or infinite."""
    _check_targets(spec, targets)
    check_array("x", x, (len(targets), spec.anchors_x.shape[1]), (FLOAT64,))
    check_count("n_threads", n_threads)


def check_search_call(
    spec: PipelineSpec,
    targets: NDArray[np.float64],
    k: int,
    n_starts: int,
    tol: float,
    n_threads: int,
) -> None:
    """Arguments of :meth:`Search.solve_all`."""
    _check_targets(spec, targets)
    check_count("k", k)
    check_count("n_starts", n_starts)
    check_number("tol", tol)
    check_count("n_threads", n_threads)


def check_path_call(
    spec: PipelineSpec,
    targets: NDArray[np.float64],
    start: NDArray[np.float64],
    n_starts: int,
    tol: float,
) -> None:
    """Arguments of :meth:`Search.solve_path`."""
    _check_targets(spec, targets)
    check_array("start", start, (spec.anchors_x.shape[1],), (FLOAT64,))
    check_finite("start", start)
    check_count("n_starts", n_starts)
    check_number("tol", tol)


def _check_targets(spec: PipelineSpec, targets: NDArray[np.float64]) -> None:
    check_array("targets", targets, (None, spec.anchors_y.shape[1]), (FLOAT64,))
