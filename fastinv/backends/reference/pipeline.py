"""From targets to ranked solutions in float64: ITNNR, algorithm 2, one formula per line."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fastinv.backends.checks import pipeline as _pipeline_checks
from fastinv.backends.distances import distance
from fastinv.backends.protocol import (
    CandidateFlag,
    Candidates,
    Float64Array,
    IntArray,
    PipelineSpec,
    Ranked,
    TwinModel,
)
from fastinv.backends.reference import mlp
from fastinv.backends.reference.forward import Forward, limited
from fastinv.backends.reference.neighbors import NeighborIndex
from fastinv.backends.reference.polish import Polish
from fastinv.backends.reference.region import Region

# The values of fastinv.solutions.Status, which lies a layer above.
CONVERGED, APPROXIMATE, EXTRAPOLATED, OUT_OF_BOUNDS, UNREACHABLE, INVALID = range(6)


def twin_outputs(
    twin: TwinModel, y: Float64Array, anchors_y: Float64Array, anchors_x: Float64Array
) -> Float64Array:
    """Scaled differences ``(n, k, p)`` of targets `y` ``(n, k, q)`` from their anchors."""
    features = np.concatenate(
        [
            (y - anchors_y) / twin.dy_scale,
            (anchors_y - twin.y_mean) / twin.y_scale,
            (anchors_x - twin.x_mean) / twin.x_scale,
        ],
        axis=2,
    )
    return mlp.forward(twin.spec, twin.parameters.astype(np.float64), limited(features))


class Pipeline:
    """Target to ranked solutions; see :class:`fastinv.backends.protocol.Pipeline`."""

    def __init__(self, spec: PipelineSpec) -> None:
        _pipeline_checks.check_pipeline_spec(spec)
        self._spec = spec
        self._index = NeighborIndex(spec.anchors_y, leaf_size=16)
        self._region = Region(spec)
        self._forward = None if spec.forward is None else Forward(spec)
        self._polish: Polish | None = None
        if spec.refine is not None and self._forward is not None:
            self._polish = Polish(self._forward, self._region, spec.refine.max_evaluations)

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
        """Candidates, their images, and the best `k` of them."""
        spec = self._spec
        _pipeline_checks.check_solve_call(spec, targets, n_neighbors, k, near, n_threads, out)
        candidates = self.candidates(targets, n_neighbors=n_neighbors, n_threads=n_threads)
        assert self._forward is not None  # check_solve_call has refused it
        with np.errstate(over="ignore", invalid="ignore"):
            fx = self._forward.values(candidates.x)
            for _ in range(spec.n_passes - 1 if spec.twin is not None else 0):
                candidates, fx = self._corrected_again(targets, candidates, fx)
        if self._polish is not None:
            candidates, fx = self._polished(self._polish, targets, candidates, fx)
        ranked = self.rank(targets, candidates, fx, k=k, near=near)
        return ranked if out is None else ranked.copied_into(out)

    def candidates(
        self, targets: Float64Array, *, n_neighbors: int, n_threads: int = 1
    ) -> Candidates:
        """One candidate per neighbour, inside the bounds."""
        spec = self._spec
        _pipeline_checks.check_candidates_call(spec, targets, n_neighbors, n_threads)
        finite = np.isfinite(targets).all(axis=1)
        anchor = np.tile(np.arange(n_neighbors, dtype=np.int64), (len(targets), 1))
        anchor_distance = np.full(len(targets), np.nan)
        anchor[finite], anchor_distance[finite] = self._find_anchors(targets[finite], n_neighbors)

        x, flags = self._moved(targets, spec.anchors_x[anchor], spec.anchors_y[anchor])
        return Candidates(x, anchor, flags, anchor_distance)

    def _moved(
        self, targets: Float64Array, x: Float64Array, fx: Float64Array
    ) -> tuple[Float64Array, NDArray[np.uint8]]:
        """Points `x` ``(n, k, p)`` with images `fx` after the network's steps, and their flags."""
        spec = self._spec
        flags = np.zeros(x.shape[:2], dtype=np.uint8)
        if spec.twin is not None:
            y = np.broadcast_to(targets[:, None, :], fx.shape)
            with np.errstate(over="ignore", invalid="ignore"):  # rank finds what is not finite
                outputs = twin_outputs(spec.twin, y, fx, x)
                outputs[~np.isfinite(targets).all(axis=1)] = 0.0
                x = x + spec.twin.dx_scale * outputs
            flags[(np.abs(outputs) > spec.twin.reach).any(axis=2)] |= CandidateFlag.EXTRAPOLATED
        flags[((x < spec.lower) | (x > spec.upper)).any(axis=2)] |= CandidateFlag.CLIPPED
        return np.clip(x, spec.lower, spec.upper), flags

    def _corrected_again(
        self, targets: Float64Array, candidates: Candidates, fx: Float64Array
    ) -> tuple[Candidates, Float64Array]:
        """Candidates and images after one more pass, where that brings them closer."""
        assert self._forward is not None
        usable = np.asarray(np.isfinite(fx).all(axis=2))
        starts = np.where(usable[:, :, None], fx, 0.0)
        x, flags = self._moved(targets, candidates.x, starts)
        images = self._forward.values(x)
        y = targets[:, None, :]
        better = np.asarray(usable & (distance(images, y) < distance(fx, y)))
        x = np.where(better[:, :, None], x, candidates.x)
        flags = np.where(better, flags, candidates.flags)
        return replace(candidates, x=x, flags=flags), np.where(better[:, :, None], images, fx)

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
        x, residual, flags = self._residuals(targets, candidates, fx)
        anchor = candidates.anchor.copy()

        unusable = ~np.isfinite(targets).all(axis=1)
        x[unusable] = np.nan
        residual[unusable] = np.inf
        anchor[unusable] = -1

        status = self._statuses(residual, flags, candidates.anchor_distance)
        order = self._order(x, residual, flags, near)[:, :k]
        return Ranked(
            np.take_along_axis(x, order[:, :, None], axis=1),
            np.take_along_axis(residual, order, axis=1),
            np.take_along_axis(anchor, order, axis=1),
            np.take_along_axis(status, order, axis=1),
        )

    def native(self) -> None:
        """There is none."""

    def _find_anchors(
        self, targets: Float64Array, n_neighbors: int
    ) -> tuple[IntArray, Float64Array]:
        """Anchors ``(n, n_neighbors)`` and the distance in y to the nearest, ``(n,)``."""
        spec = self._spec
        n_pool = min(len(spec.anchors_x), spec.pool * n_neighbors) if spec.apart > 0 else 0
        distances, anchors = self._index.query(targets, max(n_pool, n_neighbors))
        if n_pool > n_neighbors:
            anchors = np.array([self._spread(pool, n_neighbors) for pool in anchors])
        return anchors.reshape(len(targets), n_neighbors), distances[:, 0].astype(np.float64)

    def _spread(self, pool: IntArray, n_neighbors: int) -> IntArray:
        """Those of `pool`, nearest first, that are far in x from all chosen ones; then others."""
        x = self._spec.anchors_x
        chosen: list[int] = []
        for a in pool:
            if (self._region.distance(x[a], x[chosen]) > self._spec.apart).all():
                chosen.append(a)
        others = [a for a in pool if a not in chosen]
        return np.array([*chosen, *others][:n_neighbors], dtype=np.int64)

    def _polished(
        self, polish: Polish, targets: Float64Array, candidates: Candidates, fx: Float64Array
    ) -> tuple[Candidates, Float64Array]:
        """Candidates, or their anchors where those are exact and closer, polished; and images."""
        spec, region = self._spec, self._region
        x, flags, fx = candidates.x.copy(), candidates.flags.copy(), fx.copy()
        for row, y in enumerate(targets):
            if not np.isfinite(y).all():
                continue
            for j, anchor in enumerate(candidates.anchor[row]):
                image = spec.anchors_y[anchor]
                if spec.anchors_exact and not distance(fx[row, j], y) <= distance(image, y):
                    x[row, j], fx[row, j], flags[row, j] = spec.anchors_x[anchor], image, 0
                found = polish.run(y, x[row, j].copy(), fx[row, j].copy())
                x[row, j], fx[row, j] = region.wrap(found.x), found.fx
                flags[row, j] &= CandidateFlag.EXTRAPOLATED
                flags[row, j] |= CandidateFlag.CLIPPED * region.touches(x[row, j])
        return replace(candidates, x=x, flags=flags), fx

    def _residuals(
        self, targets: Float64Array, candidates: Candidates, fx: Float64Array
    ) -> tuple[Float64Array, Float64Array, NDArray[np.uint8]]:
        """x, residuals (inf where not finite) and flags, anchors put in where they are better."""
        spec = self._spec
        x, flags = candidates.x.copy(), candidates.flags.copy()
        y = targets[:, None, :]
        residual = distance(fx, y)
        anchor_residual = distance(spec.anchors_y[candidates.anchor], y)
        residual[~np.isfinite(residual) | ~np.isfinite(x).all(axis=2)] = np.inf
        if spec.anchors_exact:
            replaced = anchor_residual < residual
            x[replaced] = spec.anchors_x[candidates.anchor[replaced]]
            residual[replaced] = anchor_residual[replaced]
            flags[replaced] = 0
        return x, residual, flags

    def _statuses(
        self, residual: Float64Array, flags: NDArray[np.uint8], anchor_distance: Float64Array
    ) -> NDArray[np.int8]:
        """The first status that holds of each candidate, ``(n, n_neighbors)``."""
        spec = self._spec
        far = (anchor_distance > spec.coverage) & (residual.min(axis=1) > spec.coverage)
        status = np.select(
            [
                ~np.isfinite(residual),
                residual <= spec.tol,
                np.broadcast_to(far[:, None], residual.shape),
                (flags & CandidateFlag.CLIPPED) > 0,
                (flags & CandidateFlag.EXTRAPOLATED) > 0,
            ],
            [INVALID, CONVERGED, UNREACHABLE, OUT_OF_BOUNDS, EXTRAPOLATED],
            default=APPROXIMATE,
        )
        return status.astype(np.int8)

    def _order(
        self,
        x: Float64Array,
        residual: Float64Array,
        flags: NDArray[np.uint8],
        near: Float64Array | None,
    ) -> IntArray:
        """Per row the candidates by group, then key, then the order of their anchors."""
        spec = self._spec
        group = np.ones(residual.shape, dtype=np.int64)
        if not spec.trust_residual:
            group[(flags & CandidateFlag.EXTRAPOLATED) > 0] = 2
        group[~np.isfinite(residual)] = 4
        key = residual.copy()
        if near is not None:
            first = (residual <= spec.tol) & (group == 1)
            group[first] = 0
            key[first] = self._region.distance(x, near[:, None, :])[first]
        if self._polish is not None:
            group[self._duplicates(x, residual)] = 3
        return np.lexsort((key, group), axis=-1).astype(np.int64)  # stable

    def _duplicates(self, x: Float64Array, residual: Float64Array) -> NDArray[np.bool_]:
        """Which CONVERGED candidates ``(n, n_neighbors)`` are one solution with a better one."""
        spec = self._spec
        assert spec.refine is not None
        converged = residual <= spec.tol
        index = np.arange(residual.shape[1])
        same = self._region.distance(x[:, :, None], x[:, None, :]) <= spec.refine.separation
        r_a, r_b = residual[:, :, None], residual[:, None, :]
        better = (r_b < r_a) | ((r_b == r_a) & (index < index[:, None]))  # b than a
        both = converged[:, :, None] & converged[:, None, :]
        return np.asarray((same & better & both).any(axis=2))
