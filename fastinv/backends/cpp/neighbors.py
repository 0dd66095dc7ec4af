"""Nearest neighbours by the C++ KD-tree."""

from __future__ import annotations

import numpy as np

from fastinv import _core
from fastinv.backends import _checks
from fastinv.backends.protocol import FloatArray, IntArray

_KDTREES = {_checks.FLOAT32: _core.KDTreeFloat32, _checks.FLOAT64: _core.KDTreeFloat64}


class NeighborIndex:
    """A KD-tree; see :class:`fastinv.backends.protocol.NeighborIndex`."""

    def __init__(self, points: FloatArray, leaf_size: int, isa: str) -> None:
        _checks.check_points(points, leaf_size)
        self._shape = points.shape
        self._dtype = points.dtype
        self._kernel = _KDTREES[points.dtype](np.ascontiguousarray(points), leaf_size, isa)

    def query(
        self, queries: FloatArray, k: int, *, n_threads: int = 1
    ) -> tuple[FloatArray, IntArray]:
        """Distances ``(n, k)`` in the dtype of the points, and indices ``(n, k)``."""
        _checks.check_query(self._shape, queries, k, n_threads, (self._dtype,))
        distances = np.empty((len(queries), k), dtype=self._dtype)
        indices = np.empty((len(queries), k), dtype=np.int64)
        self._kernel.query(np.ascontiguousarray(queries), k, distances, indices, n_threads)
        return distances, indices
