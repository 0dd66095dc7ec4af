"""Polish, every solution, and paths of solutions: an oracle, which is thorough and slow."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastinv.backends.checks import search as _search_checks
from fastinv.backends.protocol import (
    Float64Array,
    IntArray,
    PipelineSpec,
    Polished,
    Ranked,
    Track,
)
from fastinv.backends.reference.forward import Forward
from fastinv.backends.reference.polish import EVALUATIONS, Polish, PolishedRow
from fastinv.backends.reference.region import Region

# The values of fastinv.solutions.Status, which lies a layer above.
CONVERGED, APPROXIMATE, UNREACHABLE, INVALID = 0, 1, 4, 5

_ROUNDING = 64 * float(np.finfo(np.float64).eps)
_LONGEST_STEP = 0.5  # of a path, in units of the region
_BEND = 0.02  # of the first step: how far from its end a continuation may be
_SMALLEST_PIECE = 1e-5  # of the way from one target to the next


class _Found(NamedTuple):
    x: Float64Array
    residual: float
    anchor: int
    rank: float  # the residual, zero where it is rounding


class _Point(NamedTuple):
    """A solution that a path has come to, and its image."""

    x: Float64Array
    fx: Float64Array


class Search:
    """Every solution; see :class:`fastinv.backends.protocol.Search`.

    Every anchor is a start, whatever ``n_starts`` is: what the compiled search finds from some of
    them must be among what is found here. ``n_threads`` has no effect.
    """

    def __init__(self, spec: PipelineSpec) -> None:
        refine = _search_checks.check_search_spec(spec)
        self._spec = spec
        self._separation = refine.separation
        self._region = Region(spec)
        self._f = Forward(spec)
        self._polish = Polish(self._f, self._region, refine.max_evaluations)

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
        for row, y in enumerate(targets):
            found = self._polish_from(y, x[row])
            polished.x[row] = self._region.wrap(found.x)
            polished.fx[row] = found.fx
            polished.residual[row] = found.residual
            polished.n_evaluations[row] = found.n_evaluations
            polished.end[row] = found.end
        return polished

    def solve_all(
        self, targets: Float64Array, *, k: int, n_starts: int, tol: float, n_threads: int = 1
    ) -> tuple[Ranked, IntArray]:
        """Up to `k` distinct solutions of each target, and their counts."""
        _search_checks.check_search_call(self._spec, targets, k, n_starts, tol, n_threads)
        n, p = len(targets), self._spec.anchors_x.shape[1]
        ranked = Ranked(
            x=np.full((n, k, p), np.nan),
            residual=np.full((n, k), np.inf),
            anchor=np.full((n, k), -1, dtype=np.int64),
            status=np.full((n, k), INVALID, dtype=np.int8),
        )
        count = np.zeros(n, dtype=np.int64)
        for row, y in enumerate(targets):
            if not np.isfinite(y).all():
                continue
            ends = [self._polish_from(y, x) for x in self._spec.anchors_x]
            solutions = self._distinct(y, ends, tol)[:k]
            count[row] = len(solutions)
            for place, found in enumerate(solutions):
                ranked.x[row, place] = found.x
                ranked.residual[row, place] = found.residual
                ranked.anchor[row, place] = found.anchor
                ranked.status[row, place] = CONVERGED
            if not solutions:
                self._write_nearest(ends, row, ranked)
        return ranked, count

    def solve_path(
        self, targets: Float64Array, start: Float64Array, *, n_starts: int, tol: float
    ) -> Track:
        """The solution that begins at `start`, followed along `targets`."""
        _search_checks.check_path_call(self._spec, targets, start, n_starts, tol)
        n, p = len(targets), self._spec.anchors_x.shape[1]
        track = Track(
            x=np.full((n, p), np.nan),
            residual=np.full(n, np.inf),
            status=np.full(n, INVALID, dtype=np.int8),
            jumped=np.zeros(n, dtype=np.bool_),
        )
        at = _Point(start, self._f.values(start))
        for row, y in enumerate(targets):
            if not np.isfinite(y).all():
                continue
            ahead = self._follow(y, at, tol)
            if ahead is None:
                ahead = self._jump(y, at, tol)
                track.jumped[row] = ahead is not None
            at = at if ahead is None else ahead
            track.x[row] = at.x
            track.residual[row] = np.linalg.norm(at.fx - y)
            track.status[row] = UNREACHABLE if ahead is None else CONVERGED
        return track

    def _polish_from(self, y: Float64Array, x: Float64Array) -> PolishedRow:
        with np.errstate(over="ignore", invalid="ignore"):
            fx = self._f.values(x)
        return self._polish.run(y, x.copy(), fx)

    def _distinct(self, y: Float64Array, ends: list[PolishedRow], tol: float) -> list[_Found]:
        """Solutions by rank and then by coordinates; of those that are one, the best."""
        distinct: list[_Found] = []
        by_residual = sorted(range(len(ends)), key=lambda anchor: ends[anchor].residual)
        for anchor in by_residual:
            x, fx, residual = (
                self._region.wrap(ends[anchor].x),
                ends[anchor].fx,
                ends[anchor].residual,
            )
            if not (residual <= tol and self._region.contains(x)):
                continue
            if any(self._region.distance(x, other.x) <= self._separation for other in distinct):
                continue
            rounding = _ROUNDING * float(np.linalg.norm(y) + np.linalg.norm(fx))
            rank = 0.0 if residual <= max(rounding, 1e-4 * tol) else residual
            distinct.append(_Found(x, residual, anchor, rank))
        # Rounding must not decide between equal coordinates.
        unit = self._separation * self._region.scale
        return sorted(distinct, key=lambda found: (found.rank, *self._units(found.x, unit)))

    @staticmethod
    def _units(x: Float64Array, unit: Float64Array) -> list[float]:
        return list(np.round(x / unit) if (unit > 0).all() else x)

    def _write_nearest(self, ends: list[PolishedRow], row: int, ranked: Ranked) -> None:
        """The nearest attainable point, in the first place of a row that has no solution."""
        residuals = np.array([end.residual for end in ends])
        residuals[np.isnan(residuals)] = np.inf
        anchor = int(residuals.argmin())
        if np.isinf(residuals[anchor]):
            return
        ranked.x[row, 0] = self._region.wrap(ends[anchor].x)
        ranked.residual[row, 0] = residuals[anchor]
        ranked.anchor[row, 0] = anchor
        capped = ends[anchor].end == EVALUATIONS
        ranked.status[row, 0] = APPROXIMATE if capped else UNREACHABLE

    def _follow(self, y: Float64Array, start: _Point, tol: float) -> _Point | None:
        """Along the branch to y, in pieces where one step does not do; None where it ends."""
        whole = self._step_towards(y, start, tol)
        if whole is not None:
            return whole
        at, done, piece = start, 0.0, 0.5
        while done < 1.0:
            ahead = min(done + piece, 1.0)
            target = y if ahead == 1.0 else start.fx + ahead * (y - start.fx)
            reached = self._step_towards(target, at, tol)
            if reached is not None:
                at, done, piece = reached, ahead, 2 * piece
                continue
            piece *= 0.5
            if piece < _SMALLEST_PIECE:
                return None
        return at

    def _step_towards(self, y: Float64Array, at: _Point, tol: float) -> _Point | None:
        """One step; None unless it is short and ends at a solution, about where the derivative
        says."""
        found = self._polish.run(y, at.x, at.fx)
        if not (found.residual <= tol and found.first_step <= _LONGEST_STEP):
            return None
        if found.later_steps > _BEND * found.first_step + 1e-9:
            return None
        return _Point(found.x, found.fx)

    def _jump(self, y: Float64Array, at: _Point, tol: float) -> _Point | None:
        """The solution nearest to where the path was; None where there is none."""
        ends = [self._polish_from(y, x) for x in self._spec.anchors_x]
        solutions = self._distinct(y, ends, tol)
        if not solutions:
            return None
        nearest = min(solutions, key=lambda found: float(self._region.distance(found.x, at.x)))
        return _Point(nearest.x, self._f.values(nearest.x))
