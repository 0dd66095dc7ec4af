"""Solvers whose candidates come from anchors near the target."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fastinv._common.threads import resolve_n_threads, threads_that_pay
from fastinv._common.validation import check_n_neighbors
from fastinv.backends import get_backend
from fastinv.backends.checks.pipeline import check_out
from fastinv.backends.protocol import Candidates, Float64Array, Ranked
from fastinv.solvers.base import AnchorChoice, BaseSolver
from fastinv.solvers.correction import corrected
from fastinv.solvers.frozen import NativeCall
from fastinv.solvers.images import images_of

# With `near` given, so many times more anchors are tried: branches close to the state in x need
# not be the closest ones in y.
_NEAR_FACTOR = 4
_FLOPS_PER_CANDIDATE = 2000.0  # search, f and ranking, beside the networks
_FLOPS_PER_POLISH = 20_000.0


class AnchoredSolver(BaseSolver):
    """Solvers whose candidates come from anchors near the target."""

    n_candidates: int
    anchor_choice: AnchorChoice

    def _ranked(
        self,
        targets: Float64Array,
        k: int | None,
        near: Float64Array | None,
        out: Ranked | None = None,
    ) -> Ranked:
        spec = self.pipeline_spec_
        n_anchors = len(spec.anchors_x)
        k = self.n_candidates if k is None else check_n_neighbors(k, n_anchors, "k")
        n_neighbors = self._n_tried(k, near is not None)
        n_threads = self.n_threads
        if n_threads != 1:
            flops = 2.0 * spec.n_weights + _FLOPS_PER_CANDIDATE
            if spec.refine is not None:
                flops += _FLOPS_PER_POLISH
            n_threads = threads_that_pay(n_threads, flops * len(targets) * n_neighbors)
        if spec.forward is not None:
            return self._pipeline.solve(
                targets, n_neighbors=n_neighbors, k=k, near=near, n_threads=n_threads, out=out
            )
        candidates = self._pipeline.candidates(
            targets, n_neighbors=n_neighbors, n_threads=n_threads
        )
        candidates, images = self._evaluated(targets, candidates, n_threads)
        ranked = self._pipeline.rank(targets, candidates, images, k=k, near=near)
        if out is None:
            return ranked
        check_out(out, *ranked.x.shape)
        return ranked.copied_into(out)

    def _evaluated(
        self, targets: Float64Array, candidates: Candidates, n_threads: int | None
    ) -> tuple[Candidates, Float64Array]:
        """Candidates after all passes, with their images, by an f that only Python evaluates."""
        shape = candidates.x.shape[:2]
        flat = candidates.x.reshape(-1, self.n_features_in_)
        images, flags = images_of(self.forward_, flat), candidates.flags.ravel()
        spec = self.pipeline_spec_
        if spec.twin is not None:
            finite = np.isfinite(targets).all(axis=1, keepdims=True)
            goals = np.repeat(np.where(finite, targets, self.anchors_y_[0]), shape[1], axis=0)
            for _ in range(spec.n_passes - 1):
                flat, images, flags = corrected(
                    get_backend(self.backend),
                    spec.twin,
                    self.forward_,
                    (spec.lower, spec.upper),
                    goals,
                    (flat, images, flags),
                    resolve_n_threads(n_threads),
                )
        candidates = replace(candidates, x=flat.reshape(*shape, -1), flags=flags.reshape(shape))
        return candidates, images.reshape(*shape, -1)

    def _ranked_into(
        self, out: Ranked, targets: Float64Array, k: int | None, near: Float64Array | None
    ) -> None:
        self._ranked(targets, k, near, out)

    def _n_tried(self, k: int, with_near: bool) -> int:
        """Anchors tried per target."""
        n_neighbors = max(k, self.n_candidates)
        if not with_near:
            return n_neighbors
        return min(_NEAR_FACTOR * n_neighbors, len(self.pipeline_spec_.anchors_x))

    def _native_call(self, k: int) -> NativeCall | None:
        native = self._pipeline.native()
        if native is None:
            return None
        return NativeCall(native, self._n_tried(k, False), self._n_tried(k, True))
