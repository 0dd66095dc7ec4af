"""From targets to ranked solutions in one native call."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastinv import _core
from fastinv.backends.checks import pipeline as _pipeline_checks
from fastinv.backends.protocol import (
    Candidates,
    Float64Array,
    LearnedForward,
    PipelineSpec,
    Ranked,
    RefineSpec,
    TwinModel,
)


class Pipeline:
    """Target to ranked solutions; see :class:`fastinv.backends.protocol.Pipeline`."""

    def __init__(self, spec: PipelineSpec, isa: str) -> None:
        _pipeline_checks.check_pipeline_spec(spec)
        self._spec = spec
        self._kernel = _core.Pipeline(
            np.ascontiguousarray(spec.anchors_x),
            np.ascontiguousarray(spec.anchors_y),
            None if spec.twin is None else _twin_fields(spec.twin),
            forward_fields(spec.forward),
            np.ascontiguousarray(spec.lower),
            np.ascontiguousarray(spec.upper),
            float(spec.tol),
            float(spec.coverage),
            np.ascontiguousarray(spec.x_spread),
            bool(spec.anchors_exact),
            bool(spec.trust_residual),
            float(spec.apart),
            int(spec.pool),
            int(spec.n_passes),
            None if spec.refine is None else _refine_fields(spec.refine),
            isa,
        )

    def solve(
        self,
        targets: Float64Array,
        *,
        n_neighbors: int,
        k: int,
        near: Float64Array | None = None,
        n_threads: int = 1,
        out: Ranked | None = None,
    ) -> Ranked:
        """The best `k` of `n_neighbors` candidates, in one native call."""
        _pipeline_checks.check_solve_call(self._spec, targets, n_neighbors, k, near, n_threads, out)
        targets = np.ascontiguousarray(targets)
        if near is not None:
            near = np.ascontiguousarray(near)
        if out is None:
            return Ranked(*self._kernel.solve_new(targets, near, n_neighbors, k, n_threads))
        # A copy, since `near` may lie in `out`, which is written to while it is still read.
        near = None if near is None else near.copy()
        self._kernel.solve(targets, near, n_neighbors, k, *out, n_threads)
        return out

    def candidates(
        self, targets: Float64Array, *, n_neighbors: int, n_threads: int = 1
    ) -> Candidates:
        """One candidate per neighbour, inside the bounds."""
        _pipeline_checks.check_candidates_call(self._spec, targets, n_neighbors, n_threads)
        n, p = len(targets), self._spec.anchors_x.shape[1]
        found = Candidates(
            x=np.empty((n, n_neighbors, p)),
            anchor=np.empty((n, n_neighbors), dtype=np.int64),
            flags=np.empty((n, n_neighbors), dtype=np.uint8),
            anchor_distance=np.empty(n),
        )
        self._kernel.candidates(
            np.ascontiguousarray(targets),
            n_neighbors,
            found.x,
            found.anchor,
            found.flags,
            found.anchor_distance,
            n_threads,
        )
        return found

    def rank(
        self,
        targets: Float64Array,
        candidates: Candidates,
        fx: Float64Array,
        *,
        k: int,
        near: Float64Array | None = None,
    ) -> Ranked:
        """The best `k` of `candidates`, whose images are `fx` ``(n, n_neighbors, q)``."""
        _pipeline_checks.check_rank_call(self._spec, targets, candidates, fx, k, near)
        ranked = self._empty_ranked(len(targets), k)
        self._kernel.rank(
            np.ascontiguousarray(targets),
            None if near is None else np.ascontiguousarray(near),
            np.ascontiguousarray(candidates.x),
            np.ascontiguousarray(candidates.anchor),
            np.ascontiguousarray(candidates.flags),
            np.ascontiguousarray(candidates.anchor_distance),
            np.ascontiguousarray(fx),
            k,
            ranked.x,
            ranked.residual,
            ranked.anchor,
            ranked.status,
        )
        return ranked

    def native(self) -> _core.Pipeline:
        """The compiled pipeline itself."""
        return self._kernel

    def _empty_ranked(self, n: int, k: int) -> Ranked:
        return Ranked(
            x=np.empty((n, k, self._spec.anchors_x.shape[1])),
            residual=np.empty((n, k)),
            anchor=np.empty((n, k), dtype=np.int64),
            status=np.empty((n, k), dtype=np.int8),
        )


def _network_fields(network: TwinModel | LearnedForward) -> dict[str, Any]:
    return {
        "layer_sizes": list(network.spec.layer_sizes),
        "activation": network.spec.activation,
        "parameters": np.ascontiguousarray(network.parameters, dtype=np.float32),
        "y_mean": np.ascontiguousarray(network.y_mean),
        "y_scale": np.ascontiguousarray(network.y_scale),
        "x_mean": np.ascontiguousarray(network.x_mean),
        "x_scale": np.ascontiguousarray(network.x_scale),
    }


def _twin_fields(twin: TwinModel) -> dict[str, Any]:
    return {
        **_network_fields(twin),
        "dy_scale": np.ascontiguousarray(twin.dy_scale),
        "dx_scale": np.ascontiguousarray(twin.dx_scale),
        "reach": float(twin.reach),
    }


def _refine_fields(refine: RefineSpec) -> dict[str, Any]:
    return {
        "jacobian": refine.jacobian,
        "max_evaluations": int(refine.max_evaluations),
        "periods": np.ascontiguousarray(refine.periods),
        "separation": float(refine.separation),
    }


def forward_fields(forward: int | LearnedForward | None) -> int | dict[str, Any] | None:
    if isinstance(forward, LearnedForward):
        return _network_fields(forward)
    return None if forward is None else int(forward)
