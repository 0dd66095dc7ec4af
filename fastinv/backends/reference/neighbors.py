"""Nearest neighbours by brute force in float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastinv._common.arrays import Float64Array, FloatArray, IntArray
from fastinv.backends.checks import common as _checks


def sorting_order(values: Float64Array) -> IntArray:
    """For each row, the indices that sort it, NaN last; equal values keep their order."""
    return np.argsort(values, axis=-1, kind="stable").astype(np.int64)


class NeighborIndex:
    """Brute force; see :class:`fastinv.backends.protocol.NeighborIndex`."""

    def __init__(self, points: FloatArray, leaf_size: int) -> None:
        _checks.check_points(points, leaf_size)
        self._points = np.array(points, dtype=np.float64)

    def query(
        self, queries: FloatArray, k: int, *, n_threads: int = 1
    ) -> tuple[FloatArray, IntArray]:
        """Distances ``(n, k)``, float64, and indices ``(n, k)``.

        Points are ordered by their squared distance, which can differ where the rounded
        distances are equal.
        """
        _checks.check_query(self._points.shape, queries, k, n_threads, _checks.FLOATS)
        distances = np.empty((len(queries), k))
        indices = np.empty((len(queries), k), dtype=np.int64)
        for row, query in enumerate(queries.astype(np.float64)):
            with np.errstate(over="ignore"):  # an infinite distance is farthest, as it should be
                squared = ((self._points - query) ** 2).sum(axis=1)
            indices[row] = sorting_order(squared)[:k]
            distances[row] = np.sqrt(squared[indices[row]])
        return distances, indices

    def try_query(self, queries: Any, k: Any, out: Any, /) -> None:
        """There is no short way."""
