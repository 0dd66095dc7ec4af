"""Polish, every solution, and paths of solutions, natively."""

from __future__ import annotations

import numpy as np

from fastinv import _core
from fastinv.backends.checks import search as _search_checks
from fastinv.backends.cpp.pipeline import forward_fields
from fastinv.backends.protocol import (
    Float64Array,
    IntArray,
    PipelineSpec,
    Polished,
    Ranked,
    Track,
)


class Search:
    """Every solution; see :class:`fastinv.backends.protocol.Search`."""

    def __init__(self, spec: PipelineSpec, isa: str) -> None:
        refine = _search_checks.check_search_spec(spec)
        self._spec = spec
        self._kernel = _core.Search(
            np.ascontiguousarray(spec.anchors_x),
            np.ascontiguousarray(spec.anchors_y),
            forward_fields(spec.forward),
            refine.jacobian,
            np.ascontiguousarray(spec.lower),
            np.ascontiguousarray(spec.upper),
            np.ascontiguousarray(spec.x_spread),
            np.ascontiguousarray(refine.periods),
            float(refine.separation),
            int(refine.max_evaluations),
            isa,
        )

    def polish(self, targets: Float64Array, x: Float64Array, *, n_threads: int = 1) -> Polished:
        """Damped Gauss-Newton from each row of `x`."""
        _search_checks.check_polish_call(self._spec, targets, x, n_threads)
        n, q = targets.shape
        polished = Polished(
            x=np.array(x, order="C"),
            fx=np.empty((n, q)),
            residual=np.empty(n),
            n_evaluations=np.empty(n, dtype=np.int64),
            end=np.empty(n, dtype=np.int8),
        )
        self._kernel.polish(np.ascontiguousarray(targets), *polished, n_threads)
        return polished

    def solve_all(
        self, targets: Float64Array, *, k: int, n_starts: int, tol: float, n_threads: int = 1
    ) -> tuple[Ranked, IntArray]:
        """Up to `k` distinct solutions of each target, and their counts."""
        _search_checks.check_search_call(self._spec, targets, k, n_starts, tol, n_threads)
        n, p = len(targets), self._spec.anchors_x.shape[1]
        ranked = Ranked(
            x=np.empty((n, k, p)),
            residual=np.empty((n, k)),
            anchor=np.empty((n, k), dtype=np.int64),
            status=np.empty((n, k), dtype=np.int8),
        )
        count = np.empty(n, dtype=np.int64)
        self._kernel.solve_all(
            np.ascontiguousarray(targets), k, n_starts, tol, *ranked, count, n_threads
        )
        return ranked, count

    def solve_path(
        self, targets: Float64Array, start: Float64Array, *, n_starts: int, tol: float
    ) -> Track:
        """The solution that begins at `start`, followed along `targets`."""
        _search_checks.check_path_call(self._spec, targets, start, n_starts, tol)
        n, p = len(targets), self._spec.anchors_x.shape[1]
        x, residual = np.empty((n, p)), np.empty(n)
        status, jumped = np.empty(n, dtype=np.int8), np.empty(n, dtype=np.uint8)
        self._kernel.solve_path(
            np.ascontiguousarray(targets),
            np.ascontiguousarray(start),
            n_starts,
            tol,
            x,
            residual,
            status,
            jumped,
        )
        return Track(x, residual, status, jumped.astype(np.bool_))
