"""Chooses where a search starts, from the derivatives at the anchors.

The rules are told in ``csrc/solve/search/search.hpp``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastinv._common.arrays import Float64Array, IntArray
from fastinv.backends.reference.function import Derivatives
from fastinv.backends.solving import Anchors
from fastinv.backends.systems import factors, solved_systems
from fastinv.functions.problem import Problem
from fastinv.functions.region import Region

# Relative to ||J||^2: singular values below a hundredth of ||J|| count less and less.
_DAMPING = 1e-4
_SAME_START = 0.5  # in anchor spacings: closer starts lead to the same place
_PER_START = 6  # anchors to look at for each start
_SPACING_SAMPLE = 101  # anchors that the typical spacing is measured at
_ROWS_AT_A_TIME = 1 << 18  # of f, in one call
_NUMBERS_AT_A_TIME = 1 << 22  # in an array over targets and anchors


class Starts(NamedTuple):
    """Starts of n targets: ``anchor`` (n, s), -1 where there are fewer than s, and ``predicted``
    (n, s, p), the points that the anchors' derivatives predict; NaN where they say nothing."""

    anchor: IntArray
    predicted: Float64Array


class LinearAnchors:
    """Anchors with a damped pseudo-inverse of the derivative at each of them."""

    def __init__(self, problem: Problem, f: Derivatives, anchors: Anchors) -> None:
        p, q, region = f.p, f.q, problem.region
        self._region, self._weight = region, problem.y_weight
        self._x, self._y = anchors.x, anchors.y
        rows = max(1, _ROWS_AT_A_TIME // (2 * p))
        jac = np.concatenate(
            [f.jacobians(anchors.x[i : i + rows]) for i in range(0, len(anchors), rows)]
        )
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            jac = jac * region.scale * problem.y_weight[:, None]
            unit = _units(jac)
            jac *= unit[:, None, None]
            size = (jac**2).sum(axis=(1, 2))
            factor, regular = factors(jac, np.full(len(jac), _DAMPING * min(p, q)))
            # NaN: an anchor whose derivative is zero or not finite says nothing.
            jac[~(regular & np.isfinite(size))] = np.nan
            self._inverses = _inverses(jac, factor) * unit[:, None, None]
            # For what a step cannot account for, where there are more outputs than inputs.
            self._flatness = p / size * unit**2 if q > p else None
            self._gram = None
            if q > p:
                self._gram = jac.transpose(0, 2, 1) @ jac * (p / size)[:, None, None]
        self.spacing = _spacing(region, anchors.x)

    def choose(self, y: Float64Array, n_starts: int) -> Starts:
        """For each of finite `y` ``(n, q)`` the anchors nearest to it in x, one for each place they
        point to."""
        n, p = len(y), self._x.shape[1]
        n_starts = min(n_starts, len(self._x))
        chosen = Starts(np.full((n, n_starts), -1), np.full((n, n_starts, p), np.nan))
        rows = max(1, _NUMBERS_AT_A_TIME // (len(self._x) * (p + 2)))
        for i in range(0, n, rows):
            some = self._choose(y[i : i + rows], n_starts)
            chosen.anchor[i : i + rows], chosen.predicted[i : i + rows] = some
        return chosen

    def _choose(self, y: Float64Array, n_starts: int) -> Starts:
        n, n_anchors, p = len(y), len(self._x), self._x.shape[1]
        with np.errstate(over="ignore", invalid="ignore"):
            steps, distances = self._steps(y)
        distances[np.isnan(distances)] = np.inf
        looked_at = min(n_anchors, _PER_START * n_starts)
        order = np.argpartition(distances, looked_at - 1, axis=1)[:, :looked_at]
        order.sort(axis=1)  # ties go to the lowest index
        nearest = np.take_along_axis(distances, order, axis=1).argsort(axis=1, kind="stable")
        order = np.take_along_axis(order, nearest, axis=1)
        points = self._x[order] + self._region.scale * np.take_along_axis(
            steps, order[:, :, None], axis=1
        )
        anchor = np.full((n, n_starts), -1)
        predicted = np.full((n, n_starts, p), np.nan)
        count = np.zeros(n, dtype=np.int64)
        same = _SAME_START * self.spacing
        for c in range(looked_at):
            point = points[:, c]
            near = self._region.distance(point[:, None], predicted) <= same
            rows = np.flatnonzero(~near.any(axis=1) & (count < n_starts))
            anchor[rows, count[rows]] = order[rows, c]
            predicted[rows, count[rows]] = point[rows]
            count[rows] += 1
        return Starts(anchor, predicted)

    def _steps(self, y: Float64Array) -> tuple[Float64Array, Float64Array]:
        """The steps ``(n, n_anchors, p)`` that lead from anchors to `y`, in units of the region,
        and their squared lengths ``(n, n_anchors)``, with what they do not account for."""
        n, (n_anchors, p) = len(y), self._x.shape
        steps, squared = np.zeros((n, n_anchors, p)), np.zeros((n, n_anchors))
        outside = np.zeros((n, n_anchors))
        for j in range(y.shape[1]):
            gap = (y[:, j, None] - self._y[:, j]) * self._weight[j]
            for i in range(p):
                steps[:, :, i] += self._inverses[:, i, j] * gap
            outside += gap**2
        for i in range(p):
            squared += steps[:, :, i] ** 2
        if self._flatness is None or self._gram is None:
            return steps, squared
        # Some of y - y_a no step accounts for. It counts as the step that would change y by as
        # much, in the mean over directions.
        outside *= self._flatness
        for i in range(p):
            for k in range(p):
                outside -= self._gram[:, i, k] * steps[:, :, i] * steps[:, :, k]
        return steps, squared + outside


def _units(jac: Float64Array) -> Float64Array:
    """Powers of two ``(n,)`` that keep squares of `jac` ``(n, q, p)`` from vanishing."""
    largest = np.abs(jac).max(axis=(1, 2))
    usable = (largest > 0) & np.isfinite(largest)
    return np.where(usable, np.exp2(-np.floor(np.log2(np.where(usable, largest, 1.0)))), 1.0)


def _inverses(jac: Float64Array, factor: Float64Array) -> Float64Array:
    """``(J^T J + d)^-1 J^T = J^T (J J^T + d)^-1`` ``(n, p, q)``, by the factors of the smaller."""
    q, p = jac.shape[1:]
    if p <= q:
        columns = [solved_systems(factor, jac[:, j, :]) for j in range(q)]
        return np.stack(columns, axis=2)
    return np.stack([solved_systems(factor, jac[:, :, i]) for i in range(p)], axis=1)


def _spacing(region: Region, x: Float64Array) -> float:
    """The median distance of some anchors to their nearest neighbours."""
    n, n_sample = len(x), min(_SPACING_SAMPLE, len(x))
    nearest = []
    for s in range(n_sample):
        a = s * n // n_sample
        distances = region.distance(x[a], x)
        distances[a] = np.inf
        apart = distances[distances > 0].min(initial=np.inf)
        if apart < np.inf:
            nearest.append(float(apart))
    return sorted(nearest)[len(nearest) // 2] if nearest else 0.0
